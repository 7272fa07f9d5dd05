/* SPDX-License-Identifier: Apache-2.0 */
/* Several SipHashes at once on x86-64, by the widest vectors that the machine has when it runs. */
#include "dataplane/lb/siphash_x86.h"

#include "dataplane/lb/siphash_round.h"

enum { LANES_MAX = SIPHASH_AVX512_LANES };

typedef void end_lanes_fn(struct lb_siphash *const *h, uint64_t *ret);

/* Lanes that are left over do the last hash again. */
static void end_group(end_lanes_fn *end_lanes, uint32_t lanes, struct lb_siphash *const *hashes,
                      uint32_t n, uint64_t *ret)
{
    struct lb_siphash *group[LANES_MAX];
    uint64_t ends[LANES_MAX];

    for (uint32_t i = 0; i < lanes; i++) {
        group[i] = hashes[i < n ? i : n - 1];
        if (i < n)
            siphash_close(group[i]);
    }
    end_lanes(group, ends);
    memcpy(ret, ends, n * sizeof(*ret));
}

void lb_siphash_end_all(struct lb_siphash *const *hashes, uint32_t n, uint64_t *ret)
{
    uint32_t lanes = 1;
    end_lanes_fn *end_lanes = NULL;

    if (__builtin_cpu_supports("avx512f")) {
        lanes = SIPHASH_AVX512_LANES;
        end_lanes = siphash_end_avx512;
    } else if (__builtin_cpu_supports("avx2")) {
        lanes = SIPHASH_AVX2_LANES;
        end_lanes = siphash_end_avx2;
    }
    while (n > 0) {
        uint32_t part = n < lanes ? n : lanes;

        /* With most lanes empty they are slower than one by one. */
        if (end_lanes != NULL && 3 * part > lanes) {
            end_group(end_lanes, lanes, hashes, part, ret);
        } else {
            for (uint32_t i = 0; i < part; i++)
                ret[i] = lb_siphash_end(hashes[i]);
        }
        hashes += part;
        ret += part;
        n -= part;
    }
}
