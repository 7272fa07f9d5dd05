/* SPDX-License-Identifier: Apache-2.0 */
/* What messages teach the call table, and `why`, which reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/dataplane/proxy/stage.h"

#define VIP "192.0.2.10:5060"
#define CALLER "203.0.113.5:5060"

enum { NOT_KNOWN = -1, AT_2 = 1 };

/* One message. `via` is the sender's branch; a response goes back on the Via of that request. */
struct message {
    const char *from;
    const char *start; /* METHOD, or STATUS METHOD for a response */
    const char *branch;
    bool to_tag;
    int state; /* enum lb_call_state after it, or NOT_KNOWN */
};

struct call_case {
    const char *name;
    struct message messages[8];
    uint32_t started, ended;
};

#define K "10.0.0.12:5060"
#define C CALLER

static const struct call_case cases[] = {
    {"a call",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {K, "180 INVITE", "1", true, LB_CALL_BEGUN},
      {K, "200 INVITE", "1", true, LB_CALL_LIVE},
      {C, "ACK", "2", true, LB_CALL_LIVE},
      {C, "BYE", "3", true, LB_CALL_LIVE},
      {K, "200 BYE", "3", true, LB_CALL_ENDED},
      {K, "200 INVITE", "1", true, LB_CALL_ENDED}},
     1,
     1},
    {"refused",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {K, "486 INVITE", "1", true, LB_CALL_ENDED},
      {C, "ACK", "1", true, LB_CALL_ENDED},
      {C, "INVITE", "1", false, LB_CALL_ENDED},
      {C, "INVITE", "9", false, LB_CALL_BEGUN}},
     2,
     1},
    {"a branch of the backend's fork fails: the call goes on",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {K, "INVITE", "k1", false, LB_CALL_BEGUN},
      {K, "INVITE", "k2", false, LB_CALL_BEGUN},
      {"198.51.100.9:5060", "486 INVITE", "k1", true, LB_CALL_BEGUN},
      {"198.51.100.9:5060", "200 INVITE", "k2", true, LB_CALL_LIVE}},
     1,
     0},
    {"a call that a backend begins",
     {{K, "INVITE", "k1", false, LB_CALL_BEGUN},
      {"198.51.100.9:5060", "200 INVITE", "k1", true, LB_CALL_LIVE},
      {C, "BYE", "2", true, LB_CALL_LIVE},
      {K, "481 BYE", "2", true, LB_CALL_ENDED}},
     1,
     1},
    {"a call that a backend begins, challenged",
     {{K, "INVITE", "k1", false, LB_CALL_BEGUN},
      {"198.51.100.9:5060", "407 INVITE", "k1", true, LB_CALL_ENDED},
      {K, "INVITE", "k2", false, LB_CALL_BEGUN}},
     2,
     1},
    {"re-INVITE fails: the dialog lives",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {K, "200 INVITE", "1", true, LB_CALL_LIVE},
      {C, "INVITE", "2", true, LB_CALL_LIVE},
      {K, "488 INVITE", "2", true, LB_CALL_LIVE},
      {K, "488 INVITE", "1", true, LB_CALL_LIVE}},
     1,
     0},
    {"CANCEL ends nothing by itself",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {C, "CANCEL", "1", false, LB_CALL_BEGUN},
      {K, "200 CANCEL", "1", true, LB_CALL_BEGUN},
      {K, "487 INVITE", "1", true, LB_CALL_ENDED}},
     1,
     1},
    {"a BYE that is challenged",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {K, "200 INVITE", "1", true, LB_CALL_LIVE},
      {C, "BYE", "2", true, LB_CALL_LIVE},
      {K, "407 BYE", "2", true, LB_CALL_LIVE}},
     1,
     0},
    {"re-INVITE of an unknown dialog", {{C, "INVITE", "1", true, LB_CALL_LIVE}}, 1, 0},
    {"BYE and ACK of an unknown dialog",
     {{C, "BYE", "1", true, NOT_KNOWN},
      {C, "ACK", "2", true, NOT_KNOWN},
      {C, "CANCEL", "2", false, NOT_KNOWN}},
     0,
     0},
    {"200 to an INVITE that the table forgot",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {"forget", "", "", false, NOT_KNOWN},
      {K, "200 INVITE", "1", true, LB_CALL_LIVE}},
     2,
     0},
    {"REGISTER",
     {{C, "REGISTER", "1", false, LB_CALL_OTHER},
      {K, "401 REGISTER", "1", true, LB_CALL_OTHER},
      {C, "REGISTER", "2", false, LB_CALL_OTHER},
      {K, "200 REGISTER", "2", true, LB_CALL_OTHER}},
     0,
     0},
    {"SUBSCRIBE",
     {{C, "SUBSCRIBE", "1", false, LB_CALL_SUBSCRIPTION},
      {K, "NOTIFY", "k1", true, LB_CALL_SUBSCRIPTION}},
     0,
     0},
    {"NOTIFY of an unknown subscription", {{K, "NOTIFY", "k1", true, LB_CALL_SUBSCRIPTION}}, 0, 0},
    {"MESSAGE from a backend is not noted", {{K, "MESSAGE", "k1", false, NOT_KNOWN}}, 0, 0},
    {"re-INVITE of a dialog that is no more",
     {{C, "INVITE", "1", true, LB_CALL_LIVE}, {K, "481 INVITE", "1", true, LB_CALL_ENDED}},
     1,
     1},
    {"a request with a To-tag that a proxy has never heard of",
     {{C, "INVITE", "1", true, LB_CALL_LIVE}, {K, "404 INVITE", "1", true, LB_CALL_ENDED}},
     1,
     1},
    {"re-INVITE of a dialog that lives on, refused",
     {{C, "INVITE", "1", true, LB_CALL_LIVE}, {K, "488 INVITE", "1", true, LB_CALL_LIVE}},
     1,
     0},
    {"BYE that meets 404",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {K, "200 INVITE", "1", true, LB_CALL_LIVE},
      {C, "BYE", "2", true, LB_CALL_LIVE},
      {K, "404 BYE", "2", true, LB_CALL_ENDED}},
     1,
     1},
    {"a later re-INVITE meets 481: the first dialog's entry stays",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {K, "200 INVITE", "1", true, LB_CALL_LIVE},
      {C, "INVITE", "2", true, LB_CALL_LIVE},
      {K, "481 INVITE", "2", true, LB_CALL_LIVE}},
     1,
     0},
    {"what is no call, within a live one, fails",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {K, "200 INVITE", "1", true, LB_CALL_LIVE},
      {C, "MESSAGE", "5", false, LB_CALL_LIVE},
      {K, "481 MESSAGE", "5", true, LB_CALL_LIVE}},
     1,
     0},
    {"what is no call, while it rings, is not its transaction",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {C, "MESSAGE", "5", false, LB_CALL_BEGUN},
      {K, "408 MESSAGE", "5", true, LB_CALL_BEGUN},
      {K, "486 INVITE", "1", true, LB_CALL_ENDED}},
     1,
     1},
    {"INVITE after REGISTER with one Call-ID",
     {{C, "REGISTER", "1", false, LB_CALL_OTHER}, {C, "INVITE", "2", false, LB_CALL_BEGUN}},
     1,
     0},
};

