/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One backend's observed state, in simulated time: each test says how the backend behaves at which
 * millisecond, the probes are played by the clock, and every change of state is written down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "control/health/machine.h"

enum { PENDING_MAX = 64, CHANGES_MAX = 64, START = 1000000, ID = 12345 };

enum how { WELL, GONE, REFUSES, SHEDS, SHEDS_MUTE, DRAINS, BROKEN };

struct change {
    uint64_t at_ms; /* since START */
    uint8_t state;
};

struct play {
    struct cfg_health conf;
    struct machine machine;
    enum how (*how)(uint64_t at_ms); /* since START */
    uint32_t latency_ms;
    uint64_t now_ms;
    struct {
        uint64_t sent_ms;
        enum how how;
        bool used;
    } pending[PENDING_MAX];
    uint32_t n_probes;
    struct change changes[CHANGES_MAX];
    uint32_t n_changes;
};

static struct cfg_health conf_make(void)
{
    struct cfg_health conf = {.probe = CFG_PROBE_OPTIONS,
                              .interval_ms = 1000,
                              .fast_interval_ms = 200,
                              .timeout_ms = 800,
                              .rise = 2,
                              .fall = 3,
                              .retry_after_ms = 5000};

    cfg_statuses_add(&conf.accept, 200, 499);
    cfg_statuses_add(&conf.busy, 503, 503);
    conf.drain_header = "X-Drain";
    return conf;
}

static void play_make(struct play *p, enum how (*how)(uint64_t at_ms))
{
    memset(p, 0, sizeof(*p));
    p->conf = conf_make();
    p->how = how;
    p->latency_ms = 2;
    p->now_ms = START;
    machine_init(&p->machine, ID, &p->conf, p->now_ms);
}

static struct machine_answer answer_of(enum how how, uint32_t latency_ms)
{
    struct machine_answer answer = {
        .status = 200, .retry_after_s = -1, .latency_us = latency_ms * 1000};

    if (how == SHEDS || how == SHEDS_MUTE)
        answer.status = 503;
    if (how == SHEDS)
        answer.retry_after_s = 5;
    if (how == DRAINS)
        answer.drain = true;
    if (how == BROKEN)
        answer.status = 500;
    return answer;
}

/* Plays what a pending probe meets at this millisecond; true: it is over. */
static bool settle_probe(struct play *p, uint64_t sent_ms, enum how how)
{
    uint64_t age = p->now_ms - sent_ms;
    struct machine_answer answer;

    if (how == GONE) {
        if (age < p->conf.timeout_ms)
            return false;
        machine_timed_out(&p->machine, &p->conf, p->now_ms, sent_ms);
        return true;
    }
    if (age < (how == REFUSES ? 1 : p->latency_ms))
        return false;
    answer = answer_of(how, p->latency_ms);
    if (how == REFUSES)
        machine_refused(&p->machine, &p->conf, p->now_ms, sent_ms);
    else
        machine_answered(&p->machine, &p->conf, p->now_ms, sent_ms, &answer);
    return true;
}

static void send_probe(struct play *p)
{
    for (uint32_t i = 0; i < PENDING_MAX; i++) {
        if (p->pending[i].used)
            continue;
        p->pending[i].used = true;
        p->pending[i].sent_ms = p->now_ms;
        p->pending[i].how = p->how(p->now_ms - START);
        machine_probe_sent(&p->machine, &p->conf, p->now_ms);
        p->n_probes++;
        return;
    }
    fail_msg("too many probes at once");
}

static void step(struct play *p)
{
    uint8_t before = p->machine.state;

    for (uint32_t i = 0; i < PENDING_MAX; i++) {
        if (p->pending[i].used && settle_probe(p, p->pending[i].sent_ms, p->pending[i].how))
            p->pending[i].used = false;
    }
    machine_advance(&p->machine, &p->conf, p->now_ms);
    if (machine_probe_due(&p->machine, &p->conf, p->now_ms))
        send_probe(p);
    assert_true(machine_wake_ms(&p->machine, &p->conf, p->now_ms) > p->now_ms);
    if (p->machine.state != before && p->n_changes < CHANGES_MAX)
        p->changes[p->n_changes++] = (struct change){p->now_ms - START, p->machine.state};
    p->now_ms++;
}

