/* SPDX-License-Identifier: Apache-2.0 */
/* Eight SipHashes at once by AVX-512, which has the rotations that they are made of. */
#include <immintrin.h>

#include "dataplane/lb/siphash_x86.h"

enum { LANES = SIPHASH_AVX512_LANES };

typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));

static inline lanes gather(struct lb_siphash *const h[LANES], size_t offset)
{
    return (lanes)_mm512_i64gather_epi64(_mm512_loadu_si512(h), (const void *)offset, 1);
}

#include "dataplane/lb/siphash_lanes.h"

void siphash_end_avx512(struct lb_siphash *const *h, uint64_t *ret)
{
    end_lanes(h, ret);
}
