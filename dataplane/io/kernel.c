/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See kernel.h. Two sockets: one listens, never blocks and is in main's epoll, the other asks and
 * gets its answer within the call. Whatever is written is compared first, because each change
 * comes back as an event that leads here again.
 */
#include "dataplane/io/kernel.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/io/agree.h"
#include "dataplane/io/mirror.h"
#include "dataplane/io/netlink.h"
#include "dataplane/io/reason.h"

enum {
    PACE_SLOTS = 1024, /* power of two */
    RESOLVE_MS = 1000,
    REVALIDATE_MS = 10000,
    DUMP_TRIES = 8,
};

/* When something was last asked of a neighbour. A colliding one takes the slot: asked too often. */
struct pace {
    struct sip_ip ip;
    uint8_t port;
    bool taken;
    uint64_t at_ms;
};

struct io_kernel {
    struct io_netlink events;
    struct io_netlink requests;
    const struct io_port *ports;
    uint32_t n_ports;
    int ifindex[IO_PORTS_MAX];        /* of the TAPs */
    int device_ifindex[IO_PORTS_MAX]; /* of the kernel devices behind the ports; 0: none */
    struct io_mirror mirror;
    struct pace resolved[PACE_SLOTS];
    struct pace revalidated[PACE_SLOTS];
    int trouble; /* of the last attempt to agree */
    /* What events told and was not dealt with yet: it stays until it is */
    bool lost;      /* some events did not arrive */
    bool gone;      /* a TAP or a device of ours was deleted */
    bool disagrees; /* an address or a link changed */
    bool routes_changed;
    bool neighbours_changed;
    bool no_memory; /* for what is being dumped */
};

/* What the configuration wants of links and addresses; gateways come after a dump of the routes.
 * A port that refuses does not keep the others from theirs. 0, or the first error. */
static int agree_links(struct io_kernel *kernel)
{
    int first = 0;

    for (uint32_t i = 0; i < kernel->n_ports; i++) {
        int error =
            kernel->ifindex[i] != 0 ? io_agree_link(&kernel->requests, &kernel->ports[i]) : 0;

        if (first == 0)
            first = error;
    }
    return first;
}

static int visit_route(const struct nlmsghdr *message, void *context)
{
    struct io_kernel *kernel = context;

    if (io_mirror_route(&kernel->mirror, message) < 0)
        kernel->no_memory = true;
    return MNL_CB_OK;
}

static int visit_neighbour(const struct nlmsghdr *message, void *context)
{
    struct io_kernel *kernel = context;

    if (io_mirror_neighbour(&kernel->mirror, message) < 0)
        kernel->no_memory = true;
    return MNL_CB_OK;
}

static int dump_routes(struct io_kernel *kernel)
{
    int error, tries = DUMP_TRIES;

    do {
        io_mirror_clear_routes(&kernel->mirror);
        kernel->no_memory = false;
        error = io_netlink_dump(&kernel->requests, RTM_GETROUTE, AF_INET, visit_route, kernel);
        if (error == 0)
            error = io_netlink_dump(&kernel->requests, RTM_GETROUTE, AF_INET6, visit_route, kernel);
    } while (error == -EINTR && --tries > 0);
    return error == 0 && kernel->no_memory ? -ENOMEM : error;
}

static int dump_neighbours(struct io_kernel *kernel)
{
    int error, tries = DUMP_TRIES;

    do {
        io_mirror_clear_neighbours(&kernel->mirror);
        kernel->no_memory = false;
        error =
            io_netlink_dump(&kernel->requests, RTM_GETNEIGH, AF_UNSPEC, visit_neighbour, kernel);
    } while (error == -EINTR && --tries > 0);
    return error == 0 && kernel->no_memory ? -ENOMEM : error;
}

/* Routes as they are, then the gateways that are missing, then routes again if one was. 0, or why
 * the mirror is not what the kernel has; *ret_trouble: 0, or why a gateway could not be set. */
