/* SPDX-License-Identifier: Apache-2.0 */
/* `sources:` and `match:`: values, then what must hold between them. */
#include "config/trunk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/check.h"
#include "config/value.h"

/* Bytes of a path like services[1023], and like services[1023].match[255].source. */
enum { BASE_MAX = 32, KEY_MAX = 128 };

static int no_memory(struct cfg_error *error)
{
    check_refuse(error, "", "", "out of memory");
    return -ENOMEM;
}

/* An optional text. */
static int copy(const char *text, char **ret, struct cfg_error *error)
{
    *ret = text == NULL ? NULL : strdup(text);
    return text != NULL && *ret == NULL ? no_memory(error) : 0;
}

static int take_network(const char *text, struct cfg_prefix *ret, const char *base,
                        const char *name, struct cfg_error *error)
{
    int failed = value_network(text, ret);

    if (failed == -EDOM)
        return check_refuse(error, base, name, "`%.60s` has bits set behind its prefix length",
                            text);
    if (failed != 0)
        return check_refuse(error, base, name,
                            "`%.60s` is no prefix, as 198.51.100.0/24, and no address", text);
    return 0;
}

static bool same_network(const struct cfg_prefix *a, const struct cfg_prefix *b)
{
    return a->length == b->length && sip_ip_equal(&a->ip, &b->ip);
}

static int take_sources(const struct schema_service *raw, struct cfg_service *service,
                        const char *base, struct cfg_error *error)
{
    char key[KEY_MAX];

    if (raw->n_sources == 0)
        return 0;
    service->sources = calloc(raw->n_sources, sizeof(*service->sources));
    if (service->sources == NULL)
        return no_memory(error);
    for (uint32_t i = 0; i < raw->n_sources; i++) {
        int ret;

        snprintf(key, sizeof(key), "sources[%u]", i);
        ret = take_network(raw->sources[i], &service->sources[i], base, key, error);
        if (ret != 0)
            return ret;
        for (uint32_t j = 0; j < i; j++) {
            if (same_network(&service->sources[i], &service->sources[j]))
                return check_refuse(error, base, key, "`%.60s` is there twice", raw->sources[i]);
        }
    }
    service->n_sources = raw->n_sources;
    return 0;
}

static int take_match(const struct schema_match *raw, struct cfg_match *match, const char *base,
                      struct cfg_error *error)
{
    int ret = 0;

    if (raw->source == NULL && raw->domain == NULL && raw->prefix == NULL)
        return check_refuse(error, base, "",
                            "a rule needs source, domain or prefix; what fits none goes to the "
                            "service's pool");
    match->has_source = raw->source != NULL;
    if (match->has_source)
        ret = take_network(raw->source, &match->source, base, "source", error);
    if (ret == 0 && raw->domain != NULL && !value_is_host(raw->domain))
        ret = check_refuse(error, base, "domain", "`%.100s` is no host", raw->domain);
    if (ret == 0 && raw->prefix != NULL && !value_is_dialled(raw->prefix))
        ret = check_refuse(error, base, "prefix",
                           "`%.40s` is no beginning of a number: digits, * and #, + in front",
                           raw->prefix);
    if (ret == 0)
        ret = copy(raw->domain, &match->domain, error);
    if (ret == 0)
        ret = copy(raw->prefix, &match->prefix, error);
    return ret == 0 ? copy(raw->pool, &match->pool, error) : ret;
}

int trunk_convert(const struct schema_service *raw, struct cfg_service *service, const char *base,
                  struct cfg_error *error)
{
    char key[KEY_MAX];
    int ret = take_sources(raw, service, base, error);

    if (ret != 0 || raw->n_match == 0)
        return ret;
    service->matches = calloc(raw->n_match, sizeof(*service->matches));
    if (service->matches == NULL)
        return no_memory(error);
    for (uint32_t i = 0; ret == 0 && i < raw->n_match; i++) {
        snprintf(key, sizeof(key), "%s.match[%u]", base, i);
        service->n_matches = i + 1;
        ret = take_match(&raw->match[i], &service->matches[i], key, error);
    }
    return ret;
}

uint32_t trunk_pool_index(const struct cfg *cfg, const char *name)
{
    uint32_t i = 0;

    while (i < cfg->n_pools && strcmp(cfg->pools[i].name, name) != 0)
        i++;
    return i;
}

