/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-c-d as in Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), §2. Input is
 * read as little-endian 64-bit words; it must not know what is hashed. Several at a time are
 * siphash_lanes.h's.
 */
#include "dataplane/lb/siphash_round.h"

/* The last 0 to 7 bytes before `end` as a little-endian number; `length` is all there is before it.
 */
static inline uint64_t load_tail(const uint8_t *end, size_t n, size_t length)
{
    uint64_t tail = 0;

    if (n == 0)
        return 0;
    if (length >= 8)
        return siphash_load(end - 8) >> (64 - 8 * n);
    for (size_t i = n; i > 0; i--)
        tail = tail << 8 | end[(ptrdiff_t)i - 1 - (ptrdiff_t)n];
    return tail;
}

/* The four words of the state; by value, so that they stay in registers. */
struct state {
    uint64_t v0, v1, v2, v3;
};

static inline struct state start(const struct lb_key *key)
{
    return (struct state){key->k0 ^ SIPHASH_INIT_0, key->k1 ^ SIPHASH_INIT_1,
                          key->k0 ^ SIPHASH_INIT_2, key->k1 ^ SIPHASH_INIT_3};
}

static inline __attribute__((always_inline)) struct state compress(struct state s, uint64_t word,
                                                                   unsigned c)
{
    s.v3 ^= word;
    for (unsigned i = 0; i < c; i++)
        SIPHASH_ROUND(s.v0, s.v1, s.v2, s.v3);
    s.v0 ^= word;
    return s;
}

static inline __attribute__((always_inline)) uint64_t finish(struct state s, unsigned d)
{
    s.v2 ^= 0xff;
    for (unsigned i = 0; i < d; i++)
        SIPHASH_ROUND(s.v0, s.v1, s.v2, s.v3);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* Always inline: the rounds are constants where it is called, so that their loops unroll. */
static inline __attribute__((always_inline)) struct state
compress_words(struct state s, const uint8_t *p, size_t words, unsigned c)
{
    for (; words > 0; words--, p += 8)
        s = compress(s, siphash_load(p), c);
    return s;
}

/* All words of a text, the last with the length's low byte on top (§2.2). */
static inline __attribute__((always_inline)) struct state
compress_text(struct state s, const void *data, size_t length, unsigned c)
{
    const uint8_t *p = data, *rest = length < 8 ? p : p + length / 8 * 8;
    uint64_t tail = load_tail(length % 8 != 0 ? rest + length % 8 : rest, length % 8, length);

    s = compress_words(s, p, length / 8, c);
    return compress(s, tail | (uint64_t)length << 56, c);
}

static inline __attribute__((always_inline)) uint64_t
hash_all(const struct lb_key *key, const void *data, size_t length, unsigned c, unsigned d)
{
    return finish(compress_text(start(key), data, length, c), d);
}

uint64_t lb_siphash13(const struct lb_key *key, const void *data, size_t length)
{
    return hash_all(key, data, length, 1, 3);
}

uint64_t lb_siphash24(const struct lb_key *key, const void *data, size_t length)
{
    return hash_all(key, data, length, 2, 4);
}

/* Field by field: the bytes stay as they are until some are held. */
static void init(struct lb_siphash *h, const struct lb_key *key, uint8_t c, uint8_t d)
{
    struct state s = start(key);

    h->v0 = s.v0;
    h->v1 = s.v1;
    h->v2 = s.v2;
    h->v3 = s.v3;
    h->hashed = 0;
    h->held = 0;
    h->c = c;
    h->d = d;
}

void lb_siphash13_init(struct lb_siphash *h, const struct lb_key *key)
{
    init(h, key, 1, 3);
}

void lb_siphash24_init(struct lb_siphash *h, const struct lb_key *key)
{
    init(h, key, 2, 4);
}

static struct state state_of(const struct lb_siphash *h)
{
    return (struct state){h->v0, h->v1, h->v2, h->v3};
}

void lb_siphash_add(struct lb_siphash *h, const void *data, size_t length)
{
    const uint8_t *p = data;

    while (length > 0) {
        size_t part = LB_SIPHASH_HELD - h->held < length ? LB_SIPHASH_HELD - h->held : length;

        memcpy(h->bytes + h->held, p, part);
        h->held += (uint32_t)part;
        p += part;
        length -= part;
        if (h->held == LB_SIPHASH_HELD && length > 0) {
            struct state s = compress_words(state_of(h), h->bytes, LB_SIPHASH_HELD / 8, h->c);

            h->v0 = s.v0;
            h->v1 = s.v1;
            h->v2 = s.v2;
            h->v3 = s.v3;
            h->hashed += LB_SIPHASH_HELD;
            h->held = 0;
        }
    }
}

/* Writes the last word behind the bytes that are held, as compress_text() makes it. Returns how
 * many words there are. */
static uint32_t close_bytes(struct lb_siphash *h)
{
    uint32_t last = h->held / 8;
    uint64_t word = 0;

    memcpy(h->bytes + h->held, &word, sizeof word);
    h->bytes[last * 8 + 7] = (uint8_t)(h->hashed + h->held);
    return last + 1;
}

uint64_t lb_siphash_end(struct lb_siphash *h)
{
    uint32_t words = close_bytes(h);

    if (h->c == 1)
        return finish(compress_words(state_of(h), h->bytes, words, 1), 3);
    return finish(compress_words(state_of(h), h->bytes, words, 2), 4);
}

static inline __attribute__((always_inline)) uint64_t
hash_lane(const struct lb_lanes *lanes, uint32_t lane, unsigned c, unsigned d)
{
    struct lb_key key = {lanes->k0[lane], lanes->k1[lane]};
    struct state s = start(&key);

    for (uint32_t i = 0; i < lanes->n_words[lane]; i++)
        s = compress(s, lanes->words[i][lane], c);
    for (uint32_t i = 0; i < lanes->n_texts; i++) {
        size_t length = lanes->texts[i].length[lane];

        s = compress_text(s, (const void *)(lanes->texts[i].end[lane] - length), length, c);
    }
    return finish(s, d);
}

void siphash_lane_by_lane(const struct lb_lanes *lanes, uint32_t first, uint32_t end, unsigned c,
                          uint64_t *ret)
{
    for (uint32_t lane = first; lane < end; lane++)
        ret[lane] = c == 1 ? hash_lane(lanes, lane, 1, 3) : hash_lane(lanes, lane, 2, 4);
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
