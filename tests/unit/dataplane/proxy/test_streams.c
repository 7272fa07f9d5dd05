/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phones that come by streams, backends that speak UDP, and what the data plane leaves to control.
 * RFC 3261 §16, §18, §26.2; RFC 5626 §5; RFC 5658; RFC 5923; RFC 7118.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/dataplane/proxy/streams.h"

#define ANOTHERS "tls/198.51.100.7:40000#7@lb2"
#define BY_PHONE "$(V) $(SENTBY);branch=z9hG4bKp;rport"
#define FILLED "Via: SIP/2.0/$(V) $(SENTBY);branch=z9hG4bKp;rport=40000;received=198.51.100.7\n"

/* What is seen of a phone on every kind of stream. */
static const struct kind {
    const char *via, *transport, *at, *parameter, *sent_by;
} kinds[] = {
    {"TCP", "tcp", "192.0.2.10:5060", ";transport=tcp", "192.168.1.4:5060"},
    {"TLS", "tls", "192.0.2.10:5061", ";transport=tls", "192.168.1.4:33000"},
    {"WS", "ws", "192.0.2.10:80", ";transport=ws", "df7jal23ls0d.invalid"},
    {"WSS", "wss", "192.0.2.10:443", ";transport=ws", "df7jal23ls0d.invalid"},
};

