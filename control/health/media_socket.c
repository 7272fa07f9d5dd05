/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP sockets of probe calls: see media_socket.h.
 */
#include "control/health/media_socket.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "control/address.h"

enum { TRIES = 32, DISCARD_PORT = 9 };

/* One at any port. The descriptor, or a negative errno. */
static int open_at(const struct sip_ip *ip, struct sip_addr *ret_local)
{
    struct sip_addr local = {.ip = *ip};
    bool v4 = sip_ip_is_v4(ip);
    union address address;
    socklen_t size = address_to_kernel(&local, &address);
    int one = 1, status = 0;
    int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_FREEBIND : IPV6_FREEBIND, &one,
                   sizeof(one)) != 0 ||
        bind(fd, &address.any, size) != 0)
        status = -errno;
    size = sizeof(address);
    if (status == 0 && getsockname(fd, &address.any, &size) != 0)
        status = -errno;
    if (status != 0) {
        close(fd);
        return status;
    }
    *ret_local = address_from_kernel(&address);
    return fd;
}

int media_socket_open(const struct sip_ip *node, const struct sip_ip *peer, bool even,
                      struct sip_addr *ret_local)
{
    const struct sip_addr far = {.ip = *peer, .port = DISCARD_PORT};
    struct sip_ip ip;
    int status;

    if (node != NULL) {
        ip = *node;
    } else {
        status = address_source(&far, &ip);
        if (status != 0)
            return status;
    }
    for (int i = 0; i < TRIES; i++) {
        struct sip_addr local;
        int fd = open_at(&ip, &local);

        if (fd < 0)
            return fd;
        if (!even || local.port % 2 == 0) {
            *ret_local = local;
            return fd;
        }
        close(fd);
    }
    return -EADDRINUSE;
}

ssize_t media_socket_send(int fd, const struct sip_addr *to, const void *bytes, size_t length)
{
    union address address;
    socklen_t size = address_to_kernel(to, &address);
    ssize_t sent = sendto(fd, bytes, length, 0, &address.any, size);

    return sent >= 0 ? sent : -errno;
}

ssize_t media_socket_receive(int fd, void *bytes, size_t size, struct sip_addr *ret_from)
{
    union address address;
    socklen_t length = sizeof(address);
    ssize_t received;

    memset(&address, 0, sizeof(address));
    received = recvfrom(fd, bytes, size, 0, &address.any, &length);
    if (received < 0)
        return -errno;
    *ret_from = address_from_kernel(&address);
    return received;
}
