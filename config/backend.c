/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backends: from raw values to struct cfg, then what must hold between all of them.
 */
#include "config/backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/check.h"
#include "config/convert.h"
#include "config/snapshot.h"
#include "config/trunk.h"
#include "config/value.h"

enum { BASE_MAX = 96 }; /* bytes of a path like pools[1023].backends[16383] */

static int no_memory(struct cfg_error *error)
{
    check_refuse(error, "", "", "out of memory");
    return -ENOMEM;
}

/* ---- one by one ---- */

/* A name as DNS is asked for it: lower case, no dot at its end. NULL: it cannot be a name there,
 * but perhaps an address that no host has. */
static char *lookup_of(const char *text)
{
    size_t length = strlen(text);
    char *name = strdup(text);

    if (name == NULL)
        return NULL;
    if (length > 1 && name[length - 1] == '.')
        name[--length] = '\0';
    value_lower(name);
    if (!value_is_host_name(name)) {
        free(name);
        return NULL;
    }
    return name;
}

/* `_SERVICE._udp.DOMAIN` is the name of SRV records, anything else one that has NAPTR records. */
static int take_srv(const char *text, struct cfg_backend *backend, const char *base,
                    struct cfg_error *error)
{
    const char *dot;

    backend->srv = true;
    backend->lookup = lookup_of(text);
    if (backend->lookup == NULL)
        return check_refuse(error, base, "srv", "`%.100s` is no name that DNS could know", text);
    dot = strchr(backend->lookup, '.');
    if (backend->lookup[0] == '_' && (dot == NULL || strncmp(dot, "._udp.", 6) != 0))
        return check_refuse(error, base, "srv",
                            "`%.100s` is not of UDP, the only transport to backends: "
                            "_sip._udp.DOMAIN, or DOMAIN alone",
                            text);
    return 0;
}

static int take_host(const char *text, struct cfg_backend *backend, const char *base,
                     struct cfg_error *error)
{
    if (value_ip(text, &backend->addr.ip) == 0)
        return 0;
    backend->lookup = lookup_of(text);
    if (backend->lookup == NULL)
        return check_refuse(error, base, "address",
                            "`%.60s` is neither the IP address nor the name of a host", text);
    if (backend->lookup[0] == '_')
        return check_refuse(error, base, "address",
                            "`%.60s` is no host, but a name of SRV records: `srv:` takes those",
                            text);
    return 0;
}

static int take_where(const struct schema_backend *raw, struct cfg_backend *backend,
                      const char *base, struct cfg_error *error)
{
    bool tls = backend->transport == SIP_TRANSPORT_TLS;
    uint32_t port = raw->port != NULL ? *raw->port : tls ? SCHEMA_TLS_PORT : SCHEMA_SIP_PORT;
    int ret;

    if (raw->address == NULL && raw->srv == NULL)
        return check_refuse(error, base, "address", "required, but missing (or `srv:` instead)");
    if (raw->address != NULL && raw->srv != NULL)
        return check_refuse(error, base, "srv", "`address` says where it is already");
    if (raw->srv != NULL && backend->transport != SIP_TRANSPORT_UDP)
        return check_refuse(error, base, "transport", "`srv` finds backends of UDP alone");
    if (raw->srv != NULL && raw->port != NULL)
        return check_refuse(error, base, "port", "the SRV records say the port");
    if (raw->srv != NULL)
        return take_srv(raw->srv, backend, base, error);
    ret = take_host(raw->address, backend, base, error);
    if (ret == 0)
        ret = convert_number(port, 1, UINT16_MAX, base, "port", error);
    backend->addr.port = (uint16_t)port;
    return ret;
}

/* Of a name each member has them all: between addresses they are compared when those are known. */
static int check_ports(const struct cfg_backend *backend, const char *base, struct cfg_error *error)
{
    for (uint32_t i = 0; backend->lookup != NULL && i < backend->n_ports; i++) {
        bool again = backend->ports[i] == backend->addr.port;

        for (uint32_t j = 0; j < i; j++)
            again |= backend->ports[i] == backend->ports[j];
        if (again)
            return check_refuse(error, base, "ports", "%u is there twice", backend->ports[i]);
    }
    return 0;
}

int backend_convert(const struct schema_backend *raw, struct cfg_backend *backend, const char *base,
                    struct cfg_error *error)
{
    int ret = convert_name(raw->name, &backend->name, base, error);