static const struct step registers[] = {
    {"REGISTER: Path and Via show the node's address", "$(PEER)", "$(AT)",
     "REGISTER sip:example.net SIP/2.0\n" HEAD(
         BY_PHONE, "r",
         "1 REGISTER") "Contact: <sip:bob@$(SENTBY)$(U)>;+sip.instance=\"<urn:uuid:1>\";reg-id=1\n"
                       "Supported: path, outbound\n\n",
     KAM " from " NODE,
     "REGISTER sip:example.net SIP/2.0\n"
     "Via: SIP/2.0/UDP 10.0.0.1:5070;" OURS("1") "Path: <sip:$(PATH)@10.0.0.1:5070;lr;ob>\n" FILLED
         TAIL("r", "1 REGISTER") "Contact: "
                                 "<sip:bob@$(SENTBY)$(U)>;+sip.instance=\"<urn:uuid:1>\";reg-id=1\n"
                                 "Supported: path, outbound\n\n",
     0, PROXY_RULE_TABLE},
    {"its 200 goes by the connection", KAM, NODE,
     "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 10.0.0.1:5070;" OURS("1") FILLED ANSWER("r", "1 REGISTER"),
     "$(PEER) from $(AT)", "SIP/2.0 200 OK\n" FILLED ANSWER("r", "1 REGISTER"),
     PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
    {"no ;ob behind another proxy", "$(PEER)", "$(AT)",
     "REGISTER sip:example.net SIP/2.0\n" HEAD(
         BY_PHONE, "r",
         "2 REGISTER") "Via: SIP/2.0/UDP 192.168.1.9;branch=z9hG4bKq\n"
                       "Contact: <sip:bob@$(SENTBY)$(U)>;reg-id=1\nSupported: path, outbound\n\n",
     KAM " from " NODE,
     "REGISTER sip:example.net SIP/2.0\n"
     "Via: SIP/2.0/UDP 10.0.0.1:5070;" OURS("2") "Path: <sip:$(PATH)@10.0.0.1:5070;lr>\n" FILLED
         TAIL("r", "2 REGISTER") "Via: SIP/2.0/UDP 192.168.1.9;branch=z9hG4bKq\n"
                                 "Contact: <sip:bob@$(SENTBY)$(U)>;reg-id=1\nSupported: path, "
                                 "outbound\n\n",
     0, PROXY_RULE_CALL},
};

/* The phone is called by way of its Path, answers, and hangs up. */
static const struct step called[] = {
    {"INVITE by the Path", KAM, NODE,
     "INVITE sip:bob@$(SENTBY)$(U) SIP/2.0\n" HEAD(
         BY_KAM, "c", "1 INVITE") "Route: <sip:$(PATH)@10.0.0.1:5070;lr;ob>\n\n",
     "$(PEER) from $(AT)",
     "INVITE sip:bob@$(SENTBY)$(U) SIP/2.0\n"
     "Via: SIP/2.0/$(V) $(AT);" OURS("3") "Record-Route: <sip:$(TOP)@$(AT)$(U);lr>\n"
                                          "Record-Route: <sip:$(BOTTOM)@10.0.0.1:5070;lr>\n"
                                          "Via: SIP/2.0/" BY_KAM "\n" TAIL("c", "1 INVITE") "\n",
     0, PROXY_RULE_FLOW},
    {"the same again", KAM, NODE,
     "INVITE sip:bob@$(SENTBY)$(U) SIP/2.0\n" HEAD(
         BY_KAM, "c", "1 INVITE") "Route: <sip:$(PATH)@10.0.0.1:5070;lr;ob>\n\n",
     "$(PEER) from $(AT)",
     "INVITE sip:bob@$(SENTBY)$(U) SIP/2.0\n"
     "Via: SIP/2.0/$(V) $(AT);" OURS("3") "Record-Route: <sip:$(TOP)@$(AT)$(U);lr>\n"
                                          "Record-Route: <sip:$(BOTTOM)@10.0.0.1:5070;lr>\n"
                                          "Via: SIP/2.0/" BY_KAM "\n" TAIL("c", "1 INVITE") "\n",
     0, PROXY_RULE_FLOW},
    {"its CANCEL has its branch", KAM, NODE,
     "CANCEL sip:bob@$(SENTBY)$(U) SIP/2.0\n" HEAD(
         BY_KAM, "c", "1 CANCEL") "Route: <sip:$(PATH)@10.0.0.1:5070;lr;ob>\n\n",
     "$(PEER) from $(AT)",
     "CANCEL sip:bob@$(SENTBY)$(U) SIP/2.0\n"
     "Via: SIP/2.0/$(V) $(AT);" OURS("3") "Via: SIP/2.0/" BY_KAM "\n" TAIL("c", "1 CANCEL") "\n",
     0, PROXY_RULE_FLOW},
    {"200 by the stream leaves from the node's address", "$(PEER)", "$(AT)",
     "SIP/2.0 200 OK\nVia: SIP/2.0/$(V) $(AT);" OURS("3") "Via: SIP/2.0/" BY_KAM
                                                          "\n" ANSWER("c", "1 INVITE"),
     KAM " from " NODE, "SIP/2.0 200 OK\nVia: SIP/2.0/" BY_KAM "\n" ANSWER("c", "1 INVITE"),
     PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
    {"ACK pops both", KAM, NODE,
     "ACK sip:bob@$(SENTBY)$(U) SIP/2.0\n" HEAD(
         BY_KAM "2", "c",
         "1 ACK") "Route: <sip:$(BOTTOM)@10.0.0.1:5070;lr>, <sip:$(TOP)@$(AT)$(U);lr>\n\n",
     "$(PEER) from $(AT)",
     "ACK sip:bob@$(SENTBY)$(U) SIP/2.0\n"
     "Via: SIP/2.0/$(V) $(AT);" OURS("4") "Via: SIP/2.0/" BY_KAM "2\n" TAIL("c", "1 ACK") "\n",
     0, PROXY_RULE_FLOW},
    {"BYE of the phone pops both", "$(PEER)", "$(AT)",
     "BYE sip:a@203.0.113.9 SIP/2.0\n" HEAD(
         BY_PHONE, "c",
         "9 BYE") "Route: <sip:$(TOP)@$(AT)$(U);lr>\nRoute: <sip:$(BOTTOM)@10.0.0.1:5070;lr>\n"
                  "Route: <sip:10.0.0.12;lr>\n\n",
     KAM " from " NODE,
     "BYE sip:a@203.0.113.9 SIP/2.0\n"
     "Via: SIP/2.0/UDP 10.0.0.1:5070;" OURS("5")
         FILLED TAIL("c", "9 BYE") "Route: <sip:10.0.0.12;lr>\n\n",
     0, PROXY_RULE_ROUTE},
};

/* The phone calls, is called back within the dialog, and asks who we are. */
static const struct step calls[] = {
    {"INVITE of the phone", "$(PEER)", "$(AT)",
     "INVITE sip:bob@example.net SIP/2.0\n" HEAD(BY_PHONE, "o", "1 INVITE") "\n", KAM " from " NODE,
     "INVITE sip:bob@example.net SIP/2.0\n"
     "Via: SIP/2.0/UDP 10.0.0.1:5070;" OURS(
         "6") "Record-Route: <sip:$(IN)@10.0.0.1:5070;lr>\n"
              "Record-Route: <sip:$(OUT)@$(AT)$(U);lr>\n" FILLED TAIL("o", "1 INVITE") "\n",
     0, PROXY_RULE_TABLE},
    {"ACK to its failure, after a reconnection, has its branch", "$(AGAIN)", "$(AT)",
     "ACK sip:bob@example.net SIP/2.0\n" HEAD(BY_PHONE, "o", "1 ACK") "\n", KAM " from " NODE,
     "ACK sip:bob@example.net SIP/2.0\n"
     "Via: SIP/2.0/UDP 10.0.0.1:5070;branch=$(BR6);tdm=$(M7)\n"
     "Via: SIP/2.0/$(V) $(SENTBY);branch=z9hG4bKp;rport=40001;received=198.51.100.7\n" TAIL(
         "o", "1 ACK") "\n",
     0, PROXY_RULE_CALL},
    {"BYE of the backend", KAM, NODE,
     "BYE sip:a@$(SENTBY)$(U) SIP/2.0\n" HEAD(
         BY_KAM, "o", "1 BYE") "Route: <sip:$(IN)@10.0.0.1:5070;lr>, <sip:$(OUT)@$(AT)$(U);lr>\n\n",
     "$(PEER) from $(AT)", NULL, 0, PROXY_RULE_FLOW},
    {"OPTIONS to ourselves is answered by the stream", "$(PEER)", "$(AT)",
     "OPTIONS sip:192.0.2.10$(U) SIP/2.0\n" HEAD(BY_PHONE, "q", "1 OPTIONS") "\n",
     "$(PEER) from $(AT)", NULL, PROXY_REPLY_200_OPTIONS, PROXY_RULE_NONE},
    {"of the node's address, too", KAM, NODE,
     "OPTIONS sip:10.0.0.1:5070 SIP/2.0\n" HEAD(BY_KAM, "q", "2 OPTIONS") "\n", KAM " from " NODE,
     NULL, PROXY_REPLY_200_OPTIONS, PROXY_RULE_NONE},
};

/* All calls of a stage go to 10.0.0.12. */
static struct stage *one_backend(void)
{
    struct stage_conf conf = {.streams = true, .health = {LB_DOWN, LB_UP, LB_DOWN, LB_DOWN}};
    struct stage *stage = stage_new(&conf);

    stage_set(stage, "TAG", "");
    return stage;
}

static void set_kind(struct stage *stage, const struct kind *kind)
{
    char text[64];

    stage_set(stage, "V", kind->via);
    stage_set(stage, "AT", kind->at);
    stage_set(stage, "U", kind->parameter);
    stage_set(stage, "SENTBY", kind->sent_by);
    snprintf(text, sizeof(text), "%s/198.51.100.7:40000#7", kind->transport);
    stage_set(stage, "PEER", text);
    snprintf(text, sizeof(text), "%s/198.51.100.7:40001#8", kind->transport);
    stage_set(stage, "AGAIN", text);
}

static void test_every_kind(void **state)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct stage *stage = one_backend();

        set_kind(stage, &kinds[i]);
        print_message("by %s\n", kinds[i].via);
        STAGE_PLAY(stage, registers);
        STAGE_PLAY(stage, called);
        STAGE_PLAY(stage, calls);
        stage_free(stage);
    }
}

