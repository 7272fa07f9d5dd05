/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health as a whole: real probes to sockets on loopback, a data plane that only speaks, and what
 * snapshots it is offered.
 */
#include "tests/unit/control/health/health_scene.h"

#include <string.h>

static void all_is_well_and_nothing_is_offered_for_it(void **context)
{
    struct scene s;
    uint32_t offers;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    offers = s.fake.n_offers;
    run(&s, 500);
    assert_int_equal(s.fake.n_offers, offers);
    for (uint32_t i = 0; i < BACKENDS; i++) {
        assert_true(s.backends[i].n_probes >= 5);
        assert_int_equal(offered(&s, i)->state, LB_UP);
        assert_int_equal(view(&s, i).state, LB_UP);
        assert_string_equal(view(&s, i).reason, "");
        assert_true(view(&s, i).latency_us > 0);
    }
    scene_done(&s);
}

static void a_pool_without_health_is_not_probed(void **context)
{
    struct health_view nothing;
    struct scene s;

    (void)context;
    scene_make(&s, NULL);
    see(&s);
    assert_int_equal(s.backends[0].n_probes, 0);
    assert_false(health_of(s.health, s.backends[0].id, &nothing));
    scene_done(&s);
}

static void a_dead_one_is_down_and_comes_back_slowly(void **context)
{
    struct scene s;
    uint32_t weight = 0, steps = 0;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    close_backend(&s.backends[1]);
    assert_true(until_state(&s, 1, LB_DOWN) < 1000);
    assert_int_equal(offered(&s, 1)->health, LB_DOWN);
    assert_int_equal(offered(&s, 0)->state, LB_UP);
    assert_memory_equal(view(&s, 1).reason, "refused (ICMP unreachable) since ", 33);
    open_backend(&s, &s.backends[1]);
    until_state(&s, 1, LB_UP);
    assert_int_equal(offered(&s, 1)->weight, 10); /* of 100 */
    for (int i = 0; i < 600 && offered(&s, 1)->weight < 100; i++) {
        assert_true(offered(&s, 1)->weight >= weight);
        steps += offered(&s, 1)->weight != weight;
        weight = offered(&s, 1)->weight;
        run(&s, 5);
    }
    assert_int_equal(offered(&s, 1)->weight, 100);
    assert_true(steps >= 3);
    scene_done(&s);
}

static void a_silent_one_is_down(void **context)
{
    struct scene s;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    s.backends[2].status = NULL;
    assert_true(until_state(&s, 2, LB_BUSY) < 1000); /* first nobody new is sent there */
    assert_memory_equal(view(&s, 2).reason, "in doubt: no answer to its last ", 32);
    assert_true(until_state(&s, 2, LB_DOWN) < 1500);
    assert_non_null(strstr(view(&s, 2).reason, "without answer since"));
    scene_done(&s);
}

/* When all of them are late, it is hardly their fault, and nobody would be left. */
static void no_more_than_half_are_doubted(void **context)
{
    uint32_t n_busy = 0, n_down = 0;
    struct scene s;

    (void)context;
    scene_make(&s, "{interval: 100ms, fast_interval: 50ms, timeout: 800ms}");
    see(&s);
    for (uint32_t i = 0; i < BACKENDS; i++)
        s.backends[i].status = NULL;
    for (int round = 0; round < 60; round++) {
        run(&s, 10);
        n_busy = n_down = 0;
        for (uint32_t i = 0; i < BACKENDS; i++) {
            n_busy += view(&s, i).state == LB_BUSY;
            n_down += view(&s, i).state == LB_DOWN;
        }
        assert_true(n_busy <= BACKENDS / 2);
        assert_int_equal(n_down, 0);
    }
    assert_int_equal(n_busy, BACKENDS / 2);
    scene_done(&s);
}

static void one_that_sheds_is_busy(void **context)
{
    struct scene s;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    s.backends[0].status = "503 Overloaded";
    s.backends[0].more = "Retry-After: 2\r\n";
    s.backends[1].more = "X-Drain: please\r\n";
    until_state(&s, 0, LB_BUSY);
    until_state(&s, 1, LB_BUSY);
    assert_memory_equal(view(&s, 0).reason, "answered 503, Retry-After 2 s; ", 31);
    assert_string_equal(view(&s, 1).reason, "asks for no new calls: X-Drain in its answer 200");
    s.backends[0].status = "200 OK";
    s.backends[0].more = s.backends[1].more = "";
    assert_true(until_state(&s, 1, LB_UP) < 1000);
    assert_int_equal(offered(&s, 0)->state, LB_BUSY);
    assert_in_range(until_state(&s, 0, LB_UP), 700, 3000);
    assert_int_equal(offered(&s, 0)->weight, 100);
    scene_done(&s);
}

