/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the kernel by rtnetlink (libmnl): addresses, routes, links, neighbours. Each waits
 * for the kernel's answer, which it gives within the system call. Knows no port and keeps no state
 * but its socket.
 */
#ifndef TANDEM_IO_NETLINK_H
#define TANDEM_IO_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdbool.h>

#include "dataplane/sip/ip.h"

enum {
    IO_NETLINK_PROTOCOL = 84, /* marks routes and addresses as ours: 'T', of the free numbers */
    IO_NETLINK_BUFFER_BYTES = 32768,
};

struct io_netlink {
    struct mnl_socket *socket;
    unsigned int sequence;
};

/* Opens the socket; `groups` (RTMGRP_*) to listen to, 0: requests alone. 0 or a negative errno. */
int io_netlink_open(struct io_netlink *netlink, unsigned int groups);
void io_netlink_close(struct io_netlink *netlink);

/*
 * Dumps a table (RTM_GETROUTE, RTM_GETNEIGH, RTM_GETADDR) of a family (AF_UNSPEC: all), `visit`
 * sees each message and returns MNL_CB_OK. 0 or a negative errno; -EINTR: the table changed under
 * it, dump again.
 */
int io_netlink_dump(struct io_netlink *netlink, int type, int family, mnl_cb_t visit,
                    void *context);

/*
 * Adds or deletes an address of an interface; `length` of the family. Added without duplicate
 * address detection, marked with IO_NETLINK_PROTOCOL. 0 or a negative errno.
 */
int io_netlink_address(struct io_netlink *netlink, bool add, int ifindex, const struct sip_ip *ip,
                       uint8_t length);

/*
 * Adds (replacing that of the same metric) or deletes a default route. `on_link`: the gateway lies
 * in no prefix of the interface. 0 or a negative errno.
 */
int io_netlink_gateway(struct io_netlink *netlink, bool add, int ifindex,
                       const struct sip_ip *gateway, uint32_t metric, bool on_link);

/*
 * Tells the kernel that a neighbour is in use (resolves it) or, with `probe`, has it ask a known
 * one now, whose MAC address stays valid meanwhile. 0 or a negative errno.
 */
int io_netlink_neighbour(struct io_netlink *netlink, int ifindex, const struct sip_ip *ip,
                         bool probe);

/* Deletes an interface. 0 or a negative errno. */
int io_netlink_delete_link(struct io_netlink *netlink, int ifindex);

/* The address in an attribute of a message whose family is AF_INET or AF_INET6. False: its size
 * does not fit. */
bool io_netlink_ip(int family, const struct nlattr *attribute, struct sip_ip *ret_ip);

#endif
