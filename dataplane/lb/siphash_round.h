/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to siphash*.c: one round, words of texts, and lanes one by one.
 */
#ifndef TANDEM_LB_SIPHASH_ROUND_H
#define TANDEM_LB_SIPHASH_ROUND_H

#include <endian.h>

#include "dataplane/lb/siphash.h"

/* The paper's initial constants, "somepseudorandomlygeneratedbytes". */
#define SIPHASH_INIT_0 0x736f6d6570736575u
#define SIPHASH_INIT_1 0x646f72616e646f6du
#define SIPHASH_INIT_2 0x6c7967656e657261u
#define SIPHASH_INIT_3 0x7465646279746573u

#define SIPHASH_ROTATE(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))

/* A macro, since the words are numbers in one place and vectors of them in another. */
#define SIPHASH_ROUND(v0, v1, v2, v3)     \
    do {                                  \
        v0 += v1;                         \
        v2 += v3;                         \
        v1 = SIPHASH_ROTATE(v1, 13) ^ v0; \
        v3 = SIPHASH_ROTATE(v3, 16) ^ v2; \
        v0 = SIPHASH_ROTATE(v0, 32);      \
        v2 += v1;                         \
        v0 += v3;                         \
        v1 = SIPHASH_ROTATE(v1, 17) ^ v2; \
        v3 = SIPHASH_ROTATE(v3, 21) ^ v0; \
        v2 = SIPHASH_ROTATE(v2, 32);      \
    } while (0)

static inline uint64_t siphash_load(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return le64toh(word);
}

/* Some lanes without vectors, of c (1 or 2) rounds a word: ret[first] to ret[end - 1]. */
void siphash_lane_by_lane(const struct lb_lanes *lanes, uint32_t first, uint32_t end, unsigned c,
                          uint64_t *ret);

#endif
