/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several SipHashes at once, a lane of a vector each, since one alone waits for its own additions
 * and rotations most of the time. Included by one .c file for each instruction set, after what
 * differs between them:
 *
 *   WIDTH, vector            how many 64-bit numbers a vector has, and its type
 *   some                     which lanes: what more_than(), first_ones() return
 *   load(), gather()         words side by side, or each at an address; 0 in lanes not meant
 *   choose()                 lane by lane
 */
#ifndef TANDEM_LB_SIPHASH_LANES_H
#define TANDEM_LB_SIPHASH_LANES_H

#include <assert.h>

#include "dataplane/lb/siphash_round.h"

static_assert(sizeof(uintptr_t) == sizeof(uint64_t), "addresses are gathered from");
static_assert(LB_LANES % WIDTH == 0, "whole vectors are written");

struct state {
    vector v0, v1, v2, v3;
};

/* Always inline, as below: the rounds are constants where it is called, so that their loop unrolls.
 */
static inline __attribute__((always_inline)) struct state compress(struct state s, vector word,
                                                                   unsigned c)
{
    s.v3 ^= word;
    for (unsigned i = 0; i < c; i++)
        SIPHASH_ROUND(s.v0, s.v1, s.v2, s.v3);
    s.v0 ^= word;
    return s;
}

/* Words that some lanes do not have any more: those keep what they hold. */
static inline __attribute__((always_inline)) struct state compress_some(struct state s, some which,
                                                                        vector word, unsigned c)
{
    struct state next = compress(s, word, c);

    s.v0 = choose(which, next.v0, s.v0);
    s.v1 = choose(which, next.v1, s.v1);
    s.v2 = choose(which, next.v2, s.v2);
    s.v3 = choose(which, next.v3, s.v3);
    return s;
}

/* The last word is read as the 8 bytes before the end, of which the rest is on top. */
static inline __attribute__((always_inline)) struct state compress_texts(struct state s, vector end,
                                                                         vector length, unsigned c)
{
    vector whole = length >> 3, rest = length & 7, at = end - length;
    /* By 64 bits at most, in two shifts: one alone must be by less. */
    vector tail = gather(more_than(rest, 0), end - 8) >> 1 >> (63 - 8 * rest);

    for (uint64_t i = 0; are_any(more_than(whole, i)); i++) {
        some which = more_than(whole, i);

        s = compress_some(s, which, gather(which, at + 8 * i), c);
    }
    return compress(s, tail | length << 56, c);
}

static inline __attribute__((always_inline)) vector
hash_rounds(const struct lb_lanes *lanes, uint32_t first, unsigned c, unsigned d)
{
    some which = first_ones(lanes->n - first);
    vector k0 = load(which, lanes->k0 + first), k1 = load(which, lanes->k1 + first);
    vector n_words = load(which, lanes->n_words + first);
    struct state s = {k0 ^ SIPHASH_INIT_0, k1 ^ SIPHASH_INIT_1, k0 ^ SIPHASH_INIT_2,
                      k1 ^ SIPHASH_INIT_3};

    for (uint32_t i = 0; are_any(more_than(n_words, i)); i++) {
        which = more_than(n_words, i);
        s = compress_some(s, which, load(which, lanes->words[i] + first), c);
    }
    which = first_ones(lanes->n - first);
    for (uint32_t i = 0; i < lanes->n_texts; i++)
        s = compress_texts(s, load(which, (const uint64_t *)lanes->texts[i].end + first),
                           load(which, lanes->texts[i].length + first), c);
    s.v2 ^= 0xff;
    for (unsigned i = 0; i < d; i++)
        SIPHASH_ROUND(s.v0, s.v1, s.v2, s.v3);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static inline void hash_lanes(const struct lb_lanes *lanes, uint32_t first, unsigned c,
                              uint64_t *ret)
{
    vector ends = c == 1 ? hash_rounds(lanes, first, 1, 3) : hash_rounds(lanes, first, 2, 4);

    memcpy(ret + first, &ends, sizeof(ends));
}

#endif
