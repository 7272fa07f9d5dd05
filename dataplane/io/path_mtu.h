/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path MTUs that IPv6 routers told us (RFC 8201), by destination: a small table that main writes
 * and every worker reads. IPv4 needs none: we never set DF, so routers cut. A forged one costs its
 * victim no more than fragments of 1,280 bytes for ten minutes, and a full table forgets the
 * oldest of its set: both heal by themselves. Pure: no DPDK, no clock.
 */
#ifndef TANDEM_IO_PATH_MTU_H
#define TANDEM_IO_PATH_MTU_H

#include <stdint.h>

#include "dataplane/lb/siphash.h"
#include "dataplane/sip/ip.h"

enum {
    IO_PATH_MTU_MS = 10 * 60 * 1000, /* RFC 8201 §4: then a larger one is tried again */
    IO_PATH_MTU_ENTRIES = 1024,
};

struct io_path_mtu;

/* The key is a secret. NULL: no memory. */
struct io_path_mtu *io_path_mtu_new(const struct lb_key *key);
void io_path_mtu_free(struct io_path_mtu *table);

/*
 * Remembers what a router said about the way to a destination. One below 1,280 says nothing that a
 * sender must heed (RFC 8201 §4) and one above `port_mtu` nothing new: false. Main only.
 */
bool io_path_mtu_learn(struct io_path_mtu *table, const struct sip_ip *destination, uint32_t mtu,
                       uint32_t port_mtu, uint64_t now_ms);

/* Forgets what is older than IO_PATH_MTU_MS. Main only. */
void io_path_mtu_expire(struct io_path_mtu *table, uint64_t now_ms);

/* The smaller of what is known of a destination's path and `port_mtu`. Any thread. */
uint32_t io_path_mtu_get(const struct io_path_mtu *table, const struct sip_ip *destination,
                         uint32_t port_mtu);

#endif