/* Who keeps a flow open says so by a parameter of its Contact (RFC 5626 §5.1), by UDP too. */
static void test_outbound(void **state)
{
    static const struct {
        const char *contact, *supported;
        bool is;
    } cases[] = {
        {"<sip:b@h>;reg-id=1", "path, Outbound", true},
        {"<sip:b@h>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"", "outbound", true},
        {"<sip:b@h> ; reg-id = 1", "outbound", true},
        {"sip:b@h;reg-id=1", "outbound,path", true},
        {"<sip:b@h>;reg-id=1", "path, outbounds", false},
        {"<sip:b@h>", "outbound", false},
        {"<sip:b@h;reg-id=1>", "outbound", false},
        {"<sip:b@h>;+sip.instance=\"<urn;reg-id=1>\"", "outbound", false},
        {"\"b;reg-id=1\" <sip:b@h>", "outbound", false},
    };
    struct stage *stage = one_backend();
    char in[1024];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(in, sizeof(in),
                 "REGISTER sip:example.net SIP/2.0\n" HEAD(
                     "UDP 192.168.1.4;branch=z9hG4bKo", "ob",
                     "1 REGISTER") "Contact: %s\nSupported: %s\n\n",
                 cases[i].contact, cases[i].supported);
        stage_send(stage, "203.0.113.5:5060", VIP, in);
        assert_int_equal(stage->output.verdict, PROXY_FORWARD);
        stage->out[stage->out_length] = '\0';
        if ((strstr(stage->out, "@" VIP ";lr;ob>\r\n") != NULL) != cases[i].is)
            fail_msg("%s, %s:\n%s", cases[i].contact, cases[i].supported, stage->out);
    }
    stage_free(stage);
}

