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
void lb_siphash_add(struct lb_siphash *h, const void *data, size_t length);

/* Adds the length of a field before its bytes, so that ("ab","c") and ("a","bc") differ. */
static inline void lb_siphash_add_field(struct lb_siphash *h, const void *data, uint32_t length)
{
    uint32_t length_le = htole32(length);

    lb_siphash_add(h, &length_le, sizeof length_le);
    lb_siphash_add(h, data, length);
}

/* It is ended once. */
uint64_t lb_siphash_end(struct lb_siphash *h);

enum { LB_LANES = 16, LB_LANE_WORDS = 11, LB_LANE_TEXTS = 2 };

/*
 * Several hashes side by side, a lane each, in columns: a vector of the machine holds the same word
 * of several. Of a lane are hashed its words, then its texts, each as SipHash has its only one: by
 * words, the last with the bytes that are left over and, on top, the low byte of the length. So a
 * lane of one text and no words is lb_siphash…() of the text. In any other the words in front must
 * say how many there are and how long the texts are; then no two inputs are hashed alike.
 */
struct lb_lanes {
    uint32_t n;       /* lanes */
    uint32_t n_texts; /* of each lane */
    uint64_t k0[LB_LANES], k1[LB_LANES];
    uint64_t n_words[LB_LANES];
    uint64_t words[LB_LANE_WORDS][LB_LANES];
    struct {
        uintptr_t end[LB_LANES]; /* address of the byte after it */
        uint64_t length[LB_LANES];
    } texts[LB_LANE_TEXTS];
} __attribute__((aligned(64)));

static inline void lb_lanes_init(struct lb_lanes *lanes, uint32_t n_texts)
{
    lanes->n = 0;
    lanes->n_texts = n_texts;
}

/* The next lane, n_words of words[…][lane] and its texts to be filled in. */
static inline uint32_t lb_lanes_add(struct lb_lanes *lanes, const struct lb_key *key,
                                    uint32_t n_words)
{
    uint32_t lane = lanes->n++;

    lanes->k0[lane] = key->k0;
    lanes->k1[lane] = key->k1;
    lanes->n_words[lane] = n_words;
    return lane;
}

/* The 8 bytes before the end of a text that is not empty are readable, however short it is. */
static inline void lb_lanes_put_text(struct lb_lanes *lanes, uint32_t lane, uint32_t which,
                                     const char *at, uint32_t length)
{
    lanes->texts[which].end[lane] = (uintptr_t)at + length;
    lanes->texts[which].length[lane] = length;
}

/* ret[i] is the hash of lane i; what is behind those of all lanes may be written to. */
void lb_siphash13_lanes(const struct lb_lanes *lanes, uint64_t ret[LB_LANES]);
void lb_siphash24_lanes(const struct lb_lanes *lanes, uint64_t ret[LB_LANES]);

/* A key for one purpose, derived from a root key and a label; by SipHash-2-4 as the PRF. */
struct lb_key lb_key_derive(const struct lb_key *root, const char *label);

#endif
