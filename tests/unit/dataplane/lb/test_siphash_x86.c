/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors of x86-64 that this machine would not choose, too, against one hash at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/lb/siphash_round.h"
#include "dataplane/lb/siphash_x86.h"

static const struct lb_key key = {.k0 = 0x0706050403020100u, .k1 = 0x0f0e0d0c0b0a0908u};

enum { TEXT = 8 + 40 };

static uint32_t some_number(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % below;
}

/* Any lanes; those behind the last point nowhere. */
static void fill(struct lb_lanes *lanes, uint32_t *random, const char *text)
{
    uint32_t n = 1 + some_number(random, LB_LANES);

    memset(lanes, 0xa5, sizeof *lanes);
    lb_lanes_init(lanes, some_number(random, LB_LANE_TEXTS + 1));
    for (uint32_t lane = 0; lane < n; lane++) {
        struct lb_key own = {key.k0 + lane, key.k1};

        lb_lanes_add(lanes, &own, some_number(random, LB_LANE_WORDS + 1));
        for (uint32_t i = 0; i < LB_LANE_WORDS; i++)
            lanes->words[i][lane] = some_number(random, UINT32_MAX) * 0x123456789abcdu;
        for (uint32_t i = 0; i < lanes->n_texts; i++)
            lb_lanes_put_text(lanes, lane, i, text, some_number(random, 41));
    }
}

static void compare(siphash_vector_fn *vector, uint32_t width)
{
    char data[TEXT];
    uint64_t ends[LB_LANES], expected[LB_LANES];
    struct lb_lanes lanes;
    uint32_t random = 1;

    for (int i = 0; i < TEXT; i++)
        data[i] = (char)(i * 3);
    for (uint32_t round = 0; round < 2000; round++) {
        unsigned c = 1 + round % 2;

        fill(&lanes, &random, data + 8);
        siphash_lane_by_lane(&lanes, 0, lanes.n, c, expected);
        for (uint32_t first = 0; first < lanes.n; first += width)
            vector(&lanes, first, c, ends);
        assert_memory_equal(ends, expected, lanes.n * sizeof *ends);
    }
}

static void avx2(void **state)
{
    if (!__builtin_cpu_supports("avx2"))
        skip();
    compare(siphash_avx2, SIPHASH_AVX2_LANES);
}

static void avx512(void **state)
{
    if (!__builtin_cpu_supports("avx512f"))
        skip();
    compare(siphash_avx512, SIPHASH_AVX512_LANES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(avx2),
        cmocka_unit_test(avx512),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
