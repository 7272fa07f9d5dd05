/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forwarding table that workers read: routes and neighbours of our TAPs as the kernel has them,
 * an immutable block that main builds anew on a change and swaps by RCU (publish). Pure: no DPDK,
 * no netlink, testable on plain lists.
 */
#ifndef TANDEM_IO_FIB_H
#define TANDEM_IO_FIB_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/sip/ip.h"

struct io_fib_route {
    struct sip_ip prefix; /* IPv4 as mapped: its length counts from 96 */
    uint8_t length;       /* 0..128 */
    uint8_t port;         /* index of our port */
    bool on_link;         /* no gateway: the destination is the neighbour */
    struct sip_ip gateway;
    uint32_t metric; /* the lower wins among equal prefixes */
    bool broadcast;  /* a port without exception path: nobody there tells MAC addresses, frames go
                        to all stations */
};

struct io_fib_neighbour {
    struct sip_ip ip;
    uint8_t port;
    bool resolved; /* mac is valid (REACHABLE, STALE, DELAY, PROBE, PERMANENT) */
    uint8_t mac[6];
};

struct io_fib;

enum io_fib_result { IO_FIB_FOUND, IO_FIB_UNRESOLVED, IO_FIB_NO_ROUTE };

struct io_next_hop {
    uint8_t port;
    uint8_t mac[6];   /* valid when IO_FIB_FOUND */
    struct sip_ip ip; /* of the neighbour: the gateway or the destination itself */
};

/* Builds one from lists (copied). NULL: no memory. Longest prefix wins, then the lower metric. */
struct io_fib *io_fib_new(const struct io_fib_route *routes, uint32_t n_routes,
                          const struct io_fib_neighbour *neighbours, uint32_t n_neighbours);
void io_fib_free(struct io_fib *fib);

/* Where a destination leaves. Marks the neighbour as used. Any worker. *ret is filled unless
 * IO_FIB_NO_ROUTE. */
enum io_fib_result io_fib_lookup(const struct io_fib *fib, const struct sip_ip *destination,
                                 struct io_next_hop *ret);

/* Where a frame goes, when its own destination does not say it. No padding. */
struct io_fib_target {
    struct sip_ip ip;
    uint8_t neighbour; /* bool: only if it is a neighbour itself, by no gateway */
};

/* Where a target's frames leave, by io_fib_lookup. */
enum io_fib_result io_fib_reach(const struct io_fib *fib, const struct io_fib_target *target,
                                struct io_next_hop *ret);

/* Where one frame of a burst leaves. */
struct io_fib_way {
    struct io_fib_target target; /* the caller's */
    uint8_t result;              /* enum io_fib_result */
    uint8_t port;                /* unless IO_FIB_NO_ROUTE */
    uint8_t mac[6];              /* the same; 0 unless IO_FIB_FOUND */
};

enum { IO_FIB_BURST = 32 }; /* the most ways of a burst */

/* io_fib_reach of a burst: the neighbours' memory, which is cold when they are many, is read for all
 * at once. Fills the ways but for their targets. */
void io_fib_reach_burst(const struct io_fib *fib, struct io_fib_way *const *ways, uint32_t n);

/* Calls `visit` for each neighbour used since the last call, and forgets the marks. Main only. */
void io_fib_used(struct io_fib *fib,
                 void (*visit)(void *context, uint8_t port, const struct sip_ip *ip),
                 void *context);

#endif
