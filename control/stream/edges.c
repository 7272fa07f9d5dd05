/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and WebSocket's rules of one configuration: see edges.h.
 */
#include "control/stream/edges.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct web {
    struct sip_addr addr;
    struct http_rules rules; /* texts of our own */
};

struct edges {
    uint32_t references;
    struct tls *tls;
    struct web *webs;
    uint32_t n_webs;
};

static void edges_free(struct edges *edges)
{
    for (uint32_t i = 0; i < edges->n_webs; i++) {
        const struct http_rules *rules = &edges->webs[i].rules;

        for (uint32_t j = 0; j < rules->n_origins; j++)
            free(rules->origins[j]);
        free((void *)(uintptr_t)rules->origins);
        free((char *)(uintptr_t)rules->path);
    }
    free(edges->webs);
    tls_free(edges->tls);
    free(edges);
}

/* A copy of what a listener says. False: no memory. */
static bool copy_rules(const struct cfg_listener *from, struct http_rules *to)
{
    char **origins = calloc((size_t)from->n_origins + 1, sizeof(*origins));

    to->path = strdup(from->path);
    to->origins = origins;
    if (to->path == NULL || origins == NULL)
        return false;
    for (uint32_t i = 0; i < from->n_origins; i++, to->n_origins++) {
        origins[i] = strdup(from->origins[i]);
        if (origins[i] == NULL)
            return false;
    }
    return true;
}

static bool is_web(const struct cfg_listener *listener)
{
    return listener->transport == SIP_TRANSPORT_WS || listener->transport == SIP_TRANSPORT_WSS;
}

static bool copy_webs(const struct cfg_service *service, struct edges *edges)
{
    struct web *webs = realloc(edges->webs, (edges->n_webs + service->n_listen) * sizeof(*webs));

    if (webs == NULL)
        return false;
    edges->webs = webs;
    for (uint32_t i = 0; i < service->n_listen; i++) {
        struct web *web = &edges->webs[edges->n_webs];

        if (!is_web(&service->listen[i]))
            continue;
        edges->n_webs++;
        *web = (struct web){.addr = service->listen[i].addr};
        if (!copy_rules(&service->listen[i], &web->rules))
            return false;
    }
    return true;
}

struct edges *edges_new(const struct cfg *cfg, const struct compile_secret *secret,
                        struct cfg_error *ret_error)
{
    struct edges *edges = calloc(1, sizeof(*edges));

    *ret_error = (struct cfg_error){.line = 0};
    snprintf(ret_error->reason, sizeof(ret_error->reason), "no memory");
    if (edges == NULL)
        return NULL;
    edges->references = 1;
    for (uint32_t i = 0; i < cfg->n_services; i++) {
        if (!copy_webs(&cfg->services[i], edges))
            goto fail;
    }
    edges->tls = tls_new(cfg, secret, ret_error);
    if (edges->tls != NULL)
        return edges;
fail:
    edges_free(edges);
    return NULL;
}

struct edges *edges_keep(struct edges *edges)
{
    if (edges != NULL)
        __atomic_add_fetch(&edges->references, 1, __ATOMIC_RELAXED);
    return edges;
}

void edges_release(struct edges *edges)
{
    if (edges != NULL && __atomic_sub_fetch(&edges->references, 1, __ATOMIC_ACQ_REL) == 0)
        edges_free(edges);
}

struct tls *edges_tls(const struct edges *edges)
{
    return edges->tls;
}

const struct http_rules *edges_rules(const struct edges *edges, const struct sip_addr *listener)
{
    for (uint32_t i = 0; i < edges->n_webs; i++) {
        if (sip_addr_equal(&edges->webs[i].addr, listener))
            return &edges->webs[i].rules;
    }
    return NULL;
}
