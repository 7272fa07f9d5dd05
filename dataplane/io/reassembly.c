/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See reassembly.h. A datagram's bytes lie in blocks at their places, each with a bit for every
 * unit of 8 bytes that is there. Entries are in sets, by source and destination, and in a list, by
 * age. It must not know what a datagram says, nor where fragments come from.
 */
#include "dataplane/io/reassembly.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    UNIT = 8, /* bytes: what offsets count in */
    UNITS = IO_REASSEMBLY_BLOCK / UNIT,
    WORD_BITS = 64,
    NONE = 0xffff, /* no block, no entry */
};

static_assert(sizeof(struct io_reassembly_key) == 44, "compared as bytes");

enum state { FREE, WAITING, ABANDONED };

struct block {
    uint64_t have[UNITS / WORD_BITS]; /* by unit */
    uint8_t bytes[IO_REASSEMBLY_BLOCK];
};

struct entry {
    struct io_reassembly_key key;
    enum state state;
    uint32_t begun_s;
    uint64_t born;     /* in order */
    uint32_t pieces;   /* that wait; 0 when abandoned */
    uint32_t received; /* bytes */
    uint32_t end;      /* of the farthest piece */
    uint32_t total;    /* bytes of the datagram; 0: the last piece has not come */
    uint16_t older, newer;
    uint16_t blocks[IO_REASSEMBLY_BLOCKS_MIN]; /* by place */
};

struct io_reassembly {
    struct lb_key key;
    uint32_t set_mask; /* sets - 1 */
    uint32_t n_free;   /* blocks */
    uint32_t waiting;  /* pieces */
    uint16_t oldest, newest;
    uint64_t born; /* entries so far */
    struct io_reassembly_counts counts;
    struct entry *entries;
    struct block *blocks;
    uint16_t *free_blocks; /* a stack: memory that was never needed is never touched */
};

struct io_reassembly *io_reassembly_new(uint32_t n_entries, uint32_t n_blocks,
                                        const struct lb_key *key)
{
    struct io_reassembly *t = calloc(1, sizeof(*t));

    assert(n_entries >= IO_REASSEMBLY_WAYS && n_entries <= NONE / 2 + 1 &&
           (n_entries & (n_entries - 1)) == 0);
    assert(n_blocks >= IO_REASSEMBLY_BLOCKS_MIN && n_blocks <= NONE);
    if (t == NULL)
        return NULL;
    t->entries = calloc(n_entries, sizeof(*t->entries));
    t->blocks = calloc(n_blocks, sizeof(*t->blocks));
    t->free_blocks = calloc(n_blocks, sizeof(*t->free_blocks));
    if (t->entries == NULL || t->blocks == NULL || t->free_blocks == NULL) {
        io_reassembly_free(t);
        return NULL;
    }
    t->key = *key;
    t->set_mask = n_entries / IO_REASSEMBLY_WAYS - 1;
    t->oldest = t->newest = NONE;
    while (t->n_free < n_blocks) {
        t->free_blocks[t->n_free] = (uint16_t)(n_blocks - 1 - t->n_free);
        t->n_free++;
    }
    return t;
}

void io_reassembly_free(struct io_reassembly *t)
{
    if (t == NULL)
        return;
    free(t->free_blocks);
    free(t->blocks);
    free(t->entries);
    free(t);
}

/* ---- Entries ---- */

static uint16_t number(const struct io_reassembly *t, const struct entry *e)
{
    return (uint16_t)(e - t->entries);
}

static void free_blocks(struct io_reassembly *t, struct entry *e)
{
    for (uint32_t i = 0; i < IO_REASSEMBLY_BLOCKS_MIN; i++) {
        if (e->blocks[i] != NONE)
            t->free_blocks[t->n_free++] = e->blocks[i];
        e->blocks[i] = NONE;
    }
}

/* Forgets what waits; returns how many pieces that was. */
static uint32_t empty(struct io_reassembly *t, struct entry *e)
{
    uint32_t pieces = e->pieces;

    free_blocks(t, e);
    t->waiting -= pieces;
    e->pieces = 0;
    return pieces;
}

