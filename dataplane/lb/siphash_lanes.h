/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to siphash_*.c: several SipHashes at once, a lane of a vector each, since one alone waits
 * for its own additions and rotations most of the time. Compiled for each kind of machine.
 */
#ifndef TANDEM_LB_SIPHASH_LANES_H
#define TANDEM_LB_SIPHASH_LANES_H

#include "dataplane/lb/siphash_round.h"

enum { LANES = 8 };

/* Of hashes that are closed, all of the same rounds; each where the machine has such vectors. */
void siphash_end_avx2(struct lb_siphash *const h[LANES], uint64_t ret[LANES]);
void siphash_end_avx512(struct lb_siphash *const h[LANES], uint64_t ret[LANES]);

typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));

/* The words at one place of all, which may be behind the end of some. */
static inline __attribute__((always_inline)) void words_at(struct lb_siphash *const h[LANES],
                                                           uint32_t word, lanes *ret)
{
    uint32_t at = word * 8;

    *ret = (lanes){siphash_load(h[0]->bytes + at), siphash_load(h[1]->bytes + at),
                   siphash_load(h[2]->bytes + at), siphash_load(h[3]->bytes + at),
                   siphash_load(h[4]->bytes + at), siphash_load(h[5]->bytes + at),
                   siphash_load(h[6]->bytes + at), siphash_load(h[7]->bytes + at)};
}

/* Lanes whose hash has fewer words than others keep what they hold. */
static inline __attribute__((always_inline)) void
end_lanes(struct lb_siphash *const h[LANES], uint64_t ret[LANES], unsigned c, unsigned d)
{
    lanes v0 = {0}, v1 = {0}, v2 = {0}, v3 = {0}, n_words = {0};
    uint32_t most = 0;

    for (int i = 0; i < LANES; i++) {
        uint32_t words = h[i]->held / 8 + 1;

        v0[i] = h[i]->v0;
        v1[i] = h[i]->v1;
        v2[i] = h[i]->v2;
        v3[i] = h[i]->v3;
        n_words[i] = words;
        most = words > most ? words : most;
    }
    for (uint32_t at = 0; at < most; at++) {
        lanes w0 = v0, w1 = v1, w2 = v2, w3 = v3, in = (lanes)(n_words > at), word;

        words_at(h, at, &word);
        w3 ^= word;
        for (unsigned i = 0; i < c; i++)
            SIPHASH_ROUND(w0, w1, w2, w3);
        w0 ^= word;
        v0 ^= (v0 ^ w0) & in;
        v1 ^= (v1 ^ w1) & in;
        v2 ^= (v2 ^ w2) & in;
        v3 ^= (v3 ^ w3) & in;
    }
    v2 ^= 0xff;
    for (unsigned i = 0; i < d; i++)
        SIPHASH_ROUND(v0, v1, v2, v3);
    v0 ^= v1 ^ v2 ^ v3;
    for (int i = 0; i < LANES; i++)
        ret[i] = v0[i];
}

/* The same for the vectors that the function has in which it is inlined. */
static inline __attribute__((always_inline)) void
siphash_end_lanes(struct lb_siphash *const h[LANES], uint64_t ret[LANES])
{
    if (h[0]->c == 1)
        end_lanes(h, ret, 1, 3);
    else
        end_lanes(h, ret, 2, 4);
}

#endif
