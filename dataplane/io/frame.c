/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ethernet, IPv4, IPv6 and UDP headers that are read; frame_write.c writes them. It must not know
 * what a frame is for, nor that there are mbufs.
 */
#include "dataplane/io/frame.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "dataplane/io/wire.h"

enum {
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_QINQ = 0x88a8,
    VLAN_BYTES = 4,
    VLAN_ID = 0x0fff,
    OPTION_END = 0, /* IPv4 */
    OPTION_NOP = 1,
    OPTION_LOOSE_ROUTE = 131,
    OPTION_STRICT_ROUTE = 137,
    OPTION_PAD1 = 0,      /* IPv6 */
    OPTION_ACTION = 0xc0, /* what a host does that does not know the option; 0: pass over it */
    EXTENSIONS_MAX = 4,   /* more IPv6 extension headers than that are the kernel's */
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
    ret->packet = (uint16_t)total;
    ret->src.ip = sip_ip_from_v4(ip + 12);
    ret->dst.ip = sip_ip_from_v4(ip + 16);
    if (source_routed(ip + IO_IPV4_BYTES, header - IO_IPV4_BYTES))
        return IO_FRAME_EXTENDED;
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
    return is_extension(protocol) ? IO_FRAME_EXTENDED : IO_FRAME_OTHER;
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

/* Any frame; of ret what no class fills is 0. */
static enum io_frame_class parse_any(const uint8_t *bytes, uint32_t length, struct io_frame *ret)
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

/* Fills in what the headers of a plain frame say: `udp` is UDP's. */
static void fill_plain(const uint8_t *bytes, uint32_t packet, const uint8_t *udp,
                       uint32_t udp_length, struct io_frame *ret)
{
    uint32_t ports = load32(udp);

    static_assert(offsetof(struct io_frame, src_mac) == offsetof(struct io_frame, dst_mac) + 6,
                  "both are copied at once");
    memcpy(ret->dst_mac, bytes, 12);
    ret->src.port = (uint16_t)(ports >> 16);
    ret->dst.port = (uint16_t)ports;
    ret->ip = IO_ETHER_BYTES;
    ret->packet = (uint16_t)packet;
    ret->udp = (uint16_t)(udp - bytes);
    ret->payload = (uint16_t)(ret->udp + IO_UDP_BYTES);
    ret->length = (uint16_t)(udp_length - IO_UDP_BYTES);
    ret->id = 0;
    ret->offset = 0;
    ret->more = false;
}

static uint64_t load64(const uint8_t *at)
{
    return (uint64_t)load32(at) << 32 | load32(at + 4);
}

/* What nearly every frame is; false: look closer. The fields that must have one value are compared
 * eight bytes at a time: those from the Ethernet type to IPv4's identification, and from there to
 * its checksum. */
static bool parse_plain_v4(const uint8_t *bytes, uint32_t length, struct io_frame *ret)
{
    const uint64_t first_mask = 0xffffff0000000000, second_mask = 0x3fff00ff00000000;
    const uint8_t *ip = bytes + IO_ETHER_BYTES, *udp = ip + IO_IPV4_BYTES;
    uint32_t total, udp_length;
    uint64_t first;

    if (length < IO_ETHER_BYTES + IO_IPV4_BYTES + IO_UDP_BYTES)
        return false;
    first = load64(bytes + 12);
    total = (uint32_t)first >> 16 & 0xffff;
    udp_length = load16(udp + 4);
    if ((first & first_mask) != ((uint64_t)ETHERTYPE_IPV4 << 48 | (uint64_t)0x45 << 40) ||
        (load64(bytes + 20) & second_mask) != (uint64_t)PROTOCOL_UDP << 32 ||
        total > length - IO_ETHER_BYTES || udp_length < IO_UDP_BYTES ||
        udp_length + IO_IPV4_BYTES > total || martian_v4(ip + 12) ||
        sum_end(sum_add(0, ip, IO_IPV4_BYTES)) != 0)
        return false;
    ret->src.ip = sip_ip_from_v4(ip + 12);
    ret->dst.ip = sip_ip_from_v4(ip + 16);
    fill_plain(bytes, total, udp, udp_length, ret);
    return true;
}

/* The same in IPv6. */
static bool parse_plain_v6(const uint8_t *bytes, uint32_t length, struct io_frame *ret)
{
    const uint8_t *ip = bytes + IO_ETHER_BYTES, *udp = ip + IO_IPV6_BYTES;
    uint32_t data, udp_length;

    if (length < IO_ETHER_BYTES + IO_IPV6_BYTES + IO_UDP_BYTES ||
        load16(bytes + 12) != ETHERTYPE_IPV6 || ip[0] >> 4 != 6 || ip[6] != PROTOCOL_UDP)
        return false;
    data = load16(ip + 4);
    udp_length = load16(udp + 4);
    if (data > length - IO_ETHER_BYTES - IO_IPV6_BYTES || udp_length < IO_UDP_BYTES ||
        udp_length > data)
        return false;
    ret->src.ip = sip_ip_from_v6(ip + 8);
    ret->dst.ip = sip_ip_from_v6(ip + 24);
    if (martian_v6(&ret->src.ip, &ret->dst.ip))
        return false;
    fill_plain(bytes, IO_IPV6_BYTES + data, udp, udp_length, ret);
    return true;
}

enum io_frame_class io_frame_parse(const uint8_t *bytes, uint32_t length, struct io_frame *ret)
{
    if (parse_plain_v4(bytes, length, ret) || parse_plain_v6(bytes, length, ret))
        return IO_FRAME_UDP;
    return parse_any(bytes, length, ret);
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
