/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mode direct: whose a message is by its Call-ID, in both directions; that it is not touched; what
 * we answer ourselves; and what the call table learns from one direction.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/dataplane/proxy/stage.h"

#define CALLER "203.0.113.5:5060"
#define CALLEE "198.51.100.9:5060"
#define VIP "192.0.2.30:5060"
#define FAR "192.0.2.40:5060"
#define NEAR_1 "10.0.3.1:5060 from " VIP
#define NEAR_2 "10.0.3.2:5070 from " VIP
#define HEADERS(method, id, to_tag)                                                           \
    "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1;rport\nMax-Forwards: 0\n"                  \
    "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>" to_tag "\nCall-ID: " id \
    "\nCSeq: 1 " method "\nContent-Length: 5\n\nv=0\n"
#define REQUEST(method, uri, id, to_tag) method " " uri " SIP/2.0\n" HEADERS(method, id, to_tag)
#define RESPONSE(status, method, id) "SIP/2.0 " status " X\n" HEADERS(method, id, ";tag=b")
#define BOB "sip:bob@example.net"

static const uint8_t only_2_up[STAGE_NEAR] = {LB_DOWN, LB_UP};
static const uint8_t both_down[STAGE_NEAR] = {LB_DOWN, LB_DOWN};

static void set_health(struct stage_conf *conf, const uint8_t health[STAGE_NEAR])
{
    memcpy(conf->near_health, health, STAGE_NEAR);
}

/* Forwarded as it came. */
static void assert_untouched(const struct stage *stage, enum proxy_means means)
{
    assert_int_equal(stage->output.verdict, PROXY_FORWARD);
    assert_int_equal(stage->output.means, means);
    assert_int_equal(stage->output.edit.n, 0);
    assert_int_equal(stage->out_length, stage->in_length);
    assert_memory_equal(stage->out, stage->in, stage->in_length);
}

static int32_t send(struct stage *stage, const char *from, const char *at, const char *in)
{
    stage_send(stage, from, at, in);
    return stage->output.verdict == PROXY_FORWARD ? stage->output.backend : LB_NO_BACKEND;
}

/* Both ways by the Call-ID alone, whatever else the message says, and nothing is changed. */
static void test_untouched(void **state)
{
    static const char *const requests[] = {
        REQUEST("INVITE", BOB, "x", ""),
        REQUEST("INVITE", "sips:bob@nowhere.example;maddr=1.2.3.4", "x", ""),
        REQUEST("OPTIONS", "sip:192.0.2.30", "x", ""),
        REQUEST("REGISTER", "sip:192.0.2.30", "x", ""),
        REQUEST("BYE", "http://x", "x", ";tag=b"),
        REQUEST("MESSAGE", "sip:bob@10.0.3.1", "x", ";tag=b"),
        "INFO sip:x@y SIP/2.0\nRoute: <sip:10.0.3.1;lr>, <sip:10.0.3.2;lr>\n"
        "Proxy-Require: foo\n" HEADERS("INFO", "x", ";tag=b"),
        "INFO sip:x@y SIP/2.0\nRoute: <sip:t1.AAAA@192.0.2.30;lr>\n" HEADERS("INFO", "x", ";tag=b"),
    };
    static const char *const responses[] = {
        RESPONSE("100", "INVITE", "x"), RESPONSE("183", "INVITE", "x"),
        RESPONSE("200", "INVITE", "x"), RESPONSE("603", "INVITE", "x"),
        RESPONSE("481", "BYE", "x"),    RESPONSE("200", "OPTIONS", "x"),
    };
    struct stage *stage = stage_new(&(struct stage_conf){0});
    int32_t first = send(stage, CALLER, VIP, requests[0]);

    assert_true(first >= 0);
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        assert_int_equal(send(stage, CALLER, VIP, requests[i]), first);
        assert_untouched(stage, PROXY_BY_MAC);
        assert_int_equal(stage->output.reason, PROXY_FORWARDED_REQUEST);
    }
    for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
        assert_int_equal(send(stage, CALLEE, VIP, responses[i]), first);
        assert_untouched(stage, PROXY_BY_MAC);
        assert_int_equal(stage->output.reason, PROXY_FORWARDED_RESPONSE);
        assert_int_equal(stage->output.rule, PROXY_RULE_CALL);
    }
    stage_free(stage);
}

