/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash (Aumasson, Bernstein 2012): the keyed hash for everything that a sender could aim at.
 * 1-3 chooses backends and slots of the call table, 2-4 signs tokens and Vias.
 */
#ifndef TANDEM_LB_SIPHASH_H
#define TANDEM_LB_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct lb_key {
    uint64_t k0, k1;
};

uint64_t lb_siphash13(const struct lb_key *key, const void *data, size_t length);
uint64_t lb_siphash24(const struct lb_key *key, const void *data, size_t length);

/* The same in pieces: the result is that of the concatenated input. Lives on the stack. */
struct lb_siphash {
    uint64_t v0, v1, v2, v3;
    uint64_t tail; /* bytes that do not fill a word yet */
    uint64_t length;
    uint8_t c, d; /* rounds */
};

void lb_siphash13_init(struct lb_siphash *h, const struct lb_key *key);
void lb_siphash24_init(struct lb_siphash *h, const struct lb_key *key);
void lb_siphash_add(struct lb_siphash *h, const void *data, size_t length);
/* Adds the length of a field before its bytes, so that ("ab","c") and ("a","bc") differ. */
void lb_siphash_add_field(struct lb_siphash *h, const void *data, uint32_t length);
uint64_t lb_siphash_end(struct lb_siphash *h);

/* A key for one purpose, derived from a root key and a label; by SipHash-2-4 as the PRF. */
struct lb_key lb_key_derive(const struct lb_key *root, const char *label);

#endif
