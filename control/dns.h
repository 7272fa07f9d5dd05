/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a SIP URI's host is found: RFC 3263 §4 by DNS (NAPTR, SRV, A and AAAA), asynchronously in the
 * loop. It keeps nothing of what it found, and does
 * not know who asks.
 */
#ifndef TANDEM_CONTROL_DNS_H
#define TANDEM_CONTROL_DNS_H

#include "config/snapshot.h"
#include "control/loop.h"

enum {
    DNS_QUESTIONS_MAX = 256,          /* at once; one more is refused */
    DNS_HOPS_MAX = 64,                /* SRV records of a name; those after the first are left out */
    DNS_ADDRESSES_MAX = 256,          /* of them all, before they are cut to SNAPSHOT_TARGETS_MAX */
    DNS_TTL_MIN_S = 5,                /* no answer is believed for less or more */
    DNS_TTL_MAX_S = 3600,
    DNS_NEGATIVE_S = 30,              /* that there is no such name, when no SOA says how long */
    DNS_FAILED_S = 5,                 /* until it makes sense to ask again */
};

struct dns_result {
    uint8_t outcome;                  /* enum snapshot_outcome */
    uint32_t ttl_s;                   /* DNS_TTL_MIN_S to DNS_TTL_MAX_S */
    const struct snapshot_target *targets;   /* FOUND: by priority ascending; valid until done returns */
    uint32_t n_targets;               /* at most SNAPSHOT_TARGETS_MAX */
};

struct dns;

/* Asks the system's servers (/etc/resolv.conf) until dns_servers. NULL: no memory. */
struct dns *dns_new(struct loop *loop);
/* Forgets what is being asked; nobody is told. */
void dns_free(struct dns *dns);

/*
 * Asks these servers from now on; n = 0: the system's. What is being asked fails when they change.
 * 0, or -ENOMEM: those before stay.
 */
int dns_servers(struct dns *dns, const struct sip_addr *servers, uint32_t n);

/*
 * Asks for the targets of a host name (no dot at its end), by the URI's port (0: none) and transport
 * (enum sip_transport; NONE: not given). done(arg, result) is called once, in the loop, never from
 * within this call. Targets speak UDP: the only transport that is offered today. Returns 0, -EBUSY
 * (DNS_QUESTIONS_MAX) or -ENOMEM; then done is not called.
 *
 * Without a port a name that begins with _ is that of SRV records (_sip._udp.example.net), and they
 * are asked for as they are.
 *
 * A weight is shared among the addresses of one family that an SRV record's target has, so that each
 * record gets its part.
 */
int dns_resolve(struct dns *dns, const char *host, uint16_t port, uint8_t transport,
                void (*done)(void *arg, const struct dns_result *result), void *arg);

#endif
