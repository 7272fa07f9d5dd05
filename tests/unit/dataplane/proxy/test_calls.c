/* SPDX-License-Identifier: Apache-2.0 */
/* What messages teach the call table, and `why`, which reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "dataplane/proxy/work.h"
#include "tests/unit/dataplane/proxy/message.h"

enum { NOT_KNOWN = MESSAGE_NOT_KNOWN, AT_2 = 1 };

struct call_case {
    const char *name;
    struct message messages[8];
    uint32_t started, ended;
};

#define K "10.0.0.12:5060"
#define C MESSAGE_CALLER

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
      {K, "200 REGISTER", "2", true, LB_CALL_OTHER}}, /* nothing is registered */
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
            message_forget(stage);
        else if (m->start[0] >= '0' && m->start[0] <= '9')
            message_response(stage, m);
        else
            message_request(stage, m);
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
    struct proxy_prepared prepared, *at_prepared = &prepared;
    const struct proxy_input *input;
    struct proxy_why why;

    proxy_why(&stage->view, 0, sip_slice_of("calls"), stage->calls, stage->now_s, &why);
    assert_false(why.in_table);
    assert_int_equal(why.rule, PROXY_RULE_TABLE);
    assert_int_equal(why.backend, why.table_backend);
    assert_int_equal(why.key_hash, why.hash);
    message_request(stage, &invite);
    assert_int_equal(stage->output.backend, why.backend);
    input = &stage->input;
    proxy_prepare(&stage->view, &input, 1, &at_prepared);
    assert_int_equal(prepared.call_hash, why.hash);
    proxy_why(&stage->view, 0, sip_slice_of("calls"), stage->calls, stage->now_s, &why);
    assert_true(why.in_table);
    assert_int_equal(why.rule, PROXY_RULE_CALL);
    assert_int_equal(why.backend, stage->output.backend);
    stage_reload(stage, &by_from);
    message_forget(stage);
    proxy_why(&stage->view, 0, sip_slice_of("calls"), stage->calls, stage->now_s, &why);
    assert_int_equal(why.rule, PROXY_RULE_NONE);
    assert_int_equal(why.backend, LB_NO_BACKEND);
    assert_int_equal(why.key_hash, 0);
    stage_free(stage);
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

        message_play(stage, call, 2);
        conf.admin[AT_2] = LB_DRAINING;
        conf.health[0] = LB_UP;
        stage_reload(stage, &conf);
        message_request(stage, &other);
        assert_int_equal(stage->output.backend, 0);
        assert_int_equal(message_ask(stage).call_backend, AT_2);
        assert_int_equal(message_ask(stage).call.state, LB_CALL_LIVE);
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

    message_play(stage, invite, 1);
    for (int i = 0; i < 5; i++) {
        stage->now_s += LB_CALL_BEGUN_S - 60;
        message_play(stage, ring, 1);
    }
    assert_true(message_ask(stage).in_table);
    assert_int_equal(message_ask(stage).call.state, LB_CALL_BEGUN);
    stage->now_s += LB_CALL_BEGUN_S + 1;
    assert_false(message_ask(stage).in_table);
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

        message_play(stage, begin, 2);
        conf.health[AT_2] = LB_BUSY;
        conf.health[0] = LB_UP;
        stage_reload(stage, &conf);
        stage->now_s += 20;
        message_play(stage, ack, 1);
        stage->now_s += 12 + late;
        message_request(stage, &again);
        assert_int_equal(stage->output.backend, late ? 0 : AT_2);
        stage_free(stage);
    }
}

/* ---- registrations ---- */

enum { ELSEWHERE = 0 };

/* A step of a phone or a registrar; `extra` are more header fields. Then what the table knows. */
struct registration_step {
    const char *start, *branch, *extra;
    int32_t backend; /* that it went to; of a response: that it comes from */
    int state;
    uint32_t left_s; /* of a registration */
    uint32_t wait_s; /* before it */
    bool drain;      /* before it, 10.0.0.12 drains and 10.0.0.11 comes */
};

struct registration_case {
    const char *name;
    struct registration_step steps[8];
    uint32_t begun, over; /* at 10.0.0.12 */
    uint32_t begun_elsewhere, over_elsewhere;
};

