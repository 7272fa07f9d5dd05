/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See port.h. A port's ethdevs are named by devargs; their TAP is made after them, because its MAC
 * address is theirs and some drivers choose one only when they start.
 */
#include "dataplane/io/port.h"

#include <errno.h>
#include <rte_bus_vdev.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/io/devargs.h"
#include "dataplane/io/device.h"
#include "dataplane/io/netlink.h"
#include "dataplane/io/pool.h"
#include "dataplane/io/reason.h"

enum { DESCRIPTORS = 1024, TAP_DESCRIPTORS = 16 };

/* What the steps of opening share. */
struct opening {
    const struct cfg_dataplane *cfg;
    uint32_t index; /* of the port */
    struct io_port *port;
    struct io_devargs_sizes sizes;
    char *reason;
    size_t reason_size;
};

static bool is_kernel_device(const struct cfg_port *port)
{
    return port->driver == CFG_AF_PACKET || port->driver == CFG_AF_XDP;
}

static int refuse(const struct opening *opening, int error, const char *what)
{
    return io_reason(opening->reason, opening->reason_size, -error, "port %s: %s: %s",
                     opening->port->cfg->name, what, strerror(-error));
}

/* Finds the ethdevs, and which queue of which is each worker's. */
static int find_devices(const struct opening *opening)
{
    struct io_port *port = opening->port;
    uint32_t devices = io_devargs_devices(port->cfg, port->n_queues);
    char name[IO_DEVARGS_NAME_MAX];
    uint16_t port_id = 0;
    int error;

    for (uint32_t i = 0; i < port->n_queues; i++) {
        if (i == 0 || devices > 1) {
            io_devargs_name(opening->cfg, opening->index, i, name);
            error = rte_eth_dev_get_port_by_name(name, &port_id);
            if (error != 0)
                return io_reason(opening->reason, opening->reason_size, ENODEV,
                                 "port %s: DPDK did not make %s (its log says why)",
                                 port->cfg->name, name);
        }
        port->queues[i].port_id = port_id;
        port->queues[i].queue_id = (uint16_t)(devices > 1 ? 0 : i);
    }
    return 0;
}

/* AF_XDP's driver sends a buffer of its port's pool as it is, and copies one of another pool: all its
 * ports have one together. That of those before this one, or NULL. */
static struct rte_mempool *pool_of_others(const struct opening *opening)
{
    for (const struct io_port *p = opening->port - opening->index; p < opening->port; p++)
        if (p->cfg->driver == CFG_AF_XDP)
            return p->pool;
    return NULL;
}

static uint32_t count_ports(const struct cfg_dataplane *cfg, enum cfg_driver driver)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < cfg->n_ports; i++)
        n += cfg->ports[i].driver == driver;
    return n;
}

static int make_pool(struct opening *opening)
{
    struct io_port *port = opening->port;
    bool packed = port->cfg->driver == CFG_AF_XDP;
    uint32_t n_ports = packed ? count_ports(opening->cfg, CFG_AF_XDP) : 1;
    char name[RTE_MEMPOOL_NAMESIZE];
    int error;

    error = io_devargs_sizes(opening->cfg, opening->index, port->mtu, &opening->sizes,
                             opening->reason, opening->reason_size);
    if (error != 0)
        return error;
    port->pool = packed ? pool_of_others(opening) : NULL;
    port->borrows = port->pool != NULL;
    if (port->borrows)
        return 0;
    snprintf(name, sizeof(name), "port%u", opening->index);
    port->pool = io_pool_new(name, opening->sizes.mbufs * n_ports, opening->sizes.data_room, packed);
    return port->pool != NULL ? 0 : refuse(opening, -rte_errno, "pool of buffers");
}

static int check_queues(const struct opening *opening, uint32_t n,
                        const struct rte_eth_dev_info *info)
{
    if (n <= info->max_rx_queues && n <= info->max_tx_queues)
        return 0;
    return io_reason(opening->reason, opening->reason_size, EINVAL,
                     "port %s: %u workers, but the device has %u RX and %u TX queues",
                     opening->port->cfg->name, n, info->max_rx_queues, info->max_tx_queues);
}

static int setup_queues(const struct opening *opening, uint16_t port_id, uint16_t n,
                        const struct rte_eth_dev_info *info, uint16_t descriptors)
{
    uint16_t rx_descriptors = descriptors, tx_descriptors = descriptors;
    int error = rte_eth_dev_adjust_nb_rx_tx_desc(port_id, &rx_descriptors, &tx_descriptors);

    for (uint16_t i = 0; error == 0 && i < n; i++) {
        error = rte_eth_rx_queue_setup(port_id, i, rx_descriptors,
                                       (unsigned int)rte_eth_dev_socket_id(port_id),
                                       &info->default_rxconf, opening->port->pool);
        if (error == 0)
            error = rte_eth_tx_queue_setup(port_id, i, tx_descriptors,
                                           (unsigned int)rte_eth_dev_socket_id(port_id),
                                           &info->default_txconf);
    }
    return error != 0 ? refuse(opening, error, "cannot set up a queue") : 0;
}