    if (ret == 0 && strcmp(backend->name, SCHEMA_NODE) == 0)
        ret = check_refuse(error, base, "name", "`%s` is what tandemctl calls this node",
                           SCHEMA_NODE);
    backend->weight = raw->weight == NULL ? SCHEMA_WEIGHT : *raw->weight;
    backend->transport = raw->transport == NULL ? SIP_TRANSPORT_UDP : (uint8_t)*raw->transport;
    if (ret == 0)
        ret = take_where(raw, backend, base, error);
    if (ret == 0)
        ret = convert_number(backend->weight, 0, SCHEMA_WEIGHT_MAX, base, "weight", error);
    if (ret == 0 && raw->n_ports > 0) {
        backend->ports = calloc(raw->n_ports, sizeof(*backend->ports));
        ret = backend->ports != NULL ? 0 : no_memory(error);
    }
    for (uint32_t i = 0; ret == 0 && i < raw->n_ports; i++) {
        char key[BASE_MAX];

        snprintf(key, sizeof(key), "ports[%u]", i);
        ret = convert_number(raw->ports[i], 1, UINT16_MAX, base, key, error);
        backend->ports[i] = (uint16_t)raw->ports[i];
        backend->n_ports = i + 1;
    }
    return ret != 0 ? ret : check_ports(backend, base, error);
}

/* ---- between them ---- */

/* A backend's id, or one of its addresses, with where it stands. */
struct known {
    uint32_t id;
    struct sip_addr addr;
    uint32_t pool, backend;
};

static int by_id(const void *left, const void *right)
{
    const struct known *a = left, *b = right;

    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    if (a->pool != b->pool)
        return a->pool < b->pool ? -1 : 1;
    return (a->backend > b->backend) - (a->backend < b->backend);
}

static int by_pool_and_address(const void *left, const void *right)
{
    const struct known *a = left, *b = right;
    int order;

    if (a->pool != b->pool)
        return a->pool < b->pool ? -1 : 1;
    order = memcmp(a->addr.ip.bytes, b->addr.ip.bytes, sizeof(a->addr.ip.bytes));
    if (order != 0)
        return order;
    if (a->addr.port != b->addr.port)
        return a->addr.port < b->addr.port ? -1 : 1;
    return (a->backend > b->backend) - (a->backend < b->backend);
}

static int check_ids(const struct cfg *cfg, struct known *all, struct cfg_error *error)
{
    uint32_t n = 0;
    char base[BASE_MAX];

    for (uint32_t i = 0; i < cfg->n_pools; i++) {
        struct sip_slice pool = sip_slice_of(cfg->pools[i].name);

        for (uint32_t j = 0; j < cfg->pools[i].n_backends; j++) {
            struct sip_slice name = sip_slice_of(cfg->pools[i].backends[j].name);

            all[n++] =
                (struct known){.id = snapshot_backend_id(pool, name), .pool = i, .backend = j};
        }
    }
    qsort(all, n, sizeof(*all), by_id);
    for (uint32_t i = 1; i < n; i++) {
        const struct cfg_pool *pool = &cfg->pools[all[i - 1].pool];
        const char *before = pool->backends[all[i - 1].backend].name;
        const char *name = cfg->pools[all[i].pool].backends[all[i].backend].name;

        if (all[i].id != all[i - 1].id)
            continue;
        snprintf(base, sizeof(base), "pools[%u].backends[%u]", all[i].pool, all[i].backend);
        if (all[i].pool == all[i - 1].pool && strcmp(name, before) == 0)
            return check_refuse(error, base, "name", "two backends of the pool are named `%s`",
                                name);
        return check_refuse(error, base, "name",
                            "has the same id as backend %s of pool %s: rename one of them", before,
                            pool->name);
    }
    return 0;
}

/* Every address and port by which a backend is known, `ports:` included, names one of its pool. */
static int check_backend_addresses(const struct cfg *cfg, struct known *all,
                                   struct cfg_error *error)
{
    uint32_t n = 0;
    char base[BASE_MAX], text[SIP_ADDR_TEXT_MAX + 1];

    for (uint32_t i = 0; i < cfg->n_pools; i++) {
        for (uint32_t j = 0; j < cfg->pools[i].n_backends; j++) {
            const struct cfg_backend *backend = &cfg->pools[i].backends[j];

            if (backend->lookup != NULL)
                continue;
            all[n++] = (struct known){.addr = backend->addr, .pool = i, .backend = j};
            for (uint32_t k = 0; k < backend->n_ports; k++)
                all[n++] = (struct known){
                    .addr = {backend->addr.ip, backend->ports[k]}, .pool = i, .backend = j};
        }
    }
    qsort(all, n, sizeof(*all), by_pool_and_address);
    for (uint32_t i = 1; i < n; i++) {
        const struct cfg_backend *before = &cfg->pools[all[i].pool].backends[all[i - 1].backend];

        if (all[i].pool != all[i - 1].pool || !sip_addr_equal(&all[i].addr, &all[i - 1].addr))
            continue;
        snprintf(base, sizeof(base), "pools[%u].backends[%u]", all[i].pool, all[i].backend);
        text[sip_addr_print(&all[i].addr, text)] = '\0';
        return check_refuse(error, base, all[i].backend == all[i - 1].backend ? "ports" : "address",
                            "%s is known as backend %s already", text, before->name);
    }
    return 0;
}

