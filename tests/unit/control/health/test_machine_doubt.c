/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doubt: who is late with its last probes takes no new calls before it is known to be down, and
 * takes them again with its first answer.
 */
#include "tests/unit/control/health/machine_play.h"

static enum how gone_10s_to_11s(uint64_t at_ms)
{
    return at_ms < 10000 || at_ms >= 11000 ? WELL : GONE;
}

static enum how frozen_at_10s(uint64_t at_ms)
{
    return at_ms < 10000 ? WELL : FROZEN;
}

static enum how gone_from_the_start(uint64_t at_ms)
{
    (void)at_ms;
    return GONE;
}

static enum how silent_each_other_second(uint64_t at_ms)
{
    return at_ms < 10000 || at_ms >= 70000 || at_ms / 1000 % 2 == 1 ? WELL : GONE;
}

/* ID's own moment in each second is 345. */
static void a_silent_one_is_doubted_long_before_it_is_down(void **context)
{
    struct play p;

    (void)context;
    for (uint32_t id = 0; id < 1000; id += 7) {
        play_make(&p, gone_at_10s);
        machine_init(&p.machine, id, &p.conf, p.now_ms);
        play(&p, 20000);
        assert_int_equal(p.n_changes, 2);
        assert_int_equal(p.changes[0].state, LB_BUSY);
        assert_in_range(p.changes[0].at_ms, 10400, 11400);
        assert_int_equal(p.changes[1].state, LB_DOWN);
        /* By the probe after that, 100 ms later, in its own time. */
        assert_int_equal(p.changes[1].at_ms, p.changes[0].at_ms + 100 + 800);
        assert_int_equal(p.machine.flaps, 1);
        assert_false(p.machine.doubted_ms != 0);
    }
}

static void what_it_says(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, gone_at_10s);
    p.latency_ms = 3;
    play(&p, 10000 + 345 + 390);
    assert_string_equal(reason(&p), "");
    play(&p, 10000 + 345 + 410);
    assert_string_equal(reason(&p),
                        "in doubt: no answer to its last 3 probes, usually within 3.0 ms");
}

/* Everything is as before, at once: no slow start, no flap. */
static void an_answer_ends_it(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, frozen_at_10s);
    p.conf.slow_start_ms = 30000;
    p.thaws_ms = 10345 + 600;
    play(&p, 11000);
    assert_int_equal(p.n_changes, 2);
    assert_int_equal(p.changes[0].state, LB_BUSY);
    assert_int_equal(p.changes[0].at_ms, 10345 + 400);
    assert_int_equal(p.changes[1].state, LB_UP);
    assert_int_equal(p.changes[1].at_ms, 10345 + 600);
    assert_int_equal(machine_weight(&p.machine, p.now_ms), MACHINE_WEIGHT_FULL);
    assert_int_equal(p.machine.flaps, 0);
    assert_string_equal(reason(&p), "");
    p.n_probes = 0;
    p.how = always_well;
    play(&p, 21000);
    assert_int_equal(p.n_probes, 10);
}

/* Also one that says that it is ill. */
static void whatever_the_answer_says(void **context)
{
    const struct machine_answer sheds = answer_of(SHEDS, 2), broken = answer_of(BROKEN, 2);
    struct play p;

    (void)context;
    play_make(&p, gone_at_10s);
    play(&p, 10345 + 500);
    assert_true(p.machine.doubted_ms != 0);
    machine_answered(&p.machine, &p.conf, p.now_ms, START + 10345, &broken);
    assert_false(p.machine.doubted_ms != 0);
    assert_int_equal(p.machine.failures, 1);
    assert_int_equal(p.machine.state, LB_UP);
    play_make(&p, gone_at_10s);
    play(&p, 10345 + 500);
    machine_answered(&p.machine, &p.conf, p.now_ms, START + 10345, &sheds);
    assert_int_equal(p.machine.state, LB_BUSY);
    assert_memory_equal(reason(&p), "answered 503, ", 14);
}

/* What is usual for it is not late: four times as long is. */
static void a_slow_one_is_given_more_time(void **context)
{
    static const struct {
        uint32_t latency_ms, doubted_ms; /* after the first probe that nobody answers; 0: never */
    } rows[] = {{2, 400}, {25, 400}, {30, 120 + 200 + 120}, {100, 400 + 200 + 400}, {300, 0}};

    (void)context;
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct play p;

        play_make(&p, gone_at_10s);
        p.latency_ms = rows[i].latency_ms;
        play(&p, 20000);
        assert_int_equal(p.changes[p.n_changes - 1].state, LB_DOWN);
        assert_int_equal(p.n_changes, rows[i].doubted_ms == 0 ? 1 : 2);
        if (rows[i].doubted_ms > 0)
            assert_int_equal(p.changes[0].at_ms, 10345 + rows[i].doubted_ms);
    }
}

static void fewer_late_ones_are_nothing(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, frozen_at_10s);
    p.thaws_ms = 10345 + 399;
    play(&p, 20000);
    assert_int_equal(p.n_changes, 0);
    play_make(&p, gone_at_10s);
    p.conf.fall = 6;
    play(&p, 20000);
    assert_int_equal(p.changes[0].state, LB_BUSY);
    assert_int_equal(p.changes[0].at_ms, 10345 + 100 + 4 * 200 + 100);
    play_make(&p, gone_at_10s);
    p.conf.fall = 1;
    play(&p, 20000);
    assert_int_equal(p.changes[0].at_ms, 10345 + 100);
}