static void a_restart_of_control_offers_no_other_state(void **context)
{
    struct scene s;
    uint32_t offers;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    close_backend(&s.backends[1]);
    until_state(&s, 1, LB_DOWN);
    run(&s, HEALTH_SAVE_MS + 100);
    for (int i = 0; i < 3; i++) {
        stop_control(&s);
        offers = s.fake.n_offers;
        start_control(&s);
        fake_until(&s.fake, &s.ready, 1);
        assert_int_equal(s.fake.n_offers, offers + 1); /* and that has it down already */
        assert_int_equal(offered(&s, 1)->state, LB_DOWN);
        run(&s, 300);
        assert_int_equal(offered(&s, 1)->state, LB_DOWN);
        assert_int_equal(offered(&s, 0)->state, LB_UP);
    }
    open_backend(&s, &s.backends[1]);
    until_state(&s, 1, LB_UP);
    scene_done(&s);
}

static void what_is_known_stays_over_reloads_and_goes_with_the_backend(void **context)
{
    struct health_view nothing;
    struct scene s;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    close_backend(&s.backends[0]);
    until_state(&s, 0, LB_DOWN);
    configure(&s, BACKENDS - 1, HEALTH); /* the last one lingers, and is probed still */
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    assert_int_equal(offered(&s, 0)->state, LB_DOWN);
    assert_int_equal(offered(&s, BACKENDS - 1)->state, LB_DRAINING);
    close_backend(&s.backends[BACKENDS - 1]);
    until_state(&s, BACKENDS - 1, LB_DOWN);
    configure(&s, BACKENDS - 1, NULL);
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    run(&s, 300);
    assert_false(health_of(s.health, s.backends[0].id, &nothing));
    until_state(&s, 0, LB_UP);
    scene_done(&s);
}

static void without_the_data_plane_nobody_is_blamed(void **context)
{
    struct scene s;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    fake_stop(&s.fake);
    while (link_hello(reload_link(s.reload)) != NULL)
        run(&s, 5);
    for (uint32_t i = 0; i < BACKENDS; i++)
        s.backends[i].status = NULL;
    run(&s, 1500);
    for (uint32_t i = 0; i < BACKENDS; i++)
        assert_int_equal(view(&s, i).state, LB_UP);
    scene_done(&s);
}

/* n calls for a backend, answered or not, as the data plane counts them. */
static void traffic(struct scene *s, uint32_t i, uint32_t n, bool answered)
{
    struct counters_header *c = s->fake.counters;
    uint32_t slot = SLOT_FIRST + i;

    counters_slot_block(c, 1, COUNTERS_SLOT_REQUESTS)[slot] += 3 * n;
    counters_slot_block(c, 1, COUNTERS_SLOT_NEW)[slot] += n;
    if (!answered)
        return;
    counters_slot_block(c, 2, COUNTERS_SLOT_RESPONSES)[slot] += 4 * n;
    counters_slot_block(c, 2, COUNTERS_SLOT_FINALS)[slot] += 2 * n;
}

static void traffic_takes_out_who_answers_probes_but_no_calls(void **context)
{
    struct scene s;
    uint64_t before;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    for (int round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < BACKENDS; i++)
            traffic(&s, i, 3, true);
        run(&s, 50);
    }
    before = loop_now_us();
    for (int round = 0; round < 60 && offered(&s, 3)->state == LB_UP; round++) {
        for (uint32_t i = 0; i < BACKENDS; i++)
            traffic(&s, i, 3, i != 3);
        run(&s, 50);
    }
    assert_int_equal(offered(&s, 3)->state, LB_BUSY);
    print_message("found after %u ms\n", (unsigned)((loop_now_us() - before) / 1000));
    assert_non_null(strstr(view(&s, 3).reason, "without any answer"));
    assert_true(s.backends[3].n_probes > 10);
    scene_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_well_and_nothing_is_offered_for_it),
        cmocka_unit_test(a_pool_without_health_is_not_probed),
        cmocka_unit_test(a_dead_one_is_down_and_comes_back_slowly),
        cmocka_unit_test(a_silent_one_is_down),
        cmocka_unit_test(no_more_than_half_are_doubted),
        cmocka_unit_test(one_that_sheds_is_busy),
        cmocka_unit_test(a_restart_of_control_offers_no_other_state),
        cmocka_unit_test(what_is_known_stays_over_reloads_and_goes_with_the_backend),
        cmocka_unit_test(without_the_data_plane_nobody_is_blamed),
        cmocka_unit_test(traffic_takes_out_who_answers_probes_but_no_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
