/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets the next probe call, and who gets none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "control/health/media_turn.h"

enum { N = 4, NOW = 100000 };

static char uri[] = "sip:echo@{backend}";
static struct cfg_health many = {
    .media = {.uri = uri, .interval_ms = 30000, .fast_interval_ms = 5000, .max = 3}};
static struct cfg_health one = {
    .media = {.uri = uri, .interval_ms = 30000, .fast_interval_ms = 5000, .max = 1}};

/* The first waits the shortest time. */
static void make(struct watch all[N], struct watches *ret)
{
    for (uint32_t i = 0; i < N; i++)
        all[i] = (struct watch){.id = i,
                                .conf = i == 3 ? &one : &many,
                                .offered = true,
                                .media = {.known = true, .next_ms = NOW - 10 * i}};
    *ret = (struct watches){.all = all, .n = N};
}

static void longest_first(void **context)
{
    static const int64_t order[] = {3, 2, 1, -1};
    struct watch all[N];
    struct watches watches;

    (void)context;
    make(all, &watches);
    for (uint32_t live = 0; live < 4; live++) { /* three, and one waits for room */
        struct watch *w = media_turn_next(&watches, live, NOW);

        assert_int_equal(w == NULL ? -1 : (int64_t)w->id, order[live]);
        if (w != NULL)
            media_track_begun(&w->media);
    }
    assert_int_equal(media_turn_next(&watches, 2, NOW)->id, 0);
    assert_null(media_turn_next(&watches, 0, NOW - 1)); /* not due, or on */
}

/* A pool that allows one call begins none while another pool's is on. */
static void max_is_over_all(void **context)
{
    struct watch all[N];
    struct watches watches;

    (void)context;
    make(all, &watches);
    assert_int_equal(media_turn_next(&watches, 1, NOW)->id, 2);
    assert_int_equal(media_turn_next(&watches, 0, NOW)->id, 3);
}

static void of_no_use(void **context)
{
    struct watch all[N];
    struct watches watches;

    (void)context;
    make(all, &watches);
    all[3].offered = false;
    all[2].machine.down = true;
    all[1].machine.shedding = true;
    all[0].machine.deaf = true; /* how else would it come back */
    assert_int_equal(media_turn_next(&watches, 0, NOW)->id, 0);
    for (uint32_t i = 1; i < N; i++)
        assert_int_equal(all[i].media.next_ms, NOW + 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(longest_first),
        cmocka_unit_test(max_is_over_all),
        cmocka_unit_test(of_no_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
