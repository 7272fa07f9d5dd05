/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transmit stage of one worker: frames gather for each port and leave in bursts through the
 * worker's own queue. Every mbuf given to a device is one segment (AF_XDP's driver would send old
 * memory for more) and fits its MTU (it would write beyond its buffer).
 */
#ifndef TANDEM_IO_TRANSMIT_H
#define TANDEM_IO_TRANSMIT_H

#include "dataplane/io/port.h"

struct rte_mbuf;

/* Whose frame it is, for the counts; hash.usr of mbufs on rings between lcores. */
enum io_kind {
    IO_KIND_SIP,
    IO_KIND_HELD, /* SIP that waited for its neighbour's MAC */
    IO_KIND_TAP,  /* the kernel's */
    IO_KIND_PART, /* a fragment, but for the last one of its message: not counted */
    IO_KINDS,
};

/* What became of frames since the counts were set to 0. A message in fragments counts once. */
struct io_tx_counts {
    uint64_t sent[IO_KINDS];
    uint64_t refused[IO_KINDS];  /* by the device, after a bounded number of attempts */
    uint64_t no_room[IO_KINDS];  /* no mbufs for the fragments */
    uint64_t too_long[IO_KINDS]; /* does not fit the MTU and cannot be cut */
    uint64_t fragmented;         /* messages cut (whatever became of them then) */
};

struct io_tx;

/* One worker's. NULL: no memory. `ports` must outlive it. */
struct io_tx *io_tx_new(const struct io_port *ports, uint32_t n_ports, uint32_t worker);
void io_tx_free(struct io_tx *tx);

/*
 * Identifications of datagrams: each worker counts in steps of this from a number whose rest by it
 * is the worker's, so that no two cut datagrams for one destination share one (a power of two:
 * wrapping around keeps the rest).
 */
uint32_t io_tx_id_step(uint32_t n_workers);

/* Takes over a frame, whose kind is SIP, HELD or TAP; SIP and HELD are cut when their IP packet is
 * longer than `mtu` (at most the port's). The worker alone. */
void io_tx_put(struct io_tx *tx, uint8_t port, struct rte_mbuf *mbuf, enum io_kind kind,
               uint32_t mtu);

/* Sends what was put. */
void io_tx_flush(struct io_tx *tx);

/* Since the last call. */
struct io_tx_counts io_tx_take_counts(struct io_tx *tx);

#endif
