/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-c-d as in Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), §2. Input is
 * read as little-endian 64-bit words; it must not know what is hashed.
 */
#include "dataplane/lb/siphash.h"

#include <endian.h>
#include <string.h>

/* The paper's initial constants, "somepseudorandomlygeneratedbytes". */
static const uint64_t init_0 = 0x736f6d6570736575u;
static const uint64_t init_1 = 0x646f72616e646f6du;
static const uint64_t init_2 = 0x6c7967656e657261u;
static const uint64_t init_3 = 0x7465646279746573u;

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline uint64_t load_le64(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return le64toh(word);
}

/* The last 0 to 7 bytes before `end` as a little-endian number; `length` is all there is before it.
 */
static inline uint64_t load_tail(const uint8_t *end, size_t n, size_t length)
{
    uint64_t tail = 0;

    if (n == 0)
        return 0;
    if (length >= 8)
        return load_le64(end - 8) >> (64 - 8 * n);
    for (size_t i = n; i > 0; i--)
        tail = tail << 8 | end[(ptrdiff_t)i - 1 - (ptrdiff_t)n];
    return tail;
}

static inline void sip_rounds(struct lb_siphash *h, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        h->v0 += h->v1;
        h->v2 += h->v3;
        h->v1 = rotate(h->v1, 13) ^ h->v0;
        h->v3 = rotate(h->v3, 16) ^ h->v2;
        h->v0 = rotate(h->v0, 32);
        h->v2 += h->v1;
        h->v0 += h->v3;
        h->v1 = rotate(h->v1, 17) ^ h->v2;
        h->v3 = rotate(h->v3, 21) ^ h->v0;
        h->v2 = rotate(h->v2, 32);
    }
}

static inline void compress(struct lb_siphash *h, uint64_t word, unsigned c)
{
    h->v3 ^= word;
    sip_rounds(h, c);
    h->v0 ^= word;
}

/* The last word is the tail with the length's low byte on top (§2.2). */
static inline uint64_t finish(struct lb_siphash *h, unsigned c, unsigned d)
{
    compress(h, h->tail | h->length << 56, c);
    h->v2 ^= 0xff;
    sip_rounds(h, d);
    return h->v0 ^ h->v1 ^ h->v2 ^ h->v3;
}

static inline struct lb_siphash start(const struct lb_key *key, uint8_t c, uint8_t d)
{
    return (struct lb_siphash){
        .v0 = key->k0 ^ init_0,
        .v1 = key->k1 ^ init_1,
        .v2 = key->k0 ^ init_2,
        .v3 = key->k1 ^ init_3,
        .c = c,
        .d = d,
    };
}

/* One shot: the rounds are constants here, so that the loops unroll and the state stays in
 * registers. */
static inline __attribute__((always_inline)) uint64_t
hash_all(const struct lb_key *key, const void *data, size_t length, unsigned c, unsigned d)
{
    struct lb_siphash h = start(key, (uint8_t)c, (uint8_t)d);
    const uint8_t *p = data;

    for (size_t words = length / 8; words > 0; words--, p += 8)
        compress(&h, load_le64(p), c);
    h.tail = load_tail(length % 8 != 0 ? p + length % 8 : p, length % 8, length);
    h.length = length;
    return finish(&h, c, d);
}

uint64_t lb_siphash13(const struct lb_key *key, const void *data, size_t length)
{
    return hash_all(key, data, length, 1, 3);
}

uint64_t lb_siphash24(const struct lb_key *key, const void *data, size_t length)
{
    return hash_all(key, data, length, 2, 4);
}

void lb_siphash13_init(struct lb_siphash *h, const struct lb_key *key)
{
    *h = start(key, 1, 3);
}

void lb_siphash24_init(struct lb_siphash *h, const struct lb_key *key)
{
    *h = start(key, 2, 4);
}

void lb_siphash_add(struct lb_siphash *h, const void *data, size_t length)
{
    const uint8_t *p = data;
    unsigned held = h->length % 8;
    size_t left = length;

    h->length += length;
    if (held != 0) {
        for (; held < 8 && left > 0; left--)
            h->tail |= (uint64_t)*p++ << (8 * held++);
        if (held < 8)
            return;
        compress(h, h->tail, h->c);
    }
    for (; left >= 8; left -= 8, p += 8)
        compress(h, load_le64(p), h->c);
    h->tail = load_tail(left != 0 ? p + left : p, left, left);
}

void lb_siphash_add_field(struct lb_siphash *h, const void *data, uint32_t length)
{
    uint32_t length_le = htole32(length);

    lb_siphash_add(h, &length_le, sizeof length_le);
    lb_siphash_add(h, data, length);
}

uint64_t lb_siphash_end(struct lb_siphash *h)
{
    return finish(h, h->c, h->d);
}

/* One half of a derived key: the PRF of label and half, which no field of messages can imitate
 * as long as derived keys alone hash messages. */
static uint64_t derive_half(const struct lb_key *root, const char *label, uint8_t half)
{
    struct lb_siphash h;

    lb_siphash24_init(&h, root);
    lb_siphash_add_field(&h, label, (uint32_t)strlen(label));
    lb_siphash_add(&h, &half, sizeof half);
    return lb_siphash_end(&h);
}

struct lb_key lb_key_derive(const struct lb_key *root, const char *label)
{
    return (struct lb_key){.k0 = derive_half(root, label, 0), .k1 = derive_half(root, label, 1)};
}
