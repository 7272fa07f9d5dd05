/* SPDX-License-Identifier: Apache-2.0 */
/* The Maglev table: shares by weight, few moves, the same table for the same members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/lb/maglev.h"

static const struct lb_key key = {.k0 = 0x1234, .k1 = 0x5678};

/* n members with distinct ids (an odd factor permutes) and one weight. */
static struct lb_member *members_new(uint32_t n, uint32_t weight)
{
    struct lb_member *members = calloc(n, sizeof *members);

    assert_non_null(members);
    for (uint32_t i = 0; i < n; i++)
        members[i] =
            (struct lb_member){.id = (i + 1) * 2654435761u, .weight = weight, .index = (uint16_t)i};
    return members;
}

static uint16_t *build(const struct lb_member *members, uint32_t n, uint32_t size)
{
    uint16_t *table = malloc(size * sizeof *table);

    assert_non_null(table);
    assert_int_equal(lb_maglev_build(&key, members, n, table, size), 0);
    return table;
}

/* Each member's entries against its weight's part of the table: within an entry, or one at least.
 */
static void assert_shares(const struct lb_member *members, uint32_t n)
{
    uint32_t size = lb_maglev_size(n);
    uint16_t *table = build(members, n, size);
    uint32_t *entries = calloc(n, sizeof *entries);
    double sum = 0;

    assert_non_null(entries);
    for (uint32_t i = 0; i < n; i++)
        sum += members[i].weight;
    for (uint32_t i = 0; i < size; i++) {
        assert_true(table[i] < n);
        entries[table[i]]++;
    }
    for (uint32_t i = 0; i < n; i++) {
        double expected = members[i].weight / sum * size;

        assert_true(fabs(entries[i] - expected) <= fmax(2, 0.001 * expected));
        assert_true(expected < 100 || fabs(entries[i] - expected) < 0.01 * expected);
        assert_true((entries[i] > 0) == (members[i].weight > 0));
    }
    free(entries);
    free(table);
}

static void shares_follow_weights(void **state)
{
    struct lb_member three[] = {{11, 100, 0}, {22, 50, 1}, {33, 1, 2}};
    struct lb_member zero[] = {{11, 100, 0}, {22, 0, 1}, {33, 7, 2}};
    struct lb_member extreme[] = {{11, UINT32_MAX, 0}, {22, 1, 1}, {33, UINT32_MAX - 1, 2}};

    assert_shares(three, 3);
    assert_shares(zero, 3);
    assert_shares(extreme, 3);
    assert_shares(three, 1);
    for (uint32_t n = 2; n <= 300; n += n < 10 ? 1 : 29) {
        struct lb_member *members = members_new(n, 100);

        assert_shares(members, n);
        for (uint32_t i = 0; i < n; i++)
            members[i].weight = 1 + (i * 37) % 200;
        assert_shares(members, n);
        free(members);
    }
}

/* Entries that moved between two tables though their member is in both, in parts of the table. */
static double moved(const uint16_t *a, const uint16_t *b, uint32_t size, uint32_t gone)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < size; i++)
        n += a[i] != gone && a[i] != b[i];
    return (double)n / size;
}

static void few_move_when_one_goes_or_comes(void **state)
{
    static const uint32_t counts[] = {2, 3, 5, 10, 30, 100, 163};

    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        uint32_t n = counts[c], size = lb_maglev_size(n), inherited = 0;
        struct lb_member *members = members_new(n, 100);
        uint32_t *heirs = calloc(n, sizeof *heirs);
        uint16_t *all = build(members, n, size), *rest;

        assert_non_null(heirs);
        /* One that goes and one that comes are the same two tables, read either way. */
        members[n / 2].weight = 0;
        rest = build(members, n, size);
        assert_true(moved(all, rest, size, n / 2) < 0.02);
        for (uint32_t i = 0; i < size; i++)
            if (all[i] == n / 2) {
                heirs[rest[i]]++;
                inherited++;
            }
        /* What it had is spread over all others, not given to a neighbour. */
        for (uint32_t i = 0; i < n && n <= 30; i++)
            assert_true(heirs[i] < 2.0 * inherited / (n - 1));
        free(rest);
        free(all);
        free(heirs);
        free(members);
    }
}

static void few_move_when_a_weight_changes(void **state)
{
    uint32_t n = 10, size = lb_maglev_size(n);
    struct lb_member *members = members_new(n, 100);
    uint16_t *before = build(members, n, size), *after;

    members[3].weight = 90;
    after = build(members, n, size);
    /* It must give up 0.9 % of the table. */
    assert_true(moved(before, after, size, UINT32_MAX) < 0.03);
    free(after);
    free(before);
    free(members);
}

