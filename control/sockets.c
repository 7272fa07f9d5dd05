/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets by listener: see sockets.h. A filter that accepts no byte keeps the queues of those that
 * only send empty.
 */
#include "control/sockets.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/address.h"

struct socket_of {
    struct socket_of *next;
    struct sip_addr addr;
    int fd;
};

struct sockets {
    struct socket_of *first;
};

struct sockets *sockets_new(void)
{
    return calloc(1, sizeof(struct sockets));
}

static void close_one(struct socket_of *one)
{
    close(one->fd);
    free(one);
}

void sockets_free(struct sockets *sockets)
{
    if (sockets == NULL)
        return;
    while (sockets->first != NULL) {
        struct socket_of *one = sockets->first;

        sockets->first = one->next;
        close_one(one);
    }
    free(sockets);
}

/* The filter comes before the address: nothing is ever queued. 0, or a negative errno. */
static int make_deaf(int fd)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    const struct sock_fprog filter = {.len = 1, .filter = &nothing};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0 ? 0 : -errno;
}

static struct socket_of *find(const struct sockets *sockets, const struct sip_addr *addr)
{
    struct socket_of *one = sockets->first;

    while (one != NULL && !sip_addr_equal(&one->addr, addr))
        one = one->next;
    return one;
}

/* The socket of an address, made when there is none yet. A negative errno: it cannot be. */
static int socket_at(struct sockets *sockets, const struct sip_addr *addr, bool deaf)
{
    struct socket_of *one = find(sockets, addr);
    int status;

    if (one != NULL)
        return one->fd;
    one = calloc(1, sizeof(*one));
    if (one == NULL)
        return -ENOMEM;
    one->addr = *addr;
    one->fd = socket(sip_ip_is_v4(&addr->ip) ? AF_INET : AF_INET6,
                     SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (one->fd < 0) {
        status = -errno;
        free(one);
        return status;
    }
    status = deaf ? make_deaf(one->fd) : 0;
    if (status == 0)
        status = address_bind(one->fd, addr);
    if (status != 0) {
        close_one(one);
        return status;
    }
    one->next = sockets->first;
    sockets->first = one;
    return one->fd;
}

int sockets_send(struct sockets *sockets, const struct sip_addr *from, const struct sip_addr *to,
                 const void *bytes, size_t length)
{
    union address address;
    socklen_t size = address_to_kernel(to, &address);
    int fd = socket_at(sockets, from, true);

    if (fd < 0)
        return fd;
    return sendto(fd, bytes, length, 0, &address.any, size) >= 0 ? 0 : -errno;
}

int sockets_receive(struct sockets *sockets, const struct sip_addr *addr)
{
    return socket_at(sockets, addr, false);
}

void sockets_adopt(struct sockets *sockets, const struct sip_addr *addr, int fd)
{
    struct socket_of *one = find(sockets, addr) == NULL ? calloc(1, sizeof(*one)) : NULL;

    if (one == NULL) {
        close(fd);
        return;
    }
    *one = (struct socket_of){sockets->first, *addr, fd};
    sockets->first = one;
}

void sockets_keep(struct sockets *sockets, const struct snapshot *snapshot)
{
    struct socket_of **at = &sockets->first;

    while (*at != NULL) {
        struct socket_of *one = *at;

        if (snapshot_find_listener(snapshot, SIP_TRANSPORT_UDP, &one->addr) >= 0) {
            at = &one->next;
            continue;
        }
        *at = one->next;
        close_one(one);
    }
}