/* The empty line that a sender left out is not added here. */
static void test_open_end(void **state)
{
    static const char open_end[] =
        "INVITE sip:bob@example.net SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\r\n"
        "From: <sip:a@b>;tag=1\r\nTo: <sip:x@y>\r\nCall-ID: odd\r\nCSeq: 1 INVITE\r\n";
    struct stage *stage = stage_new(&(struct stage_conf){0});

    stage_decide(stage, CALLER, VIP, open_end, sizeof(open_end) - 1);
    assert_true(stage->msg.open_end);
    assert_int_equal(stage->output.verdict, PROXY_FORWARD);
    assert_int_equal(stage->output.edit.n, 0);
    stage_free(stage);
}

static void test_tunnel(void **state)
{
    struct stage *stage = stage_new(&(struct stage_conf){0});

    assert_true(send(stage, CALLER, FAR, REQUEST("INVITE", BOB, "t", "")) >= 0);
    assert_untouched(stage, PROXY_BY_TUNNEL);
    stage_free(stage);
    /* A tunnel over IPv4 reaches no backend of IPv6; the configuration refuses that. */
    stage = stage_new(&(struct stage_conf){.with_v6 = true});
    stage_send(stage, CALLER, FAR, REQUEST("INVITE", BOB, "t", ""));
    assert_int_equal(stage->output.reason, PROXY_REPLY_503_NO_BACKEND);
    stage_send(stage, CALLER, FAR, RESPONSE("200", "INVITE", "t"));
    assert_int_equal(stage->output.reason, PROXY_DROP_NO_BACKEND);
    stage_free(stage);
}

static const struct step ourselves[] = {
    {"by MAC: the backend's address and port, from ours", CALLER, VIP,
     REQUEST("INVITE", BOB, "o1", ""), "$(N1):$(P1) from " VIP, NULL, 0, PROXY_RULE_TABLE},
    {"by tunnel: from the node's own address", CALLER, FAR, REQUEST("INVITE", BOB, "o1", ""),
     "10.0.4.1:5060 from 10.0.0.1:5060", NULL, 0, PROXY_RULE_TABLE},
    {"the unknown Call-ID of a response: by the hash, and then by the table", CALLEE, VIP,
     RESPONSE("200", "INVITE", "o2"), "$(N2):$(P2) from " VIP, NULL, PROXY_FORWARDED_RESPONSE,
     PROXY_RULE_TABLE},
    {"its next one", CALLEE, VIP, RESPONSE("200", "INVITE", "o2"), "$(N2):$(P2) from " VIP, NULL,
     PROXY_FORWARDED_RESPONSE, PROXY_RULE_CALL},
    {"a backend's address is outside as well", "10.0.3.1:5060", VIP,
     REQUEST("INVITE", BOB, "o1", ""), "$(N1):$(P1) from " VIP, NULL, 0, PROXY_RULE_CALL},
    {"malformed", CALLER, VIP,
     "INVITE sip:x@y SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5;rport\nCall-ID: o3\n\n",
     CALLER " from " VIP, NULL, PROXY_REPLY_400_MALFORMED, 0},
    {"another version", CALLER, VIP,
     "INVITE sip:x@y SIP/3.0\nVia: SIP/2.0/UDP 203.0.113.5;rport\nFrom: <sip:a@b>;tag=1\n"
     "To: <sip:x@y>\nCall-ID: o3\nCSeq: 1 INVITE\n\n",
     CALLER " from " VIP, NULL, PROXY_REPLY_505_VERSION, 0},
    {"a malformed response", CALLEE, VIP, "SIP/2.0 200 OK\nCall-ID: o3\n\n",
     "drop_malformed_response", NULL, 0, 0},
    {"a keep-alive", CALLER, VIP, "\n\n", "drop_keepalive", NULL, 0, 0},
    {"no SIP", CALLER, VIP, "GET / HTTP/1.1\n\n", "drop_not_sip", NULL, 0, 0},
};

static void test_ourselves(void **state)
{
    static const char stun[20] = {0, 1, 0, 0, 0x21, 0x12, (char)0xa4, 0x42};
    struct stage *stage = stage_new(&(struct stage_conf){0});

    STAGE_PLAY(stage, ourselves);
    stage_decide(stage, CALLER, VIP, stun, sizeof(stun));
    assert_int_equal(stage->output.reason, PROXY_REPLY_200_STUN);
    stage_free(stage);
}

