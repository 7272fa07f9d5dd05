/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ethernet, IPv4, IPv6 and UDP headers that are written, and the cutting of frames. It must not
 * know what a frame is for, nor that there are mbufs.
 */
#include "dataplane/io/frame.h"

#include <string.h>

#include "dataplane/io/wire.h"

enum {
    TTL = 64,
    ECN = 3, /* bits of the traffic class */
};

uint32_t io_frame_headers(const struct sip_ip *dst)
{
    return IO_ETHER_BYTES + IO_UDP_BYTES + (sip_ip_is_v4(dst) ? IO_IPV4_BYTES : IO_IPV6_BYTES);
}

/* Words rather than bytes, and the checksum made of them before they are stored: to read back what
 * was stored in smaller pieces a moment ago would wait for the stores. */
static void build_ipv4(uint8_t *ip, uint8_t protocol, const struct sip_ip *src,
                       const struct sip_ip *dst, uint32_t length, uint8_t class, uint16_t id)
{
    uint32_t first = 4u << 28 | IO_IPV4_BYTES / 4u << 24 | (uint32_t)class << 16 |
                     (IO_IPV4_BYTES + length);
    uint32_t second = (uint32_t)id << 16;
    uint32_t third = (uint32_t)TTL << 24 | (uint32_t)protocol << 16;
    uint32_t from = load32(sip_ip_v4_bytes(src)), to = load32(sip_ip_v4_bytes(dst));

    store32(ip, first);
    store32(ip + 4, second);
    store32(ip + 8, third | sum_end((uint64_t)first + second + third + from + to));
    store32(ip + 12, from);
    store32(ip + 16, to);
}

static void build_ipv6(uint8_t *ip, uint8_t protocol, const struct sip_ip *src,
                       const struct sip_ip *dst, uint32_t length, uint8_t class)
{
    store32(ip, 6u << 28 | (uint32_t)class << 20);
    store32(ip + 4, length << 16 | (uint32_t)protocol << 8 | TTL);
    memcpy(ip + 8, src->bytes, sizeof(src->bytes));
    memcpy(ip + 24, dst->bytes, sizeof(dst->bytes));
}

void io_frame_set_macs(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6])
{
    memcpy(bytes, dst_mac, 6);
    memcpy(bytes + 6, src_mac, 6);
}

/* Ethernet and IP; `v4`: which. */
static void build_ip(bool v4, uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6],
                     const struct sip_ip *src, const struct sip_ip *dst, uint32_t udp_length,
                     uint16_t id)
{
    uint8_t *ip = bytes + IO_ETHER_BYTES;

    io_frame_set_macs(bytes, src_mac, dst_mac);
    store16(bytes + 12, v4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    if (v4)
        build_ipv4(ip, PROTOCOL_UDP, src, dst, udp_length, 0, id);
    else
        build_ipv6(ip, PROTOCOL_UDP, src, dst, udp_length, 0);
}

void io_frame_build_ip(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6],
                       const struct sip_ip *src, const struct sip_ip *dst, uint32_t udp_length,
                       uint16_t id)
{
    build_ip(sip_ip_is_v4(dst), bytes, src_mac, dst_mac, src, dst, udp_length, id);
}

void io_frame_build(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6],
                    const struct sip_addr *src, const struct sip_addr *dst, uint32_t length,
                    uint16_t id)
{
    bool v4 = sip_ip_is_v4(&dst->ip);
    uint8_t *udp = bytes + IO_ETHER_BYTES + (v4 ? IO_IPV4_BYTES : IO_IPV6_BYTES);
    uint32_t udp_length = IO_UDP_BYTES + length;
    uint64_t sum = pseudo_sum(v4, PROTOCOL_UDP, &src->ip, &dst->ip, udp_length);
    uint16_t checksum;

    sum += sum_of(src->port) + sum_of(dst->port) + sum_of(udp_length);
    checksum = sum_end(io_sum_add(sum, udp + IO_UDP_BYTES, length));
    if (checksum == 0)
        checksum = 0xffff; /* 0 would say that there is none */
    build_ip(v4, bytes, src_mac, dst_mac, &src->ip, &dst->ip, udp_length, id);
    store32(udp, (uint32_t)src->port << 16 | dst->port);
    store16(udp + 4, udp_length);
    memcpy(udp + 6, &checksum, sizeof(checksum));
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

    if (data > length - front || first >= data || is_extension(whole[6]))
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
