/* SPDX-License-Identifier: Apache-2.0 */
/* Several SipHashes at once on x86-64, by the widest vectors that the machine has when it runs. */
#include "dataplane/lb/siphash_x86.h"

#include "dataplane/lb/siphash_round.h"

static void hash(const struct lb_lanes *lanes, unsigned c, uint64_t *ret)
{
    siphash_vector_fn *vector = NULL;
    uint32_t width = LB_LANES, first;

    if (__builtin_cpu_supports("avx512f")) {
        vector = siphash_avx512;
        width = SIPHASH_AVX512_LANES;
    } else if (__builtin_cpu_supports("avx2")) {
        vector = siphash_avx2;
        width = SIPHASH_AVX2_LANES;
    }
    /* With most lanes of a vector empty it is slower than one by one. */
    for (first = 0; vector != NULL && 3 * (lanes->n - first) > width && first < lanes->n;
         first += width)
        vector(lanes, first, c, ret);
    siphash_lane_by_lane(lanes, first, lanes->n, c, ret);
}

void lb_siphash13_lanes(const struct lb_lanes *lanes, uint64_t ret[LB_LANES])
{
    hash(lanes, 1, ret);
}

void lb_siphash24_lanes(const struct lb_lanes *lanes, uint64_t ret[LB_LANES])
{
    hash(lanes, 2, ret);
}
