/* SPDX-License-Identifier: Apache-2.0 */
/* See netlink.h. */
#include "dataplane/io/netlink.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

int io_netlink_open(struct io_netlink *netlink, unsigned int groups)
{
    int flags = groups != 0 ? SOCK_CLOEXEC | SOCK_NONBLOCK : SOCK_CLOEXEC;
    int size = 4 << 20;

    netlink->sequence = 0;
    netlink->socket = mnl_socket_open2(NETLINK_ROUTE, flags);
    if (netlink->socket == NULL)
        return -errno;
    if (mnl_socket_bind(netlink->socket, groups, MNL_SOCKET_AUTOPID) < 0) {
        int error = -errno;

        io_netlink_close(netlink);
        return error;
    }
    /* Best effort: a full buffer is found out by ENOBUFS and answered with a new dump. */
    setsockopt(mnl_socket_get_fd(netlink->socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    return 0;
}

void io_netlink_close(struct io_netlink *netlink)
{
    if (netlink->socket != NULL)
        mnl_socket_close(netlink->socket);
    netlink->socket = NULL;
}

/* Takes the mark off messages of a dump under which the table changed; whether one bore it. libmnl
 * would stop at the first, and leave the rest in the socket for the next request to stumble over.
 */
static bool take_interruption(void *buffer, size_t length)
{
    struct nlmsghdr *message = buffer;
    int left = (int)length;
    bool interrupted = false;

    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        interrupted |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        message->nlmsg_flags &= (uint16_t)~NLM_F_DUMP_INTR;
    }
    return interrupted;
}

/* Receives the answer to the request of this sequence number, to its end. */
static int answer(struct io_netlink *netlink, unsigned int sequence, mnl_cb_t visit, void *context)
{
    _Alignas(struct nlmsghdr) char buffer[IO_NETLINK_BUFFER_BYTES];
    unsigned int port = mnl_socket_get_portid(netlink->socket);
    bool interrupted = false;
    int more = MNL_CB_OK;

    while (more > MNL_CB_STOP) {
        ssize_t length = mnl_socket_recvfrom(netlink->socket, buffer, sizeof(buffer));

        if (length < 0 && errno == EINTR)
            continue; /* a signal of the TAP driver */
        if (length < 0)
            return -errno;
        if (length >= (ssize_t)sizeof(struct nlmsghdr) &&
            ((const struct nlmsghdr *)(const void *)buffer)->nlmsg_seq != sequence)
            continue; /* the rest of an answer that was given up */
        interrupted |= take_interruption(buffer, (size_t)length);
        more = mnl_cb_run(buffer, (size_t)length, sequence, port, visit, context);
    }
    if (more < 0)
        return -errno;
    return interrupted ? -EINTR : 0;
}

static int request(struct io_netlink *netlink, struct nlmsghdr *message, mnl_cb_t visit,
                   void *context)
{
    message->nlmsg_seq = ++netlink->sequence;
    if (mnl_socket_sendto(netlink->socket, message, message->nlmsg_len) < 0)
        return -errno;
    return answer(netlink, message->nlmsg_seq, visit, context);
}

int io_netlink_dump(struct io_netlink *netlink, int type, int family, mnl_cb_t visit, void *context)
{
    char buffer[MNL_NLMSG_HDRLEN + 64] = {0};
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct rtmsg *header;

    message->nlmsg_type = (uint16_t)type;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    /* rtmsg, ndmsg and ifaddrmsg are 12, 12 and 8 bytes and start with the family. */
    header = mnl_nlmsg_put_extra_header(message, type == RTM_GETADDR ? sizeof(struct ifaddrmsg)
                                                                     : sizeof(*header));
    header->rtm_family = (uint8_t)family;
    return request(netlink, message, visit, context);
}

static int family_of(const struct sip_ip *ip)
{
    return sip_ip_is_v4(ip) ? AF_INET : AF_INET6;
}

static void put_ip(struct nlmsghdr *message, uint16_t type, const struct sip_ip *ip)
{
    if (sip_ip_is_v4(ip))
        mnl_attr_put(message, type, 4, sip_ip_v4_bytes(ip));
    else
        mnl_attr_put(message, type, sizeof(ip->bytes), ip->bytes);
}

int io_netlink_address(struct io_netlink *netlink, bool add, int ifindex, const struct sip_ip *ip,
                       uint8_t length)
{
    char buffer[256] = {0};
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct ifaddrmsg *header;

    message->nlmsg_type = add ? RTM_NEWADDR : RTM_DELADDR;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_REPLACE : 0);
    header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->ifa_family = (uint8_t)family_of(ip);
    header->ifa_prefixlen = length;
    header->ifa_index = (uint32_t)ifindex;
    put_ip(message, IFA_LOCAL, ip);
    put_ip(message, IFA_ADDRESS, ip);
    if (add) {
        mnl_attr_put_u32(message, IFA_FLAGS, IFA_F_NODAD);
        mnl_attr_put_u8(message, IFA_PROTO, IO_NETLINK_PROTOCOL);
    }
    return request(netlink, message, NULL, NULL);
}

