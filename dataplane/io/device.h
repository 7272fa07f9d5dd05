/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network interface of the kernel, by ioctl and /proc/sys/net of this network namespace: what a
 * port must know of it and the switches that it sets. Knows neither DPDK nor netlink.
 */
#ifndef TANDEM_IO_DEVICE_H
#define TANDEM_IO_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

struct io_device {
    int ifindex;
    uint8_t mac[6];
    uint16_t mtu;      /* IP bytes of a frame; 65535 also for more */
    uint32_t channels; /* RX queues that are on; 1 when the driver does not say */
    bool combined;     /* channels are pairs: `ethtool -L DEV combined N` */
    bool tun;          /* its driver is tun: a TAP */
};

/* Asks for all of it. 0 or a negative errno (-ENODEV: no such interface). */
int io_device_read(const char *name, struct io_device *ret_device);

/* IFF_UP and IFF_ALLMULTI (neighbour discovery comes by multicast). 0 or a negative errno. */
int io_device_set_up(const char *name, bool all_multicast);

/* GRO, LRO and the taking out of VLAN tags off, where the device has them. 0 or a negative errno.
 */
int io_device_offloads_off(const char *name);

/*
 * Reads or writes the number in /proc/sys/net/FAMILY/KIND/NAME/KEY, say ipv4 conf eth0 rp_filter.
 * 0 or a negative errno (-ENOENT: this kernel has no such switch, or no IPv6).
 */
int io_sysctl_get(const char *family, const char *kind, const char *name, const char *key,
                  int *ret_value);
int io_sysctl_set(const char *family, const char *kind, const char *name, const char *key,
                  int value);

#endif
