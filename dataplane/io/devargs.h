/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What DPDK is told of a configuration, as text and numbers: EAL's memory arguments, one device
 * argument for each ethdev, the sizes of buffers. Pure: what it must know of the machine comes in
 * as facts, so that it is tested without DPDK and without devices.
 */
#ifndef TANDEM_IO_DEVARGS_H
#define TANDEM_IO_DEVARGS_H

#include <stddef.h>
#include <stdint.h>

#include "config/dataplane.h"

enum {
    IO_DEVARGS_NAME_MAX = 64,   /* of an ethdev, with its NUL (RTE_ETH_NAME_MAX_LEN) */
    IO_DEVARGS_TEXT_MAX = 4400, /* of one argument: two paths and the options */
};

/* Buffers of one port. */
struct io_devargs_sizes {
    uint32_t data_room;   /* bytes of an mbuf after its header, headroom included */
    uint32_t mbufs;       /* of the port's pool, or its part of one that ports share */
    uint32_t frame_bytes; /* af_packet: framesz; else 0 */
    uint32_t frame_count; /* af_packet: frames of one ring; else 0 */
};

/* How many ethdevs a port is: one with a queue for each worker, or one of one queue a worker. */
uint32_t io_devargs_devices(const struct cfg_port *port, uint32_t n_workers);

/* DPDK's name of ethdev `device` of port number `port` (for pci the full PCI address). */
void io_devargs_name(const struct cfg_dataplane *cfg, uint32_t port, uint32_t device,
                     char ret_name[IO_DEVARGS_NAME_MAX]);

/*
 * The sizes of a port whose device carries `mtu` IP bytes a frame. -EINVAL: no buffer of this
 * driver holds such a frame; -ENOMEM: `memory` is too small. The reason is written then.
 */
int io_devargs_sizes(const struct cfg_dataplane *cfg, uint32_t port, uint32_t mtu,
                     struct io_devargs_sizes *ret_sizes, char *ret_reason, size_t reason_size);

/*
 * The argument of `--vdev`, or of `-a` for pci, for ethdev `device` of port number `port`, into
 * ret_text[IO_DEVARGS_TEXT_MAX]. 0, or a negative errno and the reason.
 */
int io_devargs_device(const struct cfg_dataplane *cfg, uint32_t port, uint32_t device,
                      char *ret_text, char *ret_reason, size_t reason_size);

/* The arguments of the TAP's vdev: its interface, its MAC address (the port's), persistent. */
int io_devargs_tap(const struct cfg_port *port, const uint8_t mac[6], char *ret_text,
                   size_t text_size);

/*
 * All of EAL's arguments after argv[0] that ports and memory decide. Allocates the strings.
 * `free_hugepage_bytes`: what huge pages could give now. Returns their number, at most max, or a
 * negative errno, the reason, and nothing allocated.
 */
int io_devargs_eal(const struct cfg_dataplane *cfg, uint64_t free_hugepage_bytes, char **ret_argv,
                   uint32_t max, char *ret_reason, size_t reason_size);

#endif