static int agree_routes(struct io_kernel *kernel, int *ret_trouble)
{
    int error = dump_routes(kernel);
    bool added = false;

    *ret_trouble = 0;
    for (uint32_t i = 0; error == 0 && i < kernel->n_ports; i++) {
        int result =
            kernel->ifindex[i] == 0
                ? 0
                : io_agree_gateways(&kernel->requests, &kernel->ports[i], i, &kernel->mirror);

        added |= result > 0;
        if (result < 0 && *ret_trouble == 0)
            *ret_trouble = result;
    }
    return error == 0 && added ? dump_routes(kernel) : error;
}

struct io_kernel *io_kernel_new(const struct io_port *ports, uint32_t n, char *ret_reason,
                                size_t reason_size)
{
    struct io_kernel *kernel = calloc(1, sizeof(*kernel));
    const char *what = "listen to netlink";
    int trouble = 0, error = kernel == NULL ? -ENOMEM : n > IO_PORTS_MAX ? -E2BIG : 0;

    if (error != 0)
        goto out;
    kernel->ports = ports;
    kernel->n_ports = n;
    for (uint32_t i = 0; i < n; i++) {
        kernel->ifindex[i] = ports[i].tap_ifindex;
        if (ports[i].device_name[0] != 0)
            kernel->device_ifindex[i] = (int)if_nametoindex(ports[i].device_name);
    }
    io_mirror_init(&kernel->mirror, kernel->ifindex, n);
    error = io_netlink_open(&kernel->events, RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR |
                                                 RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                                                 RTMGRP_IPV6_ROUTE);
    if (error == 0)
        error = io_netlink_open(&kernel->requests, 0);
    if (error != 0)
        goto out;
    what = "set the TAPs' switches in /proc/sys/net";
    for (uint32_t i = 0; error == 0 && i < n; i++)
        if (kernel->ifindex[i] != 0)
            error = io_agree_switches(ports[i].cfg);
    if (error != 0)
        goto out;
    what = "set up the TAPs' addresses";
    error = agree_links(kernel);
    if (error != 0)
        goto out;
    what = "set the gateways";
    error = agree_routes(kernel, &trouble);
    if (error == 0)
        error = trouble;
    if (error != 0)
        goto out;
    what = "read the neighbours";
    error = dump_neighbours(kernel);
out:
    if (error == 0)
        return kernel;
    io_reason(ret_reason, reason_size, EIO, "cannot %s: %s", what, strerror(-error));
    io_kernel_free(kernel);
    return NULL;
}

void io_kernel_free(struct io_kernel *kernel)
{
    if (kernel == NULL)
        return;
    io_netlink_close(&kernel->events);
    io_netlink_close(&kernel->requests);
    io_mirror_done(&kernel->mirror);
    free(kernel);
}

int io_kernel_fd(const struct io_kernel *kernel)
{
    return mnl_socket_get_fd(kernel->events.socket);
}

/* Whether an interface, by its index, is one of those: our TAPs, the devices behind the ports. */
static bool ours(const struct io_kernel *kernel, const int *indices, int ifindex)
{
    for (uint32_t i = 0; i < kernel->n_ports; i++)
        if (ifindex != 0 && indices[i] == ifindex)
            return true;
    return false;
}

static void note_link(struct io_kernel *kernel, uint16_t type, const struct ifinfomsg *link)
{
    bool tap = ours(kernel, kernel->ifindex, link->ifi_index);

    /* A bridge tells with its own family that an interface left it: that one still exists. */
    if (type == RTM_DELLINK && link->ifi_family == AF_UNSPEC &&
        (tap || ours(kernel, kernel->device_ifindex, link->ifi_index)))
        kernel->gone = true;
    /* With a link or an address IPv4 routes go without an event of their own. */
    if (tap)
        kernel->disagrees = true;
}

