/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses as the kernel's sockets want them. It opens nothing that stays open.
 */
#ifndef TANDEM_CONTROL_ADDRESS_H
#define TANDEM_CONTROL_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "dataplane/sip/ip.h"

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* This node's own addresses, by their family. */
struct address_own {
    bool has_v4, has_v6;
    struct sip_ip v4, v6;
};

/* The one that a peer is talked to from; NULL: none of its family, the kernel has the choice. */
const struct sip_ip *address_own_for(const struct address_own *own, const struct sip_ip *peer);

/* Fills in the one of its family, all of it. Returns its size. */
socklen_t address_to_kernel(const struct sip_addr *addr, union address *ret);

/* The other way; all zero for another family. */
struct sip_addr address_from_kernel(const union address *from);

/* Binds a socket to an address that may not be on this host yet and that other sockets of ours have,
 * too; port 0: any. 0, or a negative errno. */
int address_bind(int fd, const struct sip_addr *addr);

/* The address that the kernel would send to a peer from (its port must not be 0). 0, or a negative
 * errno; *ret is untouched then. */
int address_source(const struct sip_addr *peer, struct sip_ip *ret);

#endif
