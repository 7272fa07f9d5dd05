/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams from fragments: tables of pieces in any order, repeated, overlapping, missing and
 * impossible; the largest datagram; what a flood can take; and random cuts against a plain model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/io/reassembly.h"
#include "tests/unit/guard.h"

static const struct lb_key KEY = {1, 2};
static uint8_t datagram[IO_DATAGRAM_MAX], joined[IO_DATAGRAM_MAX];

static struct io_reassembly_key key_of(uint32_t source, uint32_t id)
{
    struct io_reassembly_key key = {.id = id, .src_mac = {2, 0, 0, 0, 0, 1}};
    uint8_t src[4] = {10, (uint8_t)(source >> 16), (uint8_t)(source >> 8), (uint8_t)source};
    uint8_t dst[4] = {192, 0, 2, 10};

    key.src = sip_ip_from_v4(src);
    key.dst = sip_ip_from_v4(dst);
    return key;
}

static struct io_reassembly *table_new(uint32_t n_entries, uint32_t n_blocks)
{
    struct io_reassembly *table = io_reassembly_new(n_entries, n_blocks, &KEY);

    assert_non_null(table);
    return table;
}

static int setup(void **state)
{
    for (uint32_t i = 0; i < sizeof(datagram); i++)
        datagram[i] = (uint8_t)(i * 7 + i / 251);
    return 0;
}

/* A piece of `datagram`, flush against a page that cannot be read. */
static uint32_t add_at(struct io_reassembly *table, const struct io_reassembly_key *key,
                       uint32_t offset, uint32_t length, bool more, uint32_t now_s)
{
    uint32_t there = offset + length <= sizeof(datagram) ? length : 0;
    struct guard guard = guard_new(datagram + (there > 0 ? offset : 0), there);
    struct io_piece piece = {offset, length, more, (const uint8_t *)guard.at};
    uint32_t result = io_reassembly_add(table, key, &piece, now_s, joined);

    guard_free(&guard);
    return result;
}

static void assert_joined(uint32_t result, uint32_t length)
{
    assert_int_equal(result, length);
    assert_memory_equal(joined, datagram, length);
}

/* ---- Tables of pieces ---- */

enum step_kind { LAST, MORE, OTHER }; /* OTHER: MORE, with bytes unlike the datagram's */

struct step {
    uint32_t offset, length;
    enum step_kind kind;
};

enum { STEPS_MAX = 8 };

