/* SPDX-License-Identifier: Apache-2.0 */
/* Each way of summing against RFC 1071's plain one: every length, every alignment, flush against a
 * page that cannot be read; carries; the longest. */
#include "tests/unit/dataplane/io/frames.h"

#include "dataplane/io/wire.h"

enum { LENGTHS = 300, LONGEST = 65535 };

/* The plain sum as sum_end gives it: in the order of memory, inverted. */
static uint16_t expected(const uint8_t *at, uint32_t length, uint32_t before)
{
    uint8_t bytes[2];
    uint16_t half;

    store16(bytes, fold(plain_sum(at, length, before)));
    memcpy(&half, bytes, sizeof(half));
    return (uint16_t)~half;
}

static void check(const struct io_sum_way *way, const uint8_t *at, uint32_t length)
{
    uint16_t got = sum_end(way->add(sum_of(0xfedc), at, length));

    if (got != expected(at, length, 0xfedc))
        fail_msg("%s: %u bytes at %p: %04x", way->name, length, (const void *)at, got);
    assert_int_equal(sum_end(io_sum_add(sum_of(0xfedc), at, length)), got);
}

static void each_length_and_alignment(const struct io_sum_way *way)
{
    uint8_t bytes[LENGTHS + 64];

    for (uint32_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 151 + (i >> 3));
    for (uint32_t length = 0; length <= LENGTHS; length++) {
        struct guard guard = guard_new(bytes, length);

        check(way, (const uint8_t *)guard.at, length);
        guard_free(&guard);
    }
    for (uint32_t start = 0; start < 64; start++)
        check(way, bytes + start, LENGTHS);
}

static void test_ways(void **state)
{
    uint32_t n;
    const struct io_sum_way *ways = io_sum_ways(&n);
    uint8_t *longest = malloc(LONGEST);

    assert_non_null(longest);
    memset(longest, 0xff, LONGEST);
    assert_true(n > 0 && ways[0].runs());
    for (uint32_t i = 0; i < n; i++) {
        print_message("%s: %s\n", ways[i].name, ways[i].runs() ? "runs here" : "not on this CPU");
        if (!ways[i].runs())
            continue;
        each_length_and_alignment(&ways[i]);
        check(&ways[i], longest, LONGEST); /* every carry there can be */
        check(&ways[i], longest, LONGEST - 1);
        longest[1000] = 0;
        check(&ways[i], longest, LONGEST);
    }
    free(longest);
}

/* RFC 1071 §3: the example's bytes. */
static void test_example(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    const uint8_t sum[] = {0xdd, 0xf2};
    uint16_t inverted = (uint16_t)~sum_end(io_sum_add(0, bytes, sizeof(bytes)));

    assert_memory_equal(&inverted, sum, sizeof(sum));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ways), cmocka_unit_test(test_example)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
