/* SPDX-License-Identifier: Apache-2.0 */
/* A block of former calls: what is laid out passes, every field that is spoilt does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "config/heritage.h"

enum { ENTRIES = 64, SLOTS = 5 };

/* A good block with an empty table, its size in *ret_size. */
static char *make(uint64_t *ret_size)
{
    struct heritage head = {.n_slots = SLOTS, .table_size = lb_call_table_bytes(ENTRIES)};
    char *block = aligned_alloc(128, (heritage_layout(&head) + 127) / 128 * 128);

    assert_non_null(block);
    memset(block, 0, head.size);
    memcpy(block, &head, sizeof(head));
    assert_non_null(lb_call_table_init(block + head.table, ENTRIES));
    *ret_size = head.size;
    return block;
}

static void a_good_block_passes(void **context)
{
    uint64_t size;
    char *block = make(&size);
    const struct lb_call_table *table = heritage_check(block, size);

    (void)context;
    assert_non_null(table);
    assert_int_equal(lb_call_table_entries(table), ENTRIES);
    assert_true((const char *)(heritage_ids((struct heritage *)(void *)block) + SLOTS) <=
                (const char *)table);
    free(block);
}

static void another_size_is_refused(void **context)
{
    uint64_t size;
    char *block = make(&size);

    (void)context;
    assert_null(heritage_check(block, size - 1));
    assert_null(heritage_check(block, size + 1));
    assert_null(heritage_check(block, sizeof(struct heritage) - 1));
    free(block);
}

static void every_spoilt_field_is_refused(void **context)
{
    static const size_t fields[] = {
        offsetof(struct heritage, magic), offsetof(struct heritage, n_slots),
        offsetof(struct heritage, size),  offsetof(struct heritage, ids),
        offsetof(struct heritage, table), offsetof(struct heritage, table_size),
    };
    static const uint32_t values[] = {0, 1, 0x7fffffff, UINT32_MAX};

    (void)context;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
            uint64_t size;
            char *block = make(&size);

            memcpy(block + fields[i], &values[j], sizeof(values[j]));
            /* Fewer slots leave room that is not used, only where the table begins elsewhere. */
            if (fields[i] != offsetof(struct heritage, n_slots) || values[j] > SLOTS)
                assert_null(heritage_check(block, size));
            free(block);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_block_passes),
        cmocka_unit_test(another_size_is_refused),
        cmocka_unit_test(every_spoilt_field_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
