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

enum { LANES_MAX = 8 };

typedef void end_lanes_fn(struct lb_siphash *const *h, uint64_t *ret);

static void compare(end_lanes_fn *end_all, size_t lanes)
{
    static struct lb_siphash hashes[LANES_MAX];
    struct lb_siphash *all[LANES_MAX], alone;
    uint64_t ends[LANES_MAX], expected[LANES_MAX];
    uint8_t data[LB_SIPHASH_HELD];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 3);
    for (size_t round = 0; round < 2 * LB_SIPHASH_HELD; round++) {
        for (size_t i = 0; i < lanes; i++) {
            if (round & 1)
                lb_siphash13_init(&hashes[i], &key);
            else
                lb_siphash24_init(&hashes[i], &key);
            lb_siphash_add(&hashes[i], data, (round / 2 + i * round) % (LB_SIPHASH_HELD + 1));
            alone = hashes[i];
            expected[i] = lb_siphash_end(&alone);
            siphash_close(&hashes[i]);
            all[i] = &hashes[i];
        }
        end_all(all, ends);
        assert_memory_equal(ends, expected, lanes * sizeof *ends);
    }
}

static void avx2(void **state)
{
    if (!__builtin_cpu_supports("avx2"))
        skip();
    compare(siphash_end_avx2, SIPHASH_AVX2_LANES);
}

static void avx512(void **state)
{
    if (!__builtin_cpu_supports("avx512f"))
        skip();
    compare(siphash_end_avx512, SIPHASH_AVX512_LANES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(avx2),
        cmocka_unit_test(avx512),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
