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
#include <stdint.h>

enum {
    CAPTURE_MAGIC = 0x54435031,    /* "TCP1": raised with every change */
    CAPTURE_RING_BYTES = 4 << 20,  /* of records, a worker */
    CAPTURE_RING_MIN = 1 << 10,    /* of any ring; powers of two */
    CAPTURE_RING_MAX = 1 << 30,
    CAPTURE_RINGS_MAX = 64,
    CAPTURE_ANCHORS = 4,           /* of a ring */
    CAPTURE_PORTS_MAX = 256,       /* a record's port has 8 bits */
    CAPTURE_NAME_MAX = 64,         /* of a port, with its NUL: SCHEMA_NAME_MAX + 1 */
    /* The longest: Ethernet and IPv6 headers, and 65,535 bytes that were joined from fragments. */
    CAPTURE_FRAME_MAX = 14 + 40 + 65535,
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
 * ring_bytes, and a record may lie around the end. The writer alone stores them: `reserved` before
 * a record is written, `written` after all others. */
struct capture_ring {
    uint64_t reserved, written;
    uint64_t records;              /* written since the start */
    uint64_t anchors[CAPTURE_ANCHORS];   /* positions: where in each quarter of the ring the first
                                            record begins that begins there */
    uint64_t pad;
    uint64_t words[];              /* ring_bytes / 8 */
};

/* In front of a frame's bytes; what lies in between is padded with 0 to a multiple of eight. */
struct capture_record {
    uint32_t size;                 /* of record and frame, padded to 8 */
    uint32_t length;               /* bytes of the frame, from its Ethernet header on */
    uint64_t number;               /* in its ring, from 0: a gap is a loss */
    uint64_t time_ns;              /* CLOCK_REALTIME */
    uint64_t call;                 /* snapshot_call_hash of its Call-ID; 0: it has none */
    uint32_t from, to;             /* ids of the backends that it comes from and goes to; 0: none */
    uint8_t port;                  /* index */
    uint8_t outbound;              /* bool: as it leaves; the record behind its message as it came */
    uint8_t reason;                /* enum proxy_reason: what was done, also in the copy as it came */
    uint8_t rule;                  /* enum proxy_rule */
    uint8_t pad[4];
};

static_assert(sizeof(struct capture_header) == 48, "crosses a process");
static_assert(sizeof(struct capture_ring) == 64, "crosses a process");
static_assert(sizeof(struct capture_record) == 48, "crosses a process");

/* Bytes that the rings need; fills size and offsets of a header from its counts and ring_bytes. */
uint64_t capture_layout(struct capture_header *header);

/*
 * Copies and checks the header of memory that another process wrote and maps still: every later
 * call of a reader takes this copy, whose offsets lie inside `size`. 0, or -EINVAL and *ret is
 * untouched.
 */
int capture_open(const void *memory, uint64_t size, struct capture_header *ret);

/* Copies the name of a port below n_ports; always terminated. */
void capture_name(const struct capture_header *h, const void *memory, uint32_t port,
                  char ret[CAPTURE_NAME_MAX]);

/* The words of a ring below n_rings. */
static inline struct capture_ring *capture_ring(const struct capture_header *h, const void *memory,
                                                uint32_t ring)
{
    return (struct capture_ring *)((char *)(uintptr_t)memory + h->rings + ring * h->stride);
}

/*
 * Writes one record by the ring's owner: `record` but for its size, number and length, and the
 * frame in two parts, the second of which may be empty. Longer than a quarter of the ring or than
 * CAPTURE_FRAME_MAX: nothing is written. Never waits.
 */
void capture_put(const struct capture_header *h, void *memory, uint32_t ring,
                 const struct capture_record *record, const void *first, uint32_t first_length,
                 const void *second, uint32_t second_length);

/* Where somebody reads a ring. */
struct capture_reader {
    uint64_t at;                   /* position */
    uint64_t next;                 /* number of the record there */
    int64_t lost;                  /* records overwritten before they were read; exact when one was
                                      read after them */
};

/* Begins behind what is written by now. */
void capture_begin(const struct capture_header *h, const void *memory, uint32_t ring,
                   struct capture_reader *ret);

struct capture_copy {
    struct capture_record record;
    uint8_t frame[CAPTURE_FRAME_MAX + 7];
};

enum capture_taken {
    CAPTURE_NONE,                  /* there is no more now */
    CAPTURE_TAKEN,
    CAPTURE_LOST,                  /* the writer was faster (or wrote nonsense): the reader stands
                                      at what is not in danger yet, or behind what is written */
};

/* Copies the next record and its frame. Reads nothing outside the ring whatever its owner writes; of
 * what it returns, length ≤ CAPTURE_FRAME_MAX and port < n_ports hold, the rest is as written. */
enum capture_taken capture_take(const struct capture_header *h, const void *memory, uint32_t ring,
                                struct capture_reader *reader, struct capture_copy *ret);

#endif
