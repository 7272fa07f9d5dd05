/* SPDX-License-Identifier: Apache-2.0 */
/* Several SipHashes at once on x86-64, by the widest vectors that the machine has when it runs. */
#include <stdbool.h>

#include "dataplane/lb/siphash_lanes.h"

enum { LANES_WORTH = 3 }; /* fewer hashes are as fast one by one */

__attribute__((target("avx512f"))) void siphash_end_avx512(struct lb_siphash *const h[LANES],
                                                           uint64_t ret[LANES])
{
    siphash_end_lanes(h, ret);
}

__attribute__((target("avx2"))) void siphash_end_avx2(struct lb_siphash *const h[LANES],
                                                      uint64_t ret[LANES])
{
    siphash_end_lanes(h, ret);
}

static void end_one_by_one(struct lb_siphash *const *hashes, uint32_t n, uint64_t *ret)
{
    for (uint32_t i = 0; i < n; i++)
        ret[i] = lb_siphash_end(hashes[i]);
}

/* Lanes that are left over do the last hash again. */
static void end_group(struct lb_siphash *const *hashes, uint32_t n, uint64_t *ret, bool avx512)
{
    struct lb_siphash *group[LANES];
    uint64_t ended[LANES];

    for (uint32_t i = 0; i < LANES; i++) {
        group[i] = hashes[i < n ? i : n - 1];
        if (i < n)
            siphash_close(group[i]);
    }
    if (avx512)
        siphash_end_avx512(group, ended);
    else
        siphash_end_avx2(group, ended);
    memcpy(ret, ended, n * sizeof(*ret));
}

void lb_siphash_end_all(struct lb_siphash *const *hashes, uint32_t n, uint64_t *ret)
{
    bool avx512 = __builtin_cpu_supports("avx512f");

    if (n < LANES_WORTH || !__builtin_cpu_supports("avx2")) {
        end_one_by_one(hashes, n, ret);
        return;
    }
    for (uint32_t at = 0; at < n; at += LANES)
        end_group(hashes + at, n - at < LANES ? n - at : LANES, ret + at, avx512);
}
