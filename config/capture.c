/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rings of captured frames: written by one thread, read by another process that may be late.
 * Whatever both touch is touched by atomic 64-bit words, since one may write what the other reads:
 * that is then found out and thrown away. It must not know what a frame says.
 *
 * The order that this rests on (a sequence lock): the writer's store of `reserved` is before its
 * words by the release fence, so a reader that copied any of these words and then passes its
 * acquire fence sees that `reserved`, and knows.
 */
#include "config/capture.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum {
    RECORD_WORDS = sizeof(struct capture_record) / 8,
    QUIET_TRIES = 1000, /* looks for a moment in which the writer writes nothing */
};

/* No memfd is so long: sums of two offsets below it cannot overflow. */
static const uint64_t SIZE_LIMIT = (uint64_t)1 << 48;

static uint64_t align(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

uint64_t capture_layout(struct capture_header *h)
{
    h->names = align(sizeof(*h), 64);
    h->rings = align(h->names + (uint64_t)h->n_ports * CAPTURE_NAME_MAX, 64);
    h->stride = sizeof(struct capture_ring) + h->ring_bytes;
    h->size = h->rings + h->n_rings * h->stride;
    return h->size;
}

/* ---- Reading what another process wrote ---- */

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void load_words(const void *from, uint64_t *to, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        to[i] = load((const uint64_t *)from + i);
}

static bool fits(const struct capture_header *h, uint64_t size)
{
    uint64_t names = (uint64_t)h->n_ports * CAPTURE_NAME_MAX;

    if (h->magic != CAPTURE_MAGIC || h->size != size || size > SIZE_LIMIT)
        return false;
    if (h->n_rings == 0 || h->n_rings > CAPTURE_RINGS_MAX || h->n_ports == 0 ||
        h->n_ports > CAPTURE_PORTS_MAX)
        return false;
    if (h->ring_bytes < CAPTURE_RING_MIN || h->ring_bytes > CAPTURE_RING_MAX ||
        (h->ring_bytes & (h->ring_bytes - 1)) != 0)
        return false;
    if (h->names > size || names > size - h->names || h->names % 8 != 0)
        return false;
    if (h->stride < sizeof(struct capture_ring) + h->ring_bytes || h->stride > size ||
        h->stride % 8 != 0 || h->rings % 8 != 0)
        return false;
    return h->rings <= size && h->stride <= (size - h->rings) / h->n_rings;
}

int capture_open(const void *memory, uint64_t size, struct capture_header *ret)
{
    struct capture_header h;

    if (size < sizeof(h))
        return -EINVAL;
    load_words(memory, (uint64_t *)(void *)&h, sizeof(h) / 8);
    if (!fits(&h, size))
        return -EINVAL;
    *ret = h;
    return 0;
}

void capture_name(const struct capture_header *h, const void *memory, uint32_t port,
                  char ret[CAPTURE_NAME_MAX])
{
    uint64_t words[CAPTURE_NAME_MAX / 8];

    load_words((const char *)memory + h->names + (uint64_t)port * CAPTURE_NAME_MAX, words,
               CAPTURE_NAME_MAX / 8);
    memcpy(ret, words, CAPTURE_NAME_MAX);
    ret[CAPTURE_NAME_MAX - 1] = '\0';
}

/* Copies n words at a position, which may lie around the end. */
static void copy_out(const struct capture_header *h, const struct capture_ring *ring, uint64_t at,
                     uint64_t *to, uint32_t n)
{
    uint32_t mask = h->ring_bytes / 8 - 1;

    for (uint32_t i = 0; i < n; i++)
        to[i] = load(&ring->words[(at / 8 + i) & mask]);
}

/* Whether nothing from a position on was overwritten before what was copied was copied. */
static bool still_there(const struct capture_header *h, const struct capture_ring *ring,
                        uint64_t at)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return load(&ring->reserved) - at <= h->ring_bytes;
}

/* What one writes until a reader who stands there has read on. */
static uint64_t quarter(const struct capture_header *h)
{
    return h->ring_bytes / CAPTURE_ANCHORS;
}

static uint64_t written(const struct capture_ring *ring)
{
    return __atomic_load_n(&ring->written, __ATOMIC_ACQUIRE) & ~(uint64_t)7;
}

/* Goes behind what is written, and counts how many records that leaves out. Between two records the
 * number is exact; when there is no such moment the next record's own number mends it. */
static void go_to_end(const struct capture_ring *ring, struct capture_reader *reader)
{
    uint64_t end = 0, records = 0;

    for (uint32_t i = 0; i < QUIET_TRIES; i++) {
        end = written(ring);
        records = load(&ring->records);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (load(&ring->reserved) == end)
            break;
    }
    reader->lost += (int64_t)(records - reader->next);
    reader->next = records;
    reader->at = end;
}

/* Goes on where a record begins that is ahead, and so far from being overwritten that there is time
 * to read it; its number will tell how many were lost. */
static void go_ahead(const struct capture_header *h, const struct capture_ring *ring,
                     struct capture_reader *reader)
{
    uint64_t end = written(ring), best = 0;

