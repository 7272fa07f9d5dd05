/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Races in the call table, each one made to happen: the source is compiled in here with a swap that
 * first, or afterwards, does what another thread would have done just then. Threads meet these
 * interleavings too seldom for a test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

/* Each runs once, at the next swap; swaps of its own are not disturbed. */
static void (*before_swap)(void);
static void (*after_swap)(void);

static void run_once(void (**hook)(void))
{
    void (*other_thread)(void) = *hook;

    *hook = NULL;
    if (other_thread != NULL)
        other_thread();
}

static bool then_run_after(bool swapped)
{
    run_once(&after_swap);
    return swapped;
}

#undef atomic_compare_exchange_strong
#define atomic_compare_exchange_strong(p, expected, to)                              \
    (run_once(&before_swap), then_run_after(atomic_compare_exchange_strong_explicit( \
                                 p, expected, to, memory_order_seq_cst, memory_order_seq_cst)))

#include "dataplane/lb/call_table.c"

enum { SLOTS = 16, T0 = 1000000, OURS = 1, THEIRS = 2 };

static _Alignas(128) uint8_t memory[256];
static struct lb_call_table *table;
static uint64_t started[SLOTS], ended[SLOTS];
static struct lb_call_counts counts = {{started}, {ended}, SLOTS};

static uint64_t hash_of(uint32_t i)
{
    return (uint64_t)(i + 1) << 24;
}

static struct lb_call put(uint32_t i, uint16_t slot, enum lb_call_state state, uint32_t now_s)
{
    struct lb_call call;

    lb_call_put(table, hash_of(i), slot, state, i, now_s, &counts, &call);
    return call;
}

static void drop(uint32_t i)
{
    struct lb_call call;

    assert_true(lb_call_find(table, hash_of(i), T0, &call));
    assert_true(lb_call_change(table, &call, LB_CALL_FREE, T0, &counts));
}

static int setup(void **state)
{
    memset(memory, 0, sizeof memory);
    memset(started, 0, sizeof started);
    memset(ended, 0, sizeof ended);
    before_swap = after_swap = NULL;
    table = lb_call_table_init(memory, 8);
    return table == NULL;
}

/* Hash 7 has one entry, of that slot; the balance of every slot is its entries. */
static void assert_one_entry(uint16_t slot)
{
    uint32_t used[SLOTS] = {0};
    struct lb_call call;

    assert_true(lb_call_find(table, hash_of(7), T0, &call));
    assert_int_equal(call.slot, slot);
    lb_call_sweep(table, 0, 8, T0, &counts, used, SLOTS);
    assert_int_equal(used[OURS] + used[THEIRS], 1);
    for (int i = 0; i < SLOTS; i++)
        assert_int_equal(started[i] - ended[i], used[i]);
}

static void they_put_it_below(void)
{
    drop(0);
    assert_int_equal(put(7, THEIRS, LB_CALL_LIVE, T0).position, 0);
}

/* Both inserted, they below us: ours goes, and we are told theirs. */
static void inserted_twice_theirs_lower(void **state)
{
    struct lb_call call;

    put(0, 9, LB_CALL_LIVE, T0);
    before_swap = they_put_it_below;
    call = put(7, OURS, LB_CALL_LIVE, T0);
    assert_int_equal(call.slot, THEIRS);
    assert_int_equal(call.position, 0);
    assert_int_equal(started[OURS], 1);
    assert_one_entry(THEIRS);
}

static void they_put_it_above(void)
{
    put(0, 9, LB_CALL_LIVE, T0);
    assert_int_equal(put(7, THEIRS, LB_CALL_LIVE, T0).position, 1);
    drop(0);
}

/* Both inserted, we below them, who looked before we were there: theirs goes. */
static void inserted_twice_ours_lower(void **state)
{
    struct lb_call call;

    before_swap = they_put_it_above;
    call = put(7, OURS, LB_CALL_LIVE, T0);
    assert_int_equal(call.slot, OURS);
    assert_int_equal(call.position, 0);
    assert_int_equal(started[THEIRS], 1);
    assert_int_equal(ended[THEIRS], 1);
    assert_one_entry(OURS);
}

