/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to siphash*.c: one round, and how a hash in pieces is closed.
 */
#ifndef TANDEM_LB_SIPHASH_ROUND_H
#define TANDEM_LB_SIPHASH_ROUND_H

#include <endian.h>

#include "dataplane/lb/siphash.h"

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

/* Writes the last word behind the bytes that are held: their rest, with the length's low byte on
 * top (§2.2). Returns how many words there are. */
static inline uint32_t siphash_close(struct lb_siphash *h)
{
    uint32_t last = h->held / 8;
    uint64_t word = 0;

    memcpy(h->bytes + h->held, &word, sizeof word);
    h->bytes[last * 8 + 7] = (uint8_t)(h->hashed + h->held);
    return last + 1;
}

#endif
