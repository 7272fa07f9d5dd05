/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of the memfd of counters that the data plane shares read-only with control. It
 * describes itself: names travel with the values, so that control shows counters that it does not
 * know. One writer for each block: block 0 is main's, block 1 + w is worker w's. Readers sum, modulo
 * 2^64: main takes what others counted out of a sum by adding its negative in its own block.
 */
#ifndef TANDEM_CONFIG_COUNTERS_H
#define TANDEM_CONFIG_COUNTERS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { COUNTERS_MAGIC = 0x54434e34, COUNTERS_NAME_MAX = 40 };   /* "TCN4" */

/* What is counted for each slot of the call table; by workers, where nothing else is said. New ones
 * join at the end: control keeps some of them by their place, and with the magic raised. */
enum counters_slot {
    COUNTERS_SLOT_STARTED,         /* calls begun */
    COUNTERS_SLOT_ENDED,           /* calls over */
    COUNTERS_SLOT_REQUESTS,        /* requests forwarded to the backend */
    COUNTERS_SLOT_NEW,             /* of these, those that a table chose (rule 6) */
    COUNTERS_SLOT_RESPONSES,       /* responses forwarded from the backend */
    COUNTERS_SLOT_FINALS,          /* of the responses, those of 200 and above; the next two are of these */
    COUNTERS_SLOT_BUSY,            /* 503 */
    COUNTERS_SLOT_ERRORS,          /* other 5xx */
    COUNTERS_SLOT_UNREACHABLE,     /* main's: datagrams of ours that ICMP says it did not get; and
                                      one a second while its next hop does not answer the kernel */
    COUNTERS_SLOT_REGISTRATIONS_STARTED, /* granted where none was */
    COUNTERS_SLOT_REGISTRATIONS_ENDED,   /* given up, expired, moved; main's, too */
    COUNTERS_SLOT_SUBSCRIPTIONS_STARTED,
    COUNTERS_SLOT_SUBSCRIPTIONS_ENDED,
    COUNTERS_SLOT_COUNT,
};

/* What became of the messages of a service: of each, one of these. Their sum is its messages. By
 * workers; main moves what a service counted when its slot goes to another. */
enum counters_service {
    COUNTERS_SERVICE_REQUESTS,     /* forwarded */
    COUNTERS_SERVICE_RESPONSES,    /* forwarded */
    COUNTERS_SERVICE_REPLIED,
    COUNTERS_SERVICE_DROPPED,
    COUNTERS_SERVICE_PUNTED,
    COUNTERS_SERVICE_COUNT,
    COUNTERS_SERVICE_WORDS = 8,    /* a cache line for each service */
};

struct counters_header {
    uint32_t magic;
    uint32_t n_blocks;             /* main and the workers */
    uint64_t epoch;                /* changes with each start */
    uint64_t size;                 /* of the memfd in bytes */
    uint32_t n_counters;
    uint32_t n_slots;
    uint64_t names;                /* offset of char[n_counters][COUNTERS_NAME_MAX], NUL-padded */
    uint64_t slot_ids;             /* offset of uint32_t[n_slots]: backend id of each slot, 0: none */
    uint64_t blocks;               /* offset of block 0 */
    uint64_t block_stride;         /* bytes from one block to the next, a multiple of 64 */
    /* In a block: uint64_t[n_counters], then at slot_values for each counters_slot uint64_t[n_slots],
     * then at service_values for each of n_services uint64_t[COUNTERS_SERVICE_WORDS]. */
    uint64_t slot_values;          /* offset within a block, and the next */
    uint64_t service_values;
    uint64_t service_ids;          /* offset of uint32_t[n_services]: service id of each, 0: none */
    uint32_t n_services;           /* slots of services; the last is for those whose slot was given away */
    uint32_t pad;
    uint64_t generation;           /* of the snapshot that all workers use */
    uint64_t start_s;              /* CLOCK_REALTIME seconds at start; the call table's second 0 */
    uint64_t start_mono_s;         /* CLOCK_MONOTONIC seconds at start, for the table's seen_s */
};

static_assert(sizeof(struct counters_header) == 120, "crosses a process");

/* Bytes that a layout needs, and fills the header's offsets from its counts. */
uint64_t counters_layout(struct counters_header *header);

/* Checks what another process wrote: offsets inside size, names terminated. 0 or -EINVAL. */
int counters_check(const void *memory, uint64_t size);

static inline const char *counters_name(const struct counters_header *h, uint32_t counter)
{
    return (const char *)h + h->names + (size_t)counter * COUNTERS_NAME_MAX;
}
static inline uint32_t *counters_slot_ids(const struct counters_header *h)
{
    return (uint32_t *)((char *)(uintptr_t)h + h->slot_ids);
}
static inline uint32_t *counters_service_ids(const struct counters_header *h)
{
    return (uint32_t *)((char *)(uintptr_t)h + h->service_ids);
}
/* Whether a counter's name ends in "cycles": it measures time, so that it never stands still. */
bool counters_is_time(const struct counters_header *h, uint32_t counter);

/* The values of a block; writers store with relaxed atomics, readers load so. */
static inline uint64_t *counters_block(const struct counters_header *h, uint32_t block)
{
    return (uint64_t *)((char *)(uintptr_t)h + h->blocks + block * h->block_stride);
}
static inline uint64_t *counters_slot_block(const struct counters_header *h, uint32_t block,
                                            enum counters_slot what)
{
    return (uint64_t *)((char *)counters_block(h, block) + h->slot_values) +
           (size_t)what * h->n_slots;
}

/* The COUNTERS_SERVICE_COUNT values of a service's slot. */
static inline uint64_t *counters_service_block(const struct counters_header *h, uint32_t block,
                                               uint32_t slot)
{
    return (uint64_t *)((char *)counters_block(h, block) + h->service_values) +
           (size_t)slot * COUNTERS_SERVICE_WORDS;
}

/* "forwarded_request", "replied"…: names in metrics and in `show`. */
const char *counters_service_name(enum counters_service what);

/* Sum of a counter, or of a slot's, over all blocks. */
uint64_t counters_sum(const struct counters_header *h, uint32_t counter);
uint64_t counters_slot_sum(const struct counters_header *h, uint32_t slot, enum counters_slot what);
uint64_t counters_service_sum(const struct counters_header *h, uint32_t slot,
                              enum counters_service what);

#endif
