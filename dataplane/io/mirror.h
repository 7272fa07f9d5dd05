/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's routes and neighbours as far as they concern our TAPs, as lists for a fib, kept from
 * netlink messages. Sends nothing: kernel.c asks, this reads.
 */
#ifndef TANDEM_IO_MIRROR_H
#define TANDEM_IO_MIRROR_H

#include <libmnl/libmnl.h>

#include "dataplane/io/fib.h"

struct io_mirror {
    const int *ifindex; /* of the TAP, by port; 0: none. The owner's */
    uint32_t n_ports;
    struct io_fib_route *routes;
    uint32_t n_routes;
    uint32_t routes_size;
    struct io_fib_neighbour *neighbours;
    uint16_t *states; /* NUD_*, by neighbour */
    uint32_t n_neighbours;
    uint32_t neighbours_size;
    uint32_t *places; /* 2 * neighbours_size, a hash table: a neighbour's number + 1, or 0 */
};

void io_mirror_init(struct io_mirror *mirror, const int *ifindex, uint32_t n_ports);
void io_mirror_done(struct io_mirror *mirror);

/* Forgets the routes or the neighbours, before a dump. */
void io_mirror_clear_routes(struct io_mirror *mirror);
void io_mirror_clear_neighbours(struct io_mirror *mirror);

/*
 * Whether an RTM_NEWROUTE or RTM_DELROUTE can concern us. Routes are not edited one by one: what a
 * replacement or a multipath change leaves is the kernel's secret, so a change means a dump.
 */
bool io_mirror_route_concerns(const struct io_mirror *mirror, const struct nlmsghdr *message);

/* Takes one route of a dump. 0, or -ENOMEM. */
int io_mirror_route(struct io_mirror *mirror, const struct nlmsghdr *message);

/* Takes an RTM_NEWNEIGH or RTM_DELNEIGH. 1: workers must know (a MAC address came, went or
 * changed); 0: nothing new for them; -ENOMEM. */
int io_mirror_neighbour(struct io_mirror *mirror, const struct nlmsghdr *message);

/* The NUD_* state of a neighbour; 0: unknown. */
uint16_t io_mirror_state(const struct io_mirror *mirror, uint8_t port, const struct sip_ip *ip);

#endif