static void forget(struct stage *stage)
{
    size_t bytes = lb_call_table_bytes(STAGE_CALLS);

    memset(stage->calls, 0, bytes);
    lb_call_table_init(stage->calls, STAGE_CALLS);
}

static void send_request(struct stage *stage, const struct message *m)
{
    char in[1024], name[32];
    const char *via;

    snprintf(in, sizeof(in),
             "%s sip:x@198.51.100.9 SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bK%s\n"
             "From: <sip:a@b>;tag=1\nTo: <sip:x@y>%s\nCall-ID: calls\nCSeq: 1 %s\n\n",
             m->start, m->branch, m->to_tag ? ";tag=2" : "", m->start);
    stage_send(stage, m->from, VIP, in);
    assert_int_equal(stage->output.verdict, PROXY_FORWARD);
    via = strstr(stage->out, "Via: ") + 5;
    snprintf(in, sizeof(in), "%.*s", (int)(strchr(via, '\r') - via), via);
    snprintf(name, sizeof(name), "v%s", m->branch);
    stage_set(stage, name, in);
    snprintf(name, sizeof(name), "r%s", m->branch);
    snprintf(in, sizeof(in), "%.*s", (int)strcspn(m->from, ":"), m->from);
    stage_set(stage, name, in);
}

static void send_response(struct stage *stage, const struct message *m)
{
    char in[1024];

    snprintf(in, sizeof(in),
             "SIP/2.0 %.3s X\nVia: $(v%s)\nVia: SIP/2.0/UDP h;branch=z9hG4bK%s;received=$(r%s)\n"
             "From: <sip:a@b>;tag=1\nTo: <sip:x@y>;tag=2\nCall-ID: calls\nCSeq: 1 %s\n\n",
             m->start, m->branch, m->branch, m->branch, m->start + 4);
    stage_send(stage, m->from, VIP, in);
    assert_int_equal(stage->output.verdict, PROXY_FORWARD);
}

