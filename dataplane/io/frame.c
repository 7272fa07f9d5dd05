/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ethernet, IPv4, IPv6 and UDP headers, read and written byte by byte. It must not know what a
 * frame is for, nor that there are mbufs.
 */
#include "dataplane/io/frame.h"

#include <string.h>

#include "dataplane/io/wire.h"

enum {
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_QINQ = 0x88a8,
    VLAN_BYTES = 4,
    VLAN_ID = 0x0fff,
    PROTOCOL_HOP_BY_HOP = 0,
    PROTOCOL_ROUTING = 43,
    PROTOCOL_ESP = 50,
    PROTOCOL_AH = 51,
    PROTOCOL_OPTIONS = 60,
    PROTOCOL_MOBILITY = 135,
    OPTION_END = 0, /* IPv4 */
    OPTION_NOP = 1,
    OPTION_LOOSE_ROUTE = 131,
    OPTION_STRICT_ROUTE = 137,
    OPTION_PAD1 = 0,      /* IPv6 */
    OPTION_ACTION = 0xc0, /* what a host does that does not know the option; 0: pass over it */
    EXTENSIONS_MAX = 4,   /* more IPv6 extension headers than that are the kernel's */
    TTL = 64,
    ECN = 3, /* bits of the traffic class */
};

/* Whether no honest frame comes from there: "this" network, loopback, multicast and broadcast. */
static bool martian_v4(const uint8_t *src)
{
    return src[0] == 0 || src[0] == 127 || src[0] >= 224;
}

/* The same in IPv6. Mapped IPv4 addresses never belong on a wire (RFC 4942 §2.2): taken for IPv4
 * ones they would let a stranger pose as a backend. */
static bool martian_v6(const struct sip_ip *src, const struct sip_ip *dst)
{
    static const uint8_t zeros[15];

    return sip_ip_is_v4(src) || sip_ip_is_v4(dst) || src->bytes[0] == 0xff ||
           (memcmp(src->bytes, zeros, sizeof(zeros)) == 0 && src->bytes[15] <= 1);
}

/* The UDP header at an offset, of an IP packet that ends at `end`. */
static enum io_frame_class parse_udp(const uint8_t *bytes, uint32_t at, uint32_t end,
                                     struct io_frame *ret)
{
    uint32_t udp_length;

    if (end - at < IO_UDP_BYTES)
        return IO_FRAME_OTHER;
    udp_length = load16(bytes + at + 4);
    if (udp_length < IO_UDP_BYTES)
        return IO_FRAME_OTHER;
    if (udp_length > end - at)
        return IO_FRAME_TRUNCATED;
    ret->src.port = load16(bytes + at);
    ret->dst.port = load16(bytes + at + 2);
    ret->udp = (uint16_t)at;
    ret->payload = (uint16_t)(at + IO_UDP_BYTES);
    ret->length = (uint16_t)(udp_length - IO_UDP_BYTES);
    return IO_FRAME_UDP;
}

/* Whether IPv4 options name routers to pass; malformed ones end the search (RFC 791 §3.1). */
static bool source_routed(const uint8_t *option, uint32_t length)
{
    while (length > 0 && *option != OPTION_END) {
        uint32_t bytes = 1;

        if (*option == OPTION_LOOSE_ROUTE || *option == OPTION_STRICT_ROUTE)
            return true;
        if (*option != OPTION_NOP)
            bytes = length < 2 || option[1] < 2 ? length : option[1];
        if (bytes > length)
            return false;
        option += bytes;
        length -= bytes;
    }
    return false;
}

/* The IPv4 packet at an offset. */
static enum io_frame_class parse_ipv4(const uint8_t *bytes, uint32_t at, uint32_t length,
                                      struct io_frame *ret)
{
    const uint8_t *ip = bytes + at;
    uint32_t room = length - at, header, total, field;