/* Plays until so many milliseconds since START. */
static void play(struct play *p, uint64_t until_ms)
{
    while (p->now_ms - START < until_ms)
        step(p);
}

static const char *reason(const struct play *p)
{
    static char text[MACHINE_REASON_MAX];
    /* 12:00:00 of some day at START */
    uint64_t wall = UINT64_C(20000) * 86400000 + 12 * 3600000 + (p->now_ms - START);

    machine_reason(&p->machine, &p->conf, p->now_ms, wall, text);
    return text;
}

static enum how always_well(uint64_t at_ms)
{
    (void)at_ms;
    return WELL;
}

static enum how gone_at_10s(uint64_t at_ms)
{
    return at_ms < 10000 ? WELL : GONE;
}

static enum how gone_10s_to_20s(uint64_t at_ms)
{
    return at_ms < 10000 || at_ms >= 20000 ? WELL : GONE;
}

static enum how refuses_at_10s(uint64_t at_ms)
{
    return at_ms < 10000 ? WELL : REFUSES;
}

static void stays_up_and_is_probed_each_interval(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, always_well);
    play(&p, 60000);
    assert_int_equal(p.n_changes, 0);
    assert_int_equal(p.machine.state, LB_UP);
    assert_int_equal(p.n_probes, 60);
    assert_int_equal(p.machine.latency_us, 2000);
    assert_string_equal(reason(&p), "");
    assert_int_equal(machine_weight(&p.machine, p.now_ms), MACHINE_WEIGHT_FULL); /* at the start */
}

static void silence_is_down_after_fall_probes(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, gone_at_10s);
    play(&p, 11200);
    assert_string_equal(reason(&p), "in doubt: 1 of 3 probes failed since 12:00:10 UTC");
    play(&p, 20000);
    assert_int_equal(p.n_changes, 1);
    assert_int_equal(p.changes[0].state, LB_DOWN);
    /* At most an interval until the probe, its time, and two more at the fast interval. */
    assert_in_range(p.changes[0].at_ms, 10800 + 400, 11000 + 800 + 400 + 10);
    assert_non_null(strstr(reason(&p), " probes without answer since 12:00:10 UTC"));
}

static void short_timers_find_silence_within_1500_ms(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, gone_at_10s);
    p.conf.interval_ms = 500;
    p.conf.timeout_ms = 500;
    p.conf.fast_interval_ms = 100;
    play(&p, 20000);
    assert_int_equal(p.n_changes, 1);
    assert_true(p.changes[0].at_ms < 11500);
}

static void refusal_needs_no_fall(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, refuses_at_10s);
    play(&p, 15000);
    assert_int_equal(p.n_changes, 1);
    assert_int_equal(p.changes[0].state, LB_DOWN);
    assert_true(p.changes[0].at_ms <= 11002);
    assert_string_equal(reason(&p), "refused (ICMP unreachable) since 12:00:10 UTC");
}

static void one_lost_probe_is_nothing(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, always_well);
    play(&p, 5000);
    for (int i = 0; i < 20; i++) {
        machine_timed_out(&p.machine, &p.conf, p.now_ms, p.now_ms - 1);
        machine_timed_out(&p.machine, &p.conf, p.now_ms, p.now_ms - 1);
        play(&p, p.now_ms - START + 3000);
    }
    assert_int_equal(p.n_changes, 0);
}

static void answers_that_came_make_older_probes_nothing(void **context)
{
    struct play p;
    struct machine_answer ok = answer_of(WELL, 2);

    (void)context;
    play_make(&p, always_well);
    machine_answered(&p.machine, &p.conf, START + 500, START + 400, &ok);
    for (int i = 0; i < 10; i++) {
        machine_timed_out(&p.machine, &p.conf, START + 1000, START + 200);
        machine_refused(&p.machine, &p.conf, START + 1000, START + 400);
    }
    assert_int_equal(p.machine.state, LB_UP);
    assert_int_equal(p.machine.failures, 0);
    machine_refused(&p.machine, &p.conf, START + 1000, START + 401);
    assert_int_equal(p.machine.state, LB_DOWN);
}

