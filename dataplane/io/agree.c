/* SPDX-License-Identifier: Apache-2.0 */
/* See agree.h. What a TAP should be is in its port's configuration, each wish compared before it is
 * written. */
#include "dataplane/io/agree.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/io/device.h"

enum {
    V4_LENGTH = 96,
    METRIC_V6 = 1024, /* the kernel's own for IPv6 */
    DUMP_TRIES = 8,
};

/* The addresses that a TAP has, against those of its configuration. */
struct agreement {
    const struct cfg_port *cfg;
    int ifindex;
    uint64_t found;              /* bit i: addresses[i] is there; 64 at most, see agree_addresses */
    struct cfg_prefix stale[32]; /* ours of an earlier configuration */
    uint32_t n_stale;
};

static int visit_address(const struct nlmsghdr *message, void *context)
{
    const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
    struct agreement *agreement = context;
    const struct cfg_port *cfg = agreement->cfg;
    const struct nlattr *attribute;
    struct cfg_prefix prefix;
    bool found = false, ours = false;

    if (mnl_nlmsg_get_payload_len(message) < sizeof(*header) ||
        (int)header->ifa_index != agreement->ifindex)
        return MNL_CB_OK;
    mnl_attr_for_each(attribute, message, sizeof(*header))
    {
        if (mnl_attr_get_type(attribute) == IFA_ADDRESS)
            found = io_netlink_ip(header->ifa_family, attribute, &prefix.ip);
        else if (mnl_attr_get_type(attribute) == IFA_PROTO)
            ours = mnl_attr_get_u8(attribute) == IO_NETLINK_PROTOCOL;
    }
    if (!found)
        return MNL_CB_OK;
    prefix.length = header->ifa_prefixlen;
    for (uint32_t i = 0; i < cfg->n_addresses; i++) {
        if (!sip_ip_equal(&cfg->addresses[i].ip, &prefix.ip))
            continue;
        if (cfg->addresses[i].length == prefix.length) {
            agreement->found |= 1ULL << i;
            return MNL_CB_OK;
        }
        ours = true; /* whoever made it: two lengths of one address do not go together */
    }
    if (ours && agreement->n_stale < sizeof(agreement->stale) / sizeof(agreement->stale[0]))
        agreement->stale[agreement->n_stale++] = prefix;
    return MNL_CB_OK;
}

/*
 * Adds what is missing, removes what an earlier configuration left; what an operator added stays,
 * and what is right is not touched, for connections live on it.
 */
static int agree_addresses(struct io_netlink *netlink, const struct io_port *port)
{
    const struct cfg_port *cfg = port->cfg;
    struct agreement agreement;
    int error, tries = DUMP_TRIES;

    if (cfg->n_addresses > 64)
        return -E2BIG;
    do {
        agreement = (struct agreement){.cfg = cfg, .ifindex = port->tap_ifindex};
        error = io_netlink_dump(netlink, RTM_GETADDR, AF_UNSPEC, visit_address, &agreement);
    } while (error == -EINTR && --tries > 0);
    for (uint32_t i = 0; error == 0 && i < agreement.n_stale; i++) {
        error = io_netlink_address(netlink, false, port->tap_ifindex, &agreement.stale[i].ip,
                                   agreement.stale[i].length);
        if (error == -EADDRNOTAVAIL)
            error = 0; /* gone with its primary */
    }
    for (uint32_t i = 0; error == 0 && i < cfg->n_addresses; i++)
        if ((agreement.found & 1ULL << i) == 0)
            error = io_netlink_address(netlink, true, port->tap_ifindex, &cfg->addresses[i].ip,
                                       cfg->addresses[i].length);
    return error;
}

/* Several ports may each have a gateway: the first one's route wins. */
static uint32_t gateway_metric(uint32_t port, const struct sip_ip *gateway)
{
    return port + (sip_ip_is_v4(gateway) ? 0 : METRIC_V6);
}

static bool has_gateway(const struct io_mirror *mirror, uint32_t port, const struct sip_ip *gateway)
{
    uint8_t length = sip_ip_is_v4(gateway) ? V4_LENGTH : 0;

    for (uint32_t i = 0; i < mirror->n_routes; i++) {
        const struct io_fib_route *route = &mirror->routes[i];

        if (route->length == length && route->port == port && !route->on_link &&
            route->metric == gateway_metric(port, gateway) &&
            sip_ip_equal(&route->gateway, gateway))
            return true;
    }
    return false;
}