    if (room < IO_IPV4_BYTES)
        return IO_FRAME_TRUNCATED;
    header = (ip[0] & 15) * 4u;
    total = load16(ip + 2);
    if (ip[0] >> 4 != 4 || header < IO_IPV4_BYTES || total < header)
        return IO_FRAME_OTHER;
    if (total > room)
        return IO_FRAME_TRUNCATED;
    if (sum_end(sum_add(0, ip, header)) != 0)
        return IO_FRAME_BAD_CHECKSUM;
    if (ip[9] != PROTOCOL_UDP || martian_v4(ip + 12))
        return IO_FRAME_OTHER;
    if (source_routed(ip + IO_IPV4_BYTES, header - IO_IPV4_BYTES))
        return IO_FRAME_EXTENDED;
    ret->packet = (uint16_t)total;
    ret->src.ip = sip_ip_from_v4(ip + 12);
    ret->dst.ip = sip_ip_from_v4(ip + 16);
    field = load16(ip + 6);
    if ((field & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)) == 0)
        return parse_udp(bytes, at + header, at + total, ret);
    ret->payload = (uint16_t)(at + header);
    ret->length = (uint16_t)(total - header);
    ret->id = load16(ip + 4);
    ret->offset = (uint16_t)((field & IPV4_OFFSET_MASK) * 8);
    ret->more = (field & IPV4_MORE_FRAGMENTS) != 0;
    return IO_FRAME_FRAGMENT;
}

/* Whether all options of an IPv6 header (without its first two bytes) may be passed over by a host
 * that does not know them (RFC 8200 §4.2). */
static bool may_skip(const uint8_t *option, uint32_t length)
{
    while (length > 0) {
        uint32_t bytes = 1;

        if (*option != OPTION_PAD1) {
            if ((*option & OPTION_ACTION) != 0 || length < 2)
                return false;
            bytes = 2u + option[1];
        }
        if (bytes > length)
            return false;
        option += bytes;
        length -= bytes;
    }
    return true;
}

/* What an IPv6 packet is whose chain of headers ends with one that is not UDP's. */
static enum io_frame_class stranger(uint8_t protocol)
{
    switch (protocol) {
    case PROTOCOL_HOP_BY_HOP: /* not in front */
    case PROTOCOL_ROUTING:
    case PROTOCOL_FRAGMENT:
    case PROTOCOL_OPTIONS:
    case PROTOCOL_ESP:
    case PROTOCOL_AH:
    case PROTOCOL_MOBILITY:
        return IO_FRAME_EXTENDED;
    default:
        return IO_FRAME_OTHER;
    }
}

/* A fragment header at an offset, of a piece that is not the whole datagram. */
static enum io_frame_class parse_fragment(const uint8_t *bytes, uint32_t at, uint32_t end,
                                          struct io_frame *ret)
{
    const uint8_t *header = bytes + at;

    if (header[0] != PROTOCOL_UDP)
        return stranger(header[0]);
    ret->payload = (uint16_t)(at + IPV6_FRAGMENT_BYTES);
    ret->length = (uint16_t)(end - at - IPV6_FRAGMENT_BYTES);
    ret->id = load32(header + 4);
    ret->offset = load16(header + 2) & (uint16_t)~7u;
    ret->more = (header[3] & 1) != 0;
    return IO_FRAME_FRAGMENT;
}

