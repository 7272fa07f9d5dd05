/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several SipHashes at once, a lane of a vector each, since one alone waits for its own additions
 * and rotations most of the time. Included by one .c file for each instruction set, after what
 * differs between them:
 *
 *   LANES, lanes        how many 64-bit numbers a vector has, and its type
 *   gather(h, offset)   the words at an offset in all of h[LANES]
 */
#ifndef TANDEM_LB_SIPHASH_LANES_H
#define TANDEM_LB_SIPHASH_LANES_H

#include "dataplane/lb/siphash_round.h"

struct lanes_state {
    lanes v0, v1, v2, v3;
};

/* Always inline, as below: the rounds are constants where it is called, so that their loop unrolls.
 */
static inline __attribute__((always_inline)) void compress(struct lanes_state *s, lanes word,
                                                           unsigned c)
{
    s->v3 ^= word;
    for (unsigned i = 0; i < c; i++)
        SIPHASH_ROUND(s->v0, s->v1, s->v2, s->v3);
    s->v0 ^= word;
}

/* Words that some hashes do not have any more: their lanes keep what they hold. */
static inline __attribute__((always_inline)) void compress_some(struct lanes_state *s, lanes word,
                                                                lanes which, unsigned c)
{
    struct lanes_state next = *s;

    compress(&next, word, c);
    s->v0 ^= (s->v0 ^ next.v0) & which;
    s->v1 ^= (s->v1 ^ next.v1) & which;
    s->v2 ^= (s->v2 ^ next.v2) & which;
    s->v3 ^= (s->v3 ^ next.v3) & which;
}

static inline __attribute__((always_inline)) lanes end_rounds(struct lb_siphash *const h[LANES],
                                                              unsigned c, unsigned d)
{
    struct lanes_state s = {
        gather(h, offsetof(struct lb_siphash, v0)), gather(h, offsetof(struct lb_siphash, v1)),
        gather(h, offsetof(struct lb_siphash, v2)), gather(h, offsetof(struct lb_siphash, v3))};
    lanes n_words = {0};
    uint32_t least = UINT32_MAX, most = 0, at = 0;

    for (int i = 0; i < LANES; i++) {
        uint32_t words = h[i]->held / 8 + 1;

        least = words < least ? words : least;
        most = words > most ? words : most;
        n_words[i] = words;
    }
    for (; at < least; at++)
        compress(&s, gather(h, offsetof(struct lb_siphash, bytes) + at * 8), c);
    for (; at < most; at++)
        compress_some(&s, gather(h, offsetof(struct lb_siphash, bytes) + at * 8),
                      (lanes)(n_words > at), c);
    s.v2 ^= 0xff;
    for (unsigned i = 0; i < d; i++)
        SIPHASH_ROUND(s.v0, s.v1, s.v2, s.v3);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* Hashes that are closed, all of the same rounds. */
static inline void end_lanes(struct lb_siphash *const h[LANES], uint64_t ret[LANES])
{
    lanes ends = h[0]->c == 1 ? end_rounds(h, 1, 3) : end_rounds(h, 2, 4);

    memcpy(ret, &ends, sizeof(ends));
}

#endif