static int visit_event(const struct nlmsghdr *message, void *context)
{
    struct io_kernel *kernel = context;
    const struct ifinfomsg *link = mnl_nlmsg_get_payload(message);
    const struct ifaddrmsg *address = mnl_nlmsg_get_payload(message);
    int changed;

    switch (message->nlmsg_type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        kernel->routes_changed |= io_mirror_route_concerns(&kernel->mirror, message);
        break;
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
        changed = io_mirror_neighbour(&kernel->mirror, message);
        kernel->lost |= changed < 0;
        kernel->neighbours_changed |= changed > 0;
        break;
    case RTM_NEWLINK:
    case RTM_DELLINK:
        if (mnl_nlmsg_get_payload_len(message) >= sizeof(*link))
            note_link(kernel, message->nlmsg_type, link);
        break;
    case RTM_NEWADDR:
    case RTM_DELADDR:
        if (mnl_nlmsg_get_payload_len(message) >= sizeof(*address) &&
            ours(kernel, kernel->ifindex, (int)address->ifa_index))
            kernel->disagrees = true;
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

/* All messages that wait; after a loss too, since what is older than a new dump must not be taken
 * for newer. 0, or a negative errno. */
static int read_events(struct io_kernel *kernel)
{
    char buffer[IO_NETLINK_BUFFER_BYTES];

    for (;;) {
        ssize_t length = mnl_socket_recvfrom(kernel->events.socket, buffer, sizeof(buffer));

        if (length < 0 && errno == EINTR)
            continue; /* a signal of the TAP driver */
        if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 0;
        if (length < 0 && errno == ENOBUFS) {
            kernel->lost = true;
            continue;
        }
        if (length < 0)
            return -errno;
        mnl_cb_run(buffer, (size_t)length, 0, 0, visit_event, kernel);
    }
}

/* Whether all TAPs and devices are there, when the event that one is not may be lost. */
static bool all_there(const struct io_kernel *kernel)
{
    char name[IF_NAMESIZE];

    for (uint32_t i = 0; i < kernel->n_ports; i++) {
        if ((kernel->ifindex[i] != 0 &&
             if_indextoname((unsigned)kernel->ifindex[i], name) == NULL) ||
            (kernel->device_ifindex[i] != 0 &&
             if_indextoname((unsigned)kernel->device_ifindex[i], name) == NULL))
            return false;
    }
    return true;
}

/* After a loss: the neighbours anew, and all else as if it had changed. */
static int recover(struct io_kernel *kernel)
{
    int error = dump_neighbours(kernel);

    if (error != 0)
        return error;
    kernel->lost = false;
    kernel->gone = !all_there(kernel);
    kernel->disagrees = kernel->neighbours_changed = true;
    return 0;
}

int io_kernel_read(struct io_kernel *kernel)
{
    int error = read_events(kernel), links = 0, gateways = 0;
    bool changed;

    if (error == 0 && kernel->lost)
        error = recover(kernel);
    if (kernel->gone)
        return -ENODEV;
    if (error == 0 && kernel->disagrees)
        links = agree_links(kernel);
    if (error == 0 && (kernel->disagrees || kernel->routes_changed))
        error = agree_routes(kernel, &gateways);
    if (error != 0)
        return error;
    changed = kernel->disagrees || kernel->routes_changed || kernel->neighbours_changed;
    if (kernel->disagrees || kernel->routes_changed)
        kernel->trouble = links != 0 ? links : gateways;
    kernel->disagrees = kernel->trouble != 0;
    kernel->routes_changed = kernel->neighbours_changed = false;
    return changed;
}

int io_kernel_trouble(const struct io_kernel *kernel)
{
    return kernel->trouble;
}

/*
 * The routes of a port without exception path, of which the kernel knows nothing: its prefixes on
 * link, the rest by its gateways. Writes them when ret_routes is not NULL; returns their number.
 */
static uint32_t port_routes(const struct io_kernel *kernel, uint32_t port,
                            struct io_fib_route *ret_routes)
{
    const struct cfg_port *cfg = kernel->ports[port].cfg;
    struct io_fib_route route = {.port = (uint8_t)port, .broadcast = true};

    if (kernel->ifindex[port] != 0)
        return 0;
    for (uint32_t i = 0; ret_routes != NULL && i < cfg->n_addresses; i++) {
        route.prefix = cfg->addresses[i].ip;
        route.length = (uint8_t)(cfg->addresses[i].length + (sip_ip_is_v4(&route.prefix) ? 96 : 0));
        route.on_link = true;
        *ret_routes++ = route;
    }
    for (uint32_t i = 0; ret_routes != NULL && i < cfg->n_gateways; i++) {
        route.prefix = route.gateway =
            cfg->gateways[i]; /* only as many bits of it as length says */
        route.length = sip_ip_is_v4(&route.gateway) ? 96 : 0;
        route.on_link = false;
        *ret_routes++ = route;
    }
    return cfg->n_addresses + cfg->n_gateways;
}

struct io_fib *io_kernel_fib(const struct io_kernel *kernel)
{
    uint32_t n = kernel->mirror.n_routes;
    struct io_fib_route *routes;
    struct io_fib *fib;

    for (uint32_t i = 0; i < kernel->n_ports; i++)
        n += port_routes(kernel, i, NULL);
    routes = calloc(n + 1, sizeof(*routes)); /* never 0 bytes, for which NULL is no failure */
    if (routes == NULL)
        return NULL;
    n = kernel->mirror.n_routes;
    if (n > 0)
        memcpy(routes, kernel->mirror.routes, n * sizeof(*routes));
    for (uint32_t i = 0; i < kernel->n_ports; i++)
        n += port_routes(kernel, i, routes + n);
    fib = io_fib_new(routes, n, kernel->mirror.neighbours, kernel->mirror.n_neighbours);
    free(routes);
    return fib;
}

/* Whether it is time again; notes the time then. */
static bool due(struct pace *paces, uint8_t port, const struct sip_ip *ip, uint64_t now_ms,
                uint64_t interval_ms)
{
    uint32_t hash = port;
    struct pace *pace;

    for (uint32_t i = 0; i < sizeof(ip->bytes); i++)
        hash = (hash ^ ip->bytes[i]) * 16777619u; /* FNV-1a */
    pace = &paces[(hash ^ hash >> 16) & (PACE_SLOTS - 1)];
    if (pace->taken && pace->port == port && sip_ip_equal(&pace->ip, ip) &&
        now_ms - pace->at_ms < interval_ms)
        return false;
    *pace = (struct pace){.ip = *ip, .port = port, .taken = true, .at_ms = now_ms};
    return true;
}

void io_kernel_resolve(struct io_kernel *kernel, uint8_t port, const struct sip_ip *ip,
                       uint64_t now_ms)
{
    if (port >= kernel->n_ports || kernel->ifindex[port] == 0 ||
        !due(kernel->resolved, port, ip, now_ms, RESOLVE_MS))
        return;
    /* Whatever goes wrong: the packets that wait for it ask again. */
    (void)io_netlink_neighbour(&kernel->requests, kernel->ifindex[port], ip, false);
}

bool io_kernel_failed(const struct io_kernel *kernel, uint8_t port, const struct sip_ip *ip)
{
    return io_mirror_state(&kernel->mirror, port, ip) == NUD_FAILED;
}

struct revalidation {
    struct io_kernel *kernel;
    uint64_t now_ms;
};

static void revalidate_one(void *context, uint8_t port, const struct sip_ip *ip)
{
    struct revalidation *revalidation = context;
    struct io_kernel *kernel = revalidation->kernel;
    uint16_t state = port < kernel->n_ports ? io_mirror_state(&kernel->mirror, port, ip) : 0;

    /* Not what an operator fixed, not what is being asked already, nor what has no address. */
    if ((state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY)) == 0 ||
        !due(kernel->revalidated, port, ip, revalidation->now_ms, REVALIDATE_MS))
        return;
    (void)io_netlink_neighbour(&kernel->requests, kernel->ifindex[port], ip, true);
}

void io_kernel_revalidate(struct io_kernel *kernel, struct io_fib *fib, uint64_t now_ms)
{
    struct revalidation revalidation = {kernel, now_ms};

    io_fib_used(fib, revalidate_one, &revalidation);
}