static int by_number(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

uint32_t trunk_pools(const struct cfg *cfg, const struct cfg_service *service,
                     uint32_t ret_pools[SNAPSHOT_SERVICE_POOLS_MAX])
{
    uint32_t n = 1, kept = 1;

    ret_pools[0] = trunk_pool_index(cfg, service->pool);
    for (uint32_t i = 0; i < service->n_matches; i++) {
        uint32_t pool = trunk_pool_index(cfg, service->matches[i].pool), j = 0;

        while (j < kept && ret_pools[j] != pool)
            j++;
        if (j < kept)
            continue;
        n = kept + 1;
        if (kept == SNAPSHOT_SERVICE_POOLS_MAX)
            break;
        ret_pools[kept++] = pool;
    }
    qsort(ret_pools + 1, kept - 1, sizeof(*ret_pools), by_number);
    return n;
}

/* ---- between the rules ---- */

static bool source_covers(const struct cfg_match *a, const struct cfg_match *b)
{
    return !a->has_source || (b->has_source && a->source.length <= b->source.length &&
                              value_prefix_has(&a->source, &b->source.ip));
}

/* A prefix without + fits numbers with one too. */
static bool prefix_covers(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == NULL;
    if (a[0] != '+')
        b += b[0] == '+';
    return strncmp(a, b, strlen(a)) == 0;
}

/* Whether every request that fits b fits a. */
static bool covers(const struct cfg_match *a, const struct cfg_match *b)
{
    bool domain = a->domain == NULL ||
                  (b->domain != NULL &&
                   sip_slice_equal_nocase(sip_slice_of(a->domain), sip_slice_of(b->domain)));

    return domain && source_covers(a, b) && prefix_covers(a->prefix, b->prefix);
}

static int check_rules(const struct cfg *cfg, const struct cfg_service *service, const char *base,
                       struct cfg_error *error)
{
    char key[KEY_MAX];

    for (uint32_t i = 0; i < service->n_matches; i++) {
        const struct cfg_match *match = &service->matches[i];

        snprintf(key, sizeof(key), "%s.match[%u]", base, i);
        if (trunk_pool_index(cfg, match->pool) == cfg->n_pools)
            return check_refuse(error, key, "pool", "there is no pool named `%s`", match->pool);
        for (uint32_t j = 0; j < i; j++) {
            if (!covers(&service->matches[j], match))
                continue;
            return check_refuse(error, key, "",
                                covers(match, &service->matches[j])
                                    ? "has the conditions of match[%u], which comes first"
                                    : "is never reached: match[%u] fits all that it fits",
                                j);
        }
    }
    return 0;
}

/* An address and port by which a backend is known. */
struct known {
    struct sip_addr addr;
    uint32_t pool, backend;
};

static int by_address(const void *left, const void *right)
{
    const struct known *a = left, *b = right;
    int order = memcmp(a->addr.ip.bytes, b->addr.ip.bytes, sizeof(a->addr.ip.bytes));

    if (order != 0)
        return order;
    if (a->addr.port != b->addr.port)
        return a->addr.port < b->addr.port ? -1 : 1;
    if (a->pool != b->pool)
        return a->pool < b->pool ? -1 : 1;
    return (a->backend > b->backend) - (a->backend < b->backend);
}

/* All that `all` has room for: the addresses of one service's pools. */
static uint32_t collect(const struct cfg *cfg, const uint32_t *pools, uint32_t n_pools,
                        struct known *all)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < n_pools; i++) {
        const struct cfg_pool *pool = &cfg->pools[pools[i]];

        for (uint32_t j = 0; j < pool->n_backends; j++) {
            const struct cfg_backend *backend = &pool->backends[j];

            if (backend->lookup != NULL)
                continue;
            all[n++] = (struct known){backend->addr, pools[i], j};
            for (uint32_t k = 0; k < backend->n_ports; k++)
                all[n++] = (struct known){{backend->addr.ip, backend->ports[k]}, pools[i], j};
        }
    }
    return n;
}

static int check_overlap(const struct cfg *cfg, const struct cfg_service *service,
                         const uint32_t *pools, uint32_t n_pools, struct cfg_error *error)
{
    char key[KEY_MAX], text[SIP_ADDR_TEXT_MAX + 1];
    struct known *all = calloc((size_t)SCHEMA_BACKENDS_MAX * (1 + LB_PORTS_MAX), sizeof(*all));
    uint32_t n;
    int ret = 0;

    if (all == NULL)
        return no_memory(error);
    n = collect(cfg, pools, n_pools, all);
    qsort(all, n, sizeof(*all), by_address);
    for (uint32_t i = 1; ret == 0 && i < n; i++) {
        const struct known *a = &all[i - 1], *b = &all[i];

        if (a->pool == b->pool || !sip_addr_equal(&a->addr, &b->addr))
            continue;
        snprintf(key, sizeof(key), "pools[%u].backends[%u]", b->pool, b->backend);
        text[sip_addr_print(&b->addr, text)] = '\0';
        ret = check_refuse(error, key, "address",
                           "%s is in pool %s too, and service %s has both: whose is it?", text,
                           cfg->pools[a->pool].name, service->name);
    }
    free(all);
    return ret;
}

int trunk_check(const struct cfg *cfg, struct cfg_error *error)
{
    uint32_t pools[SNAPSHOT_SERVICE_POOLS_MAX];
    char base[BASE_MAX];

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        const struct cfg_service *service = &cfg->services[i];
        uint32_t n;
        int ret;

        if (service->n_matches == 0)
            continue;
        snprintf(base, sizeof(base), "services[%u]", i);
        ret = check_rules(cfg, service, base, error);
        if (ret != 0)
            return ret;
        n = trunk_pools(cfg, service, pools);
        if (n > SNAPSHOT_SERVICE_POOLS_MAX)
            return check_refuse(error, base, "match", "more than %d pools in one service",
                                SNAPSHOT_SERVICE_POOLS_MAX);
        ret = check_overlap(cfg, service, pools, n, error);
        if (ret != 0)
            return ret;
    }
    return 0;
}