static const struct {
    const char *what;
    struct step steps[STEPS_MAX];
    uint32_t result; /* of the last step; the ones before give 0 */
    struct io_reassembly_counts counts;
    uint32_t waiting;
} rows[] = {
    {"in order",
     {{0, 1480, MORE}, {1480, 1480, MORE}, {2960, 40, LAST}},
     3000,
     {.joined = 3, .datagrams = 1},
     0},
    {"the last first",
     {{2960, 40, LAST}, {1480, 1480, MORE}, {0, 1480, MORE}},
     3000,
     {.joined = 3, .datagrams = 1},
     0},
    {"the middle last, an odd end",
     {{2960, 37, LAST}, {0, 1480, MORE}, {1480, 1480, MORE}},
     2997,
     {.joined = 3, .datagrams = 1},
     0},
    {"the smallest pieces",
     {{0, 8, MORE}, {8, 8, MORE}, {16, 1, LAST}},
     17,
     {.joined = 3, .datagrams = 1},
     0},
    {"one piece that is all", {{0, 100, LAST}}, 100, {.joined = 1, .datagrams = 1}, 0},
    {"across blocks",
     {{2040, 2064, MORE}, {4104, 4, LAST}, {0, 2040, MORE}},
     4108,
     {.joined = 3, .datagrams = 1},
     0},
    {"the largest",
     {{0, 32768, MORE}, {32768, 32767, LAST}},
     65535,
     {.joined = 2, .datagrams = 1},
     0},
    {"no first", {{8, 8, MORE}, {16, 8, LAST}}, 0, {0}, 2},
    {"no last", {{0, 8, MORE}, {8, 8, MORE}}, 0, {0}, 2},
    {"a hole", {{0, 8, MORE}, {16, 8, LAST}}, 0, {0}, 2},
    {"repeated",
     {{0, 16, MORE}, {0, 16, MORE}, {16, 4, LAST}},
     20,
     {.joined = 2, .repeated = 1, .datagrams = 1},
     0},
    {"the last repeated",
     {{16, 4, LAST}, {16, 4, LAST}, {0, 16, MORE}},
     20,
     {.joined = 2, .repeated = 1, .datagrams = 1},
     0},
    {"a part of a piece repeated",
     {{0, 32, MORE}, {8, 8, MORE}, {32, 8, LAST}},
     40,
     {.joined = 2, .repeated = 1, .datagrams = 1},
     0},
    {"the same place, other bytes",
     {{0, 16, MORE}, {0, 16, OTHER}, {16, 4, LAST}},
     0,
     {.overlapped = 3},
     0},
    {"overlap by a unit", {{0, 16, MORE}, {8, 16, MORE}, {24, 8, LAST}}, 0, {.overlapped = 3}, 0},
    {"overlap across a hole",
     {{0, 8, MORE}, {16, 8, MORE}, {0, 24, MORE}},
     0,
     {.overlapped = 3},
     0},
    {"two ends, the second before", {{16, 8, LAST}, {8, 8, LAST}}, 0, {.overlapped = 2}, 0},
    {"two ends, the second behind", {{16, 8, LAST}, {24, 8, LAST}}, 0, {.overlapped = 2}, 0},
    {"beyond the end", {{16, 8, LAST}, {24, 8, MORE}}, 0, {.overlapped = 2}, 0},
    {"at the end, and not the last", {{16, 8, LAST}, {16, 8, MORE}}, 0, {.overlapped = 2}, 0},
    {"an end before what is there", {{24, 8, MORE}, {8, 8, LAST}}, 0, {.overlapped = 2}, 0},
    {"all of it again, after an overlap",
     {{0, 16, MORE}, {8, 16, MORE}, {0, 16, MORE}, {16, 4, LAST}},
     0,
     {.overlapped = 4},
     0},
    {"empty", {{8, 0, MORE}}, 0, {.invalid = 1}, 0},
    {"empty and last", {{8, 0, LAST}}, 0, {.invalid = 1}, 0},
    {"not in units of 8", {{0, 12, MORE}}, 0, {.invalid = 1}, 0},
    {"offset not in units of 8", {{4, 8, MORE}}, 0, {.invalid = 1}, 0},
    {"past 65,535", {{65528, 8, LAST}}, 0, {.invalid = 1}, 0},
    {"far past 65,535", {{65528, 1480, LAST}}, 0, {.invalid = 1}, 0},
    {"to 65,535", {{65528, 7, LAST}}, 0, {0}, 1},
};

static uint32_t step_add(struct io_reassembly *table, const struct step *step)
{
    static const uint8_t other[64] = {0xee, 0xee};
    struct io_reassembly_key key = key_of(1, 7);
    struct io_piece piece = {step->offset, step->length, step->kind != LAST, other};

    if (step->kind == OTHER)
        return io_reassembly_add(table, &key, &piece, 100, joined);
    return add_at(table, &key, step->offset, step->length, step->kind != LAST, 100);
}

static void test_pieces(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct io_reassembly *table = table_new(IO_REASSEMBLY_WAYS, IO_REASSEMBLY_BLOCKS_MIN);
        struct io_reassembly_counts counts;
        uint32_t result = 0;

        for (uint32_t j = 0; j < STEPS_MAX && (j == 0 || rows[i].steps[j].length > 0); j++) {
            if (result != 0)
                fail_msg("%s: complete before step %u", rows[i].what, j);
            result = step_add(table, &rows[i].steps[j]);
        }
        counts = io_reassembly_take_counts(table);
        if (result != rows[i].result || io_reassembly_waiting(table) != rows[i].waiting ||
            memcmp(&counts, &rows[i].counts, sizeof(counts)) != 0)
            fail_msg("%s: gave %u, %u wait", rows[i].what, result, io_reassembly_waiting(table));
        if (result > 0)
            assert_memory_equal(joined, datagram, result);
        io_reassembly_free(table);
    }
}

/* ---- Who meets whom ---- */

