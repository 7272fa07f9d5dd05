/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exception path: bounded rings between the workers and main, and main's end at the TAPs.
 * Workers never wait here, and write the eventfd only when main said that it sleeps.
 */
#ifndef TANDEM_IO_EXCEPTION_H
#define TANDEM_IO_EXCEPTION_H

#include <stdbool.h>

#include "dataplane/io/hold.h"
#include "dataplane/io/port.h"

struct rte_mbuf;
struct io_exception;

/* Rings and eventfd for ports that are open (they must outlive it). NULL: no memory or descriptor.
 */
struct io_exception *io_exception_new(const struct io_port *ports, uint32_t n_ports);
void io_exception_free(struct io_exception *exception);

/* ---- Workers ---- */

/* Gives frames of a port to main, for the kernel. Returns how many fitted; the rest is freed. */
uint32_t io_exception_to_kernel(struct io_exception *exception, uint8_t port,
                                struct rte_mbuf **mbufs, uint32_t n);

/* Gives main a frame to a target whose MAC is unknown. False: no room, freed. */
bool io_exception_to_hold(struct io_exception *exception, struct rte_mbuf *mbuf,
                          const struct io_fib_target *target);

/* Gives main a packet for control, alone in its mbuf. False: no room, freed. */
bool io_exception_to_control(struct io_exception *exception, struct rte_mbuf *mbuf);

/* Wakes main if it sleeps. After whatever a burst gave to main. */
void io_exception_wake(struct io_exception *exception);

/* Takes up to max frames that main has for a port; one worker a port. Their kind is in the mbuf. */
uint32_t io_exception_from_main(struct io_exception *exception, uint8_t port,
                                struct rte_mbuf **ret_mbufs, uint32_t max);

/* ---- Main ---- */

/* Readable when a worker wrote it, for epoll. */
int io_exception_fd(const struct io_exception *exception);

/* Says that main is about to sleep. False: there is something to do, it must not. */
bool io_exception_sleep(struct io_exception *exception);

/* Main is awake; drains the eventfd. */
void io_exception_awake(struct io_exception *exception);

struct io_exception_counts {
    uint64_t delivered, write_drop;       /* towards the kernel */
    uint64_t read, read_drop, ring_full;  /* from the kernel; the last two did not go on */
    uint64_t held_released, held_dropped; /* of messages to hold: sent at once, refused */
    uint64_t punt_sent, punt_lost;        /* towards control */
};

/*
 * Writes what workers gave to the TAPs, at most `max` frames; those longer than a TAP takes
 * (AF_PACKET and workers join fragments) in fragments, and counted once. Adds to *counts. `see` is
 * shown each before.
 */
void io_exception_deliver(
    struct io_exception *exception, uint32_t max, struct io_exception_counts *counts,
    void (*see)(void *context, uint8_t port, const uint8_t *bytes, uint32_t length), void *context);

/* Reads a port's TAP, at most `max` frames, and gives them to its worker. Adds to *counts. */
void io_exception_collect(struct io_exception *exception, uint8_t port, uint32_t max,
                          struct io_exception_counts *counts);

/* Moves frames that wait for a MAC into `hold`, at most `max`; those whose MAC is known by now go
 * back to their port's worker. Adds to *counts. `resolve` is called for each neighbour that is not
 * known now. */
void io_exception_hold(struct io_exception *exception, struct io_hold *hold,
                       const struct io_fib *fib, uint64_t now_ms, uint32_t max,
                       struct io_exception_counts *counts,
                       void (*resolve)(void *context, uint8_t port, const struct sip_ip *ip),
                       void *context);

/* Gives a held frame, whose MACs are right by now, to the worker of a port. False: no room, freed.
 */
bool io_exception_release(struct io_exception *exception, uint8_t port, struct rte_mbuf *mbuf);

/* Shows what workers have for control to `send`, which never waits and returns whether control has
 * it; at most `max` packets. Adds to *counts. */
void io_exception_punt(struct io_exception *exception, uint32_t max,
                       struct io_exception_counts *counts,
                       bool (*send)(void *context, const void *packet, uint32_t size),
                       void *context);

#endif