static uint32_t release(struct io_reassembly *t, struct entry *e)
{
    uint16_t *after = e->older == NONE ? &t->oldest : &t->entries[e->older].newer;
    uint16_t *before = e->newer == NONE ? &t->newest : &t->entries[e->newer].older;

    *after = e->newer;
    *before = e->older;
    e->state = FREE;
    return empty(t, e);
}

/* The datagram's entry, which begins when there is none. */
static struct entry *find(struct io_reassembly *t, const struct io_reassembly_key *key,
                          uint32_t now_s)
{
    uint64_t hash = lb_siphash13(&t->key, key, 2 * sizeof(key->src));
    struct entry *set = &t->entries[(hash & t->set_mask) * IO_REASSEMBLY_WAYS], *at = set;

    for (uint32_t i = 0; i < IO_REASSEMBLY_WAYS; i++) {
        if (set[i].state == FREE)
            at = &set[i];
        else if (memcmp(&set[i].key, key, sizeof(*key)) == 0)
            return &set[i];
        else if (at->state != FREE && set[i].born < at->born)
            at = &set[i];
    }
    /* Where none is free the set's oldest gives way. */
    if (at->state != FREE)
        t->counts.evicted += release(t, at);
    *at = (struct entry){.key = *key,
                         .state = WAITING,
                         .begun_s = now_s,
                         .born = t->born++,
                         .older = t->newest,
                         .newer = NONE};
    memset(at->blocks, 0xff, sizeof(at->blocks));
    *(t->newest == NONE ? &t->oldest : &t->entries[t->newest].newer) = number(t, at);
    t->newest = number(t, at);
    return at;
}

/* ---- Pieces ---- */

/* What of a piece lies in one block. */
struct part {
    uint32_t place; /* of the block */
    uint32_t at;    /* first byte in the block */
    uint32_t length;
    const uint8_t *bytes;
};

/* The next part of a piece of which `done` bytes have been gone through; false: none. */
static bool next_part(const struct io_piece *piece, uint32_t *done, struct part *ret)
{
    uint32_t offset = piece->offset + *done, left = piece->length - *done;

    if (left == 0)
        return false;
    ret->place = offset / IO_REASSEMBLY_BLOCK;
    ret->at = offset % IO_REASSEMBLY_BLOCK;
    ret->length = IO_REASSEMBLY_BLOCK - ret->at < left ? IO_REASSEMBLY_BLOCK - ret->at : left;
    ret->bytes = piece->bytes + *done;
    *done += ret->length;
    return true;
}

static uint32_t units(uint32_t bytes)
{
    return (bytes + UNIT - 1) / UNIT;
}

static bool has(const struct block *block, uint32_t unit)
{
    return (block->have[unit / WORD_BITS] >> unit % WORD_BITS & 1) != 0;
}

enum overlap { OVERLAP_NONE, OVERLAP_SAME, OVERLAP_OTHER };

/* Whether a piece covers what is there already: nothing; all of itself, with the same bytes (as a
 * network repeats it: RFC 8200 §4.5 lets that pass); or anything else. */
static enum overlap overlap_of(const struct io_reassembly *t, const struct entry *e,
                               const struct io_piece *piece)
{
    uint32_t done = 0, covered = 0, same = 0;
    struct part part;

    while (next_part(piece, &done, &part)) {
        const struct block *block;
        uint32_t n = 0;

        if (e->blocks[part.place] == NONE)
            continue;
        block = &t->blocks[e->blocks[part.place]];
        for (uint32_t i = 0; i < units(part.length); i++)
            n += has(block, part.at / UNIT + i);
        covered += n;
        if (n == units(part.length) && memcmp(block->bytes + part.at, part.bytes, part.length) == 0)
            same += n;
    }
    if (covered == 0)
        return OVERLAP_NONE;
    return same == units(piece->length) ? OVERLAP_SAME : OVERLAP_OTHER;
}

/* The block at a place of an entry, a new one if need be; others give way where none is free. */
static struct block *block_at(struct io_reassembly *t, struct entry *e, uint32_t place)
{
    struct block *block;