/* One ethdev of n queues, started. */
static int start_device(const struct opening *opening, uint16_t port_id, uint16_t n)
{
    struct rte_eth_dev_info info;
    struct rte_eth_conf conf = {.rxmode.mtu = opening->port->mtu};
    int error = rte_eth_dev_info_get(port_id, &info);

    if (error != 0)
        return refuse(opening, error, "cannot ask the device");
    error = check_queues(opening, n, &info);
    if (error != 0)
        return error;
    if (n > 1 && info.flow_type_rss_offloads != 0) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf =
            (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP) & info.flow_type_rss_offloads;
    }
    error = rte_eth_dev_configure(port_id, n, n, &conf);
    if (error != 0)
        return refuse(opening, error, "cannot configure the device");
    error = setup_queues(opening, port_id, n, &info, DESCRIPTORS);
    if (error != 0)
        return error;
    error = rte_eth_dev_start(port_id);
    if (error != 0)
        return refuse(opening, error, "cannot start the device");
    /* Neighbour discovery comes by multicast; kernel devices have it from io_kernel_deafen. */
    (void)rte_eth_allmulticast_enable(port_id);
    return 0;
}

static int start_devices(const struct opening *opening)
{
    struct io_port *port = opening->port;
    uint32_t devices = io_devargs_devices(port->cfg, port->n_queues);
    int error = 0;

    for (uint32_t i = 0; error == 0 && i < devices; i++)
        error = start_device(opening, port->queues[i].port_id,
                             (uint16_t)(devices > 1 ? 1 : port->n_queues));
    return error;
}

static int read_facts(const struct opening *opening)
{
    struct io_port *port = opening->port;
    struct rte_ether_addr mac;
    int error = rte_eth_macaddr_get(port->queues[0].port_id, &mac);

    if (error == 0)
        error = rte_eth_dev_get_mtu(port->queues[0].port_id, &port->mtu);
    if (error != 0)
        return refuse(opening, error, "cannot ask the device");
    memcpy(port->mac, mac.addr_bytes, sizeof(port->mac));
    if (is_kernel_device(port->cfg)) {
        struct io_device device;

        error = io_device_read(port->cfg->device, &device);
        if (error != 0)
            return refuse(opening, error, port->cfg->device);
        /* The drivers say 1500 whatever the kernel's device has. */
        port->mtu = device.mtu;
        memcpy(port->mac, device.mac, sizeof(port->mac));
        snprintf(port->device_name, sizeof(port->device_name), "%s", port->cfg->device);
    }
    return 0;
}

static void tap_name(uint32_t index, char ret_name[IO_DEVARGS_NAME_MAX])
{
    snprintf(ret_name, IO_DEVARGS_NAME_MAX, "net_tap_p%u", index);
}

/* The TAP's one queue pair, with interrupts so that main may sleep. */
static int start_tap(const struct opening *opening)
{
    struct io_port *port = opening->port;
    struct rte_eth_conf conf = {.intr_conf.rxq = 1};
    struct rte_eth_dev_info info;
    int error = rte_eth_dev_info_get(port->tap_port_id, &info);

    if (error == 0)
        error = rte_eth_dev_configure(port->tap_port_id, 1, 1, &conf);
    if (error == 0)
        error = setup_queues(opening, port->tap_port_id, 1, &info, TAP_DESCRIPTORS);
    if (error == 0)
        error = rte_eth_dev_set_mtu(port->tap_port_id, port->mtu);
    if (error == 0)
        error = rte_eth_dev_start(port->tap_port_id);
    if (error != 0)
        return refuse(opening, error, "cannot start its TAP");
    /* The driver has no such call and needs none: its descriptor is always armed. */
    (void)rte_eth_dev_rx_intr_enable(port->tap_port_id, 0);
    return 0;
}