/* A backend at a listener's address would be ourselves. */
static int check_not_ourselves(const struct cfg *cfg, struct cfg_error *error)
{
    char base[BASE_MAX], text[SIP_IP_TEXT_MAX + 1];

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        for (uint32_t l = 0; l < cfg->services[i].n_listen; l++) {
            const struct sip_ip *ip = &cfg->services[i].listen[l].addr.ip;

            for (uint32_t p = 0; p < cfg->n_pools; p++) {
                for (uint32_t b = 0; b < cfg->pools[p].n_backends; b++) {
                    const struct cfg_backend *backend = &cfg->pools[p].backends[b];

                    if (backend->lookup != NULL || !sip_ip_equal(&backend->addr.ip, ip))
                        continue;
                    snprintf(base, sizeof(base), "pools[%u].backends[%u]", p, b);
                    text[sip_ip_print(ip, text)] = '\0';
                    return check_refuse(error, base, "address",
                                        "%s is an address that service %s listens on", text,
                                        cfg->services[i].name);
                }
            }
        }
    }
    return 0;
}

static int check_alike(const struct cfg *cfg, struct cfg_error *error)
{
    char base[BASE_MAX];

    for (uint32_t p = 0; p < cfg->n_pools; p++) {
        const struct cfg_pool *pool = &cfg->pools[p];

        if (pool->large == LB_LARGE_TCP && pool->backends[0].transport != SIP_TRANSPORT_UDP) {
            snprintf(base, sizeof(base), "pools[%u]", p);
            return check_refuse(error, base, "large_requests",
                                "its backends get all requests by a stream");
        }
        for (uint32_t b = 1; b < pool->n_backends; b++) {
            if (pool->backends[b].transport == pool->backends[0].transport)
                continue;
            snprintf(base, sizeof(base), "pools[%u].backends[%u]", p, b);
            return check_refuse(error, base, "transport",
                                "not that of backend %s: a pool has one for all",
                                pool->backends[0].name);
        }
    }
    return 0;
}

/* By which stream backends of a pool are reached, all or what is large; UDP: by none. */
static uint8_t stream_of(const struct cfg_pool *pool, const struct cfg_backend *backend)
{
    return pool->large == LB_LARGE_TCP ? SIP_TRANSPORT_TCP : backend->transport;
}

/* Whether a service has a listener from which a backend could be reached by a stream. */
static bool reaches(const struct cfg_service *service, const struct cfg_backend *backend,
                    uint8_t transport)
{
    for (uint32_t i = 0; i < service->n_listen; i++) {
        const struct cfg_listener *from = &service->listen[i];

        if (from->transport == transport &&
            (backend->lookup != NULL ||
             sip_ip_is_v4(&from->addr.ip) == sip_ip_is_v4(&backend->addr.ip)))
            return true;
    }
    return false;
}

static int check_reached(const struct cfg *cfg, const struct cfg_service *service,
                         struct cfg_error *error)
{
    uint32_t pools[SNAPSHOT_SERVICE_POOLS_MAX], n = trunk_pools(cfg, service, pools);
    char base[BASE_MAX];

    for (uint32_t p = 0; p < n; p++) {
        const struct cfg_pool *pool = &cfg->pools[pools[p]];

        for (uint32_t b = 0; b < pool->n_backends; b++) {
            const struct cfg_backend *backend = &pool->backends[b];
            uint8_t stream = stream_of(pool, backend);

            if (stream == SIP_TRANSPORT_UDP || reaches(service, backend, stream))
                continue;
            snprintf(base, sizeof(base), "pools[%u].backends[%u]", pools[p], b);
            return check_refuse(
                error, base, "transport",
                "service %s has no %s listener of its address family to reach it from",
                service->name, stream == SIP_TRANSPORT_TLS ? "tls" : "tcp");
        }
    }
    return 0;
}

int backend_check(const struct cfg *cfg, struct cfg_error *error)
{
    struct known *all = calloc((size_t)SCHEMA_BACKENDS_MAX * (1 + LB_PORTS_MAX), sizeof(*all));
    int ret;

    if (all == NULL)
        return no_memory(error);
    ret = check_ids(cfg, all, error);
    if (ret == 0)
        ret = check_backend_addresses(cfg, all, error);
    if (ret == 0)
        ret = check_not_ourselves(cfg, error);
    if (ret == 0)
        ret = check_alike(cfg, error);
    for (uint32_t i = 0; ret == 0 && i < cfg->n_services; i++)
        ret = check_reached(cfg, &cfg->services[i], error);
    free(all);
    return ret;
}