/* Whether the gateway lies in none of the port's prefixes. */
static bool far(const struct cfg_port *cfg, const struct sip_ip *gateway)
{
    for (uint32_t i = 0; i < cfg->n_addresses; i++) {
        const struct cfg_prefix *prefix = &cfg->addresses[i];
        uint32_t bits = prefix->length + (sip_ip_is_v4(&prefix->ip) ? V4_LENGTH : 0);
        uint8_t mask = (uint8_t)(0xff00 >> (bits % 8));

        if (memcmp(prefix->ip.bytes, gateway->bytes, bits / 8) == 0 &&
            (bits % 8 == 0 ||
             ((prefix->ip.bytes[bits / 8] ^ gateway->bytes[bits / 8]) & mask) == 0))
            return false;
    }
    return true;
}

int io_agree_gateways(struct io_netlink *netlink, const struct io_port *port, uint32_t index,
                      const struct io_mirror *mirror)
{
    const struct cfg_port *cfg = port->cfg;
    int error = 0, added = 0;

    for (uint32_t i = 0; error == 0 && i < cfg->n_gateways; i++) {
        const struct sip_ip *gateway = &cfg->gateways[i];

        if (has_gateway(mirror, index, gateway))
            continue;
        added = 1;
        error = io_netlink_gateway(netlink, true, port->tap_ifindex, gateway,
                                   gateway_metric(index, gateway), far(cfg, gateway));
    }
    return error != 0 ? error : added;
}

static bool has_v6(const struct cfg_port *cfg)
{
    for (uint32_t i = 0; i < cfg->n_addresses; i++)
        if (!sip_ip_is_v4(&cfg->addresses[i].ip))
            return true;
    return false;
}

/*
 * A silent change of MAC heals within: 10 s until a neighbour in use is asked again, 1 s of main's
 * rhythm, 2 unicast questions and then broadcast ones, half a second apart: 12 to 13 s. Neighbours
 * that the kernel alone talks to: at most 7.5 s reachable, 1 s delay, the same questions.
 */
int io_agree_switches(const struct cfg_port *cfg)
{
    static const struct {
        const char *family;
        const char *kind;
        const char *key;
        int value;
    } switches[] = {
        {"ipv4", "conf", "rp_filter", 2},  /* replies may come in by another TAP */
        {"ipv4", "conf", "arp_ignore", 1}, /* another TAP's address is not answered here */
        {"ipv4", "conf", "arp_announce", 2},
        {"ipv4", "neigh", "ucast_solicit", 2},
        {"ipv4", "neigh", "mcast_resolicit", 3},
        {"ipv4", "neigh", "retrans_time_ms", 500},
        {"ipv4", "neigh", "base_reachable_time_ms", 5000},
        {"ipv4", "neigh", "delay_first_probe_time", 1},
        {"ipv6", "conf", "disable_ipv6", 0},
        {"ipv6", "conf", "keep_addr_on_down", 1}, /* else a restart takes addresses away */
        {"ipv6", "conf", "accept_ra", 0},
        {"ipv6", "neigh", "ucast_solicit", 2},
        {"ipv6", "neigh", "mcast_resolicit", 3},
        {"ipv6", "neigh", "retrans_time_ms", 500},
        {"ipv6", "neigh", "base_reachable_time_ms", 5000},
        {"ipv6", "neigh", "delay_first_probe_time", 1},
    };
    bool need_v6 = has_v6(cfg);
    int error = 0;

    for (uint32_t i = 0; error == 0 && i < sizeof(switches) / sizeof(switches[0]); i++) {
        bool v6 = strcmp(switches[i].family, "ipv6") == 0;

        if (v6 && !need_v6 && strcmp(switches[i].key, "disable_ipv6") == 0)
            continue; /* the operator's choice */
        error = io_sysctl_set(switches[i].family, switches[i].kind, cfg->tap, switches[i].key,
                              switches[i].value);
        if (error == -ENOENT && v6 && !need_v6)
            error = 0;
    }
    return error;
}

int io_agree_link(struct io_netlink *netlink, const struct io_port *port)
{
    int error = io_device_set_up(port->cfg->tap, false);

    return error != 0 ? error : agree_addresses(netlink, port);
}
