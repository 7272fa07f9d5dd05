/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a backend that left is forgotten: never while calls or messages of it are counted, never by
 * counts of another epoch, always when its time is over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "control/linger.h"

enum { ID = 99, SLOT = 3, EPOCH = 5, LINGER_S = 1000, LEFT_S = 5000 };

static struct counters_header *counters_make(void)
{
    struct counters_header layout = {
        .magic = COUNTERS_MAGIC, .n_blocks = 2, .epoch = EPOCH, .n_counters = 1, .n_slots = 8};
    struct counters_header *counters = aligned_alloc(64, counters_layout(&layout));

    assert_non_null(counters);
    memset(counters, 0, layout.size);
    *counters = layout;
    counters_slot_ids(counters)[SLOT] = ID;
    return counters;
}

static void add(struct counters_header *counters, enum counters_slot what)
{
    counters_slot_block(counters, 1, what)[SLOT]++;
}

/* One lingering backend, and what was last known about it. */
struct scene {
    struct state state;
    struct state_backend backend;
    struct linger linger;
    struct counters_header *counters;
};

static void scene_make(struct scene *s)
{
    memset(s, 0, sizeof(*s));
    s->backend =
        (struct state_backend){.id = ID, .lingering = true, .left_s = LEFT_S, .epoch = EPOCH};
    s->state.backends = &s->backend;
    s->state.n_backends = 1;
    s->counters = counters_make();
}

static void scene_done(struct scene *s)
{
    linger_done(&s->linger);
    free(s->counters);
}

static uint32_t at(struct scene *s, const struct counters_header *counters, uint64_t mono_s)
{
    return linger_pick(&s->linger, &s->state, LINGER_S * 1000, counters, LEFT_S + 1, mono_s);
}

static void idle_backend_is_forgotten_after_a_while(void **context)
{
    struct scene s;

    (void)context;
    scene_make(&s);
    assert_int_equal(at(&s, s.counters, 100), 0);
    assert_int_equal(at(&s, s.counters, 100 + LINGER_IDLE_S - 1), 0);
    assert_int_equal(at(&s, s.counters, 100 + LINGER_IDLE_S), ID);
    scene_done(&s);
}

static void calls_and_messages_keep_it(void **context)
{
    struct scene s;

    (void)context;
    scene_make(&s);
    add(s.counters, COUNTERS_SLOT_STARTED);
    for (uint64_t now = 100; now < 1000; now += 50)
        assert_int_equal(at(&s, s.counters, now), 0);
    add(s.counters, COUNTERS_SLOT_ENDED);
    add(s.counters, COUNTERS_SLOT_ENDED); /* one too many: no underflow to "many calls" */
    assert_int_equal(at(&s, s.counters, 1000), 0);
    add(s.counters, COUNTERS_SLOT_RESPONSES);
    assert_int_equal(at(&s, s.counters, 1040), 0);
    add(s.counters, COUNTERS_SLOT_REQUESTS);
    assert_int_equal(at(&s, s.counters, 1080), 0);
    assert_int_equal(at(&s, s.counters, 1080 + LINGER_IDLE_S - 1), 0);
    assert_int_equal(at(&s, s.counters, 1080 + LINGER_IDLE_S), ID);
    scene_done(&s);
}

static void only_time_ends_what_was_not_counted(void **context)
{
    struct scene s;

    (void)context;
    scene_make(&s);
    for (uint64_t now = 0; now < 500; now += 50) /* no data plane */
        assert_int_equal(at(&s, NULL, now), 0);
    s.counters->epoch = EPOCH + 1; /* it restarted meanwhile */
    for (uint64_t now = 500; now < 1000; now += 50)
        assert_int_equal(at(&s, s.counters, now), 0);
    s.counters->epoch = 0;
    s.backend.epoch = 0; /* it left before any was seen */
    assert_int_equal(at(&s, s.counters, 1100), 0);
    counters_slot_ids(s.counters)[SLOT] = 0; /* it has no slot */
    s.counters->epoch = s.backend.epoch = EPOCH;
    assert_int_equal(at(&s, s.counters, 1200), 0);
    assert_int_equal(
        linger_pick(&s.linger, &s.state, LINGER_S * 1000, NULL, LEFT_S + LINGER_S, 1300), ID);
    scene_done(&s);
}

static void one_that_returned_and_left_again_begins_anew(void **context)
{
    struct scene s;

    (void)context;
    scene_make(&s);
    assert_int_equal(at(&s, s.counters, 100), 0);
    s.backend.lingering = false;
    assert_int_equal(at(&s, s.counters, 130), 0);
    s.backend.lingering = true;
    assert_int_equal(at(&s, s.counters, 140), 0);
    assert_int_equal(at(&s, s.counters, 100 + LINGER_IDLE_S), 0);
    assert_int_equal(at(&s, s.counters, 140 + LINGER_IDLE_S), ID);
    scene_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_backend_is_forgotten_after_a_while),
        cmocka_unit_test(calls_and_messages_keep_it),
        cmocka_unit_test(only_time_ends_what_was_not_counted),
        cmocka_unit_test(one_that_returned_and_left_again_begins_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
