/* SPDX-License-Identifier: Apache-2.0 */
/* `mode: direct`: the keys that go with it, then what must hold between them and the rest. */
#include "config/direct.h"

#include <stdio.h>

#include "config/check.h"
#include "config/snapshot.h"
#include "config/trunk.h"
#include "config/value.h"

/* Bytes of a path like services[1023].proxy_require and pools[1023].backends[16383]. */
enum { BASE_MAX = 96 };

int direct_convert(const struct schema_service *raw, const struct document *document,
                   struct cfg_service *service, const char *base, struct cfg_error *error)
{
    static const char *const of_proxy[] = {"record_route", "path",          "nat",
                                           "domains",      "proxy_require", "match"};
    char key[BASE_MAX];

    service->mode = raw->mode == NULL ? SNAPSHOT_MODE_PROXY : (uint8_t)*raw->mode;
    service->tunnel = raw->encapsulation != NULL && *raw->encapsulation != 0;
    if (service->mode == SNAPSHOT_MODE_PROXY)
        return raw->encapsulation == NULL
                   ? 0
                   : check_refuse(error, base, "encapsulation", "only mode direct has it");
    for (size_t i = 0; i < sizeof(of_proxy) / sizeof(of_proxy[0]); i++) {
        snprintf(key, sizeof(key), "%s.%s", base, of_proxy[i]);
        if (document_find(document, key) != NULL)
            return check_refuse(error, key, "",
                                "means nothing in mode direct, which changes no message");
    }
    return 0;
}

static const char *ip_text(const struct sip_ip *ip, char text[SIP_IP_TEXT_MAX + 1])
{
    text[sip_ip_print(ip, text)] = '\0';
    return text;
}

static int check_transports(const struct cfg_service *service, uint32_t at, struct cfg_error *error)
{
    char base[BASE_MAX];

    for (uint32_t i = 0; i < service->n_listen; i++) {
        snprintf(base, sizeof(base), "services[%u].listen[%u]", at, i);
        if (service->listen[i].transport != SIP_TRANSPORT_UDP)
            return check_refuse(error, base, "transport", "mode direct is for udp only");
    }
    return 0;
}

/* Responses have no other key than the Call-ID by which they would find whom the request found. */
static int check_keys(const struct cfg_pool *pool, uint32_t at, struct cfg_error *error)
{
    char base[BASE_MAX], key[BASE_MAX] = "key";

    snprintf(base, sizeof(base), "pools[%u]", at);
    for (uint32_t i = 0; i < SIP_METHOD_COUNT; i++) {
        if (pool->keys[i] == LB_KEY_CALL_ID)
            continue;
        if (i != SIP_METHOD_UNKNOWN) /* it has the pool's key, and comes first */
            snprintf(key, sizeof(key), "method_keys.%s", schema_method_name((enum sip_method)i));
        return check_refuse(error, base, key,
                            "must be call-id: a service of mode direct has this pool");
    }
    return 0;
}

/* The two modes leave different traces of a call in the pool's call table. */
static int check_shared(const struct cfg *cfg, uint32_t pool, uint32_t at, struct cfg_error *error)
{
    char base[BASE_MAX];

    snprintf(base, sizeof(base), "services[%u]", at);
    for (uint32_t i = 0; i < cfg->n_services; i++) {
        uint32_t pools[SNAPSHOT_SERVICE_POOLS_MAX];
        uint32_t n = trunk_pools(cfg, &cfg->services[i], pools);

        for (uint32_t j = 0; cfg->services[i].mode == SNAPSHOT_MODE_PROXY && j < n; j++) {
            if (pools[j] == pool)
                return check_refuse(error, base, "pool",
                                    "`%s` is also a pool of service %s, which is of mode proxy",
                                    cfg->pools[pool].name, cfg->services[i].name);
        }
    }
    return 0;
}

/* Whether a host is on a port's segment, where the ports' segments are known. */
static bool is_neighbour(const struct cfg_dataplane *dataplane, const struct sip_ip *ip)
{
    bool any = false;

    for (uint32_t i = 0; i < dataplane->n_ports; i++) {
        for (uint32_t j = 0; j < dataplane->ports[i].n_addresses; j++) {
            any = true;
            if (value_prefix_has(&dataplane->ports[i].addresses[j], ip))
                return true;
        }
    }
    return !any;
}