#define BOUND(seconds) "Contact: <sip:a@203.0.113.5>;expires=" seconds "\n"

static const struct registration_case registration_cases[] = {
    {"granted, refreshed, given up",
     {{"REGISTER", "1", "", AT_2, LB_CALL_OTHER, 0, 0, false},
      {"200 REGISTER", "1", BOUND("600"), AT_2, LB_CALL_REGISTRATION, 600, 0, false},
      {"200 REGISTER", "1", BOUND("600"), AT_2, LB_CALL_REGISTRATION, 600, 0, false},
      {"REGISTER", "2", "", AT_2, LB_CALL_REGISTRATION, 200, 400, false},
      {"200 REGISTER", "2", BOUND("600"), AT_2, LB_CALL_REGISTRATION, 600, 0, false},
      {"REGISTER", "3", "Contact: *\nExpires: 0\n", AT_2, LB_CALL_REGISTRATION, 500, 100, false},
      {"200 REGISTER", "3", "", AT_2, LB_CALL_OTHER, 0, 0, false}},
     1,
     1,
     0,
     0},
    {"a refresh that fails takes nothing away",
     {{"REGISTER", "1", "", AT_2, LB_CALL_OTHER, 0, 0, false},
      {"200 REGISTER", "1", BOUND("600"), AT_2, LB_CALL_REGISTRATION, 600, 0, false},
      {"REGISTER", "2", "", AT_2, LB_CALL_REGISTRATION, 200, 400, false},
      {"500 REGISTER", "2", "", AT_2, LB_CALL_REGISTRATION, 200, 0, false},
      {"REGISTER", "3", "", ELSEWHERE, LB_CALL_OTHER, 0, 201, true}}, /* it had expired */
     1,
     1,
     0,
     0},
    {"a challenged refresh",
     {{"REGISTER", "1", "", AT_2, LB_CALL_OTHER, 0, 0, false},
      {"401 REGISTER", "1", "", AT_2, LB_CALL_OTHER, 0, 0, false},
      {"REGISTER", "2", "", AT_2, LB_CALL_OTHER, 0, 0, false},
      {"200 REGISTER", "2", BOUND("600"), AT_2, LB_CALL_REGISTRATION, 600, 0, false},
      {"REGISTER", "3", "", AT_2, LB_CALL_REGISTRATION, 300, 300, false},
      {"401 REGISTER", "3", "", AT_2, LB_CALL_REGISTRATION, 300, 0, false},
      {"REGISTER", "4", "", AT_2, LB_CALL_REGISTRATION, 270, 30, false},
      {"200 REGISTER", "4", BOUND("600"), AT_2, LB_CALL_REGISTRATION, 600, 0, false}},
     1,
     0,
     0,
     0},
    {"challenged, then the backend drains: the answer goes to it, the next refresh elsewhere",
     {{"REGISTER", "1", "", AT_2, LB_CALL_OTHER, 0, 0, false},
      {"200 REGISTER", "1", BOUND("600"), AT_2, LB_CALL_REGISTRATION, 600, 0, false},
      {"REGISTER", "2", "", AT_2, LB_CALL_REGISTRATION, 300, 300, false},
      {"401 REGISTER", "2", "", AT_2, LB_CALL_REGISTRATION, 300, 0, false},
      {"REGISTER", "3", "", AT_2, LB_CALL_REGISTRATION, 290, 10, true},
      {"200 REGISTER", "3", BOUND("600"), AT_2, LB_CALL_REGISTRATION, 600, 0, false},
      {"REGISTER", "4", "", ELSEWHERE, LB_CALL_OTHER, 0, 300, false},
      {"200 REGISTER", "4", BOUND("600"), ELSEWHERE, LB_CALL_REGISTRATION, 600, 0, false}},
     1,
     1,
     1,
     0},
    {"a challenge too long ago: elsewhere; sent again, it stays there",
     {{"REGISTER", "1", "", AT_2, LB_CALL_OTHER, 0, 0, false},
      {"200 REGISTER", "1", BOUND("600"), AT_2, LB_CALL_REGISTRATION, 600, 0, false},
      {"REGISTER", "2", "", AT_2, LB_CALL_REGISTRATION, 300, 300, false},
      {"401 REGISTER", "2", "", AT_2, LB_CALL_REGISTRATION, 300, 0, false},
      {"REGISTER", "2", "", AT_2, LB_CALL_REGISTRATION, 200, 100, true},
      {"REGISTER", "3", "", ELSEWHERE, LB_CALL_OTHER, 0, 0, false},
      {"REGISTER", "3", "", ELSEWHERE, LB_CALL_OTHER, 0, 0, false}},
     1,
     1,
     0,
     0},
    {"a call with that Call-ID is not taken for a registration",
     {{"INVITE", "1", "", AT_2, LB_CALL_BEGUN, 0, 0, false},
      {"REGISTER", "2", "", AT_2, LB_CALL_BEGUN, 0, 0, false},
      {"200 REGISTER", "2", BOUND("600"), AT_2, LB_CALL_BEGUN, 0, 0, false}},
     0,
     0,
     0,
     0},
    {"a 2xx of another transaction",
     {{"REGISTER", "1", "", AT_2, LB_CALL_OTHER, 0, 0, false},
      {"REGISTER", "2", "", AT_2, LB_CALL_OTHER, 0, 0, false},
      {"200 REGISTER", "1", BOUND("600"), AT_2, LB_CALL_OTHER, 0, 0, false}},
     0,
     0,
     0,
     0},
};

