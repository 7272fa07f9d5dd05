/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See devargs.h. The rules behind the numbers are the drivers' (DPDK 22.11): AF_PACKET cuts a frame
 * at framesz without an error and refuses mbufs smaller than it; AF_XDP makes its memory of the
 * mbuf pool, whose elements must be a page each, and binds one queue a socket.
 */
#include "dataplane/io/devargs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/io/reason.h"

enum {
    PAGE_BYTES = 4096,
    MBUF_HEADROOM = 128,      /* RTE_PKTMBUF_HEADROOM */
    XDP_HEADROOM = 256,       /* the kernel's XDP_PACKET_HEADROOM, before ours */
    MBUF_OVERHEAD = 64 + 128, /* mempool's object header, struct rte_mbuf */
    FRAME_OVERHEAD = 14 + 4,  /* Ethernet, one VLAN tag */
    /* With MBUF_OVERHEAD an odd number of cache lines, which mempool need not pad, below a page. */
    DATA_ROOM_PAGE = 3840,
    DATA_ROOM_XDP = PAGE_BYTES - MBUF_OVERHEAD, /* an mbuf is a page: see pool.h */
    DATA_ROOM_SLACK = 640, /* headroom and what a message may grow by, beyond the frame */
    DATA_ROOM_MAX = 65535, /* uint16_t in struct rte_mbuf */
    FRAME_BYTES_DEFAULT = 32768,
    FRAME_COUNT_MIN = 512, /* net_af_packet's default */
    FRAME_COUNT_MAX = 16384,
    /* A pool never needs more than all rings of a queue, main's TAP and what is held. */
    MBUFS_MAX_A_QUEUE = 16384,
    MBUFS_MAX_PCAP = 1 << 17, /* of a queue that plays a file again and again: it lies there whole */
    MBUFS_SHARED = 1024, /* TAP, caches, frames between main and workers */
};

static const struct {
    const char *prefix;     /* of the ethdev's name: picks DPDK's driver */
    bool device_a_worker;   /* several ethdevs of one queue each */
    uint32_t mbufs_a_queue; /* the fewest that the driver's rings and a burst need */
} drivers[] = {
    [CFG_AF_PACKET] = {"net_af_packet", false, 256}, /* it copies: no mbuf lies in a ring */
    [CFG_AF_XDP] = {"net_af_xdp", true, 5120},       /* 2,048 in the fill ring, 2,048 being sent */
    [CFG_PCI] = {"", false, 3072},
    [CFG_MEMIF] = {"net_memif", false, 2048},
    [CFG_PCAP] = {"net_pcap", true, 1024},
    [CFG_NULL] = {"net_null", false, 512},
};

uint32_t io_devargs_devices(const struct cfg_port *port, uint32_t n_workers)
{
    return drivers[port->driver].device_a_worker ? n_workers : 1;
}

void io_devargs_name(const struct cfg_dataplane *cfg, uint32_t port, uint32_t device,
                     char ret_name[IO_DEVARGS_NAME_MAX])
{
    const struct cfg_port *p = &cfg->ports[port];

    if (p->driver == CFG_PCI) {
        /* EAL names a PCI device by its full address, people leave out domain 0. */
        const char *colon = strchr(p->device, ':');
        bool full = colon != NULL && strchr(colon + 1, ':') != NULL;

        snprintf(ret_name, IO_DEVARGS_NAME_MAX, "%s%s", full ? "" : "0000:", p->device);
        return;
    }
    snprintf(ret_name, IO_DEVARGS_NAME_MAX, "%s_p%uw%u", drivers[p->driver].prefix, port, device);
}

