/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is asked for names: DNS with the servers that the configuration names, for all who ask. It
 * keeps no answers.
 */
#ifndef TANDEM_CONTROL_RESOLVER_H
#define TANDEM_CONTROL_RESOLVER_H

#include "config/cfg.h"
#include "control/dns.h"

/* The functions are dns.h's but in tests; all zero but them and `dns` at first. */
struct resolver {
    int (*resolve)(void *dns, const char *host, uint16_t port, uint8_t transport,
                   void (*done)(void *arg, const struct dns_result *result), void *arg);
    int (*servers)(void *dns, const struct sip_addr *servers, uint32_t n);
    void *dns;
    struct sip_addr *told;            /* the servers that it was told */
    uint32_t n_told;
};

void resolver_done(struct resolver *resolver);

/* As dns_resolve, of the servers of a configuration: when they are others than before, what is being
 * asked fails. */
int resolver_ask(struct resolver *resolver, const struct cfg *cfg, const char *host, uint16_t port,
                 uint8_t transport, void (*done)(void *arg, const struct dns_result *result),
                 void *arg);

#endif
