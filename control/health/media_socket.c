/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP sockets of probe calls: see media_socket.h.
 */
#include "control/health/media_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRIES = 32, DISCARD_PORT = 9 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t to_kernel(const struct sip_addr *addr, union address *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (sip_ip_is_v4(&addr->ip)) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons(addr->port);
        memcpy(&ret->v4.sin_addr, sip_ip_v4_bytes(&addr->ip), 4);
        return sizeof(ret->v4);
    }
    ret->v6.sin6_family = AF_INET6;
    ret->v6.sin6_port = htons(addr->port);
    memcpy(&ret->v6.sin6_addr, addr->ip.bytes, 16);
    return sizeof(ret->v6);
}

static struct sip_addr from_kernel(const union address *from)
{
    struct sip_addr addr = {.port = 0};

    if (from->any.sa_family == AF_INET) {
        addr.ip = sip_ip_from_v4((const uint8_t *)&from->v4.sin_addr);
        addr.port = ntohs(from->v4.sin_port);
    } else if (from->any.sa_family == AF_INET6) {
        addr.ip = sip_ip_from_v6((const uint8_t *)&from->v6.sin6_addr);
        addr.port = ntohs(from->v6.sin6_port);
    }
    return addr;
}

/* The address that the kernel would send to a peer from. 0 or a negative errno. */
static int source_of(const struct sip_ip *peer, struct sip_ip *ret)
{
    struct sip_addr to = {.ip = *peer, .port = DISCARD_PORT};
    int family = sip_ip_is_v4(peer) ? AF_INET : AF_INET6, status = 0;
    union address address;
    socklen_t size = to_kernel(&to, &address);
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, &address.any, size) != 0)
        status = -errno;
    size = sizeof(address);
    if (status == 0 && getsockname(fd, &address.any, &size) != 0)
        status = -errno;
    close(fd);
    if (status == 0)
        *ret = from_kernel(&address).ip;
    return status;
}

/* One at any port. The descriptor, or a negative errno. */
static int open_at(const struct sip_ip *ip, struct sip_addr *ret_local)
{
    struct sip_addr local = {.ip = *ip};
    bool v4 = sip_ip_is_v4(ip);
    union address address;
    socklen_t size = to_kernel(&local, &address);
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
    *ret_local = from_kernel(&address);
    return fd;
}

int media_socket_open(const struct sip_ip *node, const struct sip_ip *peer, bool even,
                      struct sip_addr *ret_local)
{
    struct sip_ip ip;
    int status;

    if (node != NULL && sip_ip_is_v4(node) == sip_ip_is_v4(peer)) {
        ip = *node;
    } else {
        status = source_of(peer, &ip);
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
    socklen_t size = to_kernel(to, &address);
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
    *ret_from = from_kernel(&address);
    return received;
}
