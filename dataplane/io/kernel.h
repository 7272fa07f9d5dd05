/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of the exception path, by netlink (libmnl): makes it agree with the
 * configuration (addresses, gateways, TAPs up, sysctls), mirrors its routes and neighbours, asks it
 * to resolve and to revalidate neighbours. Main lcore only; blocks only in io_kernel_new.
 */
#ifndef TANDEM_IO_KERNEL_H
#define TANDEM_IO_KERNEL_H

#include "dataplane/io/fib.h"
#include "dataplane/io/port.h"

struct io_kernel;

/* Needs CAP_NET_ADMIN. Agrees and mirrors once. NULL, and the reason, on failure. */
struct io_kernel *io_kernel_new(const struct io_port *ports, uint32_t n, char *ret_reason,
                                size_t reason_size);
void io_kernel_free(struct io_kernel *kernel);

/* The netlink socket, for epoll. */
int io_kernel_fd(const struct io_kernel *kernel);

/*
 * Reads what came, without blocking, and puts right what the configuration wants otherwise (a
 * deleted address, a TAP set down). Returns 1 when routes or neighbours changed: build a new fib;
 * 0; or a negative errno: the mirror is incomplete, call again a little later. -ENODEV: a TAP or
 * the device of a port was deleted, which only a restart heals. A lost message (ENOBUFS) leads to a
 * new dump.
 */
int io_kernel_read(struct io_kernel *kernel);

/* Why the kernel could not be made to agree with the configuration at the last read (a negative
 * errno), or 0. The next read tries again: call it once a second while it is not 0. */
int io_kernel_trouble(const struct io_kernel *kernel);

/* The mirror as a fib for workers, with the configuration's prefixes and gateways of ports that have
 * no TAP (pcap, null): their frames go to the broadcast MAC address. NULL: no memory. */
struct io_fib *io_kernel_fib(const struct io_kernel *kernel);

/* Asks the kernel to resolve a neighbour (NTF_USE). At most once a second each. */
void io_kernel_resolve(struct io_kernel *kernel, uint8_t port, const struct sip_ip *ip,
                       uint64_t now_ms);

/* Whether the last that the kernel said of a neighbour is that it asked it and had no answer. */
bool io_kernel_failed(const struct io_kernel *kernel, uint8_t port, const struct sip_ip *ip);

/*
 * Revalidates the neighbours that workers used since the last call, each at most every 10 s (has
 * the kernel probe them now), so that a silent change of MAC heals. Call about once a second.
 */
void io_kernel_revalidate(struct io_kernel *kernel, struct io_fib *fib, uint64_t now_ms);

/*
 * Whether the kernel device of a port may be made deaf: it holds no address but those that the
 * port's `addresses` lists, which move to the TAP, and link-local ones. Changes nothing. -EBUSY and
 * the reason, which names the address, when somebody else may be using it; or another negative
 * errno.
 */
int io_kernel_may_deafen(const struct cfg_port *port, char *ret_reason, size_t reason_size);

/*
 * Before EAL, after io_kernel_may_deafen: addresses off (each is named on stderr), arp_ignore=8,
 * rp_filter=1, disable_ipv6=1, forwarding=0, GRO and LRO off, device up with all multicast;
 * promiscuous is left to the driver. 0 or a negative errno and the reason.
 */
int io_kernel_deafen(const struct cfg_port *port, char *ret_reason, size_t reason_size);

#endif