    for (uint32_t i = 0; i < CAPTURE_ANCHORS; i++) {
        uint64_t anchor = load(&ring->anchors[i]) & ~(uint64_t)7;

        if (anchor > reader->at && anchor < end && end - anchor <= 3 * quarter(h) &&
            (best == 0 || anchor < best))
            best = anchor;
    }
    if (best == 0)
        go_to_end(ring, reader);
    else
        reader->at = best;
}

void capture_begin(const struct capture_header *h, const void *memory, uint32_t ring,
                   struct capture_reader *ret)
{
    struct capture_reader reader = {0};

    go_to_end(capture_ring(h, memory, ring), &reader);
    reader.lost = 0;
    *ret = reader;
}

/* What a writer of ours would have written, between a position and the end. */
static bool sound(const struct capture_header *h, const struct capture_record *record,
                  uint64_t left)
{
    return record->length <= CAPTURE_FRAME_MAX &&
           record->size == align(sizeof(*record) + record->length, 8) && record->size <= left &&
           record->size <= h->ring_bytes && record->port < h->n_ports;
}

enum capture_taken capture_take(const struct capture_header *h, const void *memory, uint32_t ring,
                                struct capture_reader *reader, struct capture_copy *ret)
{
    const struct capture_ring *r = capture_ring(h, memory, ring);
    uint64_t left = written(r) - reader->at;
    uint32_t rest;

    if (left == 0)
        return CAPTURE_NONE;
    if (left > h->ring_bytes || left < sizeof(ret->record))
        goto lost;
    copy_out(h, r, reader->at, (uint64_t *)(void *)&ret->record, RECORD_WORDS);
    if (!sound(h, &ret->record, left))
        goto lost;
    rest = ret->record.size / 8 - RECORD_WORDS;
    copy_out(h, r, reader->at + sizeof(ret->record), (uint64_t *)(void *)ret->frame, rest);
    if (!still_there(h, r, reader->at))
        goto lost;
    reader->lost += (int64_t)(ret->record.number - reader->next);
    reader->next = ret->record.number + 1;
    reader->at += ret->record.size;
    return CAPTURE_TAKEN;
lost:
    go_ahead(h, r, reader);
    return CAPTURE_LOST;
}

/* ---- Writing ---- */

static void store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* Copies n words to a position, which may lie around the end. */
static void copy_in(const struct capture_header *h, struct capture_ring *ring, uint64_t at,
                    const uint8_t *from, uint32_t n)
{
    uint32_t mask = h->ring_bytes / 8 - 1;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t word;

        memcpy(&word, from + 8 * (size_t)i, 8);
        store(&ring->words[(at / 8 + i) & mask], word);
    }
}

/* The frame's bytes in words: those of the first part, one that both share, those of the second
 * one, and its end, padded. */
static void copy_frame(const struct capture_header *h, struct capture_ring *ring, uint64_t at,
                       const uint8_t *first, uint32_t first_length, const uint8_t *second,
                       uint32_t second_length)
{
    uint8_t word[8] = {0};
    uint32_t whole = first_length / 8, rest = first_length % 8, shared = 0;

    copy_in(h, ring, at, first, whole);
    at += 8 * (uint64_t)whole;
    if (rest > 0) {
        shared = second_length < 8 - rest ? second_length : 8 - rest;
        memcpy(word, first + first_length - rest, rest);
        if (shared > 0)
            memcpy(word + rest, second, shared);
        copy_in(h, ring, at, word, 1);
        at += 8;
    }
    if (second_length == shared)
        return;
    second += shared;
    second_length -= shared;
    whole = second_length / 8;
    rest = second_length % 8;
    copy_in(h, ring, at, second, whole);
    if (rest > 0) {
        memset(word, 0, sizeof(word));
        memcpy(word, second + second_length - rest, rest);
        copy_in(h, ring, at + 8 * (uint64_t)whole, word, 1);
    }
}

void capture_put(const struct capture_header *h, void *memory, uint32_t ring,
                 const struct capture_record *record, const void *first, uint32_t first_length,
                 const void *second, uint32_t second_length)
{
    struct capture_ring *r = capture_ring(h, memory, ring);
    uint64_t length = (uint64_t)first_length + second_length;
    uint64_t size = align(sizeof(*record) + length, 8), at = load(&r->written);
    struct capture_record copy = *record;

    if (length > CAPTURE_FRAME_MAX || size > quarter(h))
        return;
    copy.size = (uint32_t)size;
    copy.length = (uint32_t)length;
    copy.number = load(&r->records);
    store(&r->reserved, at + size);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    copy_in(h, r, at, (const uint8_t *)&copy, RECORD_WORDS);
    copy_frame(h, r, at + sizeof(copy), first, first_length, second, second_length);
    if (at / quarter(h) != (at + size) / quarter(h))
        store(&r->anchors[(at + size) / quarter(h) % CAPTURE_ANCHORS], at + size);
    store(&r->records, copy.number + 1);
    __atomic_store_n(&r->written, at + size, __ATOMIC_RELEASE);
}