static void play_registration(struct stage *stage, struct stage_conf *conf,
                              const struct registration_step *step)
{
    const char *from = step->backend == ELSEWHERE ? "10.0.0.11:5060" : K;
    struct message message = {C, step->start, step->branch, false, 0};

    stage->now_s += step->wait_s;
    if (step->drain) {
        conf->admin[AT_2] = LB_DRAINING;
        conf->health[ELSEWHERE] = LB_UP;
        stage_reload(stage, conf);
    }
    message_fields = step->extra;
    if (step->start[0] >= '0' && step->start[0] <= '9') {
        message.from = from;
        message.to_tag = true;
        message_response(stage, &message);
    } else {
        message_request(stage, &message);
    }
    message_fields = "";
}

static void check_registration(struct stage *stage, const struct registration_case *c,
                               const struct registration_step *step)
{
    struct proxy_why why = message_ask(stage);

    if (step->state == NOT_KNOWN)
        return;
    if (!why.in_table || why.call.state != step->state || why.call_backend != step->backend)
        fail_msg("%s, after %s %s: %s at %d", c->name, step->start, step->branch,
                 lb_call_state_name(why.call.state), why.call_backend);
    if (step->state == LB_CALL_REGISTRATION &&
        lb_call_left_s(&why.call, stage->now_s) != step->left_s)
        fail_msg("%s, after %s %s: %u s left", c->name, step->start, step->branch,
                 lb_call_left_s(&why.call, stage->now_s));
}

static void test_registrations(void **state)
{
    for (size_t i = 0; i < sizeof(registration_cases) / sizeof(registration_cases[0]); i++) {
        const struct registration_case *c = &registration_cases[i];
        struct stage_conf conf = {.health = {LB_BUSY, LB_UP, LB_BUSY, LB_BUSY}};
        struct stage *stage = stage_new(&conf);
        uint16_t slot, other;

        slot = stage->view.slot_of[AT_2];
        other = stage->view.slot_of[ELSEWHERE];
        for (const struct registration_step *step = c->steps;
             step < c->steps + 8 && step->start != NULL; step++) {
            play_registration(stage, &conf, step);
            check_registration(stage, c, step);
        }
        if (stage->registered[slot] != c->begun || stage->unregistered[slot] != c->over ||
            stage->registered[other] != c->begun_elsewhere ||
            stage->unregistered[other] != c->over_elsewhere)
            fail_msg(
                "%s: counted %lu begun, %lu over, elsewhere %lu, %lu", c->name,
                (unsigned long)stage->registered[slot], (unsigned long)stage->unregistered[slot],
                (unsigned long)stage->registered[other], (unsigned long)stage->unregistered[other]);
        stage_free(stage);
    }
}

