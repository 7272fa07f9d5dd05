/* SPDX-License-Identifier: Apache-2.0 */
/* Eight SipHashes at once by AVX-512, which has the rotations that they are made of. */
#include <immintrin.h>

#include "dataplane/lb/siphash_x86.h"

enum { WIDTH = SIPHASH_AVX512_LANES };

typedef uint64_t vector __attribute__((vector_size(8 * WIDTH)));
typedef __mmask8 some;

static inline some first_ones(uint32_t n)
{
    return (some)(n < WIDTH ? (1u << n) - 1 : UINT8_MAX);
}

static inline some more_than(vector n, uint64_t than)
{
    return _mm512_cmpgt_epu64_mask((__m512i)n, _mm512_set1_epi64((int64_t)than));
}

static inline bool are_any(some which)
{
    return which != 0;
}

static inline vector choose(some which, vector yes, vector no)
{
    return (vector)_mm512_mask_blend_epi64(which, (__m512i)no, (__m512i)yes);
}

static inline vector load(some which, const uint64_t *at)
{
    return (vector)_mm512_maskz_loadu_epi64(which, at);
}

static inline vector gather(some which, vector addresses)
{
    return (vector)_mm512_mask_i64gather_epi64(_mm512_setzero_si512(), which, (__m512i)addresses,
                                               NULL, 1);
}

#include "dataplane/lb/siphash_lanes.h"

void siphash_avx512(const struct lb_lanes *lanes, uint32_t first, unsigned c, uint64_t *ret)
{
    hash_lanes(lanes, first, c, ret);
}
