/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP and ICMPv6 errors, and the packets that they quote.
 */
#include "dataplane/io/icmp.h"

#include "dataplane/io/frame.h"
#include "dataplane/io/wire.h"

enum {
    ICMP_BYTES = 8, /* in front of what is quoted, in both families */
    ICMP_UNREACHABLE = 3,
    ICMP_CODE_TOO_BIG = 4,
    ICMPV6_UNREACHABLE = 1,
    ICMPV6_TOO_BIG = 2,
    QUOTED_BYTES = 8, /* behind the quoted IP header: RFC 792 promises so many */
};

/* Takes the ports of a quoted packet, where those are. Whether it is of a kind that we send. */
static bool take_ports(uint8_t protocol, const uint8_t *at, struct io_icmp *ret)
{
    if (protocol == PROTOCOL_UDP) {
        ret->src.port = load16(at);
        ret->dst.port = load16(at + 2);
    }
    return protocol == PROTOCOL_UDP || protocol == PROTOCOL_IPV4 || protocol == PROTOCOL_IPV6;
}

/* Reads of an IPv4 packet's beginning of `length` bytes whose it was. */
static bool read_quoted_v4(const uint8_t *ip, uint32_t length, struct io_icmp *ret)
{
    uint32_t header;

    if (length < IO_IPV4_BYTES + QUOTED_BYTES || ip[0] >> 4 != 4)
        return false;
    header = (ip[0] & 15) * 4u;
    if (header < IO_IPV4_BYTES || length < header + QUOTED_BYTES ||
        (load16(ip + 6) & IPV4_OFFSET_MASK) != 0)
        return false;
    ret->src.ip = sip_ip_from_v4(ip + 12);
    ret->dst.ip = sip_ip_from_v4(ip + 16);
    return take_ports(ip[9], ip + header, ret);
}

/* The same of an IPv6 packet. */
static bool read_quoted_v6(const uint8_t *ip, uint32_t length, struct io_icmp *ret)
{
    uint32_t at = IO_IPV6_BYTES;
    uint8_t next;

    if (length < IO_IPV6_BYTES + IPV6_FRAGMENT_BYTES + QUOTED_BYTES || ip[0] >> 4 != 6)
        return false;
    next = ip[6];
    if (next == PROTOCOL_FRAGMENT) {
        if ((load16(ip + at + 2) & ~7u) != 0)
            return false;
        next = ip[at];
        at += IPV6_FRAGMENT_BYTES;
    }
    ret->src.ip = sip_ip_from_v6(ip + 8);
    ret->dst.ip = sip_ip_from_v6(ip + 24);
    if (sip_ip_is_v4(&ret->src.ip) || sip_ip_is_v4(&ret->dst.ip))
        return false; /* never on a wire: IPv4 has ICMP of its own */
    return take_ports(next, ip + at, ret);
}

/* The message in an IPv4 packet; `length` bytes lie there. */
static bool read_v4(const uint8_t *ip, uint32_t length, struct io_icmp *ret)
{
    uint32_t header, total;
    const uint8_t *icmp;

    if (length < IO_IPV4_BYTES || ip[0] >> 4 != 4 || ip[9] != PROTOCOL_ICMP)
        return false;
    header = (ip[0] & 15) * 4u;
    total = load16(ip + 2);
    if (header < IO_IPV4_BYTES || total < header + ICMP_BYTES || total > length ||
        (load16(ip + 6) & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)) != 0)
        return false;
    icmp = ip + header;
    if (icmp[0] != ICMP_UNREACHABLE || icmp[1] == ICMP_CODE_TOO_BIG)
        return false;
    ret->kind = IO_ICMP_UNREACHABLE;
    ret->from = sip_ip_from_v4(ip + 12);
    return sum_end(sum_add(0, ip, header)) == 0 && sum_end(io_sum_add(0, icmp, total - header)) == 0 &&
           read_quoted_v4(icmp + ICMP_BYTES, total - header - ICMP_BYTES, ret);
}

/* The same in an IPv6 packet. */
static bool read_v6(const uint8_t *ip, uint32_t length, struct io_icmp *ret)
{
    const uint8_t *icmp = ip + IO_IPV6_BYTES;
    struct sip_ip dst;
    uint32_t size;

    if (length < IO_IPV6_BYTES + ICMP_BYTES || ip[0] >> 4 != 6 || ip[6] != PROTOCOL_ICMPV6)
        return false;
    size = load16(ip + 4);
    if (size < ICMP_BYTES || size > length - IO_IPV6_BYTES)
        return false;
    if (icmp[0] != ICMPV6_TOO_BIG && icmp[0] != ICMPV6_UNREACHABLE)
        return false;
    ret->kind = icmp[0] == ICMPV6_TOO_BIG ? IO_ICMP_TOO_BIG : IO_ICMP_UNREACHABLE;
    ret->from = sip_ip_from_v6(ip + 8);
    ret->mtu = ret->kind == IO_ICMP_TOO_BIG ? load32(icmp + 4) : 0;
    dst = sip_ip_from_v6(ip + 24);
    return !sip_ip_is_v4(&dst) && !sip_ip_is_v4(&ret->from) &&
           sum_end(transport_sum(PROTOCOL_ICMPV6, &ret->from, &dst, icmp, size)) == 0 &&
           read_quoted_v6(icmp + ICMP_BYTES, size - ICMP_BYTES, ret);
}

bool io_icmp_read(const uint8_t *bytes, uint32_t length, struct io_icmp *ret)
{
    struct io_icmp read = {0};
    bool is = false;

    if (length < IO_ETHER_BYTES)
        return false;
    if (load16(bytes + 12) == ETHERTYPE_IPV4)
        is = read_v4(bytes + IO_ETHER_BYTES, length - IO_ETHER_BYTES, &read);
    else if (load16(bytes + 12) == ETHERTYPE_IPV6)
        is = read_v6(bytes + IO_ETHER_BYTES, length - IO_ETHER_BYTES, &read);
    if (is)
        *ret = read;
    return is;
}