/* A refresh goes by the table, to which calls for the phone go, though its old backend is well. */
static void test_refresh_goes_by_the_table(void **state)
{
    static const struct message begin[] = {{C, "REGISTER", "1", false, 0},
                                           {K, "200 REGISTER", "1", true, 0}};
    static const struct message refresh = {C, "REGISTER", "2", false, 0};
    static const char *const phones[] = {"a", "b", "c"};
    int moved = 0;

    for (int i = 0; i < 3 * STAGE_BACKENDS_MAX; i++) {
        struct stage_conf conf = {.health = {LB_BUSY, LB_UP, LB_BUSY, LB_BUSY}};
        int other = i % STAGE_BACKENDS_MAX;
        struct stage *stage = stage_new(&conf);
        struct proxy_why why;

        message_call_id = phones[i / STAGE_BACKENDS_MAX];
        message_fields = BOUND("600");
        message_play(stage, begin, 2);
        message_fields = "";
        assert_int_equal(message_ask(stage).call.state, LB_CALL_REGISTRATION);
        conf.health[other] = LB_UP;
        stage_reload(stage, &conf);
        why = message_ask(stage);
        assert_int_equal(why.rule, PROXY_RULE_TABLE);
        message_request(stage, &refresh);
        assert_int_equal(stage->output.backend, why.table_backend);
        moved += stage->output.backend != AT_2;
        stage_free(stage);
    }
    message_call_id = "calls";
    assert_true(moved > 0 && moved < 3 * (STAGE_BACKENDS_MAX - 1));
}

/* RFC 3261 §10.2.4, §10.3: the Contacts' own words, then Expires, then an hour. */
static void test_granted(void **state)
{
    static const struct {
        const char *fields;
        uint32_t granted_s;
    } rows[] = {
        {"", 0},
        {"Expires: 600\n", 0},
        {"Contact: <sip:a@h>;expires=60\n", 60},
        {"m: <sip:a@h>;EXPIRES = 60;q=0.5\n", 60},
        {"Contact: <sip:a@h>\n", 3600},
        {"Contact: <sip:a@h>\nExpires: 90\n", 90},
        {"Contact: <sip:a@h>;expires=60\nExpires: 90\n", 60},
        {"Contact: <sip:a@h>;expires=0\n", 0},
        {"Contact: <sip:a@h>\nExpires: 0\n", 0},
        {"Contact: <sip:a@h>;expires=10, <sip:b@h>;expires=70, <sip:c@h>;expires=20\n", 70},
        {"Contact: <sip:a@h>;expires=10\nContact: \"a, b\" <sip:b@h;expires=5000>;expires=70\n",
         70},
        {"Contact: sip:a@h;expires=44\n", 44},
        {"Contact: <sip:a@h>;expires=soon\n", 3600},
        {"Contact: <sip:a@h>;expires\n", 3600},
        {"Contact: <sip:a@h>;expires=99999999999\n", 3600},
        {"Contact: <sip:a@h>;expires=4294967295\n", UINT32_MAX},
        {"Contact: <sip:a@h>;expires=30, <sip:b\n", 30},
        {"Contact: <sip:a@h>\nExpires: -1\n", 3600},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[1024], lines[512], *end = lines;
        struct sip_msg msg;
        int n;

        for (const char *at = rows[i].fields; *at != '\0'; at++)
            end += sprintf(end, *at == '\n' ? "\r\n" : "%c", *at);
        *end = '\0';
        n = snprintf(text, sizeof(text),
                     "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\n"
                     "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: r\r\n"
                     "CSeq: 1 REGISTER\r\n%sContent-Length: 0\r\n\r\n",
                     lines);
        sip_msg_index(text, (size_t)n, &msg);
        if (proxy_granted_s(&msg) != rows[i].granted_s)
            fail_msg("%s: %u", rows[i].fields, proxy_granted_s(&msg));
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
        cmocka_unit_test(test_cases),         cmocka_unit_test(test_call_keeps_its_entry),
        cmocka_unit_test(test_ringing),       cmocka_unit_test(test_challenge_window),
        cmocka_unit_test(test_registrations), cmocka_unit_test(test_refresh_goes_by_the_table),
        cmocka_unit_test(test_granted),       cmocka_unit_test(test_why),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
