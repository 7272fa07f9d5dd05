/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passive detection in simulated time: a pool whose backends get calls at a rate and behave as each
 * test says; how long it takes until whom is taken out, and that nobody is without reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "control/health/machine.h"
#include "control/health/outlier.h"

enum { MEMBERS_MAX = 16, NEVER = 1 << 30 };

enum how { WELL, DEAD, REFUSES, NO_INVITE, FAILS, SHEDS, STALLS, RINGS };

struct pool {
    struct cfg_health conf;
    struct outlier outliers[MEMBERS_MAX];
    struct outlier_member members[MEMBERS_MAX];
    enum how how[MEMBERS_MAX];
    uint64_t out_until_ms[MEMBERS_MAX];
    uint64_t ejected_ms[MEMBERS_MAX]; /* since the start, when first; NEVER */
    uint32_t n_ejected[MEMBERS_MAX];
    uint64_t shed_ms[MEMBERS_MAX]; /* since the start, when first; NEVER */
    uint32_t n_shed[MEMBERS_MAX];
    uint32_t suspected[MEMBERS_MAX];
    uint32_t n;
    uint64_t now_ms;
    uint32_t calls_per_s; /* of each backend */
    bool in_cluster;
};

static void pool_make(struct pool *p, uint32_t n, uint32_t calls_per_s)
{
    memset(p, 0, sizeof(*p));
    p->n = n;
    p->calls_per_s = calls_per_s;
    p->now_ms = 1000000;
    p->conf = (struct cfg_health){.probe = CFG_PROBE_OPTIONS,
                                  .interval_ms = 1000,
                                  .eject_floor = 10,
                                  .eject_percent = 50,
                                  .eject_max_percent = 50,
                                  .retry_after_ms = 5000};
    cfg_statuses_add(&p->conf.busy, 503, 503);
    for (uint32_t i = 0; i < n; i++)
        p->ejected_ms[i] = p->shed_ms[i] = NEVER;
}

/* n calls of a backend in one tick: an INVITE, an ACK and a BYE each, and answers to two of them.
 */
static struct outlier_counts traffic(enum how how, uint32_t n, uint64_t at_ms)
{
    struct outlier_counts c = {.requests = 3 * n, .fresh = n, .responses = 4 * n, .finals = 2 * n};

    switch (how) {
    case WELL:
        break;
    case DEAD: /* what began is repeated, old dialogs go on */
    case REFUSES:
        c = (struct outlier_counts){.requests = 2 * n, .fresh = n};
        c.unreachable = how == REFUSES ? n : 0;
        break;
    case NO_INVITE: /* REGISTERs, as many as calls, and the BYEs of what was before */
        c = (struct outlier_counts){.requests = 6 * n, .fresh = 2 * n, .responses = n, .finals = n};
        break;
    case FAILS:
        c.errors = c.finals;
        break;
    case SHEDS: /* calls, each with an ACK; what is on goes on: as many BYEs */
        c = (struct outlier_counts){.requests = 3 * n,
                                    .fresh = n,
                                    .responses = 3 * n,
                                    .finals = 2 * n,
                                    .errors = n,
                                    .busy = n};
        break;
    case STALLS: /* for a fifth of each second */
        if (at_ms % 1000 < 200)
            c = (struct outlier_counts){.requests = 2 * n, .fresh = n};
        break;
    case RINGS: /* nobody takes the call for minutes */
        c = (struct outlier_counts){.requests = n, .fresh = n, .responses = 2 * n};
        break;
    }
    return c;
}

/* Calls that begin in the tick after at_ms, at an even rate. */
static uint32_t calls_in_tick(const struct pool *p, uint64_t at_ms)
{
    return (uint32_t)((at_ms + OUTLIER_TICK_MS) * p->calls_per_s / 1000 -
                      at_ms * p->calls_per_s / 1000);
}

