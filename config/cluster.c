/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of the cluster: see cluster.h. */
#include "config/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/convert.h"
#include "config/snapshot.h"
#include "config/value.h"

enum { BASE_MAX = 96 };

static int no_memory(struct cfg_error *error)
{
    check_refuse(error, "", "", "no memory");
    return -ENOMEM;
}

static int check_name(const struct cfg *cfg, const char *name, const char *base,
                      struct cfg_error *error)
{
    uint32_t id = snapshot_node_id(sip_slice_of(name));

    if (!value_is_name(name))
        return check_refuse(error, base, "name",
                            "`%s` is no name: letters, digits, `.`, `_` and `-`", name);
    if (strcmp(name, cfg->node) == 0)
        return check_refuse(error, base, "name", "`%s` is this node: the others stand here", name);
    if (id == snapshot_node_id(sip_slice_of(cfg->node)))
        return check_refuse(error, base, "name",
                            "has the same id as this node: rename one of them");
    for (uint32_t i = 0; i + 1 < cfg->n_nodes; i++) {
        if (strcmp(name, cfg->nodes[i].name) == 0)
            return check_refuse(error, base, "name", "two nodes are named `%s`", name);
        if (id == snapshot_node_id(sip_slice_of(cfg->nodes[i].name)))
            return check_refuse(error, base, "name",
                                "has the same id as node %s: rename one of them",
                                cfg->nodes[i].name);
    }
    return 0;
}

static bool has_address(const struct cfg_node *node, const struct sip_ip *ip)
{
    for (uint32_t i = 0; i < node->n_addresses; i++) {
        if (sip_ip_equal(&node->addresses[i], ip))
            return true;
    }
    return false;
}

static int check_address(const struct cfg *cfg, const struct sip_ip *ip, const char *base,
                         const char *name, struct cfg_error *error)
{
    const struct sip_ip *own = cfg_node_ip(cfg, sip_ip_is_v4(ip));

    if (own == NULL)
        return check_refuse(error, base, name, "this node has no %s to send there from",
                            sip_ip_is_v4(ip) ? "node_address of IPv4"
                                             : "node_address6 (or node_address) of IPv6");
    if (sip_ip_equal(own, ip))
        return check_refuse(error, base, name, "is this node's own");
    for (uint32_t i = 0; i < cfg->n_nodes; i++) {
        if (has_address(&cfg->nodes[i], ip))
            return check_refuse(error, base, name, "is node %s's already", cfg->nodes[i].name);
    }
    return 0;
}

/* Into the last node. */
static int take_address(struct cfg *cfg, const char *text, const char *base, const char *name,
                        struct cfg_error *error)
{
    struct cfg_node *node = &cfg->nodes[cfg->n_nodes - 1];
    struct sip_ip ip;
    int ret;

    if (text == NULL)
        return 0;
    ret = convert_ip(text, &ip, base, name, error);
    if (ret == 0 && node->n_addresses > 0 && sip_ip_is_v4(&ip) == sip_ip_is_v4(&node->addresses[0]))
        ret = check_refuse(error, base, name, "address is of that family already");
    if (ret == 0)
        ret = check_address(cfg, &ip, base, name, error);
    if (ret == 0)
        node->addresses[node->n_addresses++] = ip;
    return ret;
}

static int take_node(const struct schema_node *raw, struct cfg *cfg, const char *base,
                     struct cfg_error *error)
{
    struct cfg_node *node = &cfg->nodes[cfg->n_nodes - 1];
    int ret = check_name(cfg, raw->name, base, error);

    if (ret == 0 && raw->address == NULL && raw->address6 == NULL)
        ret = check_refuse(error, base, "address", "a node needs address, address6 or both");
    node->name = strdup(raw->name);
    if (ret == 0 && node->name == NULL)
        ret = no_memory(error);
    if (ret == 0)
        ret = take_address(cfg, raw->address, base, "address", error);
    return ret == 0 ? take_address(cfg, raw->address6, base, "address6", error) : ret;
}

int cluster_convert(const struct schema_cluster *raw, struct cfg *cfg, struct cfg_error *error)
{
    int ret = 0;

    if (raw == NULL)
        return 0;
    cfg->nodes = calloc(raw->n_nodes, sizeof(*cfg->nodes));
    if (cfg->nodes == NULL)
        return no_memory(error);
    for (uint32_t i = 0; ret == 0 && i < raw->n_nodes; i++) {
        char base[BASE_MAX];

        snprintf(base, sizeof(base), "cluster.nodes[%u]", i);
        cfg->n_nodes = i + 1;
        ret = take_node(&raw->nodes[i], cfg, base, error);
    }
    return ret;
}
