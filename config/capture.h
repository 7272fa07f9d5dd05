/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memfd through which the data plane shows control copies of messages: a ring a worker, each
 * with one writer that never waits and overwrites what is old. The reader, who cannot write here,
 * copies a record and then looks whether it was overwritten meanwhile. What is captured is said by
 * the snapshot (snapshot_capture).
 */
#ifndef TANDEM_CONFIG_CAPTURE_H
#define TANDEM_CONFIG_CAPTURE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    CAPTURE_MAGIC = 0x54435031,    /* "TCP1": raised with every change */
    CAPTURE_RING_BYTES = 4 << 20,  /* of records, a worker; a power of two */
    CAPTURE_NAME_MAX = 64,         /* of a port, with its NUL: SCHEMA_NAME_MAX + 1 */
};

struct capture_header {
    uint32_t magic;
    uint32_t n_rings, n_ports;
    uint32_t ring_bytes;           /* of one ring's records */
    uint64_t size;                 /* of the memfd */
    uint64_t names;                /* offset of char[n_ports][CAPTURE_NAME_MAX] */
    uint64_t rings;                /* offset of ring 0 */
    uint64_t stride;               /* bytes from one ring to the next */
};

/* Positions count bytes since the start and never wrap; a position's place is its remainder by
 * ring_bytes, and a record may lie around the end. Both are stored by the writer alone: `reserved`
 * before a record is written, `written` after. */
struct capture_ring {
    uint64_t reserved, written;
    uint64_t pad[6];
    uint8_t bytes[];
};

/* In front of a frame's bytes; sizes in between are multiples of eight. */
struct capture_record {
    uint32_t size;                 /* of record and frame, padded to 8 */
    uint32_t length;               /* bytes of the frame, from its Ethernet header on */
    uint64_t time_ns;              /* CLOCK_REALTIME */
    uint64_t call;                 /* snapshot_call_hash of its Call-ID; 0: it has none */
    uint32_t backend;              /* id of the backend it goes to or comes from; 0: none */
    uint8_t port;                  /* index */
    uint8_t outbound;              /* bool: as it leaves */
    uint8_t reason;                /* enum proxy_reason: what was done, also in the copy as it came */
    uint8_t rule;                  /* enum proxy_rule */
};

static_assert(sizeof(struct capture_header) == 48, "crosses a process");
static_assert(sizeof(struct capture_record) == 32, "crosses a process");

/* Bytes that rings for n workers and their ports need; fills the header's offsets from its counts. */
uint64_t capture_layout(struct capture_header *header);

/* Checks what another process wrote: offsets inside size, names terminated. 0 or -EINVAL. */
int capture_check(const void *memory, uint64_t size);

static inline struct capture_ring *capture_ring(const struct capture_header *h, uint32_t ring)
{
    return (struct capture_ring *)((char *)(uintptr_t)h + h->rings + ring * h->stride);
}

/* Writes one record by the ring's owner: `record` without its size, and the frame in two parts, the
 * second of which may be empty; record->length is their sum. Longer than a quarter of the ring:
 * nothing is written. Never waits. */
void capture_put(struct capture_header *h, uint32_t ring, const struct capture_record *record,
                 const void *first, uint32_t first_length, const void *second);

enum { CAPTURE_NONE, CAPTURE_TAKEN, CAPTURE_LOST };

/*
 * Reads the record at *at, and moves *at behind it, into `ret`, which takes
 * sizeof(struct capture_record) + 65,535 + 8 bytes. CAPTURE_NONE: there is no more;
 * CAPTURE_LOST: the writer was faster, *at is at what is there now. `h` must have passed
 * capture_check, a private copy of it, since its owner goes on writing; `memory` is the mapping.
 */
int capture_take(const struct capture_header *h, const void *memory, uint32_t ring, uint64_t *at,
                 struct capture_record *ret);

#endif