static void comes_back_after_rise_probes_with_a_slow_start(void **context)
{
    struct play p;
    uint32_t last = 0, steps = 0;

    (void)context;
    play_make(&p, gone_10s_to_20s);
    p.conf.slow_start_ms = 30000;
    play(&p, 20000);
    assert_int_equal(p.machine.state, LB_DOWN);
    play(&p, 21500);
    assert_int_equal(p.n_changes, 2);
    assert_int_equal(p.changes[1].state, LB_UP);
    assert_true(p.changes[1].at_ms <=
                21000 + 200 + 10); /* an interval, and rise is at the fast one */
    assert_int_equal(machine_weight(&p.machine, p.now_ms), 100);
    assert_memory_equal(reason(&p), "slow start: 10 % of its weight, all of it in ", 45);
    while (p.now_ms - START < 60000) {
        uint32_t weight = machine_weight(&p.machine, p.now_ms);

        assert_true(weight >= last);
        steps += weight != last;
        last = weight;
        step(&p);
    }
    assert_int_equal(steps, MACHINE_RAMP_STEPS);
    assert_int_equal(last, MACHINE_WEIGHT_FULL);
    assert_int_equal(p.n_changes, 2);
    assert_string_equal(reason(&p), "");
}

static void wake_names_each_step_of_the_slow_start(void **context)
{
    struct play p;
    uint64_t now = START;
    uint32_t weight;

    (void)context;
    play_make(&p, always_well);
    p.conf.probe = CFG_PROBE_NONE; /* nothing else wakes it */
    p.conf.slow_start_ms = 10007;
    machine_eject(&p.machine, &p.conf, now, 1000, "test");
    now = machine_wake_ms(&p.machine, &p.conf, now);
    assert_int_equal(now, START + 1000);
    machine_advance(&p.machine, &p.conf, now);
    assert_int_equal(p.machine.state, LB_UP);
    for (weight = 100; weight <= 1000; weight += 100) {
        assert_int_equal(machine_weight(&p.machine, now), weight);
        now = machine_wake_ms(&p.machine, &p.conf, now);
        machine_advance(&p.machine, &p.conf, now);
    }
    assert_int_equal(now, START + 1000 + 10007);
    assert_true(machine_wake_ms(&p.machine, &p.conf, now) == UINT64_MAX);
}

static enum how flaps_each_second(uint64_t at_ms)
{
    return at_ms < 10000 || at_ms >= 70000 || at_ms / 1000 % 2 == 1 ? WELL : REFUSES;
}

static enum how flaps_each_two_seconds(uint64_t at_ms)
{
    return at_ms < 10000 || at_ms >= 70000 || at_ms / 2000 % 2 == 1 ? WELL : GONE;
}

static enum how flaps_each_half_second(uint64_t at_ms)
{
    return at_ms < 10000 || at_ms >= 70000 || at_ms / 500 % 2 == 1 ? WELL : REFUSES;
}

static void flapping_is_damped(void **context)
{
    enum how (*const all[])(uint64_t) = {flaps_each_second, flaps_each_two_seconds,
                                         flaps_each_half_second};

    (void)context;
    for (uint32_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        for (uint32_t id = 0; id < 1000; id += 37) { /* probes at other moments */
            struct play p;
            uint32_t before;

            play_make(&p, all[i]);
            machine_init(&p.machine, id, &p.conf, p.now_ms);
            play(&p, 70000);
            /* With half seconds some are always well when they are asked. */
            assert_in_range(p.n_changes, i == 2 ? 0 : 1, 3);
            before = p.n_changes;
            play(&p, 70000 + MACHINE_HOLD_MS + 3000); /* and it does come back */
            assert_int_equal(p.machine.state, LB_UP);
            assert_int_equal(p.n_changes, before + before % 2);
        }
    }
}