/* Goes along the headers between IPv6's and UDP's, of which the first is of type `next`. */
static enum io_frame_class parse_extensions(const uint8_t *bytes, uint32_t at, uint32_t end,
                                            uint8_t next, struct io_frame *ret)
{
    for (uint32_t i = 0; i <= EXTENSIONS_MAX && next != PROTOCOL_UDP; i++) {
        uint32_t size;

        if (next != PROTOCOL_FRAGMENT && next != PROTOCOL_OPTIONS &&
            (next != PROTOCOL_HOP_BY_HOP || i > 0))
            return stranger(next);
        if (i == EXTENSIONS_MAX || end - at < 8)
            return IO_FRAME_EXTENDED;
        size = next == PROTOCOL_FRAGMENT ? IPV6_FRAGMENT_BYTES : 8 + bytes[at + 1] * 8u;
        if (size > end - at)
            return IO_FRAME_EXTENDED;
        if (next == PROTOCOL_FRAGMENT && (load16(bytes + at + 2) & ~6u) != 0)
            return parse_fragment(bytes, at, end, ret);
        if (next != PROTOCOL_FRAGMENT && !may_skip(bytes + at + 2, size - 2))
            return IO_FRAME_EXTENDED;
        next = bytes[at];
        at += size;
    }
    return parse_udp(bytes, at, end, ret);
}

/* The IPv6 packet at an offset. */
static enum io_frame_class parse_ipv6(const uint8_t *bytes, uint32_t at, uint32_t length,
                                      struct io_frame *ret)
{
    const uint8_t *ip = bytes + at;
    uint32_t room = length - at;

    if (room < IO_IPV6_BYTES)
        return IO_FRAME_TRUNCATED;
    if (ip[0] >> 4 != 6)
        return IO_FRAME_OTHER;
    at += IO_IPV6_BYTES;
    if (load16(ip + 4) > length - at)
        return IO_FRAME_TRUNCATED;
    ret->packet = (uint16_t)(IO_IPV6_BYTES + load16(ip + 4));
    ret->src.ip = sip_ip_from_v6(ip + 8);
    ret->dst.ip = sip_ip_from_v6(ip + 24);
    if (martian_v6(&ret->src.ip, &ret->dst.ip))
        return IO_FRAME_OTHER;
    return parse_extensions(bytes, at, at + load16(ip + 4), ip[6], ret);
}

static bool is_tag(uint32_t ethertype)
{
    return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ;
}

enum io_frame_class io_frame_parse(const uint8_t *bytes, uint32_t length, struct io_frame *ret)
{
    uint32_t at = IO_ETHER_BYTES;

    memset(ret, 0, sizeof(*ret));
    if (length < IO_ETHER_BYTES)
        return IO_FRAME_TRUNCATED;
    memcpy(ret->dst_mac, bytes, sizeof(ret->dst_mac));
    memcpy(ret->src_mac, bytes + 6, sizeof(ret->src_mac));
    if (is_tag(load16(bytes + 12))) {
        if (length < IO_ETHER_BYTES + VLAN_BYTES)
            return IO_FRAME_TRUNCATED;
        at += VLAN_BYTES;
        if ((load16(bytes + 14) & VLAN_ID) != 0 || is_tag(load16(bytes + at - 2)))
            return IO_FRAME_VLAN;
    }
    ret->ip = (uint16_t)at;
    switch (load16(bytes + at - 2)) {
    case ETHERTYPE_IPV4:
        return parse_ipv4(bytes, at, length, ret);
    case ETHERTYPE_IPV6:
        return parse_ipv6(bytes, at, length, ret);
    default:
        return IO_FRAME_OTHER;
    }
}

enum io_frame_class io_frame_joined(const uint8_t *bytes, uint32_t length, struct io_frame *frame)
{
    return parse_udp(bytes, 0, length, frame);
}

bool io_frame_udp_good(const uint8_t *bytes, const struct io_frame *frame)
{
    const uint8_t *udp = bytes + frame->udp;

    if (load16(udp + 6) == 0)
        return sip_ip_is_v4(&frame->dst.ip);
    return sum_end(transport_sum(PROTOCOL_UDP, &frame->src.ip, &frame->dst.ip, udp,
                                 (uint32_t)frame->length + IO_UDP_BYTES)) == 0;
}

uint32_t io_frame_headers(const struct sip_ip *dst)
{
    return IO_ETHER_BYTES + IO_UDP_BYTES + (sip_ip_is_v4(dst) ? IO_IPV4_BYTES : IO_IPV6_BYTES);
}

