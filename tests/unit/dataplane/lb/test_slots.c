/* SPDX-License-Identifier: Apache-2.0 */
/* Slots: kept while the id is there, reused only after a whole sweep that saw none of its entries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/lb/slots.h"

static void sweep(struct lb_slots *slots, const uint32_t *used)
{
    lb_slots_sweep_begin(slots);
    lb_slots_sweep_end(slots, used);
}

static void ids_keep_their_slots(void **state)
{
    static const uint32_t first[] = {70, 0, 90}, second[] = {90, 5, 70, 0};
    struct lb_slots *slots = lb_slots_new(8);
    uint16_t before[3], after[4];

    assert_non_null(slots);
    assert_int_equal(lb_slots_assign(slots, first, 3, before), 0);
    for (int i = 0; i < 3; i++) {
        assert_true(before[i] < 8);
        assert_int_equal(slots->ids[before[i]], first[i]);
        assert_int_equal(slots->use[before[i]], LB_SLOT_USED);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(before[i], before[j]);
    }
    assert_int_equal(lb_slots_assign(slots, second, 4, after), 0);
    assert_int_equal(after[0], before[2]);
    assert_int_equal(after[2], before[0]);
    assert_int_equal(after[3], before[1]);
    for (int i = 0; i < 3; i++)
        assert_int_not_equal(after[1], before[i]);
    lb_slots_free(slots);
}

static void slot_is_reused_after_a_clean_sweep_only(void **state)
{
    static const uint32_t a[] = {1, 2}, b[] = {2}, c[] = {2, 3};
    uint32_t used[2] = {0, 0};
    struct lb_slots *slots = lb_slots_new(2);
    uint16_t got[2], again[2];

    assert_non_null(slots);
    assert_int_equal(lb_slots_assign(slots, a, 2, got), 0);
    lb_slots_sweep_begin(slots);
    assert_int_equal(lb_slots_assign(slots, b, 1, again), 0);
    assert_int_equal(slots->use[got[0]], LB_SLOT_RETIRED);
    /* That sweep began before id 1 left: it proves nothing. */
    lb_slots_sweep_end(slots, used);
    assert_int_equal(lb_slots_assign(slots, c, 2, again), -ENOSPC);
    /* A whole one, which found an entry. */
    used[got[0]] = 1;
    sweep(slots, used);
    assert_int_equal(slots->use[got[0]], LB_SLOT_RETIRED);
    assert_int_equal(lb_slots_assign(slots, c, 2, again), -ENOSPC);
    used[got[0]] = 0;
    sweep(slots, used);
    assert_int_equal(slots->use[got[0]], LB_SLOT_FREE);
    assert_int_equal(slots->use[got[1]], LB_SLOT_USED);
    assert_int_equal(lb_slots_assign(slots, c, 2, again), 0);
    assert_int_equal(again[0], got[1]);
    assert_int_equal(again[1], got[0]);
    lb_slots_free(slots);
}

static void id_that_returns_gets_its_slot_back(void **state)
{
    static const uint32_t a[] = {1, 2}, b[] = {2};
    static const uint32_t none[4] = {0};
    uint16_t got[2], again[2];

    /* In RETIRED, in SWEEPING. */
    for (int when = 0; when < 2; when++) {
        struct lb_slots *slots = lb_slots_new(4);

        assert_non_null(slots);
        assert_int_equal(lb_slots_assign(slots, a, 2, got), 0);
        assert_int_equal(lb_slots_assign(slots, b, 1, again), 0);
        if (when == 1)
            lb_slots_sweep_begin(slots);
        assert_int_equal(lb_slots_assign(slots, a, 2, again), 0);
        assert_memory_equal(again, got, sizeof got);
        lb_slots_sweep_end(slots, none);
        assert_int_equal(slots->use[got[0]], LB_SLOT_USED);
        lb_slots_free(slots);
    }
}

static void no_space_changes_nothing(void **state)
{
    static const uint32_t a[] = {1, 2, 3}, b[] = {4, 5, 1};
    struct lb_slots *slots = lb_slots_new(4);
    uint32_t ids[4];
    uint8_t use[4];
    uint16_t got[3], untouched[3] = {77, 78, 79};

    assert_non_null(slots);
    assert_int_equal(lb_slots_assign(slots, a, 3, got), 0);
    memcpy(ids, slots->ids, sizeof ids);
    memcpy(use, slots->use, sizeof use);
    assert_int_equal(lb_slots_assign(slots, b, 3, untouched), -ENOSPC);
    assert_memory_equal(slots->ids, ids, sizeof ids);
    assert_memory_equal(slots->use, use, sizeof use);
    assert_int_equal(untouched[0], 77);
    assert_int_equal(untouched[2], 79);
    assert_int_equal(lb_slots_assign(slots, a, 3, untouched), 0);
    assert_memory_equal(untouched, got, sizeof got);
    lb_slots_free(slots);
}

/* Every slot there is in use, half of the ids replaced each time. */
static void many_ids(void **state)
{
    static uint32_t ids[LB_SLOTS_MAX], used[LB_SLOTS_MAX];
    static uint16_t before[LB_SLOTS_MAX], after[LB_SLOTS_MAX];
    struct lb_slots *slots = lb_slots_new(LB_SLOTS_MAX);
    uint32_t half = LB_SLOTS_MAX / 2;

    assert_non_null(slots);
    /* Ids that only differ in their high bits, which a plain mask would pile up. */
    for (uint32_t i = 0; i < LB_SLOTS_MAX; i++)
        ids[i] = i << 16;
    assert_int_equal(lb_slots_assign(slots, ids, LB_SLOTS_MAX, before), 0);
    assert_int_equal(lb_slots_assign(slots, ids, half, after), 0);
    sweep(slots, used);
    for (uint32_t i = half; i < LB_SLOTS_MAX; i++)
        ids[i] |= 1;
    assert_int_equal(lb_slots_assign(slots, ids, LB_SLOTS_MAX, after), 0);
    assert_memory_equal(after, before, half * sizeof *after);
    for (uint32_t i = 0; i < LB_SLOTS_MAX; i++) {
        assert_int_equal(slots->ids[after[i]], ids[i]);
        used[after[i]]++;
    }
    for (uint32_t i = 0; i < LB_SLOTS_MAX; i++)
        assert_int_equal(used[i], 1);
    lb_slots_free(slots);
}

static void bounds(void **state)
{
    struct lb_slots *slots = lb_slots_new(0);
    uint16_t got = 5;
    uint32_t id = 9;

    assert_null(lb_slots_new(LB_SLOTS_MAX + 1));
    assert_non_null(slots);
    assert_int_equal(lb_slots_assign(slots, &id, 1, &got), -ENOSPC);
    assert_int_equal(lb_slots_assign(slots, NULL, 0, NULL), 0);
    lb_slots_free(slots);
    lb_slots_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_keep_their_slots),
        cmocka_unit_test(slot_is_reused_after_a_clean_sweep_only),
        cmocka_unit_test(id_that_returns_gets_its_slot_back),
        cmocka_unit_test(no_space_changes_nothing),
        cmocka_unit_test(many_ids),
        cmocka_unit_test(bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
