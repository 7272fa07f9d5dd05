/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backend's request whose next hop is a name: what the snapshot says of it (RFC 3263), who of
 * several gets it (RFC 2782), and what is punted to control.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/dataplane/proxy/stage.h"

#define KAM1 "10.0.0.11:5060"
#define VIP "192.0.2.10:5060"
#define REQUEST(method, uri, headers, id)                                            \
    method " " uri " SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bK-1\n" headers \
           "Max-Forwards: 70\nFrom: <sip:alice@example.org>;tag=a1\n"                \
           "To: <sip:bob@example.net>\nCall-ID: " id "\nCSeq: 1 " method "\n"        \
           "Content-Length: 0\n\n"

#define V4(a, b, c, d)                            \
    {                                             \
        {                                         \
            [10] = 0xff, 0xff, (a), (b), (c), (d) \
        }                                         \
    }
#define UDP .transport = SIP_TRANSPORT_UDP

static const struct snapshot_target one[] = {{.addr = {V4(198, 51, 100, 1), 5070}, UDP}};
static const struct snapshot_target v6[] = {
    {.addr = {{{0x20, 1, 0xd, 0xb8, [15] = 9}}, 5060}, UDP}};
static const struct snapshot_target us[] = {{.addr = {V4(192, 0, 2, 10), 5070}, UDP}};
static const struct snapshot_target kam2[] = {{.addr = {V4(10, 0, 0, 12), 5060}, UDP}};
/* By TCP, which the service does not listen on, comes before UDP. */
static const struct snapshot_target second[] = {
    {.addr = {V4(198, 51, 100, 2), 5060}, .transport = SIP_TRANSPORT_TCP, .priority = 1},
    {.addr = {V4(198, 51, 100, 3), 5060}, UDP, .priority = 2, .weight = 7},
    {.addr = {V4(198, 51, 100, 4), 5060}, UDP, .priority = 3, .weight = 7},
};
static const struct snapshot_target tcp[] = {
    {.addr = {V4(198, 51, 100, 2), 5060}, .transport = SIP_TRANSPORT_TCP}};
static const struct snapshot_target shared[] = {
    {.addr = {V4(198, 51, 100, 10), 5060}, UDP, .priority = 5, .weight = 30},
    {.addr = {V4(198, 51, 100, 11), 5060}, UDP, .priority = 5, .weight = 10},
    {.addr = {V4(198, 51, 100, 12), 5060}, UDP, .priority = 5, .weight = 0},
    {.addr = {V4(198, 51, 100, 13), 5060}, UDP, .priority = 6, .weight = 100},
};
static const struct snapshot_target plain[] = {
    {.addr = {V4(198, 51, 100, 20), 5060}, UDP},
    {.addr = {V4(198, 51, 100, 21), 5060}, UDP},
};

#define LABEL "a23456789-123456789-123456789-123456789-123456789-123456789-123."
#define NAME_255 LABEL LABEL LABEL "b23456789-123456789-123456789-123456789-123456789-123456789-123"

static const struct compile_name names[] = {
    {.host = "one.example", .targets = one, .n_targets = 1},
    {.host = "one.example", .port = 5080, .targets = kam2, .n_targets = 1},
    {.host = "one.example", .transport = SIP_TRANSPORT_UDP, .targets = v6, .n_targets = 1},
    {.host = "us.example", .targets = us, .n_targets = 1},
    {.host = "kam2.example", .targets = kam2, .n_targets = 1},
    {.host = "second.example", .targets = second, .n_targets = 3},
    {.host = "tcp.example", .targets = tcp, .n_targets = 1},
    {.host = "shared.example", .targets = shared, .n_targets = 4},
    {.host = "plain.example", .targets = plain, .n_targets = 2},
    {.host = "nobody.example", .outcome = SNAPSHOT_NAME_NONE},
    {.host = "silent.example", .outcome = SNAPSHOT_NAME_FAILED},
    {.host = "example.net", .targets = one, .n_targets = 1},
    {.host = "xn--bcher-kva.example", .targets = one, .n_targets = 1},
    {.host = NAME_255, .targets = one, .n_targets = 1},
};
static const struct compile_live live = {.names = names,
                                         .n_names = sizeof(names) / sizeof(names[0])};
