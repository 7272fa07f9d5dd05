/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls whose backend dies: whose they are then, and that none is counted for ever which nobody
 * will end any more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/dataplane/proxy/message.h"

enum { OTHER = 0, VICTIM = 1, MESSAGES_MAX = 12 };

#define C MESSAGE_CALLER
#define O "10.0.0.11:5060"
#define V "10.0.0.12:5060"
#define P "198.51.100.9:5060" /* the callee */

/* Besides messages, what happens: */
#define DIES                     \
    {                            \
        "dies", "", "", false, 0 \
    } /* VICTIM; the other one takes calls */
#define IS_BACK                  \
    {                            \
        "back", "", "", false, 0 \
    } /* VICTIM, for what it has */
#define FORGET                     \
    {                              \
        "forget", "", "", false, 0 \
    } /* the call table is lost */

struct death_case {
    const char *name;
    struct message messages[MESSAGES_MAX];
    int backend; /* whose the call is in the end */
};

static const struct death_case cases[] = {
    {"it rang: the answer does not come to the caller, who gives up",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {V, "INVITE", "v1/1", false, LB_CALL_BEGUN},
      {P, "180 INVITE", "v1/1", true, LB_CALL_BEGUN},
      {V, "180 INVITE", "1", true, LB_CALL_BEGUN},
      {P, "200 INVITE", "v1/1", true, LB_CALL_BEGUN},
      DIES,
      {P, "200 INVITE", "v1/1", true, LB_CALL_BEGUN},
      {C, "CANCEL", "1", false, LB_CALL_ENDED},
      {P, "200 INVITE", "v1/1", true, LB_CALL_ENDED}},
     VICTIM},
    {"the same with a To-tag, which a CANCEL should not have: SIPp's has",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN}, DIES, {C, "CANCEL", "1", true, LB_CALL_ENDED}},
     VICTIM},
    {"another's CANCEL says nothing",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN}, DIES, {C, "CANCEL", "2", false, LB_CALL_BEGUN}},
     VICTIM},
    {"sent again, to another backend, which then fails",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {V, "INVITE", "v1/1", false, LB_CALL_BEGUN},
      DIES,
      {C, "INVITE", "1", false, LB_CALL_BEGUN},
      {O, "INVITE", "o1/1", false, LB_CALL_BEGUN},
      {P, "200 INVITE", "v1/1", true, LB_CALL_BEGUN},
      {O, "408 INVITE", "1", true, LB_CALL_ENDED}},
     OTHER},
    {"answered by the first; the other one asks the callee still when all is over",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {V, "INVITE", "v1/1", false, LB_CALL_BEGUN},
      DIES,
      {C, "INVITE", "1", false, LB_CALL_BEGUN},
      {O, "INVITE", "o1/1", false, LB_CALL_BEGUN},
      IS_BACK,
      {V, "200 INVITE", "1", true, LB_CALL_LIVE},
      {C, "BYE", "2", true, LB_CALL_LIVE},
      {V, "200 BYE", "2", true, LB_CALL_ENDED},
      {O, "INVITE", "o1/1", false, LB_CALL_ENDED},
      {P, "200 INVITE", "o1/1", true, LB_CALL_ENDED},
      {O, "200 INVITE", "1", true, LB_CALL_ENDED}},
     OTHER},
    {"a dialog goes on at another backend, and ends there",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {V, "200 INVITE", "1", true, LB_CALL_LIVE},
      DIES,
      {C, "BYE", "2", true, LB_CALL_LIVE},
      {O, "481 BYE", "2", true, LB_CALL_ENDED}},
     VICTIM},
    {"the 2xx went past another table: the ACK to it shows that it came",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      FORGET,
      {V, "INVITE", "v1/1", false, LB_CALL_BEGUN},
      {P, "200 INVITE", "v1/1", true, LB_CALL_BEGUN},
      {V, "ACK", "v2/1", true, LB_CALL_LIVE}},
     VICTIM},
    {"a backend's own ACK is to a failure of one branch",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {V, "INVITE", "v1/1", false, LB_CALL_BEGUN},
      {P, "486 INVITE", "v1/1", true, LB_CALL_BEGUN},
      {V, "ACK", "v1", true, LB_CALL_BEGUN}},
     VICTIM},
    {"passed on, answered",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {V, "INVITE", "v1/1", false, LB_CALL_BEGUN},
      {P, "200 INVITE", "v1/1", true, LB_CALL_BEGUN},
      {V, "200 INVITE", "1", true, LB_CALL_LIVE}},
     VICTIM},
    {"passed on, challenged, passed on again",
     {{C, "INVITE", "1", false, LB_CALL_BEGUN},
      {V, "INVITE", "v1/1", false, LB_CALL_BEGUN},
      {P, "407 INVITE", "v1/1", true, LB_CALL_BEGUN},
      {V, "407 INVITE", "1", true, LB_CALL_ENDED},
      {V, "INVITE", "v1/1", false, LB_CALL_ENDED},
      {C, "INVITE", "2", false, LB_CALL_BEGUN},
      {V, "INVITE", "v2/2", false, LB_CALL_BEGUN}},
     VICTIM},
};

