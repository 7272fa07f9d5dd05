/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ethernet, IPv4, IPv6 and UDP headers, read and written byte by byte. It must not know what a
 * frame is for, nor that there are mbufs.
 */
#include "dataplane/io/frame.h"

#include <string.h>

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_IPV6 = 0x86dd,
    PROTOCOL_HOP_BY_HOP = 0,
    PROTOCOL_UDP = 17,
    PROTOCOL_FRAGMENT = 44,
    PROTOCOL_OPTIONS = 60,
    IPV4_MORE_FRAGMENTS = 0x2000,
    IPV4_OFFSET_MASK = 0x1fff,
    IPV6_FRAGMENT_BYTES = 8,
    EXTENSIONS_MAX = 4, /* more IPv6 extension headers than that are the kernel's */
    TTL = 64,
};

static uint16_t load16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void store16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* Adds to a ones' complement sum in the order of the bytes in memory (RFC 1071 §2.B). */
static uint64_t sum_add(uint64_t sum, const uint8_t *at, uint32_t length)
{
    uint32_t word;
    uint16_t half;

    for (; length >= sizeof(word); at += sizeof(word), length -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        sum += word;
    }
    if (length >= sizeof(half)) {
        memcpy(&half, at, sizeof(half));
        sum += half;
        at += sizeof(half);
        length -= sizeof(half);
    }
    if (length > 0) {
        const uint8_t last[2] = {*at, 0};

        memcpy(&half, last, sizeof(half));
        sum += half;
    }
    return sum;
}

/* Folds a sum into the checksum, in memory order: to be stored by memcpy. */
static uint16_t sum_end(uint64_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void store_sum(uint8_t *at, uint64_t sum)
{
    uint16_t checksum = sum_end(sum);

    memcpy(at, &checksum, sizeof(checksum));
}

/* The sum over pseudo header, UDP header and payload (RFC 768, RFC 8200 §8.1). */
static uint64_t udp_sum(const struct sip_ip *src, const struct sip_ip *dst, const uint8_t *udp,
                        uint32_t length)
{
    uint8_t tail[4] = {0, PROTOCOL_UDP, 0, 0};
    uint64_t sum;

    store16(&tail[2], length);
    sum = sum_add(0, tail, sizeof(tail));
    if (sip_ip_is_v4(dst)) {
        sum = sum_add(sum, sip_ip_v4_bytes(src), 4);
        sum = sum_add(sum, sip_ip_v4_bytes(dst), 4);
    } else {
        sum = sum_add(sum, src->bytes, sizeof(src->bytes));
        sum = sum_add(sum, dst->bytes, sizeof(dst->bytes));
    }
    return sum_add(sum, udp, length);
}

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

static enum io_frame_class parse_ipv4(const uint8_t *bytes, uint32_t length, struct io_frame *ret)
{
    const uint8_t *ip = bytes + IO_ETHER_BYTES;
    uint32_t room = length - IO_ETHER_BYTES, header, total;

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
    ret->src.ip = sip_ip_from_v4(ip + 12);
    ret->dst.ip = sip_ip_from_v4(ip + 16);
    if ((load16(ip + 6) & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)) != 0)
        return IO_FRAME_FRAGMENT;
    return parse_udp(bytes, IO_ETHER_BYTES + header, IO_ETHER_BYTES + total, ret);
}

static enum io_frame_class parse_ipv6(const uint8_t *bytes, uint32_t length, struct io_frame *ret)
{
    const uint8_t *ip = bytes + IO_ETHER_BYTES;
    uint32_t room = length - IO_ETHER_BYTES, at = IO_ETHER_BYTES + IO_IPV6_BYTES, end;
    uint8_t next;

    if (room < IO_IPV6_BYTES)
        return IO_FRAME_TRUNCATED;
    if (ip[0] >> 4 != 6)
        return IO_FRAME_OTHER;
    end = at + load16(ip + 4);
    if (end > length)
        return IO_FRAME_TRUNCATED;
    ret->src.ip = sip_ip_from_v6(ip + 8);
    ret->dst.ip = sip_ip_from_v6(ip + 24);
    if (martian_v6(&ret->src.ip, &ret->dst.ip))
        return IO_FRAME_OTHER;
    next = ip[6];
    for (uint32_t i = 0; i < EXTENSIONS_MAX; i++) {
        if (next == PROTOCOL_UDP)
            return parse_udp(bytes, at, end, ret);
        if (end - at < 8)
            return IO_FRAME_OTHER;
        if (next == PROTOCOL_FRAGMENT)
            return bytes[at] == PROTOCOL_UDP ? IO_FRAME_FRAGMENT : IO_FRAME_OTHER;
        if (next != PROTOCOL_HOP_BY_HOP && next != PROTOCOL_OPTIONS)
            return IO_FRAME_OTHER;
        next = bytes[at];
        at += 8 + bytes[at + 1] * 8u;
        if (at > end)
            return IO_FRAME_OTHER;
    }
    return IO_FRAME_OTHER;
}

enum io_frame_class io_frame_parse(const uint8_t *bytes, uint32_t length, struct io_frame *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (length < IO_ETHER_BYTES)
        return IO_FRAME_TRUNCATED;
    memcpy(ret->dst_mac, bytes, sizeof(ret->dst_mac));
    memcpy(ret->src_mac, bytes + 6, sizeof(ret->src_mac));
    switch (load16(bytes + 12)) {
    case ETHERTYPE_IPV4:
        return parse_ipv4(bytes, length, ret);
    case ETHERTYPE_IPV6:
        return parse_ipv6(bytes, length, ret);
    default:
        return IO_FRAME_OTHER;
    }
}