static const struct stage_conf conf = {.live = &live};

#define FORWARDED(to) to " from " VIP, NULL, 0, PROXY_RULE_NEXT_HOP
#define ROUTE(uri) "Route: <" uri ";lr>\n"

static const struct step steps[] = {
    {"the Request-URI's name", KAM1, VIP, REQUEST("INVITE", "sip:bob@one.example", "", "n1"),
     FORWARDED("198.51.100.1:5070")},
    {"in any case, with a dot at its end", KAM1, VIP,
     REQUEST("INVITE", "sip:bob@ONE.Example.", "", "n2"), FORWARDED("198.51.100.1:5070")},
    {"the next Route's name", KAM1, VIP,
     REQUEST("INVITE", "sip:bob@198.51.100.77", ROUTE("sip:one.example"), "n3"),
     FORWARDED("198.51.100.1:5070")},
    {"a port asks for something else, here another backend", KAM1, VIP,
     REQUEST("INVITE", "sip:bob@one.example:5080", "", "n4"), FORWARDED("10.0.0.12:5060")},
    {"so does a transport, here by the listener of the other family", KAM1, VIP,
     REQUEST("INVITE", "sip:bob@one.example;transport=UDP", "", "n5"),
     "[2001:db8::9]:5060 from [2001:db8:5::10]:5060", NULL, 0, PROXY_RULE_NEXT_HOP},
    {"maddr is never followed", KAM1, VIP,
     REQUEST("INVITE", "sip:bob@one.example;maddr=198.51.100.66", "", "n6"),
     FORWARDED("198.51.100.1:5070")},
    {"internationalised, as it is in ASCII", KAM1, VIP,
     REQUEST("INVITE", "sip:bob@xn--bcher-kva.example", "", "n7"), FORWARDED("198.51.100.1:5070")},
    {"255 bytes", KAM1, VIP, REQUEST("INVITE", "sip:bob@" NAME_255, "", "n8"),
     FORWARDED("198.51.100.1:5070")},
    {"256 bytes are no name", KAM1, VIP, REQUEST("INVITE", "sip:bob@" NAME_255 "x", "", "n8"),
     KAM1 " from " VIP, NULL, PROXY_REPLY_404_NO_ROUTE, 0},
    {"priorities that no listener reaches are passed over", KAM1, VIP,
     REQUEST("INVITE", "sip:bob@second.example", "", "n9"), FORWARDED("198.51.100.3:5060")},
    {"no target that a listener reaches", KAM1, VIP,
     REQUEST("INVITE", "sip:bob@tcp.example", "", "n10"), KAM1 " from " VIP, NULL,
     PROXY_REPLY_404_NO_ROUTE, 0},
    {"a name of a backend", KAM1, VIP, REQUEST("INVITE", "sip:bob@kam2.example", "", "n11"),
     FORWARDED("10.0.0.12:5060")},
    {"a name of ours: a spiral", KAM1, VIP, REQUEST("INVITE", "sip:bob@us.example", "", "spiral"),
     "$(S):5060 from " VIP, NULL, 0, PROXY_RULE_TABLE},
    {"a domain of the service is ours whatever DNS says", KAM1, VIP,
     REQUEST("INVITE", "sip:bob@Example.net", "", "spiral2"), "$(S2):5060 from " VIP, NULL, 0,
     PROXY_RULE_TABLE},
    {"with a dot at its end, too", KAM1, VIP,
     REQUEST("MESSAGE", "sip:bob@example.net.", "", "spiral2"), "$(S2):5060 from " VIP, NULL, 0,
     PROXY_RULE_CALL},
    {"there is no such name", KAM1, VIP, REQUEST("INVITE", "sip:bob@nobody.example", "", "n12"),
     KAM1 " from " VIP, NULL, PROXY_REPLY_404_NO_ROUTE, 0},
    {"an ACK is not answered", KAM1, VIP, REQUEST("ACK", "sip:bob@nobody.example", "", "n12"),
     "drop_ack", NULL, 0, 0},
    {"DNS does not answer: 503, which keeps nobody from us", KAM1, VIP,
     REQUEST("INVITE", "sip:bob@silent.example", "", "n13"), KAM1 " from " VIP,
     "SIP/2.0 503 Service Unavailable\nVia: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bK-1\n"
     "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=$(tag)\n"
     "Call-ID: n13\nCSeq: 1 INVITE\nContent-Length: 0\n\n",
     PROXY_REPLY_503_NAME, 0},
    {"an ACK is not answered", KAM1, VIP, REQUEST("ACK", "sip:bob@silent.example", "", "n13"),
     "drop_ack", NULL, 0, 0},
    {"sips: leaves by TLS, which nobody listens on", KAM1, VIP,
     REQUEST("INVITE", "sips:bob@unknown.example", "", "n14"), KAM1 " from " VIP, NULL,
     PROXY_REPLY_404_NO_ROUTE, 0},
    {"a transport that nobody listens on", KAM1, VIP,
     REQUEST("INVITE", "sip:bob@unknown.example;transport=tcp", "", "n15"), KAM1 " from " VIP, NULL,
     PROXY_REPLY_404_NO_ROUTE, 0},
    {"a transport that nobody knows", KAM1, VIP,
     REQUEST("INVITE", "sip:bob@one.example;transport=sctp", "", "n16"), KAM1 " from " VIP, NULL,
     PROXY_REPLY_404_NO_ROUTE, 0},
    {"hops are counted before", KAM1, VIP,
     "INVITE sip:bob@unknown.example SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bK-1\n"
     "Max-Forwards: 0\nFrom: <sip:a@b>;tag=1\nTo: <sip:x@y>\nCall-ID: n17\nCSeq: 1 INVITE\n\n",
     KAM1 " from " VIP, NULL, PROXY_REPLY_483_HOPS, 0},
    {"from outside names say nothing", "203.0.113.5:5060", VIP,
     REQUEST("INVITE", "sip:bob@one.example", "", "n18"), "$(O):5060 from " VIP, NULL, 0,
     PROXY_RULE_TABLE},
};

