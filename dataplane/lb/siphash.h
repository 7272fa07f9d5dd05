/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash (Aumasson, Bernstein 2012): the keyed hash for everything that a sender could aim at.
 * 1-3 chooses backends and slots of the call table, 2-4 signs tokens and Vias.
 */
#ifndef TANDEM_LB_SIPHASH_H
#define TANDEM_LB_SIPHASH_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct lb_key {
    uint64_t k0, k1;
};

uint64_t lb_siphash13(const struct lb_key *key, const void *data, size_t length);
uint64_t lb_siphash24(const struct lb_key *key, const void *data, size_t length);

/* Bytes that are gathered before any is hashed; what is longer is hashed as they fill up. */
enum { LB_SIPHASH_HELD = 248 };

/* The same in pieces: the result is that of the concatenated input. Lives on the stack. */
struct lb_siphash {
    uint64_t v0, v1, v2, v3;
    uint64_t hashed; /* bytes that are in the state above */
    uint32_t held;   /* bytes that wait below */
    uint8_t c, d;    /* rounds */
    uint8_t bytes[LB_SIPHASH_HELD + 8] __attribute__((aligned(8)));
};

void lb_siphash13_init(struct lb_siphash *h, const struct lb_key *key);
void lb_siphash24_init(struct lb_siphash *h, const struct lb_key *key);

/* For lb_siphash_add: a piece that does not fit. */
void lb_siphash_spill(struct lb_siphash *h, const void *data, size_t length);

/* Inline: most pieces have a few bytes, and their number is known where they are added. */
static inline void lb_siphash_add(struct lb_siphash *h, const void *data, size_t length)
{
    if (length > LB_SIPHASH_HELD - h->held) {
        lb_siphash_spill(h, data, length);
    } else if (length > 0) {
        memcpy(h->bytes + h->held, data, length);
        h->held += (uint32_t)length;
    }
}

/* Copies some dozens of bytes, which end anywhere: blocks that overlap, instead of a call. */
static inline void lb_siphash_copy(uint8_t *to, const uint8_t *from, size_t length)
{
    if (length >= 16) {
        for (size_t i = 0; i + 16 < length; i += 16)
            memcpy(to + i, from + i, 16);
        memcpy(to + length - 16, from + length - 16, 16);
    } else if (length >= 8) {
        memcpy(to, from, 8);
        memcpy(to + length - 8, from + length - 8, 8);
    } else {
        for (size_t i = 0; i < length; i++)
            to[i] = from[i];
    }
}

/* Adds the length of a field before its bytes, so that ("ab","c") and ("a","bc") differ. */
static inline void lb_siphash_add_field(struct lb_siphash *h, const void *data, uint32_t length)
{
    uint32_t length_le = htole32(length);

    lb_siphash_add(h, &length_le, sizeof length_le);
    if (length > LB_SIPHASH_HELD - h->held) {
        lb_siphash_spill(h, data, length);
    } else {
        lb_siphash_copy(h->bytes + h->held, (const uint8_t *)data, length);
        h->held += length;
    }
}

/* Each is ended once, by one of the two. */
uint64_t lb_siphash_end(struct lb_siphash *h);

/* n of the same rounds at once, each in a lane of the machine's vectors where it has them:
 * ret[i] is lb_siphash_end(hashes[i]). */
void lb_siphash_end_all(struct lb_siphash *const *hashes, uint32_t n, uint64_t *ret);

/* A key for one purpose, derived from a root key and a label; by SipHash-2-4 as the PRF. */
struct lb_key lb_key_derive(const struct lb_key *root, const char *label);

#endif
