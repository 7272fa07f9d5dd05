/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes one TAP what its port's configuration says, and nothing else: what is right already is not
 * touched, for connections live on it, and what an operator added stays. Main lcore only.
 */
#ifndef TANDEM_IO_AGREE_H
#define TANDEM_IO_AGREE_H

#include "dataplane/io/mirror.h"
#include "dataplane/io/netlink.h"
#include "dataplane/io/port.h"

/* The TAP's switches in /proc/sys/net; once, at start: they stay as long as the interface, and
 * files may be out of reach once privileges are dropped. 0 or a negative errno. */
int io_agree_switches(const struct cfg_port *cfg);

/* Link up, addresses; removes addresses that an earlier configuration left. 0 or a
 * negative errno. */
int io_agree_link(struct io_netlink *netlink, const struct io_port *port);

/* Default routes by the gateways of port number `index`, against the routes of the mirror. 1: one
 * was added, the mirror is out of date; 0; or a negative errno. */
int io_agree_gateways(struct io_netlink *netlink, const struct io_port *port, uint32_t index,
                      const struct io_mirror *mirror);

#endif
