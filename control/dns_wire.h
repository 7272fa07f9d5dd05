/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS queries over the network, in the loop: servers, sockets, tries, timeouts. c-ares does it and is
 * seen nowhere else. It does not read what was answered.
 */
#ifndef TANDEM_CONTROL_DNS_WIRE_H
#define TANDEM_CONTROL_DNS_WIRE_H

#include <stddef.h>

#include "control/loop.h"
#include "dataplane/sip/ip.h"

enum {
    DNS_TIMEOUT_MS = 1000,            /* of the first try; twice that of the second */
    DNS_TRIES = 2,
};

enum dns_wire_status {
    DNS_WIRE_ANSWER,                  /* the packet has records */
    DNS_WIRE_NOTHING,                 /* no such name, or none of that type; packet NULL: not asked */
    DNS_WIRE_FAILED,                  /* no server answered, or none that could */
};

struct dns_wire;

/* Asks the system's servers (/etc/resolv.conf, read again when it was changed) until
 * dns_wire_servers. NULL: no memory. */
struct dns_wire *dns_wire_new(struct loop *loop);
/* All that is asked fails at once. */
void dns_wire_free(struct dns_wire *wire);

/* Asks these servers from now on; n = 0: the system's. All that is asked fails at once. 0, or
 * -ENOMEM: those before stay. */
int dns_wire_servers(struct dns_wire *wire, const struct sip_addr *servers, uint32_t n);

/*
 * Asks for the records of a type (enum dns_type) of a name. fn(arg, …) is called once, possibly from
 * within this call; the packet is its for that time. Without memory it fails.
 */
void dns_wire_ask(struct dns_wire *wire, const char *name, int type,
                  void (*fn)(void *arg, enum dns_wire_status status, const uint8_t *packet,
                             size_t size),
                  void *arg);

#endif
