/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a backend survives a restart of control, and what was written does no harm.
 */
#include "tests/unit/control/health/machine_play.h"

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
    memory.down = memory.doubted = true; /* a bool's byte is 0 or 1 */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_changes_no_state),
        cmocka_unit_test(a_restart_keeps_slow_start_ejection_and_flaps),
        cmocka_unit_test(a_memory_that_cannot_be_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
