/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heap against a plain array that is looked through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "control/health/heap.h"

enum { ITEMS = 300, STEPS = 100000 };

static void agrees_with_an_array(void **context)
{
    uint64_t when[ITEMS];
    struct heap heap = {0};
    uint32_t room = 1;

    (void)context;
    srandom(1);
    assert_int_equal(heap_reserve(&heap, room), 0);
    for (uint32_t i = 0; i < ITEMS; i++)
        when[i] = UINT64_MAX;
    for (uint32_t i = 0; i < STEPS; i++) {
        uint32_t item = (uint32_t)random() % room, first;
        uint64_t least = UINT64_MAX, first_when;

        when[item] = random() % 4 == 0 ? UINT64_MAX : (uint64_t)random() % 1000;
        heap_set(&heap, item, when[item]);
        for (uint32_t j = 0; j < room; j++)
            least = when[j] < least ? when[j] : least;
        assert_int_equal(heap_first(&heap, &first, &first_when), least != UINT64_MAX);
        if (least != UINT64_MAX) {
            assert_int_equal(first_when, least);
            assert_int_equal(when[first], least);
        }
        if (i % 300 == 299 && room < ITEMS)
            assert_int_equal(heap_reserve(&heap, ++room), 0);
    }
    heap_done(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_an_array),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