/* New calls come to VICTIM until it dies. */
static const struct stage_conf well = {.health = {LB_BUSY, LB_UP, LB_BUSY, LB_BUSY},
                                       .share = LB_SHARE_DIALOGS};

static void dies(struct stage *stage, enum lb_share share)
{
    struct stage_conf conf = {.health = {LB_UP, LB_DOWN, LB_BUSY, LB_BUSY}, .share = share};

    stage_reload(stage, &conf);
}

static bool happens(struct stage *stage, const struct message *m)
{
    static const struct stage_conf back = {.health = {LB_UP, LB_BUSY, LB_BUSY, LB_BUSY},
                                           .share = LB_SHARE_DIALOGS};

    if (strcmp(m->from, "dies") == 0)
        dies(stage, LB_SHARE_DIALOGS);
    else if (strcmp(m->from, "back") == 0)
        stage_reload(stage, &back);
    else if (strcmp(m->from, "forget") == 0)
        message_forget(stage);
    else
        return false;
    return true;
}

static void check_case(const struct death_case *c)
{
    struct stage *stage = stage_new(&well);
    struct proxy_why why;

    for (const struct message *m = c->messages; m < c->messages + MESSAGES_MAX && m->from; m++) {
        if (happens(stage, m))
            continue;
        message_play(stage, m, 1);
        why = message_ask(stage);
        if (!why.in_table || why.call.state != m->state)
            fail_msg("%s, after %s %s: %s", c->name, m->start, m->branch,
                     why.in_table ? lb_call_state_name(why.call.state) : "not known");
        stage->now_s++;
    }
    assert_int_equal(stage->backend_of[why.call.slot], c->backend);
    stage_free(stage);
}

static void test_cases(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_case(&cases[i]);
}

/* A backend goes on with the call of one that is down: the call is its own now. */
static void test_taken_over(void **state)
{
    static const struct message call[] = {{C, "INVITE", "1", false, 0},
                                          {V, "200 INVITE", "1", true, 0}};
    static const struct message mine[] = {{O, "INVITE", "7", true, 0}};
    struct stage *stage = stage_new(&well);

    message_play(stage, call, 2);
    message_play(stage, mine, 1);
    assert_int_equal(message_ask(stage).call_backend, VICTIM);
    dies(stage, LB_SHARE_DIALOGS);
    message_play(stage, mine, 1);
    assert_int_equal(message_ask(stage).call_backend, OTHER);
    stage_free(stage);
}

/* Dialogs are not shared, or nobody lives: what is refused at once may have been the last word. */
static void test_refused(void **state)
{
    static const struct message call[] = {{C, "INVITE", "1", false, 0},
                                          {V, "200 INVITE", "1", true, 0}};
    static const struct message invite[] = {{C, "INVITE", "1", false, 0}};
    static const struct message info = {C, "INFO", "2", true, 0}, bye = {C, "BYE", "3", true, 0},
                                cancel = {C, "CANCEL", "1", false, 0},
                                another = {C, "INVITE", "7", false, 0};
    struct stage_conf nobody = {.health = {LB_BUSY, LB_DOWN, LB_BUSY, LB_BUSY},
                                .share = LB_SHARE_DIALOGS};
    struct stage *stage = stage_new(&well);

    message_play(stage, call, 2);
    dies(stage, LB_SHARE_NONE);
    message_refused(stage, &info, PROXY_REPLY_503_NO_BACKEND);
    assert_int_equal(message_ask(stage).call.state, LB_CALL_LIVE);
    message_refused(stage, &bye, PROXY_REPLY_503_NO_BACKEND);
    assert_int_equal(message_ask(stage).call.state, LB_CALL_ENDED);
    assert_int_equal(stage->ended[stage->view.slot_of[VICTIM]], 1);
    stage_free(stage);

    stage = stage_new(&well);
    message_play(stage, invite, 1);
    stage_reload(stage, &nobody);
    message_refused(stage, &another, PROXY_REPLY_503_NO_BACKEND);
    assert_int_equal(message_ask(stage).call.state, LB_CALL_BEGUN);
    message_refused(stage, &cancel, PROXY_REPLY_503_NO_BACKEND);
    assert_int_equal(message_ask(stage).call.state, LB_CALL_ENDED);
    stage_free(stage);

    stage = stage_new(&well);
    message_play(stage, invite, 1);
    stage_reload(stage, &nobody);
    message_refused(stage, &invite[0], PROXY_REPLY_503_NO_BACKEND);
    assert_int_equal(message_ask(stage).call.state, LB_CALL_ENDED);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_taken_over),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