static void check_known(struct stage *stage, const struct call_case *c, const struct message *m)
{
    struct proxy_why why;

    proxy_why(&stage->view, 0, sip_slice_of("calls"), stage->calls, stage->now_s, &why);
    if ((why.in_table ? why.call.state : NOT_KNOWN) != m->state)
        fail_msg("%s, after %s: %s", c->name, m->start,
                 why.in_table ? lb_call_state_name(why.call.state) : "not known");
    if (why.in_table)
        assert_int_equal(why.call_backend, AT_2);
}

static void check_case(const struct call_case *c)
{
    /* New calls come to 10.0.0.12. */
    struct stage_conf conf = {.health = {LB_BUSY, LB_UP, LB_BUSY, LB_BUSY}};
    struct stage *stage = stage_new(&conf);
    uint64_t started = 0, ended = 0;

    for (const struct message *m = c->messages; m < c->messages + 8 && m->from != NULL; m++) {
        if (strcmp(m->from, "forget") == 0)
            forget(stage);
        else if (m->start[0] >= '0' && m->start[0] <= '9')
            send_response(stage, m);
        else
            send_request(stage, m);
        check_known(stage, c, m);
        stage->now_s++;
    }
    for (int i = 0; i < STAGE_SLOTS; i++) {
        started += stage->started[i];
        ended += stage->ended[i];
    }
    if (started != c->started || ended != c->ended)
        fail_msg("%s: %lu started, %lu ended", c->name, (unsigned long)started,
                 (unsigned long)ended);
    stage_free(stage);
}

static void test_cases(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_case(&cases[i]);
}

/* `why` says what the next message would get; the hash is the one workers prefetch. */
static void test_why(void **state)
{
    static const struct message invite = {C, "INVITE", "1", false, LB_CALL_BEGUN};
    struct stage_conf conf = {0}, by_from = {.key = LB_KEY_FROM};
    struct stage *stage = stage_new(&conf);
    struct proxy_why why;

    proxy_why(&stage->view, 0, sip_slice_of("calls"), stage->calls, stage->now_s, &why);
    assert_false(why.in_table);
    assert_int_equal(why.rule, PROXY_RULE_TABLE);
    assert_int_equal(why.backend, why.table_backend);
    assert_int_equal(why.key_hash, why.hash);
    send_request(stage, &invite);
    assert_int_equal(stage->output.backend, why.backend);
    assert_int_equal(proxy_call_hash(&stage->view, &stage->input), why.hash);
    proxy_why(&stage->view, 0, sip_slice_of("calls"), stage->calls, stage->now_s, &why);
    assert_true(why.in_table);
    assert_int_equal(why.rule, PROXY_RULE_CALL);
    assert_int_equal(why.backend, stage->output.backend);
    stage_reload(stage, &by_from);
    forget(stage);
    proxy_why(&stage->view, 0, sip_slice_of("calls"), stage->calls, stage->now_s, &why);
    assert_int_equal(why.rule, PROXY_RULE_NONE);
    assert_int_equal(why.backend, LB_NO_BACKEND);
    assert_int_equal(why.key_hash, 0);
    stage_free(stage);
}

static void put_at(struct stage *stage, const struct message *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (m[i].start[0] >= '0' && m[i].start[0] <= '9')
            send_response(stage, &m[i]);
        else
            send_request(stage, &m[i]);
    }
}

static struct proxy_why ask(struct stage *stage)
{
    struct proxy_why why;

    proxy_why(&stage->view, 0, sip_slice_of("calls"), stage->calls, stage->now_s, &why);
    return why;
}

