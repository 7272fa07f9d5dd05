/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that wait for their neighbour's MAC: a few for each neighbour, not many in all, not for
 * long. Main only.
 */
#ifndef TANDEM_IO_HOLD_H
#define TANDEM_IO_HOLD_H

#include <stdbool.h>

#include "dataplane/io/fib.h"
#include "dataplane/io/port.h"

struct rte_mbuf;
struct io_hold;

enum {
    IO_HOLD_MAX = 256,          /* in all: a small share of a port's mbufs */
    IO_HOLD_NEIGHBOUR_MAX = 16, /* for one neighbour; further ones are dropped */
    IO_HOLD_MS = 3000,          /* the kernel gives a neighbour three probes, a second each */
};

/* NULL: no memory. */
struct io_hold *io_hold_new(const struct io_port *ports);
void io_hold_free(struct io_hold *hold);

/* Takes over a frame to a target, whose way leads by a neighbour. False: no room, freed. */
bool io_hold_add(struct io_hold *hold, struct rte_mbuf *mbuf, const struct io_fib_target *target,
                 const struct sip_ip *neighbour, uint64_t now_ms);

/* Frames held. */
uint32_t io_hold_count(const struct io_hold *hold);

/*
 * Gives frames whose neighbour the fib knows now, their MACs filled in, to `release` (which takes
 * them over) and frees those that waited too long. Returns how many it freed.
 */
uint32_t io_hold_scan(struct io_hold *hold, const struct io_fib *fib, uint64_t now_ms,
                      void (*release)(void *context, uint8_t port, struct rte_mbuf *mbuf),
                      void *context);

#endif