static void tick(struct pool *p, uint64_t start_ms)
{
    uint32_t calls = calls_in_tick(p, p->now_ms);

    p->now_ms += OUTLIER_TICK_MS;
    for (uint32_t i = 0; i < p->n; i++) {
        struct outlier_member *m = &p->members[i];

        memset(m, 0, sizeof(*m));
        m->outlier = &p->outliers[i];
        m->out = p->now_ms < p->out_until_ms[i];
        if (!m->out)
            m->counts = traffic(p->how[i], calls, p->now_ms);
    }
    outlier_tick(p->members, p->n, &p->conf, !p->in_cluster, p->now_ms);
    for (uint32_t i = 0; i < p->n; i++) {
        const struct outlier_member *m = &p->members[i];

        p->suspected[i] += m->verdict == OUTLIER_SUSPECT;
        if (m->verdict == OUTLIER_SHED) {
            assert_string_not_equal(m->why, "");
            p->out_until_ms[i] = p->now_ms + m->for_ms;
            if (p->n_shed[i]++ == 0)
                p->shed_ms[i] = p->now_ms - start_ms;
        }
        if (m->verdict != OUTLIER_EJECT)
            continue;
        assert_true(m->for_ms > 0);
        assert_true(strlen(m->why) > 10);
        p->out_until_ms[i] = p->now_ms + m->for_ms;
        p->n_ejected[i]++;
        if (p->ejected_ms[i] == NEVER)
            p->ejected_ms[i] = p->now_ms - start_ms;
    }
}

static void play(struct pool *p, uint64_t for_ms)
{
    uint64_t start_ms = p->now_ms;

    while (p->now_ms < start_ms + for_ms)
        tick(p, start_ms);
}

static uint32_t ejections(const struct pool *p)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->n; i++)
        n += p->n_ejected[i];
    return n;
}

static void who_is_well_stays(void **context)
{
    static const enum how all[] = {WELL, RINGS, STALLS};

    (void)context;
    for (uint32_t i = 0; i < 3; i++) {
        /* At one call a second a stall would hit each of them. */
        for (uint32_t rate = all[i] == STALLS ? 49 : 1; rate < 5000; rate *= 7) {
            struct pool p;

            pool_make(&p, 4, rate);
            p.how[1] = all[i];
            play(&p, 60000);
            assert_int_equal(ejections(&p), 0);
        }
    }
}

/* 200 calls a second over four backends, one of which dies at any moment. */
static void dead_is_found_within_500_ms(void **context)
{
    (void)context;
    for (uint64_t moment = 0; moment < 2000; moment += 100) {
        struct pool p;

        pool_make(&p, 4, 50);
        play(&p, 5000 + moment);
        p.how[2] = DEAD;
        play(&p, 1000);
        /* It died up to a tick before it was seen first. */
        assert_true(p.ejected_ms[2] + OUTLIER_TICK_MS <= 500);
        assert_int_equal(ejections(&p), 1);
    }
}

static void few_calls_take_longer_but_not_for_ever(void **context)
{
    struct pool p;

    (void)context;
    pool_make(&p, 4, 2);
    play(&p, 20000);
    p.how[0] = DEAD;
    play(&p, 20000);
    assert_in_range(p.ejected_ms[0], 4000, 7000); /* ten calls */
    assert_int_equal(p.n_ejected[1] + p.n_ejected[2] + p.n_ejected[3], 0);
}

static void three_calls_repeated_are_enough(void **context)
{
    struct pool p;
    uint64_t start;
    uint32_t i;

    (void)context;
    pool_make(&p, 2, 0);
    start = p.now_ms;
    for (i = 0; i < 100 && p.members[0].verdict != OUTLIER_EJECT; i++) {
        p.now_ms += OUTLIER_TICK_MS;
        memset(p.members, 0, sizeof(p.members));
        p.members[0].outlier = &p.outliers[0];
        p.members[1].outlier = &p.outliers[1];
        p.members[0].counts = (struct outlier_counts){.requests = 1, .fresh = i < 3};
        p.members[1].counts = (struct outlier_counts){.requests = 1, .fresh = 1, .responses = 2};
        outlier_tick(p.members, 2, &p.conf, true, p.now_ms);
    }
    assert_int_equal(p.members[0].verdict, OUTLIER_EJECT);
    assert_in_range(p.now_ms - start, OUTLIER_SILENT_FEW_MS, 3100);
}

static void answers_options_but_not_invite(void **context)
{
    struct pool p;

    (void)context;
    pool_make(&p, 4, 50);
    play(&p, 20000);
    p.how[3] = NO_INVITE;
    play(&p, 20000);
    assert_true(p.ejected_ms[3] < 8000);
    assert_int_equal(ejections(&p), p.n_ejected[3]);
}

