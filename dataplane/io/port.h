/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports: the DPDK devices behind `dataplane.ports`, whatever the driver, each with one RX and one
 * TX queue a worker, and its TAP, the exception path's interface in the kernel. Opening a port
 * also makes a kernel device deaf, since with AF_PACKET the kernel sees every frame too.
 */
#ifndef TANDEM_IO_PORT_H
#define TANDEM_IO_PORT_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/dataplane.h"

struct rte_mempool;

enum { IO_WORKERS_MAX = 32, IO_PORTS_MAX = 16, IO_BURST = 32, IO_NO_PORT_ID = 0xffff };

/* DPDK's names of one queue. */
struct io_queue {
    uint16_t port_id;
    uint16_t queue_id;
};

struct io_port {
    const struct cfg_port *cfg;
    uint32_t n_queues;
    struct io_queue queues[IO_WORKERS_MAX]; /* by worker; worker w touches queues[w] alone */
    struct rte_mempool *pool;               /* mbufs that its drivers receive into; also the room
                                               a reply or an outgoing message has */
    bool borrows;                           /* the pool is that of a port before this one */
    uint8_t mac[6];                         /* of the device, and of the TAP */
    uint16_t mtu;                           /* IP bytes of a frame */
    uint16_t tap_port_id;                   /* DPDK's; IO_NO_PORT_ID: none. Main alone uses it */
    int tap_ifindex;                        /* the kernel's; 0: none */
    char device_name[IFNAMSIZ];             /* kernel device made deaf; empty: none */
};

/*
 * Builds the `--vdev`, `-a` and memory arguments that rte_eal_init needs for a configuration, after
 * argv[0]; `--in-memory` among them, or `--no-huge --no-shconf`, since EAL refuses both together.
 * Allocates the strings. Returns their number, at most max, or a negative errno. Says why
 * in ret_reason. Checks that kernel devices exist, and that there is a queue for each worker
 * (`ethtool -L`); sets GRO, LRO off and makes the device deaf first.
 */
int io_ports_eal_args(const struct cfg_dataplane *cfg, char **ret_argv, uint32_t max,
                      char *ret_reason, size_t reason_size);

/*
 * After rte_eal_init: configures queues, pools and TAPs, starts all. ret_ports[cfg->n_ports].
 * Returns 0, or a negative errno and the reason.
 */
int io_ports_open(const struct cfg_dataplane *cfg, struct io_port *ret_ports, char *ret_reason,
                  size_t reason_size);

/* Stops and closes everything; persistent TAPs stay in the kernel. */
void io_ports_close(struct io_port *ports, uint32_t n);

/* `tandem-dataplane --remove-taps`: deletes the TAPs of a configuration. 0 or a negative errno. */
int io_ports_remove_taps(const struct cfg_dataplane *cfg);

/* Buffers of its own pool that are not free. Not exact while workers take and return some. */
uint32_t io_port_buffers_used(const struct io_port *port);

/* A descriptor that becomes readable when the TAP has frames, for epoll; -1: none. Main only. */
int io_port_tap_fd(const struct io_port *port);

#endif