static void long_peace_forgives_flaps(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, flaps_each_second);
    play(&p, 100000);
    assert_true(p.machine.flaps >= 2);
    play(&p, 100000 + MACHINE_FLAP_MS);
    machine_refused(&p.machine, &p.conf, p.now_ms, p.now_ms);
    assert_int_equal(p.machine.flaps, 1);
}

static void hold_doubles_and_is_bounded(void **context)
{
    static const uint64_t HOLDS[] = {0, 10000, 20000, 40000, 60000, 60000, 60000};
    struct play p;

    (void)context;
    play_make(&p, always_well);
    for (uint32_t i = 0; i < 7; i++) {
        uint64_t down_ms;

        machine_refused(&p.machine, &p.conf, p.now_ms, p.now_ms);
        assert_int_equal(p.machine.state, LB_DOWN);
        down_ms = p.now_ms;
        while (p.machine.state == LB_DOWN && p.now_ms < down_ms + 100000)
            step(&p);
        assert_in_range(p.now_ms - down_ms, HOLDS[i], HOLDS[i] + 2300);
    }
}

static enum how sheds_once_at_10s(uint64_t at_ms)
{
    return at_ms >= 10000 && at_ms < 11000 ? SHEDS : WELL;
}

static enum how sheds_10s_to_20s(uint64_t at_ms)
{
    return at_ms >= 10000 && at_ms < 20000 ? SHEDS_MUTE : WELL;
}

static void retry_after_is_honoured(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, sheds_once_at_10s);
    p.conf.slow_start_ms = 30000;
    play(&p, 12000);
    assert_int_equal(p.machine.state, LB_BUSY);
    assert_memory_equal(reason(&p), "answered 503, Retry-After 5 s; no new calls for ", 47);
    play(&p, 30000);
    assert_int_equal(p.n_changes, 2);
    assert_int_equal(p.changes[0].state, LB_BUSY);
    assert_int_equal(p.changes[1].state, LB_UP);
    assert_int_equal(p.changes[1].at_ms - p.changes[0].at_ms, 5000);
    assert_int_equal(machine_weight(&p.machine, p.now_ms), MACHINE_WEIGHT_FULL); /* it was alive */
}

static void a_busy_answer_without_retry_after_has_a_default(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, sheds_10s_to_20s);
    play(&p, 12000);
    assert_memory_equal(reason(&p), "answered 503 without Retry-After; no new calls for ", 50);
    play(&p, 40000);
    assert_int_equal(p.n_changes, 2);
    assert_in_range(p.changes[1].at_ms, 24000, 25010); /* 5 s after the last of them */
}

static void an_absurd_retry_after_is_cut(void **context)
{
    struct play p;
    struct machine_answer answer = answer_of(SHEDS, 2);

    (void)context;
    play_make(&p, always_well);
    answer.retry_after_s = INT64_MAX;
    machine_answered(&p.machine, &p.conf, p.now_ms, p.now_ms, &answer);
    assert_int_equal(p.machine.busy_until_ms, START + MACHINE_BUSY_MAX_MS);
}

static enum how drains_10s_to_20s(uint64_t at_ms)
{
    return at_ms >= 10000 && at_ms < 20000 ? DRAINS : WELL;
}

static void its_own_word_counts_until_it_is_taken_back(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, drains_10s_to_20s);
    play(&p, 15000);
    assert_string_equal(reason(&p), "asks for no new calls: X-Drain in its answer 200");
    play(&p, 30000);
    assert_int_equal(p.n_changes, 2);
    assert_int_equal(p.changes[0].state, LB_BUSY);
    assert_in_range(p.changes[0].at_ms, 10000, 11003);
    assert_int_equal(p.changes[1].state, LB_UP);
    assert_in_range(p.changes[1].at_ms, 20000, 21003);
}

static enum how sheds_then_dies(uint64_t at_ms)
{
    return at_ms < 10000 ? WELL : at_ms < 15000 ? SHEDS : at_ms < 40000 ? GONE : SHEDS;
}