    if (e->blocks[place] != NONE)
        return &t->blocks[e->blocks[place]];
    while (t->n_free == 0) {
        uint16_t oldest = t->oldest == number(t, e) ? e->newer : t->oldest;

        t->counts.evicted += release(t, &t->entries[oldest]);
    }
    e->blocks[place] = t->free_blocks[--t->n_free];
    block = &t->blocks[e->blocks[place]];
    memset(block->have, 0, sizeof(block->have));
    return block;
}

static void keep(struct io_reassembly *t, struct entry *e, const struct io_piece *piece)
{
    uint32_t done = 0;
    struct part part;

    while (next_part(piece, &done, &part)) {
        struct block *block = block_at(t, e, part.place);

        memcpy(block->bytes + part.at, part.bytes, part.length);
        for (uint32_t i = part.at / UNIT; i < part.at / UNIT + units(part.length); i++)
            block->have[i / WORD_BITS] |= 1ull << i % WORD_BITS;
    }
    e->received += piece->length;
    if (piece->offset + piece->length > e->end)
        e->end = piece->offset + piece->length;
    if (!piece->more)
        e->total = piece->offset + piece->length;
    e->pieces++;
    t->waiting++;
}

/* RFC 791 §3.2, RFC 8200 §4.5: all but the last are of whole units; none is empty. */
static bool valid(const struct io_piece *piece)
{
    return piece->length > 0 && piece->offset % UNIT == 0 && piece->offset <= IO_DATAGRAM_MAX &&
           piece->length <= IO_DATAGRAM_MAX - piece->offset &&
           (!piece->more || piece->length % UNIT == 0);
}

/* Whether it ends where no piece of this datagram may. */
static bool contradicts(const struct entry *e, const struct io_piece *piece)
{
    uint32_t end = piece->offset + piece->length;

    if (!piece->more)
        return e->end > end || (e->total != 0 && e->total != end);
    return e->total != 0 && end >= e->total;
}

/* Copies a whole datagram out, and forgets it. Returns its length. */
static uint32_t finish(struct io_reassembly *t, struct entry *e, uint8_t *ret_datagram)
{
    uint32_t total = e->total;

    for (uint32_t at = 0; at < total; at += IO_REASSEMBLY_BLOCK) {
        uint32_t length = total - at < IO_REASSEMBLY_BLOCK ? total - at : IO_REASSEMBLY_BLOCK;

        memcpy(ret_datagram + at, t->blocks[e->blocks[at / IO_REASSEMBLY_BLOCK]].bytes, length);
    }
    t->counts.datagrams++;
    t->counts.joined += release(t, e);
    return total;
}

uint32_t io_reassembly_add(struct io_reassembly *t, const struct io_reassembly_key *key,
                           const struct io_piece *piece, uint32_t now_s, uint8_t *ret_datagram)
{
    enum overlap overlap;
    struct entry *e;

    if (!valid(piece)) {
        t->counts.invalid++;
        return 0;
    }
    e = find(t, key, now_s);
    if (e->state == ABANDONED) {
        t->counts.overlapped++;
        return 0;
    }
    overlap = contradicts(e, piece) ? OVERLAP_OTHER : overlap_of(t, e, piece);
    switch (overlap) {
    case OVERLAP_SAME:
        t->counts.repeated++;
        return 0;
    case OVERLAP_OTHER:
        t->counts.overlapped += 1 + empty(t, e);
        e->state = ABANDONED; /* and remembered, for the pieces that are still to come */
        return 0;
    case OVERLAP_NONE:
        break;
    }
    keep(t, e, piece);
    return e->total != 0 && e->received == e->total ? finish(t, e, ret_datagram) : 0;
}

void io_reassembly_expire(struct io_reassembly *t, uint32_t now_s)
{
    while (t->oldest != NONE && now_s - t->entries[t->oldest].begun_s >= IO_REASSEMBLY_S)
        t->counts.expired += release(t, &t->entries[t->oldest]);
}

uint32_t io_reassembly_waiting(const struct io_reassembly *t)
{
    return t->waiting;
}

struct io_reassembly_counts io_reassembly_take_counts(struct io_reassembly *t)
{
    struct io_reassembly_counts counts = t->counts;

    memset(&t->counts, 0, sizeof(t->counts));
    return counts;
}
