/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contradictions in a configuration: names and addresses used twice, references to nothing,
 * addresses that cannot be where they are said to be.
 */
#include "config/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/backend.h"
#include "config/direct.h"
#include "config/listen.h"
#include "config/schema.h"
#include "config/snapshot.h"
#include "config/trunk.h"
#include "config/value.h"

enum { BASE_MAX = 96 };

int check_refuse(struct cfg_error *error, const char *base, const char *name, const char *reason,
                 ...)
{
    va_list arguments;

    snprintf(error->key, sizeof(error->key), "%s%s%s", base,
             *base != '\0' && *name != '\0' ? "." : "", name);
    va_start(arguments, reason);
    vsnprintf(error->reason, sizeof(error->reason), reason, arguments);
    va_end(arguments);
    return -EINVAL;
}

static const char *ip_text(const struct sip_ip *ip, char text[SIP_IP_TEXT_MAX + 1])
{
    text[sip_ip_print(ip, text)] = '\0';
    return text;
}

/* A port's device, by what its driver needs. */
static int check_device(const struct cfg_port *port, const char *base, struct cfg_error *error)
{
    unsigned domain, bus, device, function;
    int end = 0;

    if (port->driver == CFG_NULL)
        return port->device == NULL
                   ? 0
                   : check_refuse(error, base, "device", "the driver null has none");
    if (port->device == NULL)
        return check_refuse(error, base, "device", "required by this driver, but missing");
    switch (port->driver) {
    case CFG_AF_PACKET:
    case CFG_AF_XDP:
        if (!value_is_interface(port->device))
            return check_refuse(error, base, "device", "`%.60s` cannot be an interface's name",
                                port->device);
        return 0;
    case CFG_PCI:
        if (sscanf(port->device, "%4x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &end) !=
                4 ||
            port->device[end] != '\0')
            return check_refuse(error, base, "device", "`%.60s` is no PCI address, as 0000:01:00.0",
                                port->device);
        return 0;
    default:
        return 0;
    }
}

static int check_tap(const struct cfg_port *port, const char *base, struct cfg_error *error)
{
    bool kernel_needed = port->driver != CFG_PCAP && port->driver != CFG_NULL;

    if (port->tap == NULL)
        return !kernel_needed ? 0
                              : check_refuse(error, base, "tap",
                                             "required by this driver, but missing: without it "
                                             "nothing answers ARP");
    if (strlen(port->tap) > 15)
        return check_refuse(error, base, "tap", "`%.60s` is longer than 15 characters", port->tap);
    if (!value_is_interface(port->tap))
        return check_refuse(error, base, "tap", "`%s` cannot be an interface's name", port->tap);
    return 0;
}

static int check_gateways(const struct cfg_port *port, const char *base, struct cfg_error *error)
{
    char text[SIP_IP_TEXT_MAX + 1];

    for (uint32_t i = 0; i < port->n_gateways; i++) {
        const struct sip_ip *gateway = &port->gateways[i];
        bool link_local = gateway->bytes[0] == 0xfe && (gateway->bytes[1] & 0xc0) == 0x80;
        bool near = link_local;

        for (uint32_t j = 0; j < i; j++) {
            if (sip_ip_is_v4(gateway) == sip_ip_is_v4(&port->gateways[j]))
                return check_refuse(error, base, "gateway", "more than one gateway of a family");
        }
        for (uint32_t j = 0; j < port->n_addresses; j++) {
            if (sip_ip_equal(gateway, &port->addresses[j].ip))
                return check_refuse(error, base, "gateway", "%s is one of the port's own addresses",
                                    ip_text(gateway, text));
            near |= value_prefix_has(&port->addresses[j], gateway);
        }
        if (!near)
            return check_refuse(error, base, "gateway",
                                "%s is in no prefix of the port's addresses",
                                ip_text(gateway, text));
    }
    return 0;
}

/* One address twice, in one port or in two: `j` of `other` comes before `i` of `port`. */
static int check_addresses(const struct cfg_dataplane *dataplane, uint32_t at, const char *base,
                           struct cfg_error *error)
{
    const struct cfg_port *port = &dataplane->ports[at];
    char key[BASE_MAX], text[SIP_IP_TEXT_MAX + 1];

    for (uint32_t i = 0; i < port->n_addresses; i++) {
        for (uint32_t p = 0; p <= at; p++) {
            const struct cfg_port *other = &dataplane->ports[p];

            for (uint32_t j = 0; j < (p == at ? i : other->n_addresses); j++) {
                if (!sip_ip_equal(&port->addresses[i].ip, &other->addresses[j].ip))
                    continue;
                snprintf(key, sizeof(key), "addresses[%u]", i);
                return check_refuse(error, base, key, "%s is there twice, before at port %s",
                                    ip_text(&port->addresses[i].ip, text), other->name);
            }
        }
    }
    return 0;
}

static bool same_text(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* A port beside those before it: name, device, TAP. */
static int check_port_pairs(const struct cfg_dataplane *dataplane, uint32_t at, const char *base,
                            struct cfg_error *error)
{
    const struct cfg_port *port = &dataplane->ports[at];

    for (uint32_t i = 0; i <= at; i++) {
        const struct cfg_port *other = &dataplane->ports[i];

        if (same_text(port->tap, other->device) || same_text(other->tap, port->device))
            return check_refuse(error, base, "tap", "`%s` is a tap and a device",
                                same_text(port->tap, other->device) ? port->tap : other->tap);
        if (i == at)
            break;
        if (same_text(port->name, other->name))
            return check_refuse(error, base, "name", "two ports are named `%s`", port->name);
        if (same_text(port->tap, other->tap))
            return check_refuse(error, base, "tap", "`%s` is the tap of port %s too", port->tap,
                                other->name);
        if (port->driver != CFG_PCAP && same_text(port->device, other->device))
            return check_refuse(error, base, "device", "`%s` is the device of port %s too",
                                port->device, other->name);
    }
    return 0;
}

/* Where every port is `outside`, no backend's address is believed anywhere. */
static int check_zones(const struct cfg_dataplane *dataplane, struct cfg_error *error)
{
    for (uint32_t i = 0; i < dataplane->n_ports; i++) {
        if (dataplane->ports[i].zone != CFG_ZONE_OUTSIDE)
            return 0;
    }
    return check_refuse(error, "dataplane.ports[0]", "zone",
                        "all ports are outside: a backend's address is believed on none");
}

int check_dataplane(const struct cfg_dataplane *dataplane, struct cfg_error *ret_error)
{
    int ret = 0;

    for (uint32_t i = 0; ret == 0 && i < dataplane->n_ports; i++) {
        const struct cfg_port *port = &dataplane->ports[i];
        char base[BASE_MAX];

        snprintf(base, sizeof(base), "dataplane.ports[%u]", i);
        ret = check_device(port, base, ret_error);
        if (ret == 0)
            ret = check_tap(port, base, ret_error);
        if (ret == 0)
            ret = check_port_pairs(dataplane, i, base, ret_error);
        if (ret == 0)
            ret = check_addresses(dataplane, i, base, ret_error);
        if (ret == 0)
            ret = check_gateways(port, base, ret_error);
    }
    return ret == 0 ? check_zones(dataplane, ret_error) : ret;
}

static int check_service_names(const struct cfg *cfg, struct cfg_error *error)
{
    char base[BASE_MAX];

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        const struct cfg_service *service = &cfg->services[i];
        uint32_t id = snapshot_service_id(sip_slice_of(service->name));
        uint32_t pool = 0;

        snprintf(base, sizeof(base), "services[%u]", i);
        for (uint32_t j = 0; j < i; j++) {
            if (same_text(service->name, cfg->services[j].name))
                return check_refuse(error, base, "name", "two services are named `%s`",
                                    service->name);
            if (id == snapshot_service_id(sip_slice_of(cfg->services[j].name)))
                return check_refuse(error, base, "name",
                                    "has the same id as service %s: rename one of them",
                                    cfg->services[j].name);
        }
        while (pool < cfg->n_pools && !same_text(service->pool, cfg->pools[pool].name))
            pool++;
        if (pool == cfg->n_pools)
            return check_refuse(error, base, "pool", "there is no pool named `%s`", service->pool);
    }
    return 0;
}

static int check_pool_names(const struct cfg *cfg, struct cfg_error *error)
{
    char base[BASE_MAX];
    uint64_t n_backends = 0;

    for (uint32_t i = 0; i < cfg->n_pools; i++) {
        const struct cfg_pool *pool = &cfg->pools[i];
        bool weight = false;

        snprintf(base, sizeof(base), "pools[%u]", i);
        for (uint32_t j = 0; j < i; j++) {
            if (same_text(pool->name, cfg->pools[j].name))
                return check_refuse(error, base, "name", "two pools are named `%s`", pool->name);
            if (snapshot_pool_id(sip_slice_of(pool->name)) ==
                snapshot_pool_id(sip_slice_of(cfg->pools[j].name)))
                return check_refuse(error, base, "name",
                                    "has the same id as pool %s: rename one of them",
                                    cfg->pools[j].name);
        }
        for (uint32_t j = 0; j < pool->n_backends; j++)
            weight |= pool->backends[j].weight > 0;
        if (!weight)
            return check_refuse(error, base, "backends", "all weights are 0: nobody gets calls");
        n_backends += pool->n_backends;
        if (n_backends > SCHEMA_BACKENDS_MAX)
            return check_refuse(error, base, "backends", "more than %d backends in all pools",
                                SCHEMA_BACKENDS_MAX);
    }
    return 0;
}

int check_services(const struct cfg *cfg, struct cfg_error *ret_error)
{
    int ret = check_pool_names(cfg, ret_error);

    if (ret == 0)
        ret = check_service_names(cfg, ret_error);
    if (ret == 0)
        ret = trunk_check(cfg, ret_error);
    if (ret == 0)
        ret = listen_check(cfg, ret_error);
    if (ret == 0)
        ret = direct_check(cfg, ret_error);
    return ret != 0 ? ret : backend_check(cfg, ret_error);
}