static void build_ipv4(uint8_t *ip, uint8_t protocol, const struct sip_ip *src,
                       const struct sip_ip *dst, uint32_t length, uint8_t class, uint16_t id)
{
    memset(ip, 0, IO_IPV4_BYTES);
    ip[0] = 4 << 4 | IO_IPV4_BYTES / 4;
    ip[1] = class;
    store16(ip + 2, IO_IPV4_BYTES + length);
    store16(ip + 4, id);
    ip[8] = TTL;
    ip[9] = protocol;
    memcpy(ip + 12, sip_ip_v4_bytes(src), 4);
    memcpy(ip + 16, sip_ip_v4_bytes(dst), 4);
    store_sum(ip + 10, sum_add(0, ip, IO_IPV4_BYTES));
}

static void build_ipv6(uint8_t *ip, uint8_t protocol, const struct sip_ip *src,
                       const struct sip_ip *dst, uint32_t length, uint8_t class)
{
    memset(ip, 0, 8);
    ip[0] = (uint8_t)(6 << 4 | class >> 4);
    ip[1] = (uint8_t)(class << 4);
    store16(ip + 4, length);
    ip[6] = protocol;
    ip[7] = TTL;
    memcpy(ip + 8, src->bytes, sizeof(src->bytes));
    memcpy(ip + 24, dst->bytes, sizeof(dst->bytes));
}

void io_frame_set_macs(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6])
{
    memcpy(bytes, dst_mac, 6);
    memcpy(bytes + 6, src_mac, 6);
}

void io_frame_build_ip(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6],
                       const struct sip_ip *src, const struct sip_ip *dst, uint32_t udp_length,
                       uint16_t id)
{
    uint8_t *ip = bytes + IO_ETHER_BYTES;
    bool v4 = sip_ip_is_v4(dst);

    io_frame_set_macs(bytes, src_mac, dst_mac);
    store16(bytes + 12, v4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    if (v4)
        build_ipv4(ip, PROTOCOL_UDP, src, dst, udp_length, 0, id);
    else
        build_ipv6(ip, PROTOCOL_UDP, src, dst, udp_length, 0);
}

void io_frame_build(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6],
                    const struct sip_addr *src, const struct sip_addr *dst, uint32_t length,
                    uint16_t id)
{
    uint8_t *udp = bytes + io_frame_headers(&dst->ip) - IO_UDP_BYTES;
    uint32_t udp_length = IO_UDP_BYTES + length;
    uint64_t sum;

    io_frame_build_ip(bytes, src_mac, dst_mac, &src->ip, &dst->ip, udp_length, id);
    store16(udp, src->port);
    store16(udp + 2, dst->port);
    store16(udp + 4, udp_length);
    store16(udp + 6, 0);
    sum = transport_sum(PROTOCOL_UDP, &src->ip, &dst->ip, udp, udp_length);
    store_sum(udp + 6, sum);
    if (load16(udp + 6) == 0)
        store16(udp + 6, 0xffff); /* 0 would say that there is none */
}

void io_frame_wrap(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6])
{
    io_frame_set_macs(bytes, src_mac, dst_mac);
    store16(bytes + 12, bytes[IO_ETHER_BYTES] >> 4 == 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
}

uint32_t io_frame_tunnel_headers(const struct sip_ip *dst)
{
    return IO_ETHER_BYTES + (sip_ip_is_v4(dst) ? IO_IPV4_BYTES : IO_IPV6_BYTES);
}

void io_frame_tunnel(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6],
                     const struct sip_ip *src, const struct sip_ip *dst, uint32_t length,
                     uint16_t id)
{
    uint8_t *ip = bytes + IO_ETHER_BYTES;
    const uint8_t *inner = bytes + io_frame_tunnel_headers(dst);
    bool v4 = inner[0] >> 4 == 4;
    uint8_t protocol = v4 ? PROTOCOL_IPV4 : PROTOCOL_IPV6;
    uint8_t class = v4 ? inner[1] : (uint8_t)(inner[0] << 4 | inner[1] >> 4);

    class &= (uint8_t)~ECN;
    if (sip_ip_is_v4(dst))
        build_ipv4(ip, protocol, src, dst, length, class, id);
    else
        build_ipv6(ip, protocol, src, dst, length, class);
    io_frame_wrap(bytes, src_mac, dst_mac);
}

