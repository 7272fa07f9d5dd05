/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets and ICMP errors: see probe_udp.h.
 */
#include "control/health/probe_udp.h"

#include <time.h> /* linux/errqueue.h needs it */

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { V4, V6, FAMILIES };

struct door { /* a family's socket; fd -1: not open */
    int fd;
    struct sip_addr from; /* address 0: the kernel's choice */
    struct loop_event *reading;
    struct probe_udp *udp;
};

struct probe_udp {
    struct loop *loop;
    struct probe_wire wire;
    struct door doors[FAMILIES];
    struct address_own own;
    char datagram[SIP_MSG_MAX];
    struct sip_msg msg;
};

static void close_door(struct door *door)
{
    loop_event_free(door->reading);
    door->reading = NULL;
    if (door->fd >= 0)
        close(door->fd);
    door->fd = -1;
}

struct probe_udp *probe_udp_new(struct loop *loop, const struct probe_wire *wire)
{
    struct probe_udp *u = calloc(1, sizeof(*u));

    if (u == NULL)
        return NULL;
    u->loop = loop;
    u->wire = *wire;
    for (int i = 0; i < FAMILIES; i++)
        u->doors[i] = (struct door){.fd = -1, .udp = u};
    return u;
}

void probe_udp_free(struct probe_udp *u)
{
    if (u == NULL)
        return;
    for (int i = 0; i < FAMILIES; i++)
        close_door(&u->doors[i]);
    free(u);
}

void probe_udp_from(struct probe_udp *u, const struct address_own *own)
{
    u->own = *own;
    for (int i = 0; i < FAMILIES; i++)
        close_door(&u->doors[i]);
}

/* Whether an error says that nobody is there; others (a path's MTU) say nothing about that. */
static bool is_unreachable(struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        struct sock_extended_err error;

        if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
            !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
            continue;
        memcpy(&error, CMSG_DATA(c), sizeof(error));
        if (error.ee_origin == SO_EE_ORIGIN_ICMP)
            return error.ee_type == ICMP_DEST_UNREACH && error.ee_code != ICMP_FRAG_NEEDED;
        if (error.ee_origin == SO_EE_ORIGIN_ICMP6)
            return error.ee_type == ICMP6_DST_UNREACH;
    }
    return false;
}

static void take_message(struct probe_udp *u, size_t length, const struct sip_addr *from)
{
    sip_msg_index(u->datagram, length, &u->msg);
    u->wire.on_message(u->wire.arg, SIP_TRANSPORT_UDP, from, &u->msg);
}

/* Reads one datagram, or one error's. False: there is none. */
static bool read_one(struct door *door, int flags)
{
    struct probe_udp *u = door->udp;
    struct iovec iov = {.iov_base = u->datagram, .iov_len = sizeof(u->datagram)};
    union address name;
    char control[512];
    struct msghdr msg = {.msg_name = &name,
                         .msg_namelen = sizeof(name),
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    struct sip_addr addr;
    ssize_t length;

    memset(&name, 0, sizeof(name));
    length = recvmsg(door->fd, &msg, flags | MSG_DONTWAIT);
    if (length < 0)
        return errno != EAGAIN && errno != EWOULDBLOCK && (flags & MSG_ERRQUEUE) == 0;
    addr = address_from_kernel(&name);
    if ((flags & MSG_ERRQUEUE) == 0)
        take_message(u, (size_t)length, &addr);
    else if (is_unreachable(&msg))
        u->wire.on_refused(u->wire.arg, SIP_TRANSPORT_UDP, &(struct probe_peer){.addr = addr},
                           "ICMP unreachable", u->datagram, (size_t)length);
    return true;
}

static void on_readable(void *arg)
{
    struct door *door = arg;

    for (int i = 0; i < PROBE_UDP_BURST && door->fd >= 0 && read_one(door, MSG_ERRQUEUE); i++)
        ;
    for (int i = 0; i < PROBE_UDP_BURST && door->fd >= 0 && read_one(door, 0); i++)
        ;
}

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

/* The socket of a family. 0, or a negative errno. Without FREEBIND: from an address that is not
 * here (yet) no answer could come back, and all backends would seem dead. */
static int open_door(struct probe_udp *u, int family)
{
    struct door *door = &u->doors[family];
    struct sip_addr from = {.port = 0};
    bool v4 = family == V4;
    union address address;
    socklen_t size = sizeof(address);
    int status;

    if (v4 ? u->own.has_v4 : u->own.has_v6)
        from.ip = v4 ? u->own.v4 : u->own.v6;
    else if (v4)
        from.ip = sip_ip_from_v4((const uint8_t[4]){0});
    door->fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (door->fd < 0)
        return -errno;
    set(door->fd, SOL_SOCKET, SO_RCVBUF, PROBE_UDP_ROOM); /* as much of it as we get */
    status = v4 ? set(door->fd, IPPROTO_IP, IP_RECVERR, 1)
                : set(door->fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    if (status == 0 && !v4)
        status = set(door->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (status == 0 && bind(door->fd, &address.any, address_to_kernel(&from, &address)) != 0)
        status = -errno;
    if (status == 0 && getsockname(door->fd, &address.any, &size) != 0)
        status = -errno;
    if (status == 0) {
        door->from = address_from_kernel(&address);
        door->reading = loop_watch(u->loop, door->fd, LOOP_READ, on_readable, door);
        status = door->reading == NULL ? -ENOMEM : 0;
    }
    if (status != 0)
        close_door(door);
    return status;
}

int probe_udp_open(struct probe_udp *u, const struct sip_addr *to, struct sip_addr *ret_from)
{
    bool v4 = sip_ip_is_v4(&to->ip);
    struct door *door = &u->doors[v4 ? V4 : V6];
    int status = door->fd >= 0 ? 0 : open_door(u, v4 ? V4 : V6);

    if (status != 0)
        return status;
    *ret_from = door->from;
    if (address_own_for(&u->own, &to->ip) == NULL) {
        ret_from->ip = to->ip; /* the kernel's choice, for the answer's Via must lead back to us */
        address_source(to, &ret_from->ip);
    }
    return 0;
}

int probe_udp_send(struct probe_udp *u, const struct sip_addr *to, const char *text, size_t length)
{
    union address address;
    socklen_t size = address_to_kernel(to, &address);
    int fd = u->doors[sip_ip_is_v4(&to->ip) ? V4 : V6].fd;

    for (int i = 0; i < 3; i++) { /* an error of one before is reported here once */
        if (sendto(fd, text, length, 0, &address.any, size) >= 0)
            return 0;
    }
    return errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH ? 0 : -errno;
}