static void test_draining_node(void **state)
{
    static const struct step drains[] = {
        {"OPTIONS to ourselves", CALLER, VIP, REQUEST("OPTIONS", "sip:192.0.2.30", "d1", ""),
         CALLER " from " VIP, NULL, PROXY_REPLY_503_DRAINING, 0},
        {"to somebody there", CALLER, VIP, REQUEST("OPTIONS", "sip:bob@192.0.2.30", "d2", ""),
         "$(A):$(AP) from " VIP, NULL, 0, 0},
        {"to another service's address", CALLER, VIP,
         REQUEST("OPTIONS", "sip:192.0.2.40", "d3", ""), "$(B):$(BP) from " VIP, NULL, 0, 0},
        {"to ourselves, and further", CALLER, VIP,
         "OPTIONS sip:192.0.2.30 SIP/2.0\nRoute: <sip:x.example;lr>\n" HEADERS("OPTIONS", "d4", ""),
         "$(C):$(CP) from " VIP, NULL, 0, 0},
        {"calls go on", CALLER, VIP, REQUEST("INVITE", BOB, "d5", ""), "$(D):$(DP) from " VIP, NULL,
         0, 0},
    };
    struct stage *stage = stage_new(&(struct stage_conf){.node_draining = true});

    STAGE_PLAY(stage, drains);
    stage_free(stage);
}

static void test_sources(void **state)
{
    static struct cfg_prefix allowed[1];
    static const struct step sources[] = {
        {"from elsewhere", CALLER, VIP, REQUEST("INVITE", BOB, "s1", ""), CALLER " from " VIP, NULL,
         PROXY_REPLY_403_SOURCE, 0},
        {"the ACK to that is ours", CALLER, VIP, REQUEST("ACK", BOB, "s1", ";tag=$(tag)"),
         "drop_ack", NULL, 0, 0},
        {"a backend is outside", "10.0.3.1:5060", VIP, REQUEST("INVITE", BOB, "s1", ""),
         "10.0.3.1:5060 from " VIP, NULL, PROXY_REPLY_403_SOURCE, 0},
        {"from there", "198.51.100.9:5060", VIP, REQUEST("INVITE", BOB, "s1", ""),
         "$(A):$(AP) from " VIP, NULL, 0, 0},
        {"responses are not concerned", CALLER, VIP, RESPONSE("200", "INVITE", "s1"),
         "$(A):$(AP) from " VIP, NULL, PROXY_FORWARDED_RESPONSE, 0},
    };
    struct stage_conf conf = {.near_sources = allowed, .n_near_sources = 1};
    struct stage *stage;

    assert_int_equal(sip_ip_parse(sip_slice_of("198.51.100.0"), &allowed[0].ip), 0);
    allowed[0].length = 24;
    stage = stage_new(&conf);
    stage_set(stage, "tag", "0123456789abcdef");
    STAGE_PLAY(stage, sources);
    stage_free(stage);
}

/* A message without a backend, and the ACK to the 503 that it got. */
static void test_no_backend(void **state)
{
    struct stage_conf conf = {.node_draining = false};
    struct stage *stage;
    const char *tag;
    char ack[1024];

    set_health(&conf, both_down);
    stage = stage_new(&conf);
    stage_send(stage, CALLER, VIP, REQUEST("INVITE", BOB, "n", ""));
    assert_int_equal(stage->output.reason, PROXY_REPLY_503_NO_BACKEND);
    assert_true(stage->output.retry_after_s > 0);
    stage->out[stage->out_length] = '\0';
    tag = strstr(stage->out, "example.net>;tag=");
    assert_non_null(tag);
    snprintf(ack, sizeof(ack),
             "ACK sip:x@y SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1;rport\n"
             "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=%.16s\n"
             "Call-ID: n\nCSeq: 1 ACK\n\n",
             tag + strlen("example.net>;tag="));
    stage_reload(stage, &(struct stage_conf){.node_draining = false}); /* they are back */
    stage_send(stage, CALLER, VIP, ack);
    assert_int_equal(stage->output.reason, PROXY_DROP_ACK);
    stage_reload(stage, &conf);
    stage_send(stage, CALLER, VIP, REQUEST("ACK", BOB, "n", ";tag=b"));
    assert_int_equal(stage->output.reason, PROXY_DROP_ACK);
    stage_send(stage, CALLEE, VIP, RESPONSE("200", "INVITE", "n"));
    assert_int_equal(stage->output.verdict, PROXY_DROP);
    assert_int_equal(stage->output.reason, PROXY_DROP_NO_BACKEND);
    stage_free(stage);
}