/* The address of a listener that the kernel may ask from for an IPv4 backend's MAC address; NULL:
 * none. Who has that address, too, takes such a question for his own and does not answer. */
static const struct sip_ip *asks_from(const struct cfg *cfg, const struct cfg_service *service,
                                      const struct sip_ip *backend)
{
    for (uint32_t i = 0; sip_ip_is_v4(backend) && i < cfg->dataplane.n_ports; i++) {
        const struct cfg_port *port = &cfg->dataplane.ports[i];

        for (uint32_t j = 0; j < port->n_addresses; j++) {
            if (!value_prefix_has(&port->addresses[j], backend))
                continue;
            for (uint32_t k = 0; k < service->n_listen; k++) {
                if (sip_ip_equal(&service->listen[k].addr.ip, &port->addresses[j].ip))
                    return &port->addresses[j].ip;
            }
        }
    }
    return NULL;
}

/* Through a gateway the unchanged datagram would come back to us. */
static int check_neighbours(const struct cfg *cfg, const struct cfg_service *service, uint32_t pool,
                            struct cfg_error *error)
{
    char base[BASE_MAX], text[SIP_IP_TEXT_MAX + 1], own[SIP_IP_TEXT_MAX + 1];

    for (uint32_t i = 0; i < cfg->pools[pool].n_backends; i++) {
        const struct sip_ip *ip = &cfg->pools[pool].backends[i].addr.ip;

        if (cfg->pools[pool].backends[i].lookup != NULL)
            continue;
        snprintf(base, sizeof(base), "pools[%u].backends[%u]", pool, i);
        if (!is_neighbour(&cfg->dataplane, ip))
            return check_refuse(error, base, "address",
                                "%s is in no prefix of a port's addresses: mode direct reaches it "
                                "with `encapsulation: ipip` only",
                                ip_text(ip, text));
        if (asks_from(cfg, service, ip) != NULL)
            return check_refuse(error, base, "address",
                                "%s holds %s, too, and answers no ARP from there: give the port "
                                "an address of its own, and %s the length /32",
                                ip_text(ip, text), ip_text(asks_from(cfg, service, ip), own), own);
    }
    return 0;
}

static int check_tunnel(const struct cfg *cfg, uint32_t pool, uint32_t at, struct cfg_error *error)
{
    char base[BASE_MAX], text[SIP_IP_TEXT_MAX + 1];

    snprintf(base, sizeof(base), "services[%u]", at);
    if (!cfg->has_node_address)
        return check_refuse(error, base, "encapsulation",
                            "needs node_address, where the tunnels begin");
    for (uint32_t i = 0; i < cfg->n_services; i++) {
        for (uint32_t j = 0; j < cfg->services[i].n_listen; j++) {
            if (sip_ip_equal(&cfg->services[i].listen[j].addr.ip, &cfg->node_address))
                return check_refuse(error, "", "node_address",
                                    "%s is an address that service %s listens on: no tunnel can "
                                    "begin there",
                                    ip_text(&cfg->node_address, text), cfg->services[i].name);
        }
    }
    for (uint32_t i = 0; i < cfg->pools[pool].n_backends; i++) {
        const struct sip_ip *ip = &cfg->pools[pool].backends[i].addr.ip;

        if (cfg->pools[pool].backends[i].lookup != NULL)
            continue;
        snprintf(base, sizeof(base), "pools[%u].backends[%u]", pool, i);
        if (sip_ip_is_v4(ip) != sip_ip_is_v4(&cfg->node_address))
            return check_refuse(error, base, "address",
                                "%s is of another family than node_address: no tunnel leads there",
                                ip_text(ip, text));
    }
    return 0;
}

int direct_check(const struct cfg *cfg, struct cfg_error *error)
{
    int ret = 0;

    for (uint32_t i = 0; ret == 0 && i < cfg->n_services; i++) {
        const struct cfg_service *service = &cfg->services[i];
        uint32_t pool = trunk_pool_index(cfg, service->pool);

        if (service->mode != SNAPSHOT_MODE_DIRECT)
            continue;
        ret = check_transports(service, i, error);
        if (ret == 0)
            ret = check_keys(&cfg->pools[pool], pool, error);
        if (ret == 0)
            ret = check_shared(cfg, pool, i, error);
        if (ret == 0)
            ret = service->tunnel ? check_tunnel(cfg, pool, i, error)
                                  : check_neighbours(cfg, service, pool, error);
    }
    return ret;
}