struct sip_ip io_frame_destination(const uint8_t *bytes)
{
    const uint8_t *ip = bytes + IO_ETHER_BYTES;

    return load16(bytes + 12) == ETHERTYPE_IPV4 ? sip_ip_from_v4(ip + 16) : sip_ip_from_v6(ip + 24);
}

static uint32_t fragment_ipv4(const uint8_t *frame, uint32_t length, uint32_t mtu, uint32_t n,
                              uint8_t *out)
{
    const uint8_t *whole = frame + IO_ETHER_BYTES;
    uint8_t *ip = out + IO_ETHER_BYTES;
    uint32_t header = (whole[0] & 15) * 4u, total = load16(whole + 2), field = load16(whole + 6);
    uint32_t front = IO_ETHER_BYTES + header, data = total - header;
    uint32_t part = (mtu - header) & ~7u, first = n * part, offset, size;

    if (header < IO_IPV4_BYTES || total < header || total > length - IO_ETHER_BYTES)
        return 0;
    offset = (field & IPV4_OFFSET_MASK) + first / 8;
    if (first >= data || offset > IPV4_OFFSET_MASK)
        return 0;
    size = data - first < part ? data - first : part;
    memcpy(out, frame, front);
    memcpy(out + front, frame + front + first, size);
    store16(ip + 2, header + size);
    store16(ip + 6,
            offset | (first + size < data ? IPV4_MORE_FRAGMENTS : field & IPV4_MORE_FRAGMENTS));
    store16(ip + 10, 0);
    store_sum(ip + 10, sum_add(0, ip, header));
    return front + size;
}

static uint32_t fragment_ipv6(const uint8_t *frame, uint32_t length, uint32_t mtu, uint32_t id,
                              uint32_t n, uint8_t *out)
{
    const uint8_t *whole = frame + IO_ETHER_BYTES;
    uint32_t front = IO_ETHER_BYTES + IO_IPV6_BYTES, data = load16(whole + 4);
    uint32_t part = (mtu - IO_IPV6_BYTES - IPV6_FRAGMENT_BYTES) & ~7u, first = n * part, size;
    uint8_t *ip = out + IO_ETHER_BYTES, *header = out + front;

    if (data > length - front || first >= data || stranger(whole[6]) == IO_FRAME_EXTENDED)
        return 0;
    size = data - first < part ? data - first : part;
    memcpy(out, frame, front);
    store16(ip + 4, IPV6_FRAGMENT_BYTES + size);
    header[0] = ip[6];
    ip[6] = PROTOCOL_FRAGMENT;
    header[1] = 0;
    store16(header + 2, first | (first + size < data ? 1 : 0));
    store16(header + 4, id >> 16);
    store16(header + 6, id);
    memcpy(header + IPV6_FRAGMENT_BYTES, frame + front + first, size);
    return front + IPV6_FRAGMENT_BYTES + size;
}

uint32_t io_frame_fragment(const uint8_t *frame, uint32_t length, uint32_t mtu, uint32_t id,
                           uint32_t n, uint8_t *out)
{
    if (length >= IO_ETHER_BYTES + IO_IPV4_BYTES && load16(frame + 12) == ETHERTYPE_IPV4)
        return fragment_ipv4(frame, length, mtu, n, out);
    if (length >= IO_ETHER_BYTES + IO_IPV6_BYTES && load16(frame + 12) == ETHERTYPE_IPV6)
        return fragment_ipv6(frame, length, mtu, id, n, out);
    return 0;
}