/* Pieces that differ in any part of the key are of other datagrams. */
static void test_keys(void **state)
{
    struct io_reassembly *table = table_new(1024, 64);
    struct io_reassembly_key keys[7];

    for (uint32_t i = 0; i < 7; i++)
        keys[i] = key_of(1, 7);
    keys[1].id = 8;
    keys[2].src.bytes[15]++;
    keys[3].dst.bytes[15]++;
    keys[4].src_mac[5]++;
    keys[5].port++;
    keys[6].id = 0x10007; /* IPv6's 32 bits count */
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(add_at(table, &keys[i], 0, 16, true, 1), 0);
    assert_int_equal(io_reassembly_waiting(table), 7);
    for (uint32_t i = 0; i < 7; i++)
        assert_joined(add_at(table, &keys[i], 16, 5 + i, false, 1), 21 + i);
    assert_int_equal(io_reassembly_waiting(table), 0);
    io_reassembly_free(table);
}

/* ---- Bounds ---- */

static void test_timeout(void **state)
{
    struct io_reassembly *table = table_new(1024, 64);
    struct io_reassembly_key early = key_of(1, 1), late = key_of(2, 1);
    struct io_reassembly_counts counts;

    add_at(table, &early, 0, 8, true, 0xffffffff); /* seconds may wrap */
    add_at(table, &early, 8, 8, true, 0);
    add_at(table, &late, 0, 8, true, 1);
    io_reassembly_expire(table, IO_REASSEMBLY_S - 2);
    assert_int_equal(io_reassembly_waiting(table), 3);
    io_reassembly_expire(table, IO_REASSEMBLY_S - 1);
    assert_int_equal(io_reassembly_waiting(table), 1);
    assert_int_equal(add_at(table, &early, 16, 8, false, IO_REASSEMBLY_S - 1), 0);
    assert_joined(add_at(table, &late, 8, 8, false, IO_REASSEMBLY_S - 1), 16);
    io_reassembly_expire(table, 1000);
    counts = io_reassembly_take_counts(table);
    assert_int_equal(counts.expired, 3);
    assert_int_equal(counts.joined, 2);
    assert_int_equal(io_reassembly_waiting(table), 0);
    io_reassembly_free(table);
}

/* One source's flood evicts its own: another's datagram outlives it, since they are in two sets. */
static void test_flood_of_one(void **state)
{
    struct io_reassembly *table = table_new(1024, 4096);
    struct io_reassembly_key mine = key_of(77, 1);
    struct io_reassembly_counts counts;

    add_at(table, &mine, 0, 16, true, 1);
    for (uint32_t id = 0; id < 100000; id++) {
        struct io_reassembly_key key = key_of(1, id);

        add_at(table, &key, 8, 8, true, 1);
    }
    assert_int_equal(io_reassembly_waiting(table), 1 + IO_REASSEMBLY_WAYS);
    assert_joined(add_at(table, &mine, 16, 8, false, 1), 24);
    counts = io_reassembly_take_counts(table);
    assert_int_equal(counts.evicted, 100000 - IO_REASSEMBLY_WAYS);
    io_reassembly_free(table);
}

/* Whatever comes, blocks suffice for the newest: the oldest give theirs. Then all is free again. */
static void test_flood_of_bytes(void **state)
{
    struct io_reassembly *table = table_new(1024, IO_REASSEMBLY_BLOCKS_MIN);
    struct io_reassembly_key key;
    struct io_reassembly_counts counts;
    uint64_t given = 0;

    for (uint32_t source = 0; source < 500; source++) {
        key = key_of(source, source);
        for (uint32_t at = 0; at < 60000; at += 7400, given++)
            add_at(table, &key, at, 8, true, 1);
    }
    key = key_of(9999, 1);
    for (uint32_t at = 0; at < 65000; at += 1000)
        add_at(table, &key, at, 1000, true, 1);
    assert_joined(add_at(table, &key, 65000, 535, false, 1), 65535);
    counts = io_reassembly_take_counts(table);
    assert_int_equal(counts.evicted + io_reassembly_waiting(table), given);
    io_reassembly_expire(table, 100);
    assert_int_equal(io_reassembly_waiting(table), 0);
    /* No block was lost on the way. */
    add_at(table, &key, 0, 32768, true, 100);
    assert_joined(add_at(table, &key, 32768, 32767, false, 100), 65535);
    assert_int_equal(io_reassembly_take_counts(table).evicted, 0);
    io_reassembly_free(table);
}