static void test_steps(void **state)
{
    struct stage *stage = stage_new(&conf);

    STAGE_PLAY(stage, steps);
    stage_free(stage);
}

static void test_strict_router(void **state)
{
    static const struct step strict[] = {
        {"a Route without lr, by its name (RFC 3261 §16.6 step 6)", KAM1, VIP,
         REQUEST("INVITE", "sip:bob@198.51.100.77", "Route: <sip:one.example>\n", "s1"),
         "198.51.100.1:5070 from " VIP,
         "INVITE sip:one.example SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=$(b);tdm=$(t)\n"
         "Record-Route: <sip:$(r)@192.0.2.10:5060;lr>\n"
         "Via: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bK-1\nRoute: <sip:bob@198.51.100.77>\n"
         "Max-Forwards: 69\nFrom: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>\n"
         "Call-ID: s1\nCSeq: 1 INVITE\nContent-Length: 0\n\n",
         0, PROXY_RULE_NEXT_HOP},
    };
    struct stage *stage = stage_new(&conf);

    STAGE_PLAY(stage, strict);
    stage_free(stage);
}

static enum lb_call_state state_of(const struct stage *stage, const char *call_id)
{
    struct proxy_why why;

    proxy_why(&stage->view, 0, sip_slice_of(call_id), stage->calls, stage->now_s, &why);
    return why.in_table ? (enum lb_call_state)why.call.state : LB_CALL_FREE;
}