/* Browsers' libraries ask for no rport: the connection alone leads back. */
static void test_without_rport(void **state)
{
    static const struct step steps[] = {
        {"INVITE", "wss/198.51.100.7:40000#7", "192.0.2.10:443",
         "INVITE sip:bob@example.net SIP/2.0\n" HEAD("WSS x.invalid;branch=z9hG4bKp", "w",
                                                     "1 INVITE") "\n",
         KAM " from " NODE,
         "INVITE sip:bob@example.net SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:5070;" OURS(
             "1") "Record-Route: <sip:$(IN)@10.0.0.1:5070;lr>\n"
                  "Record-Route: <sip:$(OUT)@192.0.2.10:443;transport=ws;lr>\n"
                  "Via: SIP/2.0/WSS x.invalid;branch=z9hG4bKp;received=198.51.100.7\n" TAIL(
                      "w", "1 INVITE") "\n",
         0, PROXY_RULE_TABLE},
        {"200", KAM, NODE,
         "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 10.0.0.1:5070;" OURS(
             "1") "Via: SIP/2.0/WSS "
                  "x.invalid;branch=z9hG4bKp;received=198.51.100.7\n" ANSWER("w", "1 INVITE"),
         "wss/198.51.100.7:5061#7 from 192.0.2.10:443", NULL, PROXY_FORWARDED_RESPONSE,
         PROXY_RULE_VIA},
        {"200 whose seal is another's", KAM, NODE,
         "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 10.0.0.1:5070;branch=$(BR1);tdm=$(M1)A\n"
         "Via: SIP/2.0/WSS x.invalid;branch=z9hG4bKp;received=198.51.100.7\n" ANSWER("w",
                                                                                     "1 INVITE"),
         "drop_via_mac", NULL, 0, PROXY_RULE_NONE},
        {"200 that would go to another name", KAM, NODE,
         "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 10.0.0.1:5070;" OURS(
             "1") "Via: SIP/2.0/WSS "
                  "y.invalid;branch=z9hG4bKp;received=198.51.100.7\n" ANSWER("w", "1 INVITE"),
         "drop_via_mac", NULL, 0, PROXY_RULE_NONE},
    };
    struct stage *stage = one_backend();

    STAGE_PLAY(stage, steps);
    stage_free(stage);
}

/* A dialog of a phone's, for what follows: its tokens are IN and OUT, OUT the phone's side. */
#define INVITE_OF(phone)                                                                          \
    {                                                                                             \
        "INVITE", phone, TLS_VIP,                                                                 \
            "INVITE sip:bob@example.net SIP/2.0\n" HEAD("TLS 192.168.1.4;branch=z9hG4bKp", "d",   \
                                                        "1 INVITE") "\n",                         \
            KAM " from " NODE,                                                                    \
            "INVITE sip:bob@example.net SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:5070;" OURS(           \
                "1") "Record-Route: <sip:$(IN)@10.0.0.1:5070;lr>\n"                               \
                     "Record-Route: <sip:$(OUT)@192.0.2.10:5061;transport=tls;lr>\n"              \
                     "Via: SIP/2.0/TLS 192.168.1.4;branch=z9hG4bKp;received=198.51.100.7\n" TAIL( \
                         "d", "1 INVITE") "\n",                                                   \
            0, PROXY_RULE_TABLE                                                                   \
    }
#define ROUTES \
    "Route: <sip:$(IN)@10.0.0.1:5070;lr>, <sip:$(OUT)@192.0.2.10:5061;transport=tls;lr>\n"
#define IN_DIALOG(method, routes) \
    method " sip:a@192.168.1.4 SIP/2.0\n" HEAD(BY_KAM, "d", "1 " method) routes "\n"
#define OK_TO_IT                                                                                  \
    "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 10.0.0.1:5070;" OURS("1") "Via: SIP/2.0/TLS "               \
                                                                "192.168.1.4;branch=z9hG4bKp;"    \
                                                                "received=198.51.100.7\n" ANSWER( \
                                                                    "d", "1 INVITE")

/* No response finds another connection, or another node's, than the one that was signed. */
static void test_forged_seal(void **state)
{
    static const struct step invite[] = {INVITE_OF(PHONE)};
    struct stage *stage = one_backend();
    char seal[128];

    STAGE_PLAY(stage, invite);
    snprintf(seal, sizeof(seal), "%s", stage_get(stage, "M1"));
    for (size_t i = 0; seal[i] != '\0'; i++) {
        char was = seal[i];

        for (int bit = 0; bit < 7; bit++) {
            seal[i] = (char)(was ^ 1 << bit);
            if (!sip_char_is(seal[i], SIP_CHAR_TOKEN))
                continue;
            stage_set(stage, "M1", seal);
            stage_send(stage, KAM, NODE, OK_TO_IT);
            assert_int_equal(stage->output.reason, PROXY_DROP_VIA_MAC);
        }
        seal[i] = was;
    }
    stage_set(stage, "M1", seal);
    stage_send(stage, KAM, NODE, OK_TO_IT);
    assert_int_equal(stage->output.reason, PROXY_FORWARDED_RESPONSE);
    stage_free(stage);
}