static void one_that_sheds_may_die_and_come_back_shedding(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, sheds_then_dies);
    play(&p, 50000);
    assert_int_equal(p.n_changes, 3);
    assert_int_equal(p.changes[0].state, LB_BUSY);
    assert_int_equal(p.changes[1].state, LB_DOWN);
    assert_int_equal(p.changes[2].state, LB_BUSY);
}

static enum how broken_at_10s(uint64_t at_ms)
{
    return at_ms < 10000 ? WELL : BROKEN;
}

static void an_answer_that_is_not_accepted_is_a_failure(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, broken_at_10s);
    play(&p, 20000);
    assert_int_equal(p.n_changes, 1);
    assert_int_equal(p.changes[0].state, LB_DOWN);
    assert_in_range(p.changes[0].at_ms, 10400, 11410); /* two more at the fast interval */
    assert_string_equal(reason(&p), "answers probes with 500 since 12:00:10 UTC");
}

static void ejected_is_busy_and_one_lost_probe_makes_it_down(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, gone_at_10s);
    play(&p, 10100);
    machine_eject(&p.machine, &p.conf, p.now_ms, 10000, "20 requests without an answer");
    assert_int_equal(p.machine.state, LB_BUSY);
    assert_true(machine_probe_due(&p.machine, &p.conf, p.now_ms)); /* at once */
    assert_string_equal(reason(&p), "20 requests without an answer; no new calls for 10 s");
    play(&p, 10100 + 810);
    assert_int_equal(p.machine.state, LB_DOWN);
}

static void ejected_stays_out_though_it_answers_probes(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, always_well);
    play(&p, 10100);
    machine_eject(&p.machine, &p.conf, p.now_ms, 10000, "test");
    play(&p, 10100 + 9999);
    assert_int_equal(p.machine.state, LB_BUSY);
    play(&p, 10100 + 10001);
    assert_int_equal(p.machine.state, LB_UP);
    assert_int_equal(machine_weight(&p.machine, p.now_ms), 100); /* gradually, slow_start or not */
    play(&p, 10100 + 10001 + MACHINE_EJECTED_RAMP_MS);
    assert_int_equal(machine_weight(&p.machine, p.now_ms), MACHINE_WEIGHT_FULL);
}

static void a_suspect_is_probed_soon(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, refuses_at_10s);
    play(&p, 9900);
    p.machine.next_ms = p.now_ms + 900;
    play(&p, 10010);
    machine_suspect(&p.machine, &p.conf, p.now_ms, 10000, "test");
    assert_int_equal(p.machine.state, LB_UP);
    play(&p, 10220);
    assert_int_equal(p.machine.state, LB_DOWN);
    p.conf.probe = CFG_PROBE_NONE; /* who cannot be probed is ejected at once */
    machine_init(&p.machine, ID, &p.conf, p.now_ms);
    machine_suspect(&p.machine, &p.conf, p.now_ms, 10000, "test");
    assert_int_equal(p.machine.state, LB_BUSY);
}

static void probes_switched_off_leave_nobody_out(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, gone_at_10s);
    play(&p, 20000);
    assert_int_equal(p.machine.state, LB_DOWN);
    p.conf.probe = CFG_PROBE_NONE;
    machine_advance(&p.machine, &p.conf, p.now_ms);
    assert_int_equal(p.machine.state, LB_UP);
}

static void a_shorter_interval_counts_at_once(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, always_well);
    p.conf.interval_ms = 60000;
    machine_init(&p.machine, 59999, &p.conf, p.now_ms);
    p.conf.interval_ms = 500;
    machine_advance(&p.machine, &p.conf, p.now_ms);
    assert_in_range(machine_wake_ms(&p.machine, &p.conf, p.now_ms), START, START + 500);
}

static void a_slow_backend_is_not_asked_five_times_as_often(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, always_well);
    p.latency_ms = 300; /* above the fast interval */
    play(&p, 10000);
    p.n_probes = 0;
    play(&p, 70000);
    assert_in_range(p.n_probes, 59, 61);
}