static void five_hundreds_take_out_when_the_rest_has_none(void **context)
{
    struct pool p;

    (void)context;
    pool_make(&p, 3, 20);
    play(&p, 10000);
    p.how[1] = FAILS;
    play(&p, 10000);
    assert_true(p.ejected_ms[1] < 7000);
    assert_int_equal(ejections(&p), p.n_ejected[1]);
}

/* 200 calls a second over four backends. What was well in the bucket before counts against it. */
static void who_answers_calls_with_503_sheds_soon(void **context)
{
    (void)context;
    for (uint64_t moment = 0; moment < 2000; moment += 100) {
        struct pool p;

        pool_make(&p, 4, 50);
        play(&p, 5000 + moment);
        p.how[2] = SHEDS;
        play(&p, 5000);
        assert_in_range(p.shed_ms[2], 200, 1500);
        assert_int_equal(p.n_shed[2], 1);
        p.how[2] = WELL;
        play(&p, 20000);
        assert_int_equal(p.n_shed[0] + p.n_shed[1] + p.n_shed[2] + p.n_shed[3], 1);
        assert_int_equal(ejections(&p), 0); /* it was no ejection: the next is a first one */
    }
}

static void where_503_is_no_word_for_busy_it_is_a_failure(void **context)
{
    struct pool p;

    (void)context;
    pool_make(&p, 4, 50);
    memset(&p.conf.busy, 0, sizeof(p.conf.busy));
    play(&p, 5000);
    p.how[2] = SHEDS;
    play(&p, 20000);
    assert_int_equal(p.n_shed[2], 0);
    assert_int_not_equal(p.n_ejected[2], 0);
}

static void what_all_do_is_nobody_s_fault(void **context)
{
    static const enum how all[] = {DEAD, FAILS, NO_INVITE, SHEDS};

    (void)context;
    for (uint32_t i = 0; i < 4; i++) {
        struct pool p;

        pool_make(&p, 4, 50);
        for (uint32_t j = 0; j < 4; j++)
            p.how[j] = all[i];
        play(&p, 30000);
        assert_int_equal(ejections(&p), 0);
        for (uint32_t j = 0; j < 4; j++)
            assert_int_equal(p.n_shed[j], 0);
    }
}

/* The answers of one come past another node: all of them, or only those to INVITE. */
static void what_others_hear_is_nobody_s_fault(void **context)
{
    static const enum how all[] = {DEAD, NO_INVITE, FAILS, SHEDS, REFUSES};

    (void)context;
    for (uint32_t i = 0; i < 5; i++) {
        struct pool p;

        pool_make(&p, 4, 50);
        p.in_cluster = true;
        p.how[1] = all[i];
        play(&p, 30000);
        assert_int_equal(p.n_ejected[1] > 0, all[i] == FAILS);
        assert_int_equal(p.n_shed[1] > 0, all[i] == SHEDS);
        assert_int_equal(p.suspected[1] > 0, all[i] == REFUSES);
    }
}

static void no_more_than_the_allowed_share_is_out(void **context)
{
    struct pool p;
    uint32_t out = 0;

    (void)context;
    pool_make(&p, 10, 50);
    p.conf.eject_max_percent = 30;
    for (uint32_t i = 0; i < 6; i++)
        p.how[i] = DEAD;
    p.out_until_ms[9] = NEVER; /* down already, it counts */
    for (uint32_t i = 0; i < 600; i++) {
        tick(&p, 0);
        out = 0;
        for (uint32_t j = 0; j < 10; j++)
            out += p.now_ms < p.out_until_ms[j];
        assert_true(out <= 3);
    }
    assert_int_equal(ejections(&p) > 0, true);
    pool_make(&p, 1, 50); /* the only one there is stays */
    p.how[0] = DEAD;
    play(&p, 10000);
    assert_int_equal(ejections(&p), 0);
}

static void below_the_floor_nothing_is_said(void **context)
{
    struct pool p;

    (void)context;
    pool_make(&p, 4, 50);
    p.conf.eject_floor = 100000;
    p.how[0] = DEAD;
    p.how[1] = FAILS;
    play(&p, 30000);
    assert_int_equal(ejections(&p), 0);
}

