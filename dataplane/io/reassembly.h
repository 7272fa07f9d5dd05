/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams joined from their IP fragments, in bounded memory and time: one table has one owner, a
 * worker. Pure: no DPDK, no device, no clock, no allocation after the start.
 *
 * What bounds it: entries (datagrams that wait for a piece), blocks (bytes of them), and
 * IO_REASSEMBLY_S. Where there is no room the oldest give way, first among those of addresses that
 * hash alike: whoever floods from one address evicts his own. Overlapping pieces end the datagram
 * (RFC 5722, RFC 8200 §4.5), and what comes of it later is dropped, too.
 */
#ifndef TANDEM_IO_REASSEMBLY_H
#define TANDEM_IO_REASSEMBLY_H

#include <stdint.h>

#include "dataplane/lb/siphash.h"
#include "dataplane/sip/ip.h"

enum {
    IO_DATAGRAM_MAX = 65535, /* bytes behind the IP headers */
    /* How long a datagram waits, to a second less. RFC 791 and 8200 allow 15 s and 60 s: by then
     * SIP has sent its message again, under another identification, and IPv4's 65,536 of them have
     * come around (RFC 4963). */
    IO_REASSEMBLY_S = 3,
    IO_REASSEMBLY_WAYS = 32,    /* entries of addresses that hash alike; the least of a table */
    IO_REASSEMBLY_BLOCK = 2048, /* bytes of a block */
    IO_REASSEMBLY_BLOCKS_MIN = (IO_DATAGRAM_MAX + 1) / IO_REASSEMBLY_BLOCK,
};

/* Of which datagram a fragment is. No padding: compared as bytes. A stranger who sends pieces of a
 * backend's datagrams uses another port or MAC address than the backend: they never meet. */
struct io_reassembly_key {
    struct sip_ip src, dst;
    uint32_t id;
    uint8_t src_mac[6];
    uint8_t port; /* index of ours that received it */
    uint8_t zero;
};

struct io_piece {
    uint32_t offset; /* of its first byte in the datagram */
    uint32_t length; /* bytes */
    bool more;       /* it is not the last one */
    const uint8_t *bytes;
};

/* What became of pieces: each is in one of these, or waits. */
struct io_reassembly_counts {
    uint64_t joined;     /* of datagrams that were completed */
    uint64_t repeated;   /* the same bytes once more */
    uint64_t overlapped; /* of datagrams given up since their pieces contradict each other */
    uint64_t invalid;    /* no piece of any datagram: empty, beyond the end, not in units of 8 */
    uint64_t expired;    /* of datagrams that waited too long */
    uint64_t evicted;    /* of datagrams that gave way */
    uint64_t datagrams;  /* completed */
};

struct io_reassembly;

/*
 * n_entries: a power of two, IO_REASSEMBLY_WAYS to 32,768; n_blocks: IO_REASSEMBLY_BLOCKS_MIN to
 * 65,535. The key is a secret. NULL: no memory.
 */
struct io_reassembly *io_reassembly_new(uint32_t n_entries, uint32_t n_blocks,
                                        const struct lb_key *key);
void io_reassembly_free(struct io_reassembly *table);

/*
 * Takes a piece in (it is copied). Returns 0, or the length of the datagram that it completes,
 * which is then in ret_datagram[IO_DATAGRAM_MAX] and no longer in the table.
 */
uint32_t io_reassembly_add(struct io_reassembly *table, const struct io_reassembly_key *key,
                           const struct io_piece *piece, uint32_t now_s, uint8_t *ret_datagram);

/* Gives up what began IO_REASSEMBLY_S ago or earlier. */
void io_reassembly_expire(struct io_reassembly *table, uint32_t now_s);

/* Pieces that wait. */
uint32_t io_reassembly_waiting(const struct io_reassembly *table);

/* Since the last call. */
struct io_reassembly_counts io_reassembly_take_counts(struct io_reassembly *table);

#endif