/* Connections of another node: not ours to send by. */
static void test_another_node(void **state)
{
    static const struct step steps[] = {
        INVITE_OF(ANOTHERS),
        {"BYE", KAM, NODE, IN_DIALOG("BYE", ROUTES), KAM " from " NODE, NULL, PROXY_REPLY_430_FLOW,
         PROXY_RULE_NONE},
        {"ACK", KAM, NODE, IN_DIALOG("ACK", ROUTES), "drop_ack", NULL, 0, PROXY_RULE_NONE},
        {"BYE to the data plane", KAM, VIP, IN_DIALOG("BYE", ROUTES), KAM " from " VIP, NULL,
         PROXY_REPLY_430_FLOW, PROXY_RULE_NONE},
        {"200", KAM, NODE, OK_TO_IT, "drop_flow", NULL, 0, PROXY_RULE_NONE},
        {"the phone comes to us: the other node's Route is popped with ours", PHONE, TLS_VIP,
         "BYE sip:bob@203.0.113.9 SIP/2.0\n" HEAD(
             "TLS 192.168.1.4;branch=z9hG4bKb", "d",
             "2 BYE") "Route: <sip:$(OUT)@192.0.2.10:5061;transport=tls;lr>, "
                      "<sip:$(IN)@10.0.0.77:5070;lr>\n\n",
         KAM " from " NODE,
         "BYE sip:bob@203.0.113.9 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:5070;" OURS(
             "2") "Via: SIP/2.0/TLS "
                  "192.168.1.4;branch=z9hG4bKb;received=198.51.100.7\n" TAIL("d", "2 BYE") "\n",
         0, PROXY_RULE_TOKEN},
    };
    struct stage *stage = one_backend();

    STAGE_PLAY(stage, steps);
    stage_free(stage);
}