/* What is asked for; the data plane learns of the call, since control has a table of its own. */
static void test_punt(void **state)
{
    static const struct {
        const char *in;
        const char *host;
        uint16_t port;
        uint8_t transport;
        enum lb_call_state state;
    } cases[] = {
        {REQUEST("INVITE", "sip:bob@Unknown.example.", "", "p1"), "Unknown.example.", 0,
         SIP_TRANSPORT_NONE, LB_CALL_BEGUN},
        {REQUEST("INVITE", "sip:bob@one.example:5061", "", "p2"), "one.example", 5061,
         SIP_TRANSPORT_NONE, LB_CALL_BEGUN},
        {REQUEST("OPTIONS", "sip:192.0.2.77", ROUTE("sip:two.example:5090;transport=udp"), "p3"),
         "two.example", 5090, SIP_TRANSPORT_UDP, LB_CALL_FREE},
        {REQUEST("ACK", "sip:bob@unknown.example", "", "p4"), "unknown.example", 0,
         SIP_TRANSPORT_NONE, LB_CALL_FREE},
        {REQUEST("SUBSCRIBE", "sip:bob@unknown.example", "", "p5"), "unknown.example", 0,
         SIP_TRANSPORT_NONE, LB_CALL_SUBSCRIPTION},
    };
    struct stage *stage = stage_new(&conf);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct proxy_output *out = &stage->output;
        char id[8];

        stage_send(stage, KAM1, VIP, cases[i].in);
        if (out->verdict != PROXY_PUNT || out->reason != PROXY_PUNT_NAME ||
            !sip_slice_equal(out->name.host, sip_slice_of(cases[i].host)) ||
            out->name.port != cases[i].port || out->name.transport != cases[i].transport)
            fail_msg("case %zu", i);
        snprintf(id, sizeof(id), "p%zu", i + 1);
        if (state_of(stage, id) != cases[i].state)
            fail_msg("case %zu: state %d", i, state_of(stage, id));
    }
    stage_free(stage);
}

/* A request of a transaction of its own; the last byte of the target's address. */
static uint8_t target_of(struct stage *stage, const char *method, const char *host, int call,
                         uint16_t port)
{
    char in[1024], from[32];

    snprintf(from, sizeof(from), "10.0.0.11:%u", port);
    snprintf(in, sizeof(in),
             "%s sip:bob@%s SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bK-%d\n"
             "Max-Forwards: 70\nFrom: <sip:a@b>;tag=1\nTo: <sip:x@y>%s\nCall-ID: draw%d\n"
             "CSeq: 1 %s\nContent-Length: 0\n\n",
             method, host, call, strcmp(method, "ACK") == 0 ? ";tag=failed" : "", call, method);
    stage_send(stage, from, VIP, in);
    assert_int_equal(stage->output.verdict, PROXY_FORWARD);
    return stage->output.to.peer.ip.bytes[15];
}

/* RFC 2782: 30 to 10, next to nothing by a weight of 0, nothing of a later priority. */
static void test_weights(void **state)
{
    enum { CALLS = 4000 };
    struct stage *stage = stage_new(&conf);
    int n[256] = {0}, even[256] = {0};

    for (int i = 0; i < CALLS; i++) {
        n[target_of(stage, "INVITE", "shared.example", i, 5060)]++;
        even[target_of(stage, "INVITE", "plain.example", i, 5060)]++;
    }
    assert_int_equal(n[10] + n[11] + n[12], CALLS);
    assert_in_range(n[10], CALLS * 72 / 100, CALLS * 78 / 100);
    assert_in_range(n[12], 0, CALLS / 100);
    assert_int_equal(even[20] + even[21], CALLS);
    assert_in_range(even[20], CALLS * 46 / 100, CALLS * 54 / 100);
    stage_free(stage);
}

/* Retransmissions, CANCEL and the ACK to a failure follow their INVITE, also from another port of
 * the backend's, after a rotation of keys and in whichever order DNS gave the addresses. */
static void test_transaction_stays(void **state)
{
    static const struct snapshot_target turned[] = {
        {.addr = {V4(198, 51, 100, 21), 5060}, UDP},
        {.addr = {V4(198, 51, 100, 20), 5060}, UDP},
    };
    static const struct compile_name turned_name = {
        .host = "plain.example", .targets = turned, .n_targets = 2};
    static const struct compile_live turned_live = {.names = &turned_name, .n_names = 1};
    static const struct stage_conf after = {.live = &turned_live, .current_mac = 1};
    struct stage *stage = stage_new(&conf);
    uint8_t chosen[64];

    for (int i = 0; i < 64; i++) {
        chosen[i] = target_of(stage, "INVITE", "plain.example", i, 5060);
        assert_int_equal(target_of(stage, "INVITE", "plain.example", i, 5061), chosen[i]);
    }
    stage_reload(stage, &after);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(target_of(stage, "CANCEL", "plain.example", i, 5060), chosen[i]);
        assert_int_equal(target_of(stage, "ACK", "plain.example", i, 5060), chosen[i]);
    }
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_strict_router),
        cmocka_unit_test(test_punt),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_transaction_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
