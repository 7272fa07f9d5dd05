/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sip_addr and sockaddr: see address.h.
 */
#include "control/address.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

const struct sip_ip *address_own_for(const struct address_own *own, const struct sip_ip *peer)
{
    if (sip_ip_is_v4(peer))
        return own->has_v4 ? &own->v4 : NULL;
    return own->has_v6 ? &own->v6 : NULL;
}

socklen_t address_to_kernel(const struct sip_addr *addr, union address *ret)
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

struct sip_addr address_from_kernel(const union address *from)
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

static int set(int fd, int level, int option)
{
    const int one = 1;

    return setsockopt(fd, level, option, &one, sizeof(one)) == 0 ? 0 : -errno;
}

int address_bind(int fd, const struct sip_addr *addr)
{
    bool v4 = sip_ip_is_v4(&addr->ip);
    union address to;
    socklen_t size = address_to_kernel(addr, &to);
    int status = v4 ? set(fd, IPPROTO_IP, IP_FREEBIND) : set(fd, IPPROTO_IPV6, IPV6_FREEBIND);

    if (status == 0 && !v4)
        status = set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (status == 0)
        status = set(fd, SOL_SOCKET, SO_REUSEADDR);
    if (status == 0)
        status = set(fd, SOL_SOCKET, SO_REUSEPORT);
    if (status == 0 && bind(fd, &to.any, size) != 0)
        status = -errno;
    return status;
}

int address_source(const struct sip_addr *peer, struct sip_ip *ret)
{
    union address address;
    socklen_t size = address_to_kernel(peer, &address);
    int fd = socket(address.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), status = 0;

    if (fd < 0)
        return -errno;
    if (connect(fd, &address.any, size) != 0)
        status = -errno;
    size = sizeof(address);
    if (status == 0 && getsockname(fd, &address.any, &size) != 0)
        status = -errno;
    close(fd);
    if (status == 0)
        *ret = address_from_kernel(&address).ip;
    return status;
}
