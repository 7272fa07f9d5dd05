/* SPDX-License-Identifier: Apache-2.0 */
/* Four SipHashes at once by AVX2. */
#include "dataplane/lb/siphash_x86.h"

enum { LANES = SIPHASH_AVX2_LANES };

typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));

static inline uint64_t word_at(const struct lb_siphash *h, size_t offset)
{
    uint64_t word;

    memcpy(&word, (const uint8_t *)h + offset, sizeof(word));
    return word;
}

static inline lanes gather(struct lb_siphash *const h[LANES], size_t offset)
{
    return (lanes){word_at(h[0], offset), word_at(h[1], offset), word_at(h[2], offset),
                   word_at(h[3], offset)};
}

#include "dataplane/lb/siphash_lanes.h"

void siphash_end_avx2(struct lb_siphash *const *h, uint64_t *ret)
{
    end_lanes(h, ret);
}