static void who_never_answered_is_not_doubted(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, gone_from_the_start);
    play(&p, 10000);
    assert_int_equal(p.n_changes, 1);
    assert_int_equal(p.changes[0].state, LB_DOWN);
}

static void probes_that_could_not_be_sent_are_none(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, always_well);
    play(&p, 10000);
    for (int i = 0; i < 20; i++) {
        p.now_ms = p.machine.next_ms;
        machine_probe_unsent(&p.machine, &p.conf, p.now_ms);
        assert_int_equal(p.machine.next_ms, p.now_ms + 1000); /* nor is there any hurry */
        assert_false(machine_may_doubt(&p.machine, p.machine.next_ms - 1));
    }
    machine_probe_sent(&p.machine, &p.conf, p.now_ms); /* two, none, two */
    machine_probe_sent(&p.machine, &p.conf, p.now_ms);
    machine_probe_unsent(&p.machine, &p.conf, p.now_ms);
    machine_probe_sent(&p.machine, &p.conf, p.now_ms);
    machine_probe_sent(&p.machine, &p.conf, p.now_ms);
    assert_false(machine_may_doubt(&p.machine, p.now_ms + 500));
    machine_probe_sent(&p.machine, &p.conf, p.now_ms);
    assert_true(machine_may_doubt(&p.machine, p.now_ms + 500));
}

static void who_is_refused_a_doubt_waits_for_the_timeouts(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, gone_at_10s);
    p.alone = true;
    play(&p, 20000);
    assert_int_equal(p.n_changes, 1);
    assert_int_equal(p.changes[0].state, LB_DOWN);
    assert_int_equal(p.changes[0].at_ms, 10345 + 300 + 800);
}

/* Once in a minute, and not soon after it was down. */
static void doubts_do_not_flap(void **context)
{
    struct play p;

    (void)context;
    for (uint32_t id = 0; id < 1000; id += 37) {
        play_make(&p, silent_each_other_second);
        machine_init(&p.machine, id, &p.conf, p.now_ms);
        play(&p, 72000);
        assert_in_range(p.n_changes, 0, 3);
        assert_int_equal(p.machine.state, LB_UP);
    }
    play_make(&p, gone_10s_to_11s);
    play(&p, 12000);
    assert_int_equal(p.n_changes, 2);
    p.how = gone_at_10s;
    play(&p, 20000); /* wronged: the timeouts are waited for */
    assert_int_equal(p.n_changes, 3);
    assert_int_equal(p.changes[2].state, LB_DOWN);
    p.how = always_well;
    play(&p, 30000 + MACHINE_FLAP_MS);
    assert_int_equal(p.changes[3].state, LB_UP);
    p.how = gone_at_10s;
    play(&p, 40000 + MACHINE_FLAP_MS); /* and that is long ago now */
    assert_int_equal(p.changes[4].state, LB_BUSY);
}

static void other_facts_stay(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, gone_at_10s);
    play(&p, 10345 + 500);
    machine_eject(&p.machine, &p.conf, p.now_ms, 10000, "because");
    assert_memory_equal(reason(&p), "because; ", 9);
    machine_refused(&p.machine, &p.conf, p.now_ms, p.now_ms, "ICMP unreachable");
    assert_int_equal(p.machine.state, LB_DOWN);
    assert_false(p.machine.doubted_ms != 0);
    play_make(&p, gone_at_10s);
    play(&p, 10345 + 500);
    p.conf.probe = CFG_PROBE_NONE;
    machine_advance(&p.machine, &p.conf, p.now_ms);
    assert_int_equal(p.machine.state, LB_UP);
}

static void a_restart_of_control_keeps_it(void **context)
{
    const struct machine_answer well = answer_of(WELL, 2);
    struct machine_memory memory;
    struct machine later;
    struct play p;

    (void)context;
    play_make(&p, gone_at_10s);
    play(&p, 10345 + 500);
    machine_remember(&p.machine, p.now_ms, 5000000, &memory);
    machine_inherit(&later, &memory, &p.conf, 77000, 5000300);
    assert_int_equal(later.state, LB_BUSY);
    p.machine = later;
    assert_string_equal(reason(&p), "in doubt since before control started");
    machine_answered(&later, &p.conf, 77500, 77400, &well);
    assert_int_equal(later.state, LB_UP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_one_is_doubted_long_before_it_is_down),
        cmocka_unit_test(what_it_says),
        cmocka_unit_test(an_answer_ends_it),
        cmocka_unit_test(whatever_the_answer_says),
        cmocka_unit_test(a_slow_one_is_given_more_time),
        cmocka_unit_test(fewer_late_ones_are_nothing),
        cmocka_unit_test(who_never_answered_is_not_doubted),
        cmocka_unit_test(probes_that_could_not_be_sent_are_none),
        cmocka_unit_test(who_is_refused_a_doubt_waits_for_the_timeouts),
        cmocka_unit_test(doubts_do_not_flap),
        cmocka_unit_test(other_facts_stay),
        cmocka_unit_test(a_restart_of_control_keeps_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