static uint32_t packet_frame_bytes(const struct cfg_port *port)
{
    uint32_t bytes = port->frame_size != 0 ? port->frame_size : FRAME_BYTES_DEFAULT;

    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

/*
 * The kernel's rings lie outside EAL's memory: together they get half of `memory` again, RX and TX
 * of each queue of each AF_PACKET port alike, but never fewer frames than the driver's default.
 */
static uint32_t packet_frame_count(const struct cfg_dataplane *cfg, uint32_t frame_bytes)
{
    uint64_t rings = 0, count;

    for (uint32_t i = 0; i < cfg->n_ports; i++)
        rings += cfg->ports[i].driver == CFG_AF_PACKET ? 2 * (uint64_t)cfg->n_workers : 0;
    if (rings == 0)
        return 0;
    count = cfg->memory_bytes / 2 / rings / frame_bytes;
    if (count < FRAME_COUNT_MIN)
        return FRAME_COUNT_MIN;
    return count > FRAME_COUNT_MAX ? FRAME_COUNT_MAX : (uint32_t)count;
}

/* Bytes of an mbuf's data, headroom included; 0: no size holds such a frame. */
static uint32_t data_room(const struct cfg_port *port, uint32_t mtu)
{
    uint64_t room;

    switch (port->driver) {
    case CFG_AF_PACKET:
        room = (uint64_t)packet_frame_bytes(port) + DATA_ROOM_SLACK;
        return room <= DATA_ROOM_MAX ? (uint32_t)room : 0;
    case CFG_AF_XDP:
        room = (uint64_t)mtu + FRAME_OVERHEAD + XDP_HEADROOM + MBUF_HEADROOM;
        return room <= DATA_ROOM_XDP ? DATA_ROOM_XDP : 0;
    default:
        room = (uint64_t)mtu + FRAME_OVERHEAD + DATA_ROOM_SLACK;
        if (room <= DATA_ROOM_PAGE)
            return DATA_ROOM_PAGE;
        return room <= DATA_ROOM_MAX ? (uint32_t)room : 0;
    }
}

int io_devargs_sizes(const struct cfg_dataplane *cfg, uint32_t port, uint32_t mtu,
                     struct io_devargs_sizes *ret_sizes, char *ret_reason, size_t reason_size)
{
    const struct cfg_port *p = &cfg->ports[port];
    struct io_devargs_sizes sizes = {.data_room = data_room(p, mtu)};
    uint64_t least = (uint64_t)drivers[p->driver].mbufs_a_queue * cfg->n_workers + MBUFS_SHARED;
    uint64_t most_a_queue = p->driver == CFG_PCAP ? MBUFS_MAX_PCAP : MBUFS_MAX_A_QUEUE;
    uint64_t most = most_a_queue * cfg->n_workers + MBUFS_SHARED;
    uint64_t room, mbufs;

    if (sizes.data_room == 0)
        return io_reason(ret_reason, reason_size, EINVAL,
                         "port %s: no buffer of its driver holds a frame of %u bytes; lower the "
                         "%s",
                         p->name, p->driver == CFG_AF_PACKET ? packet_frame_bytes(p) : mtu,
                         p->driver == CFG_AF_PACKET ? "frame_size" : "MTU of the device");
    /* Half of the memory is the ports' pools; call table, reassembly and rings have the rest. */
    room = cfg->memory_bytes / 2 / cfg->n_ports;
    mbufs = room / (MBUF_OVERHEAD + sizes.data_room);
    if (mbufs < least)
        return io_reason(ret_reason, reason_size, ENOMEM,
                         "memory: %u port(s) and %u worker(s) need at least %lluMiB for buffers "
                         "(port %s)",
                         cfg->n_ports, cfg->n_workers,
                         (unsigned long long)(least * (MBUF_OVERHEAD + sizes.data_room) * 2 *
                                                  cfg->n_ports / (1024 * 1024) +
                                              1),
                         p->name);
    sizes.mbufs = (uint32_t)(mbufs < most ? mbufs : most);
    if (p->driver == CFG_AF_PACKET) {
        sizes.frame_bytes = packet_frame_bytes(p);
        sizes.frame_count = packet_frame_count(cfg, sizes.frame_bytes);
    }
    *ret_sizes = sizes;
    return 0;
}

/* Interface names and addresses stand alone between commas: nothing may add an argument. */
static bool plain(const char *text)
{
    return text != NULL && text[0] != 0 && strpbrk(text, ",=[]\"' \t\n") == NULL;
}

/* Up to max texts between commas, cut in place. Returns how many; max + 1: too many. */
static uint32_t split(char *text, char **ret_parts, uint32_t max)
{
    char *rest = text, *part;
    uint32_t n = 0;

    while ((part = strsep(&rest, ",")) != NULL) {
        if (n == max)
            return max + 1;
        ret_parts[n++] = part;
    }
    return n;
}

/* `IN[,OUT][,option=value…]`; only an endless file may feed several workers, each its own copy. */
static int pcap_text(const struct cfg_dataplane *cfg, const struct cfg_port *port, const char *name,
                     uint32_t device, char *ret_text)
{
    enum { PARTS_MAX = 8 };
    char copy[2 * PAGE_BYTES], *parts[PARTS_MAX];
    bool endless = strstr(port->device, ",infinite_rx=1") != NULL;
    uint32_t n;
    int length;

    if (strlen(port->device) >= sizeof(copy) || (cfg->n_workers > 1 && !endless))
        return -EINVAL;
    strcpy(copy, port->device);
    n = split(copy, parts, PARTS_MAX);
    if (n > PARTS_MAX || parts[0][0] == 0 || strchr(parts[0], '=') != NULL)
        return -EINVAL;
    length = snprintf(ret_text, IO_DEVARGS_TEXT_MAX, "%s,rx_pcap=%s", name, parts[0]);
    for (uint32_t i = 1; i < n && length < IO_DEVARGS_TEXT_MAX; i++) {
        size_t left = IO_DEVARGS_TEXT_MAX - (size_t)length;

        if (strchr(parts[i], '=') != NULL)
            length += snprintf(ret_text + length, left, ",%s", parts[i]);
        else if (i == 1 && device == 0)
            length += snprintf(ret_text + length, left, ",tx_pcap=%s", parts[i]);
        else if (i == 1) /* two workers must not write one file */
            length += snprintf(ret_text + length, left, ",tx_pcap=%s.%u", parts[i], device);
        else
            return -EINVAL;
    }
    return length < IO_DEVARGS_TEXT_MAX ? 0 : -EINVAL;
}

/* `SOCKET[,option…]` */
static int memif_text(const struct cfg_port *port, const char *name, char *ret_text)
{
    int length;

    if (port->device[0] == 0 || port->device[0] == ',')
        return -EINVAL;
    length = snprintf(ret_text, IO_DEVARGS_TEXT_MAX, "%s,socket=%s", name, port->device);
    return length < IO_DEVARGS_TEXT_MAX ? 0 : -EINVAL;
}

/* Takes whatever is sent, and receives nothing: left alone the driver makes frames without end. */
static int null_text(const struct cfg_port *port, const char *name, char *ret_text)
{
    snprintf(ret_text, IO_DEVARGS_TEXT_MAX, "%s,no-rx=1", name);
    return port->device == NULL ? 0 : -EINVAL;
}

static int kernel_text(const struct cfg_dataplane *cfg, const struct cfg_port *port,
                       const char *name, uint32_t device, char *ret_text)
{
    uint32_t frame_bytes = packet_frame_bytes(port);

    if (!plain(port->device))
        return -EINVAL;
    if (port->driver == CFG_AF_XDP) {
        /* busy_budget=0: no preferred busy polling, which costs more than it gives in copy mode. */
        snprintf(ret_text, IO_DEVARGS_TEXT_MAX,
                 "%s,iface=%s,start_queue=%u,queue_count=1,busy_budget=0", name, port->device,
                 device);
        return 0;
    }
    snprintf(ret_text, IO_DEVARGS_TEXT_MAX,
             "%s,iface=%s,qpairs=%u,blocksz=%u,framesz=%u,framecnt=%u,qdisc_bypass=1", name,
             port->device, cfg->n_workers, frame_bytes, frame_bytes,
             packet_frame_count(cfg, frame_bytes));
    return 0;
}

int io_devargs_device(const struct cfg_dataplane *cfg, uint32_t port, uint32_t device,
                      char *ret_text, char *ret_reason, size_t reason_size)
{
    const struct cfg_port *p = &cfg->ports[port];
    char name[IO_DEVARGS_NAME_MAX];
    int error;

    if (p->device == NULL && p->driver != CFG_NULL)
        return io_reason(ret_reason, reason_size, EINVAL, "port %s: device: missing", p->name);
    io_devargs_name(cfg, port, device, name);
    switch (p->driver) {
    case CFG_PCI:
        error = plain(p->device) && strlen(p->device) < 32 ? 0 : -EINVAL;
        snprintf(ret_text, IO_DEVARGS_TEXT_MAX, "%s", name);
        break;
    case CFG_PCAP:
        error = pcap_text(cfg, p, name, device, ret_text);
        if (error != 0 && cfg->n_workers > 1)
            return io_reason(ret_reason, reason_size, EINVAL,
                             "port %s: a capture file feeds one worker; several need "
                             "`%s,infinite_rx=1`, and each plays its own copy",
                             p->name, p->device);
        break;
    case CFG_MEMIF:
        error = memif_text(p, name, ret_text);
        break;
    case CFG_NULL:
        error = null_text(p, name, ret_text);
        break;
    default:
        error = kernel_text(cfg, p, name, device, ret_text);
    }
    if (error != 0)
        return io_reason(ret_reason, reason_size, -error, "port %s: device `%s` is not valid",
                         p->name, p->device != NULL ? p->device : "");
    return 0;
}

int io_devargs_tap(const struct cfg_port *port, const uint8_t mac[6], char *ret_text,
                   size_t text_size)
{
    int length;

    if (!plain(port->tap))
        return -EINVAL;
    length = snprintf(ret_text, text_size, "iface=%s,mac=%02x:%02x:%02x:%02x:%02x:%02x,persist=1",
                      port->tap, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    return (size_t)length < text_size ? 0 : -EINVAL;
}

/* EAL's arguments while they are made. */
struct arguments {
    char **argv;
    uint32_t n;
    uint32_t max;
    int error; /* the first; later additions do nothing */
};

static void add(struct arguments *arguments, const char *text)
{
    if (arguments->error == 0 && arguments->n == arguments->max)
        arguments->error = -E2BIG;
    if (arguments->error != 0)
        return;
    arguments->argv[arguments->n] = strdup(text);
    if (arguments->argv[arguments->n] == NULL)
        arguments->error = -ENOMEM;
    else
        arguments->n++;
}

static bool any_pci(const struct cfg_dataplane *cfg)
{
    for (uint32_t i = 0; i < cfg->n_ports; i++)
        if (cfg->ports[i].driver == CFG_PCI)
            return true;
    return false;
}

/* Huge pages or not, and how much. */
static int add_memory(struct arguments *arguments, const struct cfg_dataplane *cfg,
                      uint64_t free_hugepage_bytes, char *ret_reason, size_t reason_size)
{
    uint64_t mebibytes = (cfg->memory_bytes + (1 << 20) - 1) >> 20;
    bool enough = free_hugepage_bytes >= cfg->memory_bytes;
    bool wanted = cfg->hugepages == CFG_HUGEPAGES_ON ||
                  (cfg->hugepages == CFG_HUGEPAGES_AUTO && any_pci(cfg));
    char text[32];

    if (wanted && !enough)
        return io_reason(ret_reason, reason_size, ENOMEM,
                         "hugepages: %lluMiB are free, %lluMiB needed: sysctl vm.nr_hugepages=N",
                         (unsigned long long)(free_hugepage_bytes >> 20),
                         (unsigned long long)mebibytes);
    if (cfg->hugepages == CFG_HUGEPAGES_OFF && any_pci(cfg))
        return io_reason(ret_reason, reason_size, EINVAL,
                         "hugepages: off, but a pci port cannot work without them");
    if (cfg->hugepages == CFG_HUGEPAGES_OFF || !enough) {
        /* EAL refuses --in-memory beside --no-huge, which leaves no file in hugetlbfs anyway. */
        add(arguments, "--no-huge");
        add(arguments, "--no-shconf");
    } else {
        add(arguments, "--in-memory");
    }
    snprintf(text, sizeof(text), "%llu", (unsigned long long)mebibytes);
    add(arguments, "-m");
    add(arguments, text);
    return 0;
}

static int add_devices(struct arguments *arguments, const struct cfg_dataplane *cfg,
                       char *ret_reason, size_t reason_size)
{
    char text[IO_DEVARGS_TEXT_MAX];
    int error;

    for (uint32_t i = 0; i < cfg->n_ports; i++) {
        for (uint32_t j = 0; j < io_devargs_devices(&cfg->ports[i], cfg->n_workers); j++) {
            error = io_devargs_device(cfg, i, j, text, ret_reason, reason_size);
            if (error != 0)
                return error;
            add(arguments, cfg->ports[i].driver == CFG_PCI ? "-a" : "--vdev");
            add(arguments, text);
        }
    }
    return 0;
}

int io_devargs_eal(const struct cfg_dataplane *cfg, uint64_t free_hugepage_bytes, char **ret_argv,
                   uint32_t max, char *ret_reason, size_t reason_size)
{
    struct arguments arguments = {.argv = ret_argv, .max = max};
    int error = add_memory(&arguments, cfg, free_hugepage_bytes, ret_reason, reason_size);

    if (error != 0)
        goto out;
    if (!any_pci(cfg)) {
        add(&arguments, "--no-pci");
        add(&arguments, "--iova-mode=va"); /* with PCI it is EAL's choice: an IOMMU or none */
    }
    error = add_devices(&arguments, cfg, ret_reason, reason_size);
    if (error == 0 && arguments.error != 0)
        error = io_reason(ret_reason, reason_size, -arguments.error, "%s",
                          arguments.error == -E2BIG ? "too many ports" : "out of memory");
out:
    if (error == 0)
        return (int)arguments.n;
    while (arguments.n > 0)
        free(ret_argv[--arguments.n]);
    return error;
}