static int open_tap(const struct opening *opening)
{
    struct io_port *port = opening->port;
    char name[IO_DEVARGS_NAME_MAX], text[256];
    struct io_device device;
    int error;

    if (port->cfg->tap == NULL)
        return 0;
    error = io_device_read(port->cfg->tap, &device);
    if (error == 0 && !device.tun)
        return io_reason(opening->reason, opening->reason_size, EEXIST,
                         "port %s: tap: an interface %s that is no TAP exists", port->cfg->name,
                         port->cfg->tap);
    tap_name(opening->index, name);
    error = io_devargs_tap(port->cfg, port->mac, text, sizeof(text));
    if (error == 0)
        error = rte_vdev_init(name, text);
    if (error == 0)
        error = rte_eth_dev_get_port_by_name(name, &port->tap_port_id);
    if (error != 0)
        return refuse(opening, error, "cannot make its TAP (/dev/net/tun, CAP_NET_ADMIN?)");
    error = start_tap(opening);
    if (error != 0)
        return error;
    error = io_device_read(port->cfg->tap, &device);
    if (error != 0)
        return refuse(opening, error, port->cfg->tap);
    if (memcmp(device.mac, port->mac, sizeof(port->mac)) != 0 || device.mtu != port->mtu)
        return refuse(opening, -EADDRINUSE,
                      "its TAP has not taken the device's MAC address or MTU");
    port->tap_ifindex = device.ifindex;
    return 0;
}

static int open_port(struct opening *opening)
{
    int error = find_devices(opening);

    if (error == 0)
        error = read_facts(opening);
    if (error == 0)
        error = make_pool(opening);
    if (error == 0)
        error = start_devices(opening);
    if (error == 0)
        error = open_tap(opening);
    return error;
}

int io_ports_open(const struct cfg_dataplane *cfg, struct io_port *ret_ports, char *ret_reason,
                  size_t reason_size)
{
    int error = 0;
    uint32_t i;

    if (cfg->n_ports > IO_PORTS_MAX || cfg->n_workers == 0 || cfg->n_workers > IO_WORKERS_MAX)
        return io_reason(ret_reason, reason_size, EINVAL, "at most %d ports and 1 to %d workers",
                         IO_PORTS_MAX, IO_WORKERS_MAX);
    for (i = 0; i < cfg->n_ports; i++) {
        ret_ports[i] = (struct io_port){
            .cfg = &cfg->ports[i], .n_queues = cfg->n_workers, .tap_port_id = IO_NO_PORT_ID};
        for (uint32_t j = 0; j < IO_WORKERS_MAX; j++)
            ret_ports[i].queues[j].port_id = IO_NO_PORT_ID;
    }
    for (i = 0; error == 0 && i < cfg->n_ports; i++) {
        struct opening opening = {.cfg = cfg,
                                  .index = i,
                                  .port = &ret_ports[i],
                                  .reason = ret_reason,
                                  .reason_size = reason_size};

        error = open_port(&opening);
    }
    if (error != 0)
        io_ports_close(ret_ports, cfg->n_ports);
    return error;
}

static void close_device(uint16_t port_id)
{
    if (port_id == IO_NO_PORT_ID || !rte_eth_dev_is_valid_port(port_id))
        return;
    (void)rte_eth_dev_stop(port_id); /* it may not have started */
    (void)rte_eth_dev_close(port_id);
}

void io_ports_close(struct io_port *ports, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        close_device(ports[i].tap_port_id);
        for (uint32_t j = 0; j < ports[i].n_queues; j++)
            close_device(ports[i].queues[j].port_id); /* the second time it is not valid */
        ports[i].tap_port_id = IO_NO_PORT_ID;
        ports[i].n_queues = 0;
    }
    for (uint32_t i = 0; i < n; i++) { /* no device has a buffer any more */
        if (!ports[i].borrows)
            rte_mempool_free(ports[i].pool);
        ports[i].pool = NULL;
    }
}

int io_ports_remove_taps(const struct cfg_dataplane *cfg)
{
    struct io_netlink netlink;
    int error = io_netlink_open(&netlink, 0), first = error;

    for (uint32_t i = 0; error == 0 && i < cfg->n_ports; i++) {
        struct io_device device;
        int result;

        if (cfg->ports[i].tap == NULL)
            continue;
        result = io_device_read(cfg->ports[i].tap, &device);
        if (result == 0)
            result = device.tun ? io_netlink_delete_link(&netlink, device.ifindex) : -EINVAL;
        if (result != 0 && result != -ENODEV && first == 0)
            first = result;
    }
    io_netlink_close(&netlink);
    return first;
}

uint32_t io_port_buffers_used(const struct io_port *port)
{
    return port->borrows ? 0 : rte_mempool_in_use_count(port->pool);
}

int io_port_tap_fd(const struct io_port *port)
{
    if (port->tap_port_id == IO_NO_PORT_ID)
        return -1;
    return rte_eth_dev_rx_intr_ctl_q_get_fd(port->tap_port_id, 0);
}
