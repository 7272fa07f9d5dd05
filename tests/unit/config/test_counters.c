/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of the counters: sums, and layouts that another process got wrong. */
#include "tests/unit/config/sample.h"

#include "config/counters.h"

enum { BLOCKS = 3, COUNTERS = 5, SLOTS = 7, SERVICES = 4 };

static struct counters_header *layout_new(void)
{
    struct counters_header head = {.magic = COUNTERS_MAGIC,
                                   .n_blocks = BLOCKS,
                                   .n_counters = COUNTERS,
                                   .n_slots = SLOTS,
                                   .n_services = SERVICES};
    uint64_t size = counters_layout(&head);
    struct counters_header *h = aligned_alloc(64, size);

    assert_non_null(h);
    memset(h, 0, size);
    *h = head;
    for (uint32_t i = 0; i < COUNTERS; i++)
        snprintf((char *)(uintptr_t)counters_name(h, i), COUNTERS_NAME_MAX, "counter_%u", i);
    return h;
}

/* By the name's end: a name of that only, and no other that has it within or is shorter. */
static void test_time(void **state)
{
    static const struct {
        const char *name;
        bool time;
    } rows[] = {{"cycles", true}, {"busy_cycles", true},  {"ycles", false},
                {"", false},      {"cycles_lost", false}, {"motorcyclist", false}};
    struct counters_header *h = layout_new();

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        strcpy((char *)(uintptr_t)counters_name(h, 0), rows[i].name);
        assert_int_equal(counters_is_time(h, 0), rows[i].time);
    }
    free(h);
}

static void test_sums(void **state)
{
    struct counters_header *h = layout_new();

    assert_int_equal(counters_check(h, h->size), 0);
    assert_int_equal(h->block_stride % 64, 0);
    assert_int_equal(h->blocks % 64, 0);
    for (uint32_t b = 0; b < BLOCKS; b++) {
        for (uint32_t i = 0; i < COUNTERS; i++)
            counters_block(h, b)[i] = (b + 1) * 100 + i;
        for (int what = 0; what < COUNTERS_SLOT_COUNT; what++) {
            for (uint32_t i = 0; i < SLOTS; i++)
                counters_slot_block(h, b, (enum counters_slot)what)[i] =
                    (b + 1) * 1000 + (uint32_t)what * 10 + i;
        }
        for (uint32_t i = 0; i < SERVICES; i++) {
            for (uint32_t what = 0; what < COUNTERS_SERVICE_WORDS; what++)
                counters_service_block(h, b, i)[what] = (b + 1) * 10000 + what * 10 + i;
        }
    }
    for (uint32_t i = 0; i < SERVICES; i++)
        counters_service_ids(h)[i] = 0xffffffff;
    for (uint32_t i = 0; i < SLOTS; i++)
        counters_slot_ids(h)[i] = 0xffffffff;
    for (uint32_t i = 0; i < COUNTERS; i++)
        assert_int_equal(counters_sum(h, i), 600 + 3 * i);
    for (int what = 0; what < COUNTERS_SLOT_COUNT; what++) {
        for (uint32_t i = 0; i < SLOTS; i++)
            assert_int_equal(counters_slot_sum(h, i, (enum counters_slot)what),
                             6000 + 3 * ((uint32_t)what * 10 + i));
    }
    for (uint32_t i = 0; i < SERVICES; i++) {
        for (uint32_t what = 0; what < COUNTERS_SERVICE_COUNT; what++)
            assert_int_equal(counters_service_sum(h, i, (enum counters_service)what),
                             60000 + 3 * (what * 10 + i));
    }
    assert_ptr_equal(counters_service_block(h, BLOCKS - 1, SERVICES), (char *)h + h->size);
    assert_string_equal(counters_name(h, 4), "counter_4");
    assert_int_equal(counters_check(h, h->size), 0);
    free(h);
}

/* Reads all that a reader may read; ASan watches. */
static uint64_t read_all(const struct counters_header *h)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < h->n_counters; i++)
        sum += counters_sum(h, i) + strlen(counters_name(h, i));
    for (uint32_t i = 0; i < h->n_slots; i++) {
        sum += counters_slot_ids(h)[i];
        for (int what = 0; what < COUNTERS_SLOT_COUNT; what++)
            sum += counters_slot_sum(h, i, (enum counters_slot)what);
    }
    for (uint32_t i = 0; i < h->n_services; i++) {
        sum += counters_service_ids(h)[i];
        for (int what = 0; what < COUNTERS_SERVICE_COUNT; what++)
            sum += counters_service_sum(h, i, (enum counters_service)what);
    }
    return sum;
}

static void test_hostile(void **state)
{
    static const uint32_t values[] = {0, 1, 63, 64, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff};
    struct counters_header *h = layout_new();
    uint32_t *words = (uint32_t *)h, refused = 0;

    for (uint64_t i = 0; i < h->blocks / 4; i++) {
        for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
            uint32_t before = words[i];
            uint64_t size = h->size;

            words[i] = values[v];
            if (counters_check(h, size) != 0)
                refused++;
            else
                read_all(h);
            words[i] = before;
        }
    }
    assert_true(refused > 100);
    assert_int_equal(counters_check(h, h->size - 1), -EINVAL);
    assert_int_equal(counters_check(h, sizeof(*h) - 1), -EINVAL);
    memset((char *)(uintptr_t)counters_name(h, 2), 'x', COUNTERS_NAME_MAX);
    assert_int_equal(counters_check(h, h->size), -EINVAL);
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_time), cmocka_unit_test(test_sums),
                                       cmocka_unit_test(test_hostile)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