static void it_is_out_longer_each_time_and_forgiven_later(void **context)
{
    static const uint32_t TIMES_MS[] = {10000, 60000, 300000, 300000};
    struct pool p;

    (void)context;
    pool_make(&p, 4, 50);
    p.how[0] = DEAD;
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t until;

        while (p.n_ejected[0] == i)
            tick(&p, 0);
        assert_int_equal(p.out_until_ms[0] - p.now_ms, TIMES_MS[i]);
        until = p.out_until_ms[0];
        while (p.now_ms < until)
            tick(&p, 0);
    }
    p.how[0] = WELL;
    play(&p, OUTLIER_FORGET_MS + 1000);
    p.how[0] = DEAD;
    play(&p, 1000);
    assert_in_range(p.out_until_ms[0] - p.now_ms, 9000, 10000);
}

static void a_flapping_one_is_out_at_most_twice_a_minute(void **context)
{
    struct pool p;

    (void)context;
    pool_make(&p, 4, 50);
    play(&p, 10000);
    for (int second = 0; second < 60; second++) {
        p.how[0] = second % 2 == 0 ? DEAD : WELL;
        play(&p, 1000);
    }
    assert_in_range(p.n_ejected[0], 1, 2); /* out, back, out: three changes */
}

static void icmp_makes_a_suspect_or_without_probes_an_ejected_one(void **context)
{
    struct pool p;

    (void)context;
    pool_make(&p, 4, 50);
    p.conf.eject_max_percent = 0; /* a probe is allowed always */
    play(&p, 5000);
    p.how[0] = REFUSES;
    play(&p, 200);
    assert_true(p.suspected[0] > 0);
    assert_int_equal(ejections(&p), 0);
    p.conf.probe = CFG_PROBE_NONE;
    p.suspected[0] = 0;
    play(&p, 200);
    assert_int_equal(p.suspected[0], 0);
    p.conf.eject_max_percent = 50;
    play(&p, OUTLIER_TICK_MS);
    assert_int_equal(p.members[0].verdict, OUTLIER_SUSPECT);
    assert_int_equal(p.members[0].for_ms, 10000);
}

static void one_that_came_back_is_judged_anew(void **context)
{
    struct pool p;

    (void)context;
    pool_make(&p, 4, 50);
    p.how[0] = FAILS;
    play(&p, 10000);
    assert_int_equal(p.n_ejected[0], 1);
    p.how[0] = WELL;
    play(&p, 60000);
    assert_int_equal(p.n_ejected[0], 1);
}

static void a_pause_of_the_caller_is_no_error(void **context)
{
    struct pool p;

    (void)context;
    pool_make(&p, 4, 50);
    play(&p, 5000);
    p.now_ms += 3600000;
    play(&p, 5000);
    assert_int_equal(ejections(&p), 0);
    assert_in_range(p.outliers[0].sum.fresh, 240, 260); /* the hour before left nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_well_stays),
        cmocka_unit_test(dead_is_found_within_500_ms),
        cmocka_unit_test(few_calls_take_longer_but_not_for_ever),
        cmocka_unit_test(three_calls_repeated_are_enough),
        cmocka_unit_test(answers_options_but_not_invite),
        cmocka_unit_test(five_hundreds_take_out_when_the_rest_has_none),
        cmocka_unit_test(who_answers_calls_with_503_sheds_soon),
        cmocka_unit_test(where_503_is_no_word_for_busy_it_is_a_failure),
        cmocka_unit_test(what_all_do_is_nobody_s_fault),
        cmocka_unit_test(what_others_hear_is_nobody_s_fault),
        cmocka_unit_test(no_more_than_the_allowed_share_is_out),
        cmocka_unit_test(below_the_floor_nothing_is_said),
        cmocka_unit_test(it_is_out_longer_each_time_and_forgiven_later),
        cmocka_unit_test(a_flapping_one_is_out_at_most_twice_a_minute),
        cmocka_unit_test(icmp_makes_a_suspect_or_without_probes_an_ejected_one),
        cmocka_unit_test(one_that_came_back_is_judged_anew),
        cmocka_unit_test(a_pause_of_the_caller_is_no_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
