/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The services of a snapshot, with their listeners, domains and what trunks have. It must not know
 * of backends.
 */
#include <stdlib.h>

#include "config/compile_build.h"
#include "config/trunk.h"

static uint64_t match_text_bytes(const struct cfg_service *service)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < service->n_matches; i++) {
        const struct cfg_match *match = &service->matches[i];

        bytes += match->domain == NULL ? 0 : strlen(match->domain);
        bytes += match->prefix == NULL ? 0 : strlen(match->prefix);
    }
    return bytes;
}

uint64_t compile_service_texts(const struct cfg *cfg)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        const struct cfg_service *service = &cfg->services[i];

        bytes += strlen(service->name);
        for (uint32_t j = 0; j < service->n_domains; j++)
            bytes += strlen(service->domains[j]);
        for (uint32_t j = 0; j < service->n_proxy_require; j++)
            bytes += strlen(service->proxy_require[j]);
        bytes += match_text_bytes(service);
    }
    return bytes;
}

/* Where control receives what backends send to a service's streams: at each of this node's own
 * addresses. How many. */
static uint32_t own_listeners(const struct cfg *cfg, const struct cfg_service *service,
                              struct sip_addr ret_addrs[2])
{
    uint32_t n = 0;

    for (int v4 = 0; service->stream_port != 0 && v4 <= 1; v4++) {
        const struct sip_ip *ip = cfg_node_ip(cfg, v4);

        if (ip != NULL)
            ret_addrs[n++] = (struct sip_addr){*ip, service->stream_port};
    }
    return n;
}

/* The arrays that each service has a part of, one after another. */
void compile_place_services(struct compile_build *b, struct snapshot *head, uint64_t *at)
{
    const struct cfg *cfg = b->input->cfg;
    uint64_t n_listeners = 0, n_domains = 0, n_sources = 0, n_matches = 0, n_pools = 0;

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        uint32_t pools[SNAPSHOT_SERVICE_POOLS_MAX];
        struct sip_addr own[2];

        n_listeners += cfg->services[i].n_listen + own_listeners(cfg, &cfg->services[i], own);
        n_domains += cfg->services[i].n_domains;
        n_sources += cfg->services[i].n_sources;
        n_matches += cfg->services[i].n_matches;
        n_pools += trunk_pools(cfg, &cfg->services[i], pools);
    }
    head->services = compile_place(at, cfg->n_services, sizeof(struct snapshot_service));
    head->listeners = compile_place(at, n_listeners, sizeof(struct snapshot_listener));
    b->domains_at = compile_place(at, n_domains, sizeof(struct lb_text)).offset;
    b->sources_at = compile_place(at, n_sources, sizeof(struct snapshot_prefix)).offset;
    b->matches_at = compile_place(at, n_matches, sizeof(struct snapshot_match)).offset;
    b->pools_at = compile_place(at, n_pools, sizeof(uint32_t)).offset;
}

static struct snapshot_prefix prefix_of(const struct cfg_prefix *from)
{
    bool v4 = sip_ip_is_v4(&from->ip);

    return (struct snapshot_prefix){
        .ip = from->ip,
        .bits = (uint8_t)(from->length + (v4 ? 96 : 0)),
        .family = v4 ? SNAPSHOT_FAMILY_V4 : SNAPSHOT_FAMILY_V6,
    };
}

static void fill_trunk(struct compile_build *b, const struct cfg_service *from,
                       struct snapshot_service *to)
{
    const struct cfg *cfg = b->input->cfg;
    uint32_t pools[SNAPSHOT_SERVICE_POOLS_MAX];
    struct snapshot_prefix *sources;
    struct snapshot_match *matches;

    to->sources = compile_part(&b->sources_at, from->n_sources, sizeof(*sources));
    sources = compile_array(b, to->sources);
    for (uint32_t i = 0; i < from->n_sources; i++)
        sources[i] = prefix_of(&from->sources[i]);
    to->matches = compile_part(&b->matches_at, from->n_matches, sizeof(*matches));
    matches = compile_array(b, to->matches);
    for (uint32_t i = 0; i < from->n_matches; i++) {
        const struct cfg_match *match = &from->matches[i];

        if (match->has_source)
            matches[i].source = prefix_of(&match->source);
        matches[i].domain = compile_text(b, match->domain);
        matches[i].dialled = compile_text(b, match->prefix);
        matches[i].pool = trunk_pool_index(cfg, match->pool);
    }
    to->pools = compile_part(&b->pools_at, trunk_pools(cfg, from, pools), sizeof(*pools));
    memcpy(compile_array(b, to->pools), pools, to->pools.n * sizeof(*pools));
}

void compile_fill_services(struct compile_build *b)
{
    const struct cfg *cfg = b->input->cfg;
    struct snapshot_service *services = compile_array(b, b->snapshot->services);

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        const struct cfg_service *from = &cfg->services[i];
        struct snapshot_service *to = &services[i];
        struct lb_text *domains;

        to->pool = trunk_pool_index(cfg, from->pool);
        to->name = compile_text(b, from->name);
        to->record_route = from->record_route;
        to->path = from->path;
        to->nat = from->nat;
        to->mode = from->mode;
        to->tunnel = from->tunnel;
        to->n_proxy_require = (uint8_t)from->n_proxy_require;
        for (uint32_t j = 0; j < from->n_proxy_require; j++)
            to->proxy_require[j] = compile_text(b, from->proxy_require[j]);
        to->domains = compile_part(&b->domains_at, from->n_domains, sizeof(*domains));
        domains = compile_array(b, to->domains);
        for (uint32_t j = 0; j < from->n_domains; j++)
            domains[j] = compile_text(b, from->domains[j]);
        fill_trunk(b, from, to);
    }
}

static int by_listener(const void *a, const void *b)
{
    return snapshot_listener_order(a, b);
}

static void fill_listener(struct snapshot_listener *to, const struct sip_addr *addr,
                          enum sip_transport transport, enum snapshot_plane plane, uint32_t service)
{
    to->addr = *addr;
    to->transport = (uint8_t)transport;
    to->plane = (uint8_t)plane;
    to->text_length = (uint8_t)sip_addr_print(addr, to->text);
    to->service = service;
}

void compile_fill_listeners(struct compile_build *b)
{
    const struct cfg *cfg = b->input->cfg;
    struct snapshot_listener *next = compile_array(b, b->snapshot->listeners);

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        const struct cfg_service *service = &cfg->services[i];
        struct sip_addr own[2];
        uint32_t n_own = own_listeners(cfg, service, own);

        for (uint32_t j = 0; j < service->n_listen; j++) {
            const struct cfg_listener *from = &service->listen[j];

            fill_listener(next++, &from->addr, from->transport,
                          from->transport == SIP_TRANSPORT_UDP ? SNAPSHOT_PLANE_DATA
                                                               : SNAPSHOT_PLANE_CONTROL,
                          i);
        }
        for (uint32_t j = 0; j < n_own; j++)
            fill_listener(next++, &own[j], SIP_TRANSPORT_UDP, SNAPSHOT_PLANE_CONTROL, i);
    }
    qsort(compile_array(b, b->snapshot->listeners), b->snapshot->listeners.n, sizeof(*next),
          by_listener);
}