bool io_frame_udp_good(const uint8_t *bytes, const struct io_frame *frame)
{
    const uint8_t *udp = bytes + frame->udp;

    if (load16(udp + 6) == 0)
        return sip_ip_is_v4(&frame->dst.ip);
    return sum_end(udp_sum(&frame->src.ip, &frame->dst.ip, udp,
                           (uint32_t)frame->length + IO_UDP_BYTES)) == 0;
}

uint32_t io_frame_headers(const struct sip_ip *dst)
{
    return IO_ETHER_BYTES + IO_UDP_BYTES + (sip_ip_is_v4(dst) ? IO_IPV4_BYTES : IO_IPV6_BYTES);
}

static void build_ipv4(uint8_t *ip, const struct sip_ip *src, const struct sip_ip *dst,
                       uint32_t length, uint16_t id)
{
    memset(ip, 0, IO_IPV4_BYTES);
    ip[0] = 4 << 4 | IO_IPV4_BYTES / 4;
    store16(ip + 2, IO_IPV4_BYTES + length);
    store16(ip + 4, id);
    ip[8] = TTL;
    ip[9] = PROTOCOL_UDP;
    memcpy(ip + 12, sip_ip_v4_bytes(src), 4);
    memcpy(ip + 16, sip_ip_v4_bytes(dst), 4);
    store_sum(ip + 10, sum_add(0, ip, IO_IPV4_BYTES));
}

static void build_ipv6(uint8_t *ip, const struct sip_ip *src, const struct sip_ip *dst,
                       uint32_t length)
{
    memset(ip, 0, 8);
    ip[0] = 6 << 4;
    store16(ip + 4, length);
    ip[6] = PROTOCOL_UDP;
    ip[7] = TTL;
    memcpy(ip + 8, src->bytes, sizeof(src->bytes));
    memcpy(ip + 24, dst->bytes, sizeof(dst->bytes));
}

void io_frame_set_macs(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6])
{
    memcpy(bytes, dst_mac, 6);
    memcpy(bytes + 6, src_mac, 6);
}

void io_frame_build(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6],
                    const struct sip_addr *src, const struct sip_addr *dst, uint32_t length,
                    uint16_t id)
{
    bool v4 = sip_ip_is_v4(&dst->ip);
    uint8_t *ip = bytes + IO_ETHER_BYTES;
    uint8_t *udp = ip + (v4 ? IO_IPV4_BYTES : IO_IPV6_BYTES);
    uint32_t udp_length = IO_UDP_BYTES + length;
    uint64_t sum;

    io_frame_set_macs(bytes, src_mac, dst_mac);
    store16(bytes + 12, v4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    if (v4)
        build_ipv4(ip, &src->ip, &dst->ip, udp_length, id);
    else
        build_ipv6(ip, &src->ip, &dst->ip, udp_length);
    store16(udp, src->port);
    store16(udp + 2, dst->port);
    store16(udp + 4, udp_length);
    store16(udp + 6, 0);
    sum = udp_sum(&src->ip, &dst->ip, udp, udp_length);
    store_sum(udp + 6, sum);
    if (load16(udp + 6) == 0)
        store16(udp + 6, 0xffff); /* 0 would say that there is none */
}

struct sip_ip io_frame_destination(const uint8_t *bytes)
{
    const uint8_t *ip = bytes + IO_ETHER_BYTES;

    return load16(bytes + 12) == ETHERTYPE_IPV4 ? sip_ip_from_v4(ip + 16) : sip_ip_from_v6(ip + 24);
}

static uint32_t fragment_ipv4(const uint8_t *frame, uint32_t length, uint32_t mtu, uint32_t n,
                              uint8_t *out)
{
    uint32_t front = IO_ETHER_BYTES + IO_IPV4_BYTES, data = length - front;
    uint32_t part = (mtu - IO_IPV4_BYTES) & ~7u, first = n * part, size;
    uint8_t *ip = out + IO_ETHER_BYTES;

    if (first >= data)
        return 0;
    size = data - first < part ? data - first : part;
    memcpy(out, frame, front);
    memcpy(out + front, frame + front + first, size);
    store16(ip + 2, IO_IPV4_BYTES + size);
    store16(ip + 6, first / 8 | (first + size < data ? IPV4_MORE_FRAGMENTS : 0));
    store16(ip + 10, 0);
    store_sum(ip + 10, sum_add(0, ip, IO_IPV4_BYTES));
    return front + size;
}

static uint32_t fragment_ipv6(const uint8_t *frame, uint32_t length, uint32_t mtu, uint32_t id,
                              uint32_t n, uint8_t *out)
{
    uint32_t front = IO_ETHER_BYTES + IO_IPV6_BYTES, data = length - front;
    uint32_t part = (mtu - IO_IPV6_BYTES - IPV6_FRAGMENT_BYTES) & ~7u, first = n * part, size;
    uint8_t *ip = out + IO_ETHER_BYTES, *header = out + front;

    if (first >= data)
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
    if (load16(frame + 12) == ETHERTYPE_IPV4)
        return fragment_ipv4(frame, length, mtu, n, out);
    return fragment_ipv6(frame, length, mtu, id, n, out);
}