/* What the state of the call's backend lets through; the other one is up. */
static void test_states(void **state)
{
    enum { STAYS, MOVES, REFUSED };
    static const struct {
        const char *what, *in;
        int up, busy, draining, down, down_shared, disabled;
    } cases[] = {
        {"new", REQUEST("MESSAGE", BOB, "c", ""), STAYS, MOVES, MOVES, MOVES, MOVES, MOVES},
        {"CANCEL", REQUEST("CANCEL", BOB, "c", ""), STAYS, STAYS, STAYS, MOVES, MOVES, MOVES},
        {"again", REQUEST("INVITE", BOB, "c", ""), STAYS, STAYS, STAYS, MOVES, MOVES, MOVES},
        {"in-dialog", REQUEST("BYE", BOB, "c", ";tag=b"), STAYS, STAYS, STAYS, REFUSED, MOVES,
         REFUSED},
        {"response", RESPONSE("200", "INVITE", "c"), STAYS, STAYS, STAYS, MOVES, MOVES, MOVES},
    };
    static const struct {
        uint8_t health, admin, share;
    } states[] = {{LB_UP, LB_UP, 0},
                  {LB_BUSY, LB_UP, 0},
                  {LB_UP, LB_DRAINING, 0},
                  {LB_DOWN, LB_UP, 0},
                  {LB_DOWN, LB_UP, LB_SHARE_DIALOGS},
                  {LB_UP, LB_DISABLED, 0}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const int expected[] = {cases[i].up,   cases[i].busy,        cases[i].draining,
                                cases[i].down, cases[i].down_shared, cases[i].disabled};

        for (size_t j = 0; j < sizeof(states) / sizeof(states[0]); j++) {
            struct stage_conf conf = {.near_share = states[j].share};
            struct stage *stage;
            int32_t at_2, now;

            set_health(&conf, only_2_up);
            stage = stage_new(&conf);
            at_2 = send(stage, CALLER, VIP, REQUEST("INVITE", BOB, "c", ""));
            assert_true(at_2 >= 0);
            conf.near_health[0] = LB_UP;
            conf.near_health[1] = states[j].health;
            conf.near_admin[1] = states[j].admin;
            stage_reload(stage, &conf);
            now = send(stage, CALLEE, VIP, cases[i].in);
            if (now != (expected[j] == STAYS   ? at_2
                        : expected[j] == MOVES ? at_2 - 1
                                               : LB_NO_BACKEND))
                fail_msg("%s, state %zu: backend %d of %d", cases[i].what, j, now, at_2);
            if (expected[j] == REFUSED) {
                assert_int_equal(stage->output.reason, PROXY_REPLY_503_NO_BACKEND);
                assert_int_equal(stage->output.retry_after_s, 0);
            }
            stage_free(stage);
        }
    }
}

/* ---- what is learnt ---- */

struct message {
    const char *start; /* METHOD, or STATUS METHOD */
    const char *branch;
    bool to_tag;
    enum lb_call_state state; /* after it */
};

static const struct call_case {
    const char *name;
    struct message messages[8];
    uint64_t started, ended;
} calls[] = {
    {"a phone calls a phone",
     {{"INVITE", "z9hG4bK1", false, LB_CALL_BEGUN},
      {"180 INVITE", "z9hG4bK1", true, LB_CALL_BEGUN},
      {"200 INVITE", "z9hG4bK1", true, LB_CALL_LIVE},
      {"ACK", "z9hG4bK2", true, LB_CALL_LIVE},
      {"INVITE", "z9hG4bK3", true, LB_CALL_LIVE},
      {"ACK", "z9hG4bK3", true, LB_CALL_LIVE},
      {"BYE", "z9hG4bK4", true, LB_CALL_ENDED},
      {"200 BYE", "z9hG4bK4", true, LB_CALL_ENDED}},
     1,
     1},
    {"the backend is the callee: nothing but ACK says that it answered",
     {{"INVITE", "z9hG4bK1", false, LB_CALL_BEGUN},
      {"PRACK", "z9hG4bK2", true, LB_CALL_BEGUN},
      {"ACK", "z9hG4bK3", true, LB_CALL_LIVE},
      {"BYE", "z9hG4bK4", true, LB_CALL_ENDED}},
     1,
     1},
    {"the backend challenges and then refuses",
     {{"INVITE", "z9hG4bK1", false, LB_CALL_BEGUN},
      {"ACK", "z9hG4bK1", true, LB_CALL_ENDED},
      {"INVITE", "z9hG4bK2", false, LB_CALL_BEGUN},
      {"INVITE", "z9hG4bK2", false, LB_CALL_BEGUN},
      {"ACK", "z9hG4bK2", true, LB_CALL_ENDED},
      {"ACK", "z9hG4bK2", true, LB_CALL_ENDED}},
     2,
     2},
    {"a branch of the backend's fork fails, another is answered",
     {{"INVITE", "z9hG4bK1", false, LB_CALL_BEGUN},
      {"486 INVITE", "z9hG4bK1", true, LB_CALL_BEGUN},
      {"200 INVITE", "z9hG4bK1", true, LB_CALL_LIVE}},
     1,
     0},
    {"a phone of RFC 2543, whose ACK does not tell",
     {{"INVITE", "1", false, LB_CALL_BEGUN},
      {"ACK", "1", true, LB_CALL_LIVE},
      {"BYE", "2", true, LB_CALL_ENDED}},
     1,
     1},
    {"an answer to what we do not know",
     {{"180 INVITE", "z9hG4bK1", true, LB_CALL_FREE},
      {"200 INVITE", "z9hG4bK1", true, LB_CALL_LIVE},
      {"200 BYE", "z9hG4bK2", true, LB_CALL_ENDED}},
     1,
     1},
    {"BYE of no call",
     {{"BYE", "z9hG4bK1", true, LB_CALL_FREE}, {"REGISTER", "z9hG4bK2", false, LB_CALL_OTHER}},
     0,
     0},
};

