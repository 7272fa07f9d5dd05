/* SPDX-License-Identifier: Apache-2.0 */
/* Four SipHashes at once by AVX2. */
#include <immintrin.h>

#include "dataplane/lb/siphash_x86.h"

enum { WIDTH = SIPHASH_AVX2_LANES };

typedef uint64_t vector __attribute__((vector_size(8 * WIDTH)));
typedef __m256i some; /* all bits of a lane, or none */

/* Signed: such numbers are counts, far below 2^63. */
static inline some more_than(vector n, uint64_t than)
{
    return _mm256_cmpgt_epi64((__m256i)n, _mm256_set1_epi64x((int64_t)than));
}

static inline some first_ones(uint32_t n)
{
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_set_epi64x(3, 2, 1, 0));
}

static inline bool are_any(some which)
{
    return !_mm256_testz_si256(which, which);
}

static inline vector choose(some which, vector yes, vector no)
{
    return (vector)_mm256_blendv_epi8((__m256i)no, (__m256i)yes, which);
}

static inline vector load(some which, const uint64_t *at)
{
    return (vector)_mm256_maskload_epi64((const long long *)at, which);
}

static inline vector gather(some which, vector addresses)
{
    return (vector)_mm256_mask_i64gather_epi64(_mm256_setzero_si256(), NULL, (__m256i)addresses,
                                               which, 1);
}

#include "dataplane/lb/siphash_lanes.h"

void siphash_avx2(const struct lb_lanes *lanes, uint32_t first, unsigned c, uint64_t *ret)
{
    hash_lanes(lanes, first, c, ret);
}
