/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Up and down by probes: when they are due, what they find, who comes back how, and who flaps.
 */
#include "tests/unit/control/health/machine_play.h"

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
    p.alone = true; /* a doubt would be before it */
    play(&p, 11200);
    assert_string_equal(reason(&p), "in doubt: 1 of 3 probes failed since 12:00:10 UTC");
    play(&p, 20000);
    assert_int_equal(p.n_changes, 1);
    assert_int_equal(p.changes[0].state, LB_DOWN);
    /* At most an interval until the probe, its time, and two more: once it is late, and at the
     * fast interval. */
    assert_in_range(p.changes[0].at_ms, 10800 + 300, 11000 + 800 + 300 + 10);
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
    assert_int_equal(p.n_changes, 2);
    assert_int_equal(p.changes[1].state, LB_DOWN);
    assert_true(p.changes[1].at_ms < 11500);
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
        machine_refused(&p.machine, &p.conf, START + 1000, START + 400, "ICMP unreachable");
    }
    assert_int_equal(p.machine.state, LB_UP);
    assert_int_equal(p.machine.failures, 0);
    machine_refused(&p.machine, &p.conf, START + 1000, START + 401, "ICMP unreachable");
    assert_int_equal(p.machine.state, LB_DOWN);
}

static void comes_back_after_rise_probes_with_a_slow_start(void **context)
{
    struct play p;
    uint32_t last = 0, steps = 0;

    (void)context;
    play_make(&p, gone_10s_to_20s);
    p.alone = true;
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
            /* With half seconds some are always well when they are asked; two seconds are enough
             * for a doubt that proves wrong, once, and for the timeouts. */
            assert_in_range(p.n_changes, i == 2 ? 0 : 1, i == 1 ? 5 : 3);
            before = p.machine.state == LB_UP ? p.n_changes : p.n_changes + 1;
            play(&p, 70000 + MACHINE_HOLD_MS + 3000); /* and it does come back */
            assert_int_equal(p.machine.state, LB_UP);
            assert_int_equal(p.n_changes, before);
        }
    }
}

/* Its traffic tells first, so it is ejected when it is found down, and while it comes back. */
static void flapping_after_an_ejection_is_damped(void **context)
{
    (void)context;
    for (uint32_t id = 0; id < 1000; id += 37) {
        struct play p;

        play_make(&p, flaps_each_second);
        machine_init(&p.machine, id, &p.conf, p.now_ms);
        play(&p, 10001);
        machine_eject(&p.machine, &p.conf, p.now_ms, 10000, "calls without any answer");
        play(&p, 70000);
        assert_in_range(p.n_changes, 1, 2); /* busy was one, too */
        play(&p, 70000 + MACHINE_HOLD_MS + 3000);
        assert_int_equal(p.machine.state, LB_UP);
    }
}

/* Neither did it flap, nor is it believed at the first word. */
static void ejected_and_down_is_back_after_some_seconds(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, gone_10s_to_20s);
    p.alone = true;
    play(&p, 10300);
    machine_eject(&p.machine, &p.conf, p.now_ms, 60000, "calls without any answer");
    play(&p, 40000);
    assert_int_equal(p.n_changes, 2);
    assert_int_equal(p.changes[0].state, LB_DOWN);
    assert_int_equal(p.changes[1].state, LB_BUSY);
    assert_in_range(p.changes[1].at_ms, 20000 + MACHINE_HOLD_EJECTED_MS,
                    20000 + MACHINE_HOLD_EJECTED_MS + 2100);
    assert_int_equal(p.machine.flaps, 1);
}

static void long_peace_forgives_flaps(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, flaps_each_second);
    play(&p, 100000);
    assert_true(p.machine.flaps >= 2);
    play(&p, 100000 + MACHINE_FLAP_MS);
    machine_refused(&p.machine, &p.conf, p.now_ms, p.now_ms, "ICMP unreachable");
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

        machine_refused(&p.machine, &p.conf, p.now_ms, p.now_ms, "ICMP unreachable");
        assert_int_equal(p.machine.state, LB_DOWN);
        down_ms = p.now_ms;
        while (p.machine.state == LB_DOWN && p.now_ms < down_ms + 100000)
            step(&p);
        assert_in_range(p.now_ms - down_ms, HOLDS[i], HOLDS[i] + 2300);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_up_and_is_probed_each_interval),
        cmocka_unit_test(silence_is_down_after_fall_probes),
        cmocka_unit_test(short_timers_find_silence_within_1500_ms),
        cmocka_unit_test(refusal_needs_no_fall),
        cmocka_unit_test(one_lost_probe_is_nothing),
        cmocka_unit_test(answers_that_came_make_older_probes_nothing),
        cmocka_unit_test(comes_back_after_rise_probes_with_a_slow_start),
        cmocka_unit_test(wake_names_each_step_of_the_slow_start),
        cmocka_unit_test(flapping_is_damped),
        cmocka_unit_test(flapping_after_an_ejection_is_damped),
        cmocka_unit_test(ejected_and_down_is_back_after_some_seconds),
        cmocka_unit_test(long_peace_forgives_flaps),
        cmocka_unit_test(hold_doubles_and_is_bounded),
        cmocka_unit_test(an_answer_that_is_not_accepted_is_a_failure),
        cmocka_unit_test(probes_switched_off_leave_nobody_out),
        cmocka_unit_test(a_shorter_interval_counts_at_once),
        cmocka_unit_test(a_slow_backend_is_not_asked_five_times_as_often),
        cmocka_unit_test(a_thousand_are_spread_over_the_interval),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