static void send_message(struct stage *stage, const struct message *m)
{
    bool response = m->start[0] <= '9';
    char in[1024];

    snprintf(in, sizeof(in),
             "%s%.3s%s\nVia: SIP/2.0/UDP 203.0.113.5;branch=%s\nFrom: <sip:a@b>;tag=1\n"
             "To: <sip:x@y>%s\nCall-ID: learn\nCSeq: 1 %s\n\n",
             response ? "SIP/2.0 " : m->start, response ? m->start : "",
             response ? " X" : " sip:x@y SIP/2.0", m->branch, m->to_tag ? ";tag=2" : "",
             response ? m->start + 4 : m->start);
    assert_true(send(stage, response ? CALLEE : CALLER, VIP, in) >= 0);
}

static void play_call(const struct call_case *c)
{
    struct stage *stage = stage_new(&(struct stage_conf){0});
    uint32_t pool = stage->snapshot->pools.n - 2; /* near */
    uint64_t started = 0, ended = 0;

    for (int i = 0; i < 8 && c->messages[i].start != NULL; i++) {
        struct proxy_why why;

        send_message(stage, &c->messages[i]);
        proxy_why(&stage->view, pool, sip_slice_of("learn"), stage->calls, stage->now_s, &why);
        if ((why.in_table ? why.call.state : LB_CALL_FREE) != c->messages[i].state)
            fail_msg("%s, message %d: %s", c->name, i, lb_call_state_name(why.call.state));
    }
    for (int i = 0; i < STAGE_SLOTS; i++) {
        started += stage->started[i];
        ended += stage->ended[i];
    }
    assert_int_equal(started, c->started);
    assert_int_equal(ended, c->ended);
    stage_free(stage);
}

static void test_calls(void **state)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        play_call(&calls[i]);
}

/* For 32 s the request that follows a failure stays where new calls are not taken: it may answer a
 * challenge, which went past us. */
static void test_challenge(void **state)
{
    static const struct message messages[] = {{"INVITE", "z9hG4bK1", false, 0},
                                              {"ACK", "z9hG4bK1", true, 0},
                                              {"INVITE", "z9hG4bK2", false, 0}};

    for (uint32_t later_s = 1; later_s < 40; later_s += 35) {
        struct stage_conf conf = {.node_draining = false};
        struct stage *stage;
        int32_t at_2;

        set_health(&conf, only_2_up);
        stage = stage_new(&conf);
        send_message(stage, &messages[0]);
        at_2 = stage->output.backend;
        send_message(stage, &messages[1]);
        conf.near_health[0] = LB_UP;
        conf.near_admin[1] = LB_DRAINING;
        stage_reload(stage, &conf);
        stage->now_s += later_s;
        send_message(stage, &messages[2]);
        assert_int_equal(stage->output.backend, later_s == 1 ? at_2 : at_2 - 1);
        stage_free(stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_untouched),     cmocka_unit_test(test_open_end),
        cmocka_unit_test(test_tunnel),        cmocka_unit_test(test_ourselves),
        cmocka_unit_test(test_draining_node), cmocka_unit_test(test_sources),
        cmocka_unit_test(test_no_backend),    cmocka_unit_test(test_states),
        cmocka_unit_test(test_calls),         cmocka_unit_test(test_challenge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