static void a_thousand_are_spread_over_the_interval(void **context)
{
    struct cfg_health conf = conf_make();
    uint32_t in_slice[20] = {0};

    (void)context;
    for (uint32_t i = 0; i < 1000; i++) {
        struct machine m;

        machine_init(&m, i * 2654435761u, &conf, START + 123);
        assert_in_range(m.next_ms, START + 124, START + 1123);
        in_slice[(m.next_ms - START - 124) / 50]++;
    }
    for (uint32_t i = 0; i < 20; i++)
        assert_in_range(in_slice[i], 20, 100);
}

/* A restart of control at this moment, down_ms long. */
static void restart(struct play *p, uint64_t down_ms)
{
    struct machine_memory memory;
    const uint64_t wall = UINT64_C(1790000000000);

    machine_remember(&p->machine, p->now_ms, wall, &memory);
    memset(p->pending, 0, sizeof(p->pending));
    p->now_ms += down_ms;
    machine_inherit(&p->machine, &memory, &p->conf, p->now_ms, wall + down_ms);
}

static void a_restart_changes_no_state(void **context)
{
    enum how (*const all[])(uint64_t) = {always_well, gone_at_10s, sheds_10s_to_20s,
                                         drains_10s_to_20s, refuses_at_10s};

    (void)context;
    for (uint32_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct play p;
        uint32_t changes;
        uint8_t state;
        uint64_t since;

        play_make(&p, all[i]);
        play(&p, 15000);
        state = p.machine.state;
        since = p.machine.since_ms;
        changes = p.n_changes;
        for (int times = 0; times < 10; times++) {
            restart(&p, 50);
            assert_int_equal(p.machine.state, state);
            assert_int_equal(p.machine.since_ms, since);
            play(&p, p.now_ms - START + 350);
        }
        assert_int_equal(p.machine.state, state);
        assert_int_equal(p.n_changes, changes);
    }
}

static void a_restart_keeps_slow_start_ejection_and_flaps(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, gone_10s_to_20s);
    p.conf.slow_start_ms = 30000;
    play(&p, 31000);
    assert_int_equal(machine_weight(&p.machine, p.now_ms), 400);
    restart(&p, 3000);
    assert_int_equal(machine_weight(&p.machine, p.now_ms), 500);
    machine_eject(&p.machine, &p.conf, p.now_ms, 10000, "because");
    assert_int_equal(p.machine.flaps, 2);
    restart(&p, 1000);
    assert_int_equal(p.machine.flaps, 2);
    assert_int_equal(p.machine.state, LB_BUSY);
    assert_string_equal(reason(&p), "because; no new calls for 9 s");
    restart(&p, 9000);
    assert_int_equal(p.machine.state, LB_UP);
    assert_int_equal(machine_weight(&p.machine, p.now_ms), 100);
}

static void a_memory_that_cannot_be_does_no_harm(void **context)
{
    struct machine_memory memory;
    struct cfg_health conf = conf_make();
    struct machine m;

    (void)context;
    memset(&memory, 0xff, sizeof(memory));
    memory.down = true;
    machine_inherit(&m, &memory, &conf, START, 5000);
    assert_int_equal(m.state, LB_DOWN);
    assert_true(m.eject_until_ms <= START + MACHINE_BUSY_MAX_MS);
    assert_true(m.busy_until_ms <= START + MACHINE_BUSY_MAX_MS);
    assert_int_equal(m.since_ms, START);
    assert_int_equal(m.busy_why[MACHINE_WHY_MAX - 1], 0);
    memset(&memory, 0, sizeof(memory));
    machine_inherit(&m, &memory, &conf, START, UINT64_MAX);
    assert_int_equal(m.state, LB_UP);
}