/* Datagrams that were given up are remembered, but no longer than the others. */
static void test_abandoned(void **state)
{
    struct io_reassembly *table = table_new(IO_REASSEMBLY_WAYS, IO_REASSEMBLY_BLOCKS_MIN);
    struct io_reassembly_key key = key_of(1, 1);

    add_at(table, &key, 0, 16, true, 1);
    add_at(table, &key, 8, 16, true, 1);
    io_reassembly_expire(table, 1 + IO_REASSEMBLY_S);
    add_at(table, &key, 0, 16, true, 5);
    assert_joined(add_at(table, &key, 16, 16, false, 5), 32);
    io_reassembly_free(table);
}

/* ---- Random ---- */

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Datagrams of any length, cut anywhere, shuffled and repeated: each comes out once and whole. */
static void test_random(void **state)
{
    struct io_reassembly *table = table_new(1024, 4096);
    struct {
        uint32_t offset, length;
    } cuts[512];
    struct io_reassembly_counts counts;
    uint32_t seed = 1;

    for (uint32_t round = 0; round < 300; round++) {
        struct io_reassembly_key key = key_of(round % 5, round);
        uint32_t total = 9 + next_random(&seed) % (IO_DATAGRAM_MAX - 8), n = 0, whole = 0;

        for (uint32_t at = 0; at < total; at += cuts[n++].length) {
            uint32_t length = 8 * (16 + next_random(&seed) % 400);

            cuts[n].offset = at;
            cuts[n].length = length < total - at ? length : total - at;
        }
        for (uint32_t i = n - 1; i > 0; i--) {
            uint32_t j = next_random(&seed) % (i + 1), offset = cuts[i].offset,
                     length = cuts[i].length;

            cuts[i] = cuts[j];
            cuts[j].offset = offset;
            cuts[j].length = length;
        }
        for (uint32_t i = 0; i < n; i++) {
            bool more = cuts[i].offset + cuts[i].length < total;
            uint32_t result = add_at(table, &key, cuts[i].offset, cuts[i].length, more, 1);

            assert_int_equal(result, i + 1 < n ? 0 : total);
            if (i + 1 < n && next_random(&seed) % 4 == 0)
                assert_int_equal(add_at(table, &key, cuts[i].offset, cuts[i].length, more, 1), 0);
            whole += result;
        }
        assert_joined(whole, total);
    }
    counts = io_reassembly_take_counts(table);
    assert_int_equal(counts.datagrams, 300);
    assert_int_equal(counts.evicted + counts.overlapped + counts.invalid, 0);
    assert_int_equal(io_reassembly_waiting(table), 0);
    io_reassembly_free(table);
}

/* Pieces of no sense at all: every one is counted once, and the table is usable after. */
static void test_garbage(void **state)
{
    struct io_reassembly *table = table_new(64, 40);
    struct io_reassembly_counts counts;
    uint32_t seed = 2, given = 0;

    for (; given < 200000; given++) {
        struct io_reassembly_key key = key_of(next_random(&seed) % 100, next_random(&seed) % 3);
        uint32_t offset = 8 * (next_random(&seed) % 8200), length = next_random(&seed) % 1600;
        struct io_piece piece = {offset, length, next_random(&seed) % 8 != 0,
                                 datagram + next_random(&seed) % 1000};

        io_reassembly_add(table, &key, &piece, given / 10000, joined);
        if (given % 64 == 0)
            io_reassembly_expire(table, given / 10000);
    }
    counts = io_reassembly_take_counts(table);
    assert_int_equal(counts.joined + counts.repeated + counts.overlapped + counts.invalid +
                         counts.expired + counts.evicted + io_reassembly_waiting(table),
                     given);
    io_reassembly_expire(table, 1000);
    assert_int_equal(io_reassembly_waiting(table), 0);
    struct io_reassembly_key key = key_of(1, 1);
    add_at(table, &key, 0, 32768, true, 1000);
    assert_joined(add_at(table, &key, 32768, 32767, false, 1000), 65535);
    io_reassembly_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),         cmocka_unit_test(test_keys),
        cmocka_unit_test(test_timeout),        cmocka_unit_test(test_flood_of_one),
        cmocka_unit_test(test_flood_of_bytes), cmocka_unit_test(test_abandoned),
        cmocka_unit_test(test_random),         cmocka_unit_test(test_garbage),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
