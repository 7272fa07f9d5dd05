/* SPDX-License-Identifier: Apache-2.0 */
/* See device.h. */
#include "dataplane/io/device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* One ioctl on an interface by name; `request` keeps what it answered. */
static int device_ioctl(const char *name, unsigned long number, struct ifreq *request)
{
    int fd, error;

    if (strlen(name) >= IFNAMSIZ)
        return -ENODEV;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    strcpy(request->ifr_name, name);
    error = ioctl(fd, number, request) == 0 ? 0 : -errno;
    close(fd);
    return error;
}

static int device_ethtool(const char *name, void *command)
{
    struct ifreq request = {.ifr_data = command};

    return device_ioctl(name, SIOCETHTOOL, &request);
}

static void read_channels(const char *name, struct io_device *device)
{
    struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};

    device->channels = 1;
    device->combined = true;
    if (device_ethtool(name, &channels) != 0)
        return;
    /* Of what is on one side only, the smaller number has both directions. */
    device->combined = channels.max_combined > 0;
    device->channels =
        channels.combined_count +
        (channels.rx_count < channels.tx_count ? channels.rx_count : channels.tx_count);
    if (device->channels == 0)
        device->channels = 1;
}

int io_device_read(const char *name, struct io_device *ret_device)
{
    struct io_device device = {0};
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq request = {0};
    int error = device_ioctl(name, SIOCGIFINDEX, &request);

    if (error != 0)
        return error;
    device.ifindex = request.ifr_ifindex;
    error = device_ioctl(name, SIOCGIFHWADDR, &request);
    if (error != 0)
        return error;
    memcpy(device.mac, request.ifr_hwaddr.sa_data, sizeof(device.mac));
    error = device_ioctl(name, SIOCGIFMTU, &request);
    if (error != 0)
        return error;
    device.mtu = request.ifr_mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)request.ifr_mtu;
    read_channels(name, &device);
    device.tun = device_ethtool(name, &info) == 0 && strcmp(info.driver, "tun") == 0;
    *ret_device = device;
    return 0;
}

int io_device_set_up(const char *name, bool all_multicast)
{
    struct ifreq request = {0};
    int error = device_ioctl(name, SIOCGIFFLAGS, &request);
    short flags = IFF_UP;

    if (error != 0)
        return error;
    if (all_multicast)
        flags |= IFF_ALLMULTI;
    if ((request.ifr_flags & flags) == flags)
        return 0;
    request.ifr_flags |= flags;
    return device_ioctl(name, SIOCSIFFLAGS, &request);
}

/* Switches one of ETHTOOL_GFLAGS's features off. 0, or -EOPNOTSUPP when it cannot be. */
static int feature_off(const char *name, uint32_t flag)
{
    struct ethtool_value value = {.cmd = ETHTOOL_GFLAGS};
    int error = device_ethtool(name, &value);

    if (error != 0 || (value.data & flag) == 0)
        return error;
    value = (struct ethtool_value){.cmd = ETHTOOL_SFLAGS, .data = value.data & ~flag};
    return device_ethtool(name, &value);
}

int io_device_offloads_off(const char *name)
{
    struct ethtool_value value = {.cmd = ETHTOOL_SGRO, .data = 0};
    int error = device_ethtool(name, &value);

    if (error != 0 && error != -EOPNOTSUPP)
        return error;
    error = feature_off(name, ETH_FLAG_LRO);
    if (error != 0 && error != -EOPNOTSUPP)
        return error;
    /* A tag that the device takes out of the frame is lost to XDP, which would see the frame of a
     * VLAN as none. Where it cannot be left in, a VLAN must not reach the device. */
    error = feature_off(name, ETH_FLAG_RXVLAN);
    return error == -EOPNOTSUPP || error == -EINVAL ? 0 : error;
}

static int sysctl_open(const char *family, const char *kind, const char *name, const char *key,
                       int flags)
{
    char path[256];
    int length = snprintf(path, sizeof(path), "/proc/sys/net/%s/%s/%s/%s", family, kind, name, key);
    int fd;

    if (length >= (int)sizeof(path))
        return -ENAMETOOLONG;
    fd = open(path, flags | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

int io_sysctl_get(const char *family, const char *kind, const char *name, const char *key,
                  int *ret_value)
{
    int fd = sysctl_open(family, kind, name, key, O_RDONLY);
    char text[32];
    ssize_t length;

    if (fd < 0)
        return fd;
    length = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (length <= 0)
        return -EIO;
    text[length] = 0;
    *ret_value = atoi(text);
    return 0;
}

int io_sysctl_set(const char *family, const char *kind, const char *name, const char *key,
                  int value)
{
    int now, fd, error;
    char text[16];
    ssize_t length;

    /* What is right is not written: some writes restart timers or wake listeners. */
    if (io_sysctl_get(family, kind, name, key, &now) == 0 && now == value)
        return 0;
    fd = sysctl_open(family, kind, name, key, O_WRONLY);
    if (fd < 0)
        return fd;
    length = snprintf(text, sizeof(text), "%d\n", value);
    error = write(fd, text, (size_t)length) == length ? 0 : -errno;
    close(fd);
    return error;
}
