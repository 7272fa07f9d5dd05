/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the kernel deaf on a port's device (kernel.h). With AF_PACKET the kernel sees every frame
 * too, with AF_XDP those that come while no process is bound: it must answer none of them, because
 * the virtual address answers on the TAP.
 */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/io/device.h"
#include "dataplane/io/kernel.h"
#include "dataplane/io/netlink.h"
#include "dataplane/io/reason.h"

enum { ADDRESSES_MAX = 64 }; /* of one device; more is refused */

struct held {
    int ifindex;
    struct cfg_prefix addresses[ADDRESSES_MAX];
    uint32_t n;
    bool too_many;
};

/* Collects the addresses of one interface, without IPv6 link-local ones: the kernel made those. */
static int collect(const struct nlmsghdr *message, void *context)
{
    const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
    struct held *held = context;
    const struct nlattr *attribute;
    struct cfg_prefix prefix;
    bool found = false;

    if (mnl_nlmsg_get_payload_len(message) < sizeof(*header) ||
        (int)header->ifa_index != held->ifindex ||
        (header->ifa_family == AF_INET6 && header->ifa_scope == RT_SCOPE_LINK))
        return MNL_CB_OK;
    mnl_attr_for_each(attribute, message, sizeof(*header))
    {
        uint16_t type = mnl_attr_get_type(attribute);

        /* IPv6 has IFA_ADDRESS alone; for IPv4 it is the peer's, and IFA_LOCAL comes after it. */
        if (type == IFA_LOCAL || (type == IFA_ADDRESS && !found))
            found = io_netlink_ip(header->ifa_family, attribute, &prefix.ip) || found;
    }
    if (!found)
        return MNL_CB_OK;
    prefix.length = header->ifa_prefixlen;
    if (held->n == ADDRESSES_MAX)
        held->too_many = true;
    else
        held->addresses[held->n++] = prefix;
    return MNL_CB_OK;
}

static int read_addresses(struct io_netlink *netlink, const char *device, struct held *ret_held)
{
    struct io_device facts;
    int error = io_device_read(device, &facts);

    if (error != 0)
        return error;
    do {
        *ret_held = (struct held){.ifindex = facts.ifindex};
        error = io_netlink_dump(netlink, RTM_GETADDR, AF_UNSPEC, collect, ret_held);
    } while (error == -EINTR);
    return error;
}

static bool listed(const struct cfg_port *port, const struct sip_ip *ip)
{
    for (uint32_t i = 0; i < port->n_addresses; i++)
        if (sip_ip_equal(&port->addresses[i].ip, ip))
            return true;
    return false;
}

int io_kernel_may_deafen(const struct cfg_port *port, char *ret_reason, size_t reason_size)
{
    struct io_netlink netlink;
    struct held held;
    char text[SIP_IP_TEXT_MAX];
    int all = 0, error = io_netlink_open(&netlink, 0);

    if (error == 0) {
        error = read_addresses(&netlink, port->device, &held);
        io_netlink_close(&netlink);
    }
    if (error != 0)
        return io_reason(ret_reason, reason_size, -error,
                         "port %s: cannot read the addresses of %s: %s", port->name, port->device,
                         strerror(-error));
    if (held.too_many)
        return io_reason(ret_reason, reason_size, EBUSY, "port %s: %s holds more than %d addresses",
                         port->name, port->device, ADDRESSES_MAX);
    for (uint32_t i = 0; i < held.n; i++) {
        int length = (int)sip_ip_print(&held.addresses[i].ip, text);

        if (!listed(port, &held.addresses[i].ip))
            return io_reason(ret_reason, reason_size, EBUSY,
                             "port %s: %s holds %.*s/%u, which the port would take from the "
                             "kernel: list it under `addresses` (it then moves to the TAP) or "
                             "remove it",
                             port->name, port->device, length, text, held.addresses[i].length);
    }
    /* The larger of the device's and all's counts, so 2 would let the kernel answer. */
    if (io_sysctl_get("ipv4", "conf", "all", "rp_filter", &all) == 0 && all == 2)
        return io_reason(ret_reason, reason_size, EINVAL,
                         "port %s: net.ipv4.conf.all.rp_filter=2 would let the kernel answer "
                         "frames of %s: sysctl net.ipv4.conf.all.rp_filter=0",
                         port->name, port->device);
    return 0;
}

static int drop_addresses(const struct cfg_port *port)
{
    struct io_netlink netlink;
    struct held held;
    char text[SIP_IP_TEXT_MAX];
    int error = io_netlink_open(&netlink, 0);

    if (error != 0)
        return error;
    error = read_addresses(&netlink, port->device, &held);
    for (uint32_t i = 0; error == 0 && i < held.n; i++) {
        const struct cfg_prefix *address = &held.addresses[i];
        int length = (int)sip_ip_print(&address->ip, text);

        if (!listed(port, &address->ip))
            continue;
        fprintf(stderr, "port %s: address %.*s/%u moves from %s to %s\n", port->name, length, text,
                address->length, port->device, port->tap != NULL ? port->tap : "nowhere");
        error = io_netlink_address(&netlink, false, held.ifindex, &address->ip, address->length);
        if (error == -EADDRNOTAVAIL)
            error = 0; /* a secondary one, gone with its primary */
    }
    io_netlink_close(&netlink);
    return error;
}

int io_kernel_deafen(const struct cfg_port *port, char *ret_reason, size_t reason_size)
{
    static const struct {
        const char *family;
        const char *key;
        int value;
    } switches[] = {
        {"ipv4", "arp_ignore", 8}, /* answers ARP for no address */
        {"ipv4", "rp_filter", 1},  /* no route back by it: drops what it hears */
        {"ipv4", "forwarding", 0},   {"ipv4", "accept_local", 0},
        {"ipv4", "log_martians", 0}, /* every frame is one */
        {"ipv6", "disable_ipv6", 1},
    };
    int error;

    for (uint32_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
        error = io_sysctl_set(switches[i].family, "conf", port->device, switches[i].key,
                              switches[i].value);
        if (error == -ENOENT && strcmp(switches[i].family, "ipv6") == 0)
            error = 0; /* a kernel without IPv6 is deaf to it */
        if (error != 0)
            return io_reason(ret_reason, reason_size, -error, "port %s: net.%s.conf.%s.%s=%d: %s",
                             port->name, switches[i].family, port->device, switches[i].key,
                             switches[i].value, strerror(-error));
    }
    error = drop_addresses(port);
    if (error == 0)
        error = io_device_offloads_off(port->device);
    if (error == 0)
        error = io_device_set_up(port->device, true);
    if (error != 0)
        return io_reason(ret_reason, reason_size, -error, "port %s: cannot make %s deaf: %s",
                         port->name, port->device, strerror(-error));
    return 0;
}