/* What is no call does not take a call's entry, when it has to go elsewhere with its Call-ID. */
static void test_call_keeps_its_entry(void **state)
{
    static const struct message call[] = {{C, "INVITE", "1", false, 0},
                                          {K, "200 INVITE", "1", true, 0}};
    static const char *const others[] = {"MESSAGE", "SUBSCRIBE", "REGISTER"};

    for (int i = 0; i < 3; i++) {
        struct stage_conf conf = {.health = {LB_BUSY, LB_UP, LB_BUSY, LB_BUSY}};
        struct message other = {C, others[i], "5", false, 0};
        struct stage *stage = stage_new(&conf);

        put_at(stage, call, 2);
        conf.admin[AT_2] = LB_DRAINING;
        conf.health[0] = LB_UP;
        stage_reload(stage, &conf);
        send_request(stage, &other);
        assert_int_equal(stage->output.backend, 0);
        assert_int_equal(ask(stage).call_backend, AT_2);
        assert_int_equal(ask(stage).call.state, LB_CALL_LIVE);
        stage_free(stage);
    }
}

/* A call rings for longer than an entry lives unseen: each provisional response keeps it. */
static void test_ringing(void **state)
{
    static const struct message ring[] = {{K, "180 INVITE", "1", true, 0}};
    static const struct message invite[] = {{C, "INVITE", "1", false, 0}};
    struct stage_conf conf = {.health = {LB_BUSY, LB_UP, LB_BUSY, LB_BUSY}};
    struct stage *stage = stage_new(&conf);

    put_at(stage, invite, 1);
    for (int i = 0; i < 5; i++) {
        stage->now_s += LB_CALL_BEGUN_S - 60;
        put_at(stage, ring, 1);
    }
    assert_true(ask(stage).in_table);
    assert_int_equal(ask(stage).call.state, LB_CALL_BEGUN);
    stage->now_s += LB_CALL_BEGUN_S + 1;
    assert_false(ask(stage).in_table);
    stage_free(stage);
}

/* A backend goes on with the call of one that is down (shared dialogs): the call is its own now. */
static void test_call_taken_over(void **state)
{
    static const struct message call[] = {{C, "INVITE", "1", false, 0},
                                          {K, "200 INVITE", "1", true, 0}};
    static const struct message mine[] = {{"10.0.0.11:5060", "INVITE", "7", true, 0}};
    struct stage_conf conf = {.health = {LB_BUSY, LB_UP, LB_BUSY, LB_BUSY},
                              .share = LB_SHARE_DIALOGS};
    struct stage *stage = stage_new(&conf);

    put_at(stage, call, 2);
    put_at(stage, mine, 1);
    assert_int_equal(ask(stage).call_backend, AT_2);
    conf.health[AT_2] = LB_DOWN;
    stage_reload(stage, &conf);
    put_at(stage, mine, 1);
    assert_int_equal(ask(stage).call_backend, 0);
    stage_free(stage);
}

/* 32 s from the challenge itself: what comes in between does not make it longer. */
static void test_challenge_window(void **state)
{
    static const struct message begin[] = {{C, "INVITE", "1", false, 0},
                                           {K, "407 INVITE", "1", true, 0}};
    static const struct message ack[] = {{C, "ACK", "1", true, 0}};
    static const struct message again = {C, "INVITE", "2", false, 0};

    for (uint32_t late = 0; late < 2; late++) {
        struct stage_conf conf = {.health = {LB_BUSY, LB_UP, LB_BUSY, LB_BUSY}};
        struct stage *stage = stage_new(&conf);

        put_at(stage, begin, 2);
        conf.health[AT_2] = LB_BUSY;
        conf.health[0] = LB_UP;
        stage_reload(stage, &conf);
        stage->now_s += 20;
        put_at(stage, ack, 1);
        stage->now_s += 12 + late;
        send_request(stage, &again);
        assert_int_equal(stage->output.backend, late ? 0 : AT_2);
        stage_free(stage);
    }
}

static void test_names(void **state)
{
    for (int i = 0; i < PROXY_REASON_COUNT; i++) {
        const char *name = proxy_reason_name((enum proxy_reason)i);

        assert_non_null(name);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(name, proxy_reason_name((enum proxy_reason)j));
    }
    for (int i = 0; i < PROXY_RULE_COUNT; i++)
        assert_non_null(proxy_rule_name((enum proxy_rule)i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_call_keeps_its_entry),
        cmocka_unit_test(test_ringing),
        cmocka_unit_test(test_call_taken_over),
        cmocka_unit_test(test_challenge_window),
        cmocka_unit_test(test_why),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