/* No media: down, whatever probes say; and back, with a slow start. */
static void no_media(void **context)
{
    static char uri[] = "sip:echo@{backend}";
    const struct machine_answer answer = answer_of(WELL, 2);
    char text[MACHINE_REASON_MAX];
    struct machine_memory memory;
    struct cfg_health conf = conf_make();
    struct machine m, later;

    (void)context;
    conf.media.uri = uri;
    conf.slow_start_ms = 10000;
    machine_init(&m, ID, &conf, START);
    machine_answered(&m, &conf, START + 10, START, &answer);
    machine_media(&m, &conf, START + 20, true, "200, but no media came back");
    assert_int_equal(m.state, LB_DOWN);
    machine_answered(&m, &conf, START + 1000, START + 990, &answer);
    assert_int_equal(m.state, LB_DOWN);
    machine_media(&m, &conf, START + 2000, true, ""); /* a good one, of two */
    machine_reason(&m, &conf, START + 2000, START + 2000, text);
    assert_non_null(strstr(text, "signalling, but no media since"));
    assert_non_null(strstr(text, ": 200, but no media came back"));

    machine_remember(&m, START + 3000, 5000000, &memory);
    machine_inherit(&later, &memory, &conf, 77000, 5000000);
    assert_int_equal(later.state, LB_DOWN);
    assert_true(later.deaf);
    assert_string_equal(later.deaf_why, "200, but no media came back");
    conf.media.uri = NULL; /* no calls any more: nobody would find it well */
    machine_advance(&later, &conf, 77001);
    assert_int_equal(later.state, LB_UP);
    conf.media.uri = uri;

    machine_media(&m, &conf, START + 4000, false, "");
    assert_int_equal(m.state, LB_UP);
    assert_int_equal(machine_weight(&m, START + 4000), 100);
    assert_int_equal(m.flaps, 1);

    machine_media(&m, &conf, START + 5000, true, "answered 486"); /* both: until both are over */
    machine_refused(&m, &conf, START + 5100, START + 5090);
    machine_media(&m, &conf, START + 5200, false, "");
    assert_int_equal(m.state, LB_DOWN);
    assert_int_equal(m.flaps, 2);
    machine_reason(&m, &conf, START + 5200, START + 5200, text);
    assert_non_null(strstr(text, "refused"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_media),
        cmocka_unit_test(stays_up_and_is_probed_each_interval),
        cmocka_unit_test(silence_is_down_after_fall_probes),
        cmocka_unit_test(short_timers_find_silence_within_1500_ms),
        cmocka_unit_test(refusal_needs_no_fall),
        cmocka_unit_test(one_lost_probe_is_nothing),
        cmocka_unit_test(answers_that_came_make_older_probes_nothing),
        cmocka_unit_test(comes_back_after_rise_probes_with_a_slow_start),
        cmocka_unit_test(wake_names_each_step_of_the_slow_start),
        cmocka_unit_test(flapping_is_damped),
        cmocka_unit_test(long_peace_forgives_flaps),
        cmocka_unit_test(hold_doubles_and_is_bounded),
        cmocka_unit_test(retry_after_is_honoured),
        cmocka_unit_test(a_busy_answer_without_retry_after_has_a_default),
        cmocka_unit_test(an_absurd_retry_after_is_cut),
        cmocka_unit_test(its_own_word_counts_until_it_is_taken_back),
        cmocka_unit_test(one_that_sheds_may_die_and_come_back_shedding),
        cmocka_unit_test(an_answer_that_is_not_accepted_is_a_failure),
        cmocka_unit_test(ejected_is_busy_and_one_lost_probe_makes_it_down),
        cmocka_unit_test(ejected_stays_out_though_it_answers_probes),
        cmocka_unit_test(a_suspect_is_probed_soon),
        cmocka_unit_test(probes_switched_off_leave_nobody_out),
        cmocka_unit_test(a_shorter_interval_counts_at_once),
        cmocka_unit_test(a_slow_backend_is_not_asked_five_times_as_often),
        cmocka_unit_test(a_thousand_are_spread_over_the_interval),
        cmocka_unit_test(a_restart_changes_no_state),
        cmocka_unit_test(a_restart_keeps_slow_start_ejection_and_flaps),
        cmocka_unit_test(a_memory_that_cannot_be_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
