/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes: lb1 relays what a backend sends to a connection of lb2, and lb2 takes it as the
 * backend's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/dataplane/proxy/streams.h"

#define NODE2 "10.0.0.77:5070"
#define BY_NODE "Via: SIP/2.0/UDP 10.0.0.1:5070;"
#define ROUTES2 \
    "Route: <sip:$(IN)@10.0.0.77:5070;lr>, <sip:$(OUT)@192.0.2.10:5061;transport=tls;lr>\n"
#define OF_DIALOG(method, cseq, routes) \
    method " sip:a@192.168.1.4 SIP/2.0\n" HEAD(BY_KAM, "d", cseq " " method) routes "\n"
#define RELAYED(method, cseq, number, routes)                                                  \
    method " sip:a@192.168.1.4 SIP/2.0\n" BY_NODE OURS(number) "Via: SIP/2.0/" BY_KAM          \
                                                               "\n" TAIL("d", cseq " " method) \
                                                                   routes "\n"
/* As it comes to the other node. */
#define AT_NODE2(method, cseq, number, routes) NODE, NODE2, RELAYED(method, cseq, number, routes)

static struct stage_conf cluster_conf(bool second)
{
    return (struct stage_conf){.streams = true,
                               .cluster = true,
                               .second = second,
                               .health = {LB_DOWN, LB_UP, LB_DOWN, LB_DOWN}};
}

static const struct step phone_calls_by_node2[] = {
    {"INVITE", PHONE, TLS_VIP,
     "INVITE sip:bob@example.net SIP/2.0\n" HEAD("TLS 192.168.1.4;branch=z9hG4bKp", "d",
                                                 "1 INVITE") "\n",
     KAM " from " NODE2,
     "INVITE sip:bob@example.net SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.77:5070;" OURS(
         "1") "Record-Route: <sip:$(IN)@10.0.0.77:5070;lr>\n"
              "Record-Route: <sip:$(OUT)@192.0.2.10:5061;transport=tls;lr>\n"
              "Via: SIP/2.0/TLS 192.168.1.4;branch=z9hG4bKp;received=198.51.100.7\n" TAIL(
                  "d", "1 INVITE") "\n",
     0, PROXY_RULE_TABLE},
};