static void order_does_not_matter(void **state)
{
    uint32_t n = 50, size = lb_maglev_size(n);
    struct lb_member *members = members_new(n, 0), *shuffled = members_new(n, 0);
    uint16_t *a, *b;

    for (uint32_t i = 0; i < n; i++)
        members[i].weight = 1 + i % 7;
    for (uint32_t i = 0; i < n; i++)
        shuffled[(i * 17 + 5) % n] = members[i];
    a = build(members, n, size);
    b = build(shuffled, n, size);
    assert_memory_equal(a, b, size * sizeof *a);
    free(b);
    free(a);
    free(shuffled);
    free(members);
}

static void key_and_ids_decide(void **state)
{
    struct lb_key other = {.k0 = key.k0 + 1, .k1 = key.k1};
    uint32_t n = 4, size = lb_maglev_size(n);
    struct lb_member *members = members_new(n, 1);
    uint16_t *a = build(members, n, size), *b = malloc(size * sizeof *b);

    assert_non_null(b);
    assert_int_equal(lb_maglev_build(&other, members, n, b, size), 0);
    /* As two independent tables: a quarter agrees by chance. */
    assert_true(moved(a, b, size, UINT32_MAX) > 0.7 && moved(a, b, size, UINT32_MAX) < 0.8);
    free(b);
    free(a);
    free(members);
}

static void nobody_to_choose(void **state)
{
    struct lb_member idle[] = {{1, 0, 0}, {2, 0, 1}};
    uint16_t table[101];

    for (uint32_t n = 0; n <= 2; n++) {
        memset(table, 0, sizeof table);
        assert_int_equal(lb_maglev_build(&key, idle, n, table, 101), 0);
        for (int i = 0; i < 101; i++)
            assert_int_equal(table[i], LB_MAGLEV_NONE);
    }
}

static void bad_input_is_refused(void **state)
{
    static const struct {
        struct lb_member members[4];
        uint32_t n, size;
    } bad[] = {
        {{{7, 1, 0}, {8, 1, 1}, {7, 1, 2}}, 3, 101},           /* one id twice */
        {{{7, 1, 0}, {8, 1, 1}, {7, 0, 2}}, 3, 101},           /* also without weight */
        {{{7, 1, 0}, {8, 1, LB_MAGLEV_NONE}}, 2, 101},         /* no index */
        {{{7, 1, 0}, {8, 1, 1}, {9, 1, 2}, {10, 1, 3}}, 4, 3}, /* too small */
        {{{7, 1, 0}}, 1, 0},
        {{{7, 1, 0}}, 1, 1},
        {{{7, 1, 0}, {8, 1, 1}}, 2, 100},      /* not prime */
        {{{7, 1, 0}}, LB_MAGLEV_NONE, 131071}, /* too many */
    };
    uint16_t table[101];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        table[0] = 4711;
        assert_int_equal(lb_maglev_build(&key, bad[i].members, bad[i].n, table, bad[i].size),
                         -EINVAL);
        assert_int_equal(table[0], 4711);
    }
}

static void sizes(void **state)
{
    uint32_t n_sizes = 0, last = 0;

    for (uint32_t n = 0; n <= 65534; n++) {
        uint32_t size = lb_maglev_size(n);

        assert_true(size >= 100 * n && size >= last);
        if (size == last)
            continue;
        n_sizes++;
        last = size;
        for (uint32_t i = 2; (uint64_t)i * i <= size; i++)
            assert_true(size % i != 0);
    }
    /* Each change of size moves nearly all entries: there must be few. */
    assert_true(n_sizes <= 6);
}

/* The work is about size · ln(size) looks at the table, so the size bounds it; the time is told. */
static void thousand_backends(void **state)
{
    uint32_t n = 1000, size = lb_maglev_size(n);
    struct lb_member *members = members_new(n, 100);
    struct timespec start, end;
    uint16_t *table;

    assert_true(size <= 131071);
    clock_gettime(CLOCK_MONOTONIC, &start);
    table = build(members, n, size);
    clock_gettime(CLOCK_MONOTONIC, &end);
    print_message("%u backends, %u entries: %.1f ms\n", n, size,
                  (double)(end.tv_sec - start.tv_sec) * 1e3 +
                      (double)(end.tv_nsec - start.tv_nsec) / 1e6);
    free(table);
    assert_shares(members, n);
    free(members);
}

static void positions_span_the_table(void **state)
{
    assert_int_equal(lb_maglev_position(0, 16381), 0);
    assert_int_equal(lb_maglev_position(UINT64_MAX, 16381), 16380);
    assert_int_equal(lb_maglev_position((uint64_t)1 << 63, 16381), 8190);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_follow_weights),
        cmocka_unit_test(few_move_when_one_goes_or_comes),
        cmocka_unit_test(few_move_when_a_weight_changes),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(key_and_ids_decide),
        cmocka_unit_test(nobody_to_choose),
        cmocka_unit_test(bad_input_is_refused),
        cmocka_unit_test(sizes),
        cmocka_unit_test(thousand_backends),
        cmocka_unit_test(positions_span_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