static void test_data_plane_punts(void **state)
{
    static const struct step steps[] = {
        INVITE_OF(PHONE),
        {"to a token's flow", KAM, VIP, IN_DIALOG("INVITE", ROUTES), "punt_stream", NULL, 0,
         PROXY_RULE_NONE},
        {"a response", KAM, VIP, OK_TO_IT, "punt_stream", NULL, 0, PROXY_RULE_NONE},
        {"to an address", KAM, VIP,
         "INVITE sip:bob@203.0.113.9;transport=tls SIP/2.0\n" HEAD(BY_KAM, "new", "1 INVITE") "\n",
         "punt_stream", NULL, 0, PROXY_RULE_NONE},
        {"to a sips: one", KAM, VIP,
         "INVITE sips:bob@203.0.113.9 SIP/2.0\n" HEAD(BY_KAM, "new", "1 INVITE") "\n",
         "punt_stream", NULL, 0, PROXY_RULE_NONE},
        {"where no listener is of that transport and family", KAM, VIP,
         "INVITE sip:bob@[2001:db8::9];transport=tcp SIP/2.0\n" HEAD(BY_KAM, "new",
                                                                     "1 INVITE") "\n",
         KAM " from " VIP, NULL, PROXY_REPLY_404_NO_ROUTE, PROXY_RULE_NONE},
        {"to a WebSocket's name", KAM, VIP,
         "INVITE sip:bob@x.invalid;transport=ws SIP/2.0\n" HEAD(BY_KAM, "new", "1 INVITE") "\n",
         KAM " from " VIP, NULL, PROXY_REPLY_404_NO_ROUTE, PROXY_RULE_NONE},
    };
    static const struct step again[] = {
        {"control, of the same", KAM, VIP, IN_DIALOG("INVITE", ROUTES), PHONE " from " TLS_VIP,
         NULL, 0, PROXY_RULE_FLOW},
        {"a response", KAM, VIP, OK_TO_IT, "tls/198.51.100.7:5061#7 from " TLS_VIP, NULL,
         PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
        {"to an address: any connection to it, or a new one", KAM, VIP,
         "INVITE sip:bob@203.0.113.9;transport=tls SIP/2.0\n" HEAD(BY_KAM, "new", "1 INVITE") "\n",
         "tls/203.0.113.9:5061#0 from " TLS_VIP,
         "INVITE sip:bob@203.0.113.9;transport=tls SIP/2.0\n"
         "Via: SIP/2.0/TLS 192.0.2.10:5061;branch=$(BR5);tdm=$(M5);alias\n"
                  "Record-Route: <sip:$(T5)@192.0.2.10:5061;transport=tls;lr>\n"
                  "Record-Route: <sip:$(B5)@192.0.2.10:5060;lr>\n"
                  "Via: SIP/2.0/" BY_KAM "\n" TAIL("new", "1 INVITE") "\n",
         0, PROXY_RULE_NEXT_HOP},
        {"its flow leads there again", KAM, VIP,
         "BYE sip:bob@203.0.113.9;transport=tls SIP/2.0\n" HEAD(
             BY_KAM, "new", "2 BYE") "Route: <sip:$(B5)@192.0.2.10:5060;lr>, "
                                     "<sip:$(T5)@192.0.2.10:5061;transport=tls;lr>\n\n",
         "tls/203.0.113.9:5061#0 from " TLS_VIP, NULL, 0, PROXY_RULE_FLOW},
        {"a WebSocket of either kind", KAM, VIP,
         "MESSAGE sip:bob@203.0.113.9:41000;transport=ws SIP/2.0\n" HEAD(BY_KAM, "m",
                                                                         "1 MESSAGE") "\n",
         "ws/203.0.113.9:41000#0 from 192.0.2.10:80", NULL, 0, PROXY_RULE_NEXT_HOP},
    };
    struct stage *stage = one_backend();
    uint16_t slot = stage->slot_of[1];

    STAGE_PLAY(stage, steps);
    /* The INVITE of the phone's alone. */
    assert_int_equal(stage->started[slot], 1);
    stage->punted = true;
    STAGE_PLAY(stage, again);
    assert_int_equal(stage->started[slot], 2);
    assert_true(sip_slice_equal(stage->output.name.host, sip_slice_of("203.0.113.9")));
    stage_free(stage);
}

/* What comes to one plane leaves from it, where both could send. */
static void test_planes(void **state)
{
    static const struct step steps[] = {
        {"the data plane's", KAM, VIP,
         "OPTIONS sip:203.0.113.9 SIP/2.0\n" HEAD(BY_KAM, "p1", "1 OPTIONS") "\n",
         "203.0.113.9:5060 from " VIP, NULL, 0, PROXY_RULE_NEXT_HOP},
        {"control's", KAM, NODE,
         "OPTIONS sip:203.0.113.9 SIP/2.0\n" HEAD(BY_KAM, "p2", "1 OPTIONS") "\n",
         "203.0.113.9:5060 from " NODE, NULL, 0, PROXY_RULE_NEXT_HOP},
        {"control's of the other family", KAM, NODE,
         "OPTIONS sip:[2001:db8::9] SIP/2.0\n" HEAD(BY_KAM, "p3", "1 OPTIONS") "\n",
         "[2001:db8::9]:5060 from [fd00::1]:5070", NULL, 0, PROXY_RULE_NEXT_HOP},
        {"the data plane's of the other family", KAM, VIP,
         "OPTIONS sip:[2001:db8::9] SIP/2.0\n" HEAD(BY_KAM, "p4", "1 OPTIONS") "\n",
         "[2001:db8::9]:5060 from [2001:db8:5::10]:5060", NULL, 0, PROXY_RULE_NEXT_HOP},
        {"a stream's is control's", "tls/[2001:db8::7]:40000#7", "[2001:db8:5::10]:5061",
         "MESSAGE sip:bob@example.net SIP/2.0\n" HEAD("TLS [2001:db8::7];branch=z9hG4bKp", "p5",
                                                      "1 MESSAGE") "\n",
         KAM " from " NODE, NULL, 0, PROXY_RULE_TABLE},
        {"a spiral by the node's address", KAM, VIP,
         "OPTIONS sip:bob@10.0.0.1:5070 SIP/2.0\n" HEAD(BY_KAM, "p6", "1 OPTIONS") "\n",
         KAM " from " VIP, NULL, 0, PROXY_RULE_TABLE},
        {"a spiral by TLS, in words", KAM, NODE,
         "MESSAGE sip:bob@192.0.2.10;transport=tls SIP/2.0\n" HEAD(BY_KAM, "p7", "1 MESSAGE") "\n",
         KAM " from " NODE, NULL, 0, PROXY_RULE_TABLE},
    };
    struct stage *stage = one_backend();

    STAGE_PLAY(stage, steps);
    stage_free(stage);
}

#define BY_CALLER "UDP 203.0.113.5;branch=z9hG4bKu"
#define KAM_BY_TCP "TCP 10.0.0.12;branch=z9hG4bKk"
/* Where the connection may be ours (RFC 5923 §6). */
#define OURS_ALIAS(number) \
    "Via: SIP/2.0/TCP 192.0.2.10:5060;branch=$(BR" number ");tdm=$(M" number ");alias\n"

/* A backend that is reached by TCP gets what UDP phones ask by control alone, and what it asks comes
 * by any connection of its own. */
static void test_backend_by_tcp(void **state)
{
    static const char invite[] =
        "INVITE sip:bob@example.net SIP/2.0\n" HEAD(BY_CALLER, "b1", "1 INVITE") "\n";
    static const struct step data[] = {
        {"from a UDP phone", "203.0.113.5:5060", VIP, invite, "punt_stream", NULL, 0,
         PROXY_RULE_NONE},
    };
    static const struct step control[] = {
        {"the same", "203.0.113.5:5060", VIP, invite, "tcp/10.0.0.12:5060#0 from " VIP,
         "INVITE sip:bob@example.net SIP/2.0\n" OURS_ALIAS(
             "1") "Record-Route: <sip:$(I1)@192.0.2.10:5060;transport=tcp;lr>\n"
                  "Record-Route: <sip:$(O1)@192.0.2.10:5060;lr>\n"
                  "Via: SIP/2.0/" BY_CALLER "\n" TAIL("b1", "1 INVITE") "\n",
         0, PROXY_RULE_TABLE},
        {"the answer to it", "tcp/10.0.0.12:5060#9", VIP,
         "SIP/2.0 200 OK\n" OURS_ALIAS("1") "Via: SIP/2.0/" BY_CALLER "\n" ANSWER("b1", "1 INVITE"),
         "203.0.113.5:5060 from " VIP, NULL, PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
        {"by who writes Vias anew", "tcp/10.0.0.12:5060#9", VIP,
         "SIP/2.0 200 OK\nVia: SIP/2.0/TCP 192.0.2.10:5060;alias;tdm=$(M1);branch=$(BR1)\n"
         "Via: SIP/2.0/" BY_CALLER "\n" ANSWER("b1", "1 INVITE"),
         "203.0.113.5:5060 from " VIP, NULL, PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
        {"to the phone", "tcp/10.0.0.12:45000#9", VIP,
         "BYE sip:a@203.0.113.5 SIP/2.0\n" HEAD(
             KAM_BY_TCP, "b1", "2 BYE") "Route: <sip:$(I1)@192.0.2.10:5060;transport=tcp;lr>, "
                                        "<sip:$(O1)@192.0.2.10:5060;lr>\n\n",
         "203.0.113.5:5060 from " VIP, NULL, 0, PROXY_RULE_FLOW},
        {"a call to an address", "tcp/10.0.0.12:45000#9", VIP,
         "INVITE sip:c@203.0.113.9 SIP/2.0\n" HEAD(KAM_BY_TCP, "b2", "1 INVITE") "\n",
         "203.0.113.9:5060 from " VIP,
         "INVITE sip:c@203.0.113.9 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.10:5060;" OURS(
             "2") "Record-Route: <sip:$(O2)@192.0.2.10:5060;lr>\n"
                  "Record-Route: <sip:$(I2)@192.0.2.10:5060;transport=tcp;lr>\n"
                  "Via: SIP/2.0/" KAM_BY_TCP "\n" TAIL("b2", "1 INVITE") "\n",
         0, PROXY_RULE_NEXT_HOP},
        {"which the callee ends: no connection's port is meant", "203.0.113.9:5060", VIP,
         "BYE sip:a@pbx.example SIP/2.0\n" HEAD(
             "UDP 203.0.113.9;branch=z9hG4bKc", "b2",
             "1 BYE") "Route: <sip:$(O2)@192.0.2.10:5060;lr>, "
                      "<sip:$(I2)@192.0.2.10:5060;transport=tcp;lr>\n\n",
         "tcp/10.0.0.12:5060#0 from " VIP, NULL, 0, PROXY_RULE_TOKEN},
    };
    struct stage *stage = one_backend();
    struct lb_backend *backends = (struct lb_backend *)(uintptr_t)snapshot_backends(stage->snapshot);

    for (uint32_t i = 0; i < stage->snapshot->backends.n; i++)
        backends[i].transport = SIP_TRANSPORT_TCP;
    STAGE_PLAY(stage, data);
    assert_int_equal(stage->started[stage->slot_of[1]], 0);
    stage->punted = true;
    STAGE_PLAY(stage, control);
    stage_free(stage);
}

/* What is for a sips: URI leaves by TLS, but for the inner hop to a backend. */
static void test_sips(void **state)
{
    static const struct step steps[] = {
        {"from a UDP phone to a backend", "203.0.113.5:5060", VIP,
         "INVITE sips:bob@example.net SIP/2.0\n" HEAD("UDP 203.0.113.5;branch=z9hG4bKu", "s1",
                                                      "1 INVITE") "\n",
         KAM " from " VIP,
         "INVITE sips:bob@example.net SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.10:5060;" OURS(
             "1") "Record-Route: <sip:$(R1)@192.0.2.10:5060;lr>\n"
                  "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bKu\n" TAIL("s1", "1 INVITE") "\n",
         0, PROXY_RULE_TABLE},
        {"to that phone", KAM, VIP,
         "INVITE sips:a@203.0.113.5 SIP/2.0\n" HEAD(
             BY_KAM, "s1", "2 INVITE") "Route: <sip:$(R1)@192.0.2.10:5060;lr>\n\n",
         KAM " from " VIP, NULL, PROXY_REPLY_480_SIPS, PROXY_RULE_NONE},
        {"from a TLS phone", PHONE, TLS_VIP,
         "INVITE sips:bob@example.net SIP/2.0\n" HEAD("TLS 192.168.1.4;branch=z9hG4bKp", "s2",
                                                      "1 INVITE") "\n",
         KAM " from " NODE,
         "INVITE sips:bob@example.net SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:5070;" OURS(
             "2") "Record-Route: <sip:$(IN)@10.0.0.1:5070;lr>\n"
                  "Record-Route: <sips:$(OUT)@192.0.2.10:5061;transport=tls;lr>\n"
                  "Via: SIP/2.0/TLS 192.168.1.4;branch=z9hG4bKp;received=198.51.100.7\n" TAIL(
                      "s2", "1 INVITE") "\n",
         0, PROXY_RULE_TABLE},
        {"to that phone", KAM, NODE,
         "BYE sips:a@192.168.1.4 SIP/2.0\n" HEAD(
             BY_KAM, "s2", "1 BYE") "Route: <sip:$(IN)@10.0.0.1:5070;lr>\n"
                                    "Route: <sips:$(OUT)@192.0.2.10:5061;transport=tls;lr>\n\n",
         PHONE " from " TLS_VIP,
         "BYE sips:a@192.168.1.4 SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.10:5061;" OURS(
             "3") "Via: SIP/2.0/" BY_KAM "\n" TAIL("s2", "1 BYE") "\n",
         0, PROXY_RULE_FLOW},
        {"to an address by WSS", KAM, NODE,
         "BYE sips:a@203.0.113.9:4000;transport=ws SIP/2.0\n" HEAD(BY_KAM, "s3", "1 BYE") "\n",
         "wss/203.0.113.9:4000#0 from 192.0.2.10:443", NULL, 0, PROXY_RULE_NEXT_HOP},
    };
    struct stage *stage = one_backend();

    STAGE_PLAY(stage, steps);
    stage_free(stage);
}

static void gone(struct stage *stage, enum proxy_verdict verdict, enum proxy_reason reason)
{
    assert_int_equal(stage->output.verdict, PROXY_FORWARD);
    assert_int_equal(stage->output.to.connection, 7);
    proxy_flow_gone(&stage->view, &stage->input, &stage->output);
    assert_int_equal(stage->output.verdict, verdict);
    assert_int_equal(stage->output.reason, reason);
}

/* A request is refused to who sent it, and what begins with it is over; the rest is dropped. */
static void test_flow_gone(void **state)
{
    static const struct step register_it[] = {INVITE_OF(PHONE)};
    struct stage *stage = one_backend();
    uint16_t slot = stage->slot_of[1];
    char reply[1024];

    STAGE_PLAY(stage, register_it);
    stage_send(stage, KAM, NODE, OK_TO_IT);
    gone(stage, PROXY_DROP, PROXY_DROP_FLOW);
    stage_send(stage, KAM, NODE, IN_DIALOG("ACK", ROUTES));
    gone(stage, PROXY_DROP, PROXY_DROP_ACK);
    assert_int_equal(stage->started[slot], 1);
    assert_int_equal(stage->ended[slot], 0);
    stage_set(stage, "TAG", ";tag=t");
    stage_send(stage, KAM, NODE, IN_DIALOG("BYE", ROUTES));
    gone(stage, PROXY_REPLY, PROXY_REPLY_430_FLOW);
    assert_int_equal(stage->ended[slot], 1);
    assert_int_equal(stage->output.to.transport, SIP_TRANSPORT_UDP);
    assert_true(proxy_flow_equal(&stage->output.to, &stage->input.from));
    assert_true(
        proxy_reply_print(&stage->view, &stage->input, &stage->output, reply, sizeof(reply)) > 0);
    assert_memory_equal(reply, "SIP/2.0 430 ", 12);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),   cmocka_unit_test(test_without_rport),
        cmocka_unit_test(test_outbound),     cmocka_unit_test(test_forged_seal),
        cmocka_unit_test(test_another_node), cmocka_unit_test(test_data_plane_punts),
        cmocka_unit_test(test_planes),       cmocka_unit_test(test_sips),
        cmocka_unit_test(test_backend_by_tcp),
        cmocka_unit_test(test_flow_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