static const struct step relayed[] = {
    {"a call that only the other node counts", KAM, NODE,
     "INVITE sip:a@192.168.1.4 SIP/2.0\n" HEAD(BY_KAM, "e", "1 INVITE") ROUTES2 "\n",
     NODE2 " from " NODE, NULL, 0, PROXY_RULE_NODE},
    {"INVITE again: no Record-Route, the Routes stay", KAM, NODE, OF_DIALOG("INVITE", "7", ROUTES2),
     NODE2 " from " NODE, RELAYED("INVITE", "7", "7", ROUTES2), 0, PROXY_RULE_NODE},
    {"sent again it is the same", KAM, NODE, OF_DIALOG("INVITE", "7", ROUTES2), NODE2 " from " NODE,
     RELAYED("INVITE", "7", "7", ROUTES2), 0, PROXY_RULE_NODE},
    {"its CANCEL has its branch", KAM, NODE, OF_DIALOG("CANCEL", "7", ROUTES2), NODE2 " from " NODE,
     RELAYED("CANCEL", "7", "7", ROUTES2), 0, PROXY_RULE_NODE},
    {"ACK", KAM, NODE, OF_DIALOG("ACK", "7", ROUTES2), NODE2 " from " NODE,
     RELAYED("ACK", "7", "7", ROUTES2), 0, PROXY_RULE_NODE},
    {"what is only ours is popped", KAM, NODE,
     OF_DIALOG("BYE", "8", "Route: <sip:192.0.2.10;lr>\n" ROUTES2), NODE2 " from " NODE,
     RELAYED("BYE", "8", "8", ROUTES2), 0, PROXY_RULE_NODE},
    {"by a Route that every node has", KAM, NODE,
     OF_DIALOG("BYE", "9", "Route: <sip:$(OUT)@192.0.2.10:5061;transport=tls;lr>\n"),
     NODE2 " from " NODE,
     RELAYED("BYE", "9", "9", "Route: <sip:$(OUT)@192.0.2.10:5061;transport=tls;lr>\n"), 0,
     PROXY_RULE_NODE},
    {"a strict router's, as it came", KAM, NODE,
     "BYE sip:$(IN)@10.0.0.77:5070;lr SIP/2.0\n" HEAD(
         BY_KAM, "d", "10 BYE") "Route: <sip:$(OUT)@192.0.2.10:5061;transport=tls;lr>, "
                                "<sip:a@192.168.1.4>\n\n",
     NODE2 " from " NODE,
     "BYE sip:$(IN)@10.0.0.77:5070;lr SIP/2.0\n" BY_NODE OURS(
         "10") "Via: SIP/2.0/" BY_KAM
               "\n" TAIL("d", "10 BYE") "Route: <sip:$(OUT)@192.0.2.10:5061;transport=tls;lr>, "
                                        "<sip:a@192.168.1.4>\n\n",
     0, PROXY_RULE_NODE},
    {"to the data plane, which leaves it to control", KAM, VIP, OF_DIALOG("BYE", "11", ROUTES2),
     "punt_stream", NULL, 0, PROXY_RULE_NONE},
    {"no hop is left", KAM, NODE,
     "BYE sip:a@192.168.1.4 SIP/2.0\nVia: SIP/2.0/" BY_KAM
     "\nMax-Forwards: 0\nFrom: <sip:a@example.net>;tag=f\n"
     "To: <sip:bob@example.net>\nCall-ID: d\nCSeq: 12 BYE\n" ROUTES2 "\n",
     KAM " from " NODE, NULL, PROXY_REPLY_483_HOPS, PROXY_RULE_NONE},
    {"a token that was changed", KAM, NODE,
     OF_DIALOG("BYE", "13", "Route: <sip:$(IN)A@10.0.0.77:5070;lr>\n"), KAM " from " NODE, NULL,
     PROXY_REPLY_403_TOKEN, PROXY_RULE_NONE},
    {"from outside it is for a backend, as ever", PHONE, TLS_VIP,
     "BYE sip:bob@203.0.113.9 SIP/2.0\n" HEAD("TLS 192.168.1.4;branch=z9hG4bKb", "d", "2 BYE")
         ROUTES2 "\n",
     KAM " from " NODE, NULL, 0, PROXY_RULE_TOKEN},
};

static const struct step relayed_by_control[] = {
    {"what the data plane left to it", KAM, VIP, OF_DIALOG("BYE", "11", ROUTES2),
     NODE2 " from " NODE, RELAYED("BYE", "11", "11", ROUTES2), 0, PROXY_RULE_NODE},
};