int io_netlink_gateway(struct io_netlink *netlink, bool add, int ifindex,
                       const struct sip_ip *gateway, uint32_t metric, bool on_link)
{
    char buffer[256] = {0};
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct rtmsg *header;

    message->nlmsg_type = add ? RTM_NEWROUTE : RTM_DELROUTE;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_REPLACE : 0);
    header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->rtm_family = (uint8_t)family_of(gateway);
    header->rtm_table = RT_TABLE_MAIN;
    header->rtm_protocol = IO_NETLINK_PROTOCOL;
    header->rtm_scope = RT_SCOPE_UNIVERSE;
    header->rtm_type = RTN_UNICAST;
    header->rtm_flags = on_link ? RTNH_F_ONLINK : 0;
    put_ip(message, RTA_GATEWAY, gateway);
    mnl_attr_put_u32(message, RTA_OIF, (uint32_t)ifindex);
    if (metric != 0)
        mnl_attr_put_u32(message, RTA_PRIORITY, metric);
    return request(netlink, message, NULL, NULL);
}

int io_netlink_neighbour(struct io_netlink *netlink, int ifindex, const struct sip_ip *ip,
                         bool probe)
{
    char buffer[128] = {0};
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct ndmsg *header;

    message->nlmsg_type = RTM_NEWNEIGH;
    /* A probe names no MAC address: the kernel keeps what it has, also if it just learnt another.
     */
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | (probe ? NLM_F_REPLACE : NLM_F_CREATE);
    header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->ndm_family = (uint8_t)family_of(ip);
    header->ndm_ifindex = ifindex;
    header->ndm_state = probe ? NUD_PROBE : NUD_NONE;
    header->ndm_flags = probe ? 0 : NTF_USE;
    put_ip(message, NDA_DST, ip);
    return request(netlink, message, NULL, NULL);
}

int io_netlink_delete_link(struct io_netlink *netlink, int ifindex)
{
    char buffer[128] = {0};
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct ifinfomsg *header;

    message->nlmsg_type = RTM_DELLINK;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->ifi_family = AF_UNSPEC;
    header->ifi_index = ifindex;
    return request(netlink, message, NULL, NULL);
}

bool io_netlink_ip(int family, const struct nlattr *attribute, struct sip_ip *ret_ip)
{
    const uint8_t *payload = mnl_attr_get_payload(attribute);
    uint16_t length = mnl_attr_get_payload_len(attribute);

    if (family == AF_INET && length == 4)
        *ret_ip = sip_ip_from_v4(payload);
    else if (family == AF_INET6 && length == 16)
        *ret_ip = sip_ip_from_v6(payload);
    else
        return false;
    return true;
}
