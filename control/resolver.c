/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the configuration's servers: see resolver.h.
 */
#include "control/resolver.h"

#include <stdlib.h>
#include <string.h>

#include "control/log.h"

void resolver_done(struct resolver *resolver)
{
    free(resolver->told);
    resolver->told = NULL;
    resolver->n_told = 0;
}

/* Tells the servers when they are others than before. */
static void follow_servers(struct resolver *r, const struct cfg *cfg)
{
    struct sip_addr *copy;

    if (cfg->control.n_dns == r->n_told &&
        (r->n_told == 0 || memcmp(cfg->control.dns, r->told, r->n_told * sizeof(*r->told)) == 0))
        return;
    copy = calloc(cfg->control.n_dns + 1u, sizeof(*copy));
    if (copy == NULL || r->servers(r->dns, cfg->control.dns, cfg->control.n_dns) != 0) {
        log_error("control.dns: no memory");
        free(copy);
        return;
    }
    if (cfg->control.n_dns > 0)
        memcpy(copy, cfg->control.dns, cfg->control.n_dns * sizeof(*copy));
    free(r->told);
    r->told = copy;
    r->n_told = cfg->control.n_dns;
}

int resolver_ask(struct resolver *r, const struct cfg *cfg, const char *host, uint16_t port,
                 uint8_t transport, void (*done)(void *arg, const struct dns_result *result),
                 void *arg)
{
    follow_servers(r, cfg);
    return r->resolve(r->dns, host, port, transport, done, arg);
}