static const struct step taken[] = {
    {"INVITE reaches the phone; a Record-Route leads to the backend",
     AT_NODE2("INVITE", "7", "7", ROUTES2), PHONE " from " TLS_VIP,
     "INVITE sip:a@192.168.1.4 SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.10:5061;" OURS(
         "20") "Record-Route: <sip:$(T20)@192.0.2.10:5061;transport=tls;lr>\n"
               "Record-Route: <sip:$(B20)@10.0.0.77:5070;lr>\n" BY_NODE
               "branch=$(BR7);tdm=$(M7)\nVia: SIP/2.0/" BY_KAM
               "\nMax-Forwards: 68\nFrom: <sip:a@example.net>;tag=f\n"
               "To: <sip:bob@example.net>\nCall-ID: d\nCSeq: 7 INVITE\n\n",
     0, PROXY_RULE_FLOW},
    {"CANCEL", AT_NODE2("CANCEL", "7", "7", ROUTES2), PHONE " from " TLS_VIP,
     "CANCEL sip:a@192.168.1.4 SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.10:5061;" OURS("20") BY_NODE
     "branch=$(BR7);tdm=$(M7)\nVia: SIP/2.0/" BY_KAM
     "\nMax-Forwards: 68\nFrom: <sip:a@example.net>;tag=f\n"
     "To: <sip:bob@example.net>\nCall-ID: d\nCSeq: 7 CANCEL\n\n",
     0, PROXY_RULE_FLOW},
    {"its 200 goes back to the node", PHONE, TLS_VIP,
     "SIP/2.0 200 OK\nVia: SIP/2.0/TLS 192.0.2.10:5061;" OURS("20") BY_NODE
     "branch=$(BR7);tdm=$(M7)\nVia: SIP/2.0/" BY_KAM "\n" ANSWER("d", "7 INVITE"),
     NODE " from " NODE2,
     "SIP/2.0 200 OK\n" BY_NODE "branch=$(BR7);tdm=$(M7)\nVia: SIP/2.0/" BY_KAM
     "\n" ANSWER("d", "7 INVITE"),
     PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
    {"the phone by the new Record-Route", PHONE, TLS_VIP,
     "INFO sip:bob@203.0.113.9 SIP/2.0\n" HEAD(
         "TLS 192.168.1.4;branch=z9hG4bKi", "d",
         "3 INFO") "Route: <sip:$(T20)@192.0.2.10:5061;transport=tls;lr>, "
                   "<sip:$(B20)@10.0.0.77:5070;lr>\n\n",
     KAM " from " NODE2, NULL, 0, PROXY_RULE_TOKEN},
    {"a strict router's", NODE, NODE2,
     "BYE sip:$(IN)@10.0.0.77:5070;lr SIP/2.0\n" BY_NODE OURS(
         "10") "Via: SIP/2.0/" BY_KAM
               "\n" TAIL("d", "10 BYE") "Route: <sip:$(OUT)@192.0.2.10:5061;transport=tls;lr>, "
                                        "<sip:a@192.168.1.4>\n\n",
     PHONE " from " TLS_VIP, NULL, 0, PROXY_RULE_FLOW},
    {"nothing that is for no flow of ours", AT_NODE2("BYE", "8", "8", ""), NODE " from " NODE2,
     NULL, PROXY_REPLY_430_FLOW, PROXY_RULE_NONE},
};

static const struct step back_from_node2[] = {
    {"200 to the backend", NODE2, NODE,
     "SIP/2.0 200 OK\n" BY_NODE "branch=$(BR7);tdm=$(M7)\nVia: SIP/2.0/" BY_KAM
     "\n" ANSWER("d", "7 INVITE"),
     KAM " from " NODE, "SIP/2.0 200 OK\nVia: SIP/2.0/" BY_KAM "\n" ANSWER("d", "7 INVITE"),
     PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
    {"200 to what the data plane received leaves from its address", NODE2, NODE,
     "SIP/2.0 200 OK\n" BY_NODE "branch=$(BR11);tdm=$(M11)\nVia: SIP/2.0/" BY_KAM
     "\n" ANSWER("d", "11 BYE"),
     KAM " from " VIP, NULL, PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
    /* lb2 thinks that it is ours: we think that it is lb2's. */
    {"what a node relays is not relayed again", NODE2, NODE,
     "BYE sip:a@192.168.1.4 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.77:5070;branch=z9hG4bKx\n"
     "Via: SIP/2.0/" BY_KAM "\n" TAIL("d", "14 BYE") ROUTES2 "\n",
     NODE2 " from " NODE, NULL, PROXY_REPLY_430_FLOW, PROXY_RULE_NONE},
};

#define ANSWER_OF_PHONE                                                                   \
    "SIP/2.0 200 OK\nVia: SIP/2.0/TLS 192.0.2.10:5061;" OURS("30") "Via: SIP/2.0/" BY_KAM \
                                                                   "\n" ANSWER("d", "20 INFO")

/* The phone has gone to lb1 before it answers. */
static const struct step asked_by_node2[] = {
    {"INFO", KAM, NODE2, OF_DIALOG("INFO", "20", ROUTES2), PHONE " from " TLS_VIP,
     "INFO sip:a@192.168.1.4 SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.10:5061;" OURS(
         "30") "Via: SIP/2.0/" BY_KAM "\n" TAIL("d", "20 INFO") "\n",
     0, PROXY_RULE_FLOW},
};

static const struct step answered_here[] = {
    {"200 to the backend, from our own port", PHONE, TLS_VIP, ANSWER_OF_PHONE, KAM " from " NODE,
     "SIP/2.0 200 OK\nVia: SIP/2.0/" BY_KAM "\n" ANSWER("d", "20 INFO"), PROXY_FORWARDED_RESPONSE,
     PROXY_RULE_VIA},
};

static const struct step answered_alone[] = {
    {"no node is known", PHONE, TLS_VIP, ANSWER_OF_PHONE, "drop_via_not_ours", NULL, 0,
     PROXY_RULE_NONE},
};

static void test_cluster(void **state)
{
    struct stage_conf first = cluster_conf(false), second = cluster_conf(true), none = first;
    struct stage *stage = stage_new(&second);
    uint16_t slot = stage->slot_of[1];

    stage_set(stage, "TAG", "");
    STAGE_PLAY(stage, phone_calls_by_node2);
    stage_reload(stage, &first);
    memset(stage->started, 0, sizeof(stage->started));
    STAGE_PLAY(stage, relayed);
    stage->punted = true;
    STAGE_PLAY(stage, relayed_by_control);
    stage->punted = false;
    assert_int_equal(stage->started[slot], 0); /* it is the other node's call */
    stage_reload(stage, &second);
    STAGE_PLAY(stage, taken);
    stage_reload(stage, &first);
    STAGE_PLAY(stage, back_from_node2);
    stage_reload(stage, &second);
    STAGE_PLAY(stage, asked_by_node2);
    stage_reload(stage, &first);
    STAGE_PLAY(stage, answered_here);
    none.cluster = false;
    stage_reload(stage, &none);
    STAGE_PLAY(stage, answered_alone);
    stage_free(stage);
}

#define CALLEE "203.0.113.9:5060"
#define KAM_BY_TCP "TCP 10.0.0.12;branch=z9hG4bKk"
#define TO_CALLEE "Via: SIP/2.0/UDP 192.0.2.10:5060;" OURS("t")
#define ANSWER_OF_CALLEE \
    "SIP/2.0 200 OK\n" TO_CALLEE "Via: SIP/2.0/" KAM_BY_TCP "\n" ANSWER("tcp", "1 OPTIONS")

/* A backend's request came by a connection of lb2, and the network leads the answer to lb1. */
static void test_response_to_the_wrong_node(void **state)
{
    static const struct step asked[] = {
        {"a backend by TCP", "tcp/10.0.0.12:45000#9", VIP,
         "OPTIONS sip:c@203.0.113.9 SIP/2.0\n" HEAD(KAM_BY_TCP, "tcp", "1 OPTIONS") "\n",
         CALLEE " from " VIP,
         "OPTIONS sip:c@203.0.113.9 SIP/2.0\n" TO_CALLEE "Via: SIP/2.0/" KAM_BY_TCP
         "\n" TAIL("tcp", "1 OPTIONS") "\n",
         0, PROXY_RULE_NEXT_HOP},
    };
    static const struct step to_the_data_plane[] = {
        {"control's matter", CALLEE, VIP, ANSWER_OF_CALLEE, "punt_stream", NULL, 0,
         PROXY_RULE_NODE},
    };
    static const struct step relayed_there[] = {
        {"as it came", CALLEE, VIP, ANSWER_OF_CALLEE, NODE2 " from " NODE, ANSWER_OF_CALLEE,
         PROXY_FORWARDED_RESPONSE, PROXY_RULE_NODE},
        {"once", NODE2, NODE, ANSWER_OF_CALLEE, "drop_flow", NULL, 0, PROXY_RULE_NONE},
        {"only what we wrote", CALLEE, VIP,
         "SIP/2.0 202 Fine\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BRt);tdm=A$(Mt)\n"
         "Via: SIP/2.0/" KAM_BY_TCP "\n" ANSWER("tcp", "1 OPTIONS"),
         "drop_via_mac", NULL, 0, PROXY_RULE_NONE},
    };
    static const struct step arrived[] = {
        {"by the connection", NODE, NODE2, ANSWER_OF_CALLEE, "tcp/10.0.0.12:5060#9 from " VIP,
         "SIP/2.0 200 OK\nVia: SIP/2.0/" KAM_BY_TCP "\n" ANSWER("tcp", "1 OPTIONS"),
         PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
    };
    static const struct step alone[] = {
        {"no node is known", CALLEE, VIP, ANSWER_OF_CALLEE, "drop_flow", NULL, 0, PROXY_RULE_NONE},
    };
    struct stage_conf first = cluster_conf(false), second = cluster_conf(true), none = first;
    struct stage *stage = stage_new(&second);

    none.cluster = false;
    stage_set(stage, "TAG", "");
    STAGE_PLAY(stage, asked);
    stage_reload(stage, &first);
    STAGE_PLAY(stage, to_the_data_plane);
    stage->punted = true;
    STAGE_PLAY(stage, relayed_there);
    stage_reload(stage, &second);
    STAGE_PLAY(stage, arrived);
    stage->punted = false;
    stage_reload(stage, &none);
    STAGE_PLAY(stage, alone);
    stage_free(stage);
}

static void reached_by_tcp(struct stage *stage)
{
    struct lb_backend *backends =
        (struct lb_backend *)(uintptr_t)snapshot_backends(stage->snapshot);

    for (uint32_t i = 0; i < stage->snapshot->backends.n; i++)
        backends[i].transport = SIP_TRANSPORT_TCP;
}

#define CONNECTION_OF_KAM "tcp/10.0.0.12:45000#9"
#define TO_KAM "tcp/10.0.0.12:5060#0 from " VIP
#define ROUTES_BY_TCP                                       \
    "Route: <sip:$(IN)@192.0.2.10:5060;transport=tcp;lr>, " \
    "<sip:$(OUT)@192.0.2.10:5061;transport=tls;lr>\n"
#define INVITE_BY_TCP(call, routes) \
    "INVITE sip:a@192.168.1.4 SIP/2.0\n" HEAD(KAM_BY_TCP, call, "2 INVITE") routes "\n"
#define RELAYED_BY_TCP(call, number, routes)                                                     \
    "INVITE sip:a@192.168.1.4 SIP/2.0\n" BY_NODE OURS(number) "Via: SIP/2.0/" KAM_BY_TCP         \
                                                              "\n" TAIL(call, "2 INVITE") routes \
        "\n"
#define TAKEN_BY_TCP(call, number)                                                             \
    BY_NODE "branch=$(BR" number ");tdm=$(M" number ")\nVia: SIP/2.0/" KAM_BY_TCP              \
            "\nMax-Forwards: 68\nFrom: <sip:a@example.net>;tag=f\nTo: <sip:bob@example.net>\n" \
            "Call-ID: " call "\nCSeq: 2 INVITE\n\n"

/* What a node relays for a backend that is reached by TCP tells it of the listener that any node
 * has, as if it had made its connection to the phone's own node. */
static void test_backend_by_tcp(void **state)
{
    static const struct step calls[] = {
        {"a phone by TLS", PHONE, TLS_VIP,
         "INVITE sip:bob@example.net SIP/2.0\n" HEAD("TLS 192.168.1.4;branch=z9hG4bKp", "x",
                                                     "1 INVITE") "\n",
         TO_KAM,
         "INVITE sip:bob@example.net SIP/2.0\nVia: SIP/2.0/TCP "
         "192.0.2.10:5060;branch=$(BR1);tdm=$(M1);alias\n"
         "Record-Route: <sip:$(IN)@192.0.2.10:5060;transport=tcp;lr>\n"
         "Record-Route: <sip:$(OUT)@192.0.2.10:5061;transport=tls;lr>\n"
         "Via: SIP/2.0/TLS 192.168.1.4;branch=z9hG4bKp;received=198.51.100.7\n" TAIL(
             "x", "1 INVITE") "\n",
         0, PROXY_RULE_TABLE},
        {"one by TCP", "tcp/198.51.100.8:40000#8", VIP,
         "INVITE sip:bob@example.net SIP/2.0\n" HEAD("TCP 198.51.100.8;branch=z9hG4bKq", "y",
                                                     "1 INVITE") "\n",
         TO_KAM,
         "INVITE sip:bob@example.net SIP/2.0\nVia: SIP/2.0/TCP "
         "192.0.2.10:5060;branch=$(BR2);tdm=$(M2);alias\n"
         "Record-Route: <sip:$(ONE)@192.0.2.10:5060;transport=tcp;lr>\n"
         "Via: SIP/2.0/TCP 198.51.100.8;branch=z9hG4bKq\n" TAIL("y", "1 INVITE") "\n",
         0, PROXY_RULE_TABLE},
    };
    static const struct step relays[] = {
        {"to the phone by TLS", CONNECTION_OF_KAM, VIP, INVITE_BY_TCP("x", ROUTES_BY_TCP),
         NODE2 " from " NODE, RELAYED_BY_TCP("x", "3", ROUTES_BY_TCP), 0, PROXY_RULE_NODE},
        {"to that by TCP", CONNECTION_OF_KAM, VIP,
         INVITE_BY_TCP("y", "Route: <sip:$(ONE)@192.0.2.10:5060;transport=tcp;lr>\n"),
         NODE2 " from " NODE,
         RELAYED_BY_TCP("y", "4", "Route: <sip:$(ONE)@192.0.2.10:5060;transport=tcp;lr>\n"), 0,
         PROXY_RULE_NODE},
    };
    static const struct step takes[] = {
        {"two sides", NODE, NODE2, RELAYED_BY_TCP("x", "3", ROUTES_BY_TCP), PHONE " from " TLS_VIP,
         "INVITE sip:a@192.168.1.4 SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.10:5061;" OURS(
             "5") "Record-Route: <sip:$(T5)@192.0.2.10:5061;transport=tls;lr>\n"
                  "Record-Route: <sip:$(B5)@192.0.2.10:5060;transport=tcp;lr>\n" TAKEN_BY_TCP("x",
                                                                                              "3"),
         0, PROXY_RULE_FLOW},
        {"one, of both", NODE, NODE2,
         RELAYED_BY_TCP("y", "4", "Route: <sip:$(ONE)@192.0.2.10:5060;transport=tcp;lr>\n"),
         "tcp/198.51.100.8:40000#8 from " VIP,
         "INVITE sip:a@192.168.1.4 SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.10:5060;" OURS(
             "6") "Record-Route: <sip:$(R6)@192.0.2.10:5060;transport=tcp;lr>\n" TAKEN_BY_TCP("y",
                                                                                              "4"),
         0, PROXY_RULE_FLOW},
        {"the phone by those", PHONE, TLS_VIP,
         "INFO sip:bob@203.0.113.9 SIP/2.0\n" HEAD(
             "TLS 192.168.1.4;branch=z9hG4bKi", "x",
             "3 INFO") "Route: <sip:$(T5)@192.0.2.10:5061;transport=tls;lr>, "
                       "<sip:$(B5)@192.0.2.10:5060;transport=tcp;lr>\n\n",
         TO_KAM, NULL, 0, PROXY_RULE_TOKEN},
    };
    static const struct step back[] = {
        {"the backend by those: relayed again", CONNECTION_OF_KAM, VIP,
         "INFO sip:a@192.168.1.4 SIP/2.0\n" HEAD(
             KAM_BY_TCP, "x", "4 INFO") "Route: <sip:$(B5)@192.0.2.10:5060;transport=tcp;lr>, "
                                        "<sip:$(T5)@192.0.2.10:5061;transport=tls;lr>\n\n",
         NODE2 " from " NODE, NULL, 0, PROXY_RULE_NODE},
    };
    struct stage_conf first = cluster_conf(false), second = cluster_conf(true);
    struct stage *stage = stage_new(&second);

    reached_by_tcp(stage);
    stage_set(stage, "TAG", "");
    STAGE_PLAY(stage, calls);
    stage_reload(stage, &first);
    reached_by_tcp(stage);
    STAGE_PLAY(stage, relays);
    stage_reload(stage, &second);
    reached_by_tcp(stage);
    STAGE_PLAY(stage, takes);
    stage_reload(stage, &first);
    reached_by_tcp(stage);
    STAGE_PLAY(stage, back);
    stage_free(stage);
}

/* Who a request is from is told by the Via behind the node's, and only there and of nodes. */
static void test_behind_a_node(void **state)
{
    static const struct {
        const char *from, *at, *behind;
        uint16_t port; /* of the backend that it is from; 0: it is from none */
    } rows[] = {
        {NODE, NODE2, "UDP " KAM, 5060},
        {NODE, NODE2, "UDP 10.0.0.12:44444", 44444},
        {NODE, NODE2, "UDP kam.example.net;received=10.0.0.12;rport=5060", 5060},
        {NODE, NODE2, "TCP 10.0.0.12;received=10.0.0.12;rport=41000", 5060},
        {"10.0.0.78:5070", NODE2, "UDP " KAM, 5060},
        {"[fd00::1]:5070", "[fd00::77]:5070", "UDP " KAM, 5060},
        {NODE, NODE2, "UDP kam.example.net", 0},
        {NODE, NODE2, "UDP 10.0.0.12;received=203.0.113.5", 0},
        {NODE, NODE2, "UDP 203.0.113.5;rport=x;received=10.0.0.12", 0},
        {NODE, NODE2, NULL, 0},
        {NODE, VIP, "UDP " KAM, 0},
        {"10.0.0.79:5070", NODE2, "UDP " KAM, 0},
    };
    struct stage_conf conf = cluster_conf(true);
    struct stage *stage = stage_new(&conf);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[1024], via[128] = "";
        struct proxy_prepared prepared, *at = &prepared;
        const struct proxy_input *input = &stage->input;

        if (rows[i].behind != NULL)
            snprintf(via, sizeof(via), "Via: SIP/2.0/%s;branch=z9hG4bKk\r\n", rows[i].behind);
        snprintf(
            text, sizeof(text),
            "BYE sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKn\r\n%s"
            "From: <sip:a@h>;tag=f\r\nTo: <sip:b@h>;tag=t\r\nCall-ID: d\r\nCSeq: 1 BYE\r\n\r\n",
            via);
        stage_decide(stage, rows[i].from, rows[i].at, text, strlen(text));
        proxy_prepare(&stage->view, &input, 1, &at);
        if (prepared.by_node != (rows[i].port != 0) || (prepared.sender >= 0) != prepared.by_node)
            fail_msg("row %zu: by_node %d, sender %d", i, prepared.by_node, prepared.sender);
        if (prepared.by_node)
            assert_int_equal(prepared.peer.port, rows[i].port);
    }
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cluster),
        cmocka_unit_test(test_response_to_the_wrong_node),
        cmocka_unit_test(test_backend_by_tcp),
        cmocka_unit_test(test_behind_a_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
