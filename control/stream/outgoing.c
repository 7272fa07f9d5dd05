/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting: see outgoing.h.
 */
#include "control/stream/outgoing.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/address.h"
#include "control/stream/connection.h"
#include "control/stream/thread.h"
#include "control/stream/tls/tls.h"

/*
 * The listener's address. With other nodes that may lead a backend to one of them, so it is
 * connected to from the address of this node alone, as what it gets by UDP is sent from there.
 */
static struct sip_ip source_of(const struct snapshot *s, const struct proxy_flow *to)
{
    int32_t at = snapshot_find_listener(s, (enum sip_transport)to->transport, &to->local);
    const struct snapshot_listener *own = NULL;
    uint32_t service;

    if (s->nodes.n == 0 || at < 0)
        return to->local.ip;
    service = snapshot_listeners(s)[at].service;
    if (snapshot_find_service_backend(s, &snapshot_services(s)[service], &to->peer, true) >= 0)
        own = snapshot_own_listener(s, service, sip_ip_is_v4(&to->peer.ip));
    return own == NULL ? to->local.ip : own->addr.ip;
}

/* A socket with an address; the port is chosen when it connects. */
static int open_from(const struct sip_ip *ip)
{
    struct sip_addr from = {.ip = *ip};
    bool v4 = sip_ip_is_v4(ip);
    int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1, status;

    if (fd < 0)
        return -errno;
    /* Without it there are but as many connections as ports, whatever the peers. */
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    connection_prepare(fd);
    status = address_bind(fd, &from);
    if (status == 0)
        return fd;
    close(fd);
    return status;
}

int outgoing_send(struct thread *thread, const struct proxy_flow *to, const char *name,
                  const char *text, uint32_t length)
{
    char own[SIP_IP_TEXT_MAX + 1];
    union address address;
    socklen_t size = address_to_kernel(&to->peer, &address);
    struct sip_ip from = source_of(thread->view->snapshot, to);
    int fd = open_from(&from);
    struct connection *c;

    if (fd < 0)
        return fd;
    if (connect(fd, &address.any, size) != 0 && errno != EINPROGRESS) {
        int status = -errno;

        close(fd);
        return status;
    }
    tls_address_print(&to->peer.ip, own);
    c = connection_connect(thread, to, *name != '\0' ? name : own, fd);
    return c == NULL ? -ENOMEM : connection_send(c, text, length);
}