static void they_put_it(void)
{
    put(7, THEIRS, LB_CALL_BEGUN, T0);
}

/* In the same way, they first: ours was never there. */
static void inserted_there_first(void **state)
{
    struct lb_call call;

    before_swap = they_put_it;
    call = put(7, OURS, LB_CALL_LIVE, T0);
    assert_int_equal(call.slot, THEIRS);
    assert_int_equal(call.state, LB_CALL_BEGUN);
    assert_int_equal(started[OURS], 0);
    assert_one_entry(THEIRS);
}

static void they_put_another(void)
{
    put(3, 9, LB_CALL_LIVE, T0);
}

static void another_took_the_way(void **state)
{
    struct lb_call call, other;

    before_swap = they_put_another;
    call = put(7, OURS, LB_CALL_LIVE, T0);
    assert_int_equal(call.slot, OURS);
    assert_int_equal(call.position, 1);
    assert_true(lb_call_find(table, hash_of(3), T0, &other));
    assert_int_equal(other.position, 0);
    assert_one_entry(OURS);
}

static void they_drop_it(void)
{
    drop(7);
}

/* It is dropped as soon as it is there: the put tries again. */
static void dropped_at_once(void **state)
{
    after_swap = they_drop_it;
    assert_int_equal(put(7, OURS, LB_CALL_LIVE, T0).slot, OURS);
    assert_int_equal(started[OURS], 2);
    assert_one_entry(OURS);
}

/* Both see a BYE: one of them ends the call. */
static void they_end_it(void)
{
    struct lb_call call;

    assert_true(lb_call_find(table, hash_of(7), T0, &call));
    assert_true(lb_call_change(table, &call, LB_CALL_ENDED, T0, &counts));
}

static void ended_by_two(void **state)
{
    struct lb_call call = put(7, OURS, LB_CALL_LIVE, T0);

    before_swap = they_end_it;
    assert_false(lb_call_change(table, &call, LB_CALL_ENDED, T0, &counts));
    assert_int_equal(ended[OURS], 1);
}

static void they_sweep(void)
{
    lb_call_sweep(table, 0, 8, T0, &counts, NULL, 0);
}

/* The age of what an entry was before is never taken for its own, however short it then may live.
 */
static void swept_while_it_changes(void **state)
{
    struct lb_call call = put(7, OURS, LB_CALL_LIVE, T0 - 3600), found;

    after_swap = they_sweep;
    assert_true(lb_call_change(table, &call, LB_CALL_ENDED, T0, &counts));
    assert_true(lb_call_find(table, hash_of(7), T0, &found));
    for (uint32_t i = 0; i < 8; i++)
        put(20 + i, 9, LB_CALL_LIVE, T0 - 3600);
    after_swap = they_sweep;
    put(30, OURS, LB_CALL_OTHER, T0);
    assert_true(lb_call_find(table, hash_of(30), T0, &found));
}

static void they_see_it(void)
{
    put(7, THEIRS, LB_CALL_LIVE, T0);
}

/* It is due, but comes alive between look and swap: it stays, and counts as used. */
static void alive_again_under_the_sweep(void **state)
{
    uint32_t used[SLOTS] = {0};

    put(7, OURS, LB_CALL_LIVE, T0 - LB_CALL_LIVE_S - 1);
    before_swap = they_see_it;
    lb_call_sweep(table, 0, 8, T0, &counts, used, SLOTS);
    assert_int_equal(used[OURS], 0);
    assert_int_equal(used[THEIRS], 1);
    assert_one_entry(THEIRS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(inserted_twice_theirs_lower, setup),
        cmocka_unit_test_setup(inserted_twice_ours_lower, setup),
        cmocka_unit_test_setup(inserted_there_first, setup),
        cmocka_unit_test_setup(another_took_the_way, setup),
        cmocka_unit_test_setup(dropped_at_once, setup),
        cmocka_unit_test_setup(ended_by_two, setup),
        cmocka_unit_test_setup(swept_while_it_changes, setup),
        cmocka_unit_test_setup(alive_again_under_the_sweep, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
