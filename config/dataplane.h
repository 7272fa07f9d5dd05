/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `dataplane:` section of the configuration as parsed: all of the file that the data plane
 * reads, and the only part of config/cfg that its rooms see.
 */
#ifndef TANDEM_CONFIG_DATAPLANE_H
#define TANDEM_CONFIG_DATAPLANE_H

#include <stdint.h>

#include "dataplane/sip/ip.h"

enum cfg_driver { CFG_AF_PACKET, CFG_AF_XDP, CFG_PCI, CFG_MEMIF, CFG_PCAP, CFG_NULL };
enum cfg_zone { CFG_ZONE_BOTH, CFG_ZONE_OUTSIDE, CFG_ZONE_INSIDE };
/* What a worker without traffic does: polls on, or sleeps for moments. */
enum cfg_idle { CFG_IDLE_ADAPTIVE, CFG_IDLE_POLL };
enum cfg_hugepages { CFG_HUGEPAGES_AUTO, CFG_HUGEPAGES_ON, CFG_HUGEPAGES_OFF };

struct cfg_prefix {               /* 192.0.2.10/24: address and length, host bits kept */
    struct sip_ip ip;
    uint8_t length;               /* of the family: 0..32 or 0..128 */
};

struct cfg_port {
    char *name;
    enum cfg_driver driver;
    char *device;                 /* interface, PCI address, socket, file; for pcap `IN[,OUT]` */
    char *tap;                    /* interface name; NULL: no exception path (pcap, null) */
    enum cfg_zone zone;
    uint32_t frame_size;          /* af_packet: bytes a frame, 32768 by default */
    struct cfg_prefix *addresses;
    uint32_t n_addresses;
    struct sip_ip *gateways;      /* `gateway: A` or `gateway: [A, B]`: at most one a family */
    uint32_t n_gateways;
};

struct cfg_dataplane {
    uint32_t *workers;            /* CPU numbers; default: the last CPU */
    uint32_t n_workers;
    uint64_t memory_bytes;
    enum cfg_hugepages hugepages;
    enum cfg_idle idle;
    uint64_t call_table;          /* entries */
    char *socket;                 /* default /run/tandem/dataplane.sock */
    char *user;                   /* whom to become after start; default: stay */
    char *control_user;           /* whose the socket is, and whom control becomes; or NULL */
    struct cfg_port *ports;
    uint32_t n_ports;
};

#endif
