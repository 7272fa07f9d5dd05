/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames as bytes: where the UDP datagram of an Ethernet frame is, and the headers in front of one
 * of ours. Pure: no DPDK, no device, no allocation.
 */
#ifndef TANDEM_IO_FRAME_H
#define TANDEM_IO_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/sip/ip.h"

enum {
    IO_ETHER_BYTES = 14,
    IO_IPV4_BYTES = 20, /* without options: the ones that we write */
    IO_IPV6_BYTES = 40,
    IO_UDP_BYTES = 8,
    IO_HEADERS_MAX = IO_ETHER_BYTES + IO_IPV6_BYTES + IO_UDP_BYTES,
    IO_MTU_MIN = 576,   /* IPv4 hosts must take so much (RFC 791); below it nothing is cut */
    IO_MTU6_MIN = 1280, /* every IPv6 path takes so much (RFC 8200 §5) */
};

enum io_frame_class {
    IO_FRAME_UDP,       /* a whole UDP datagram */
    IO_FRAME_OTHER,     /* anything else: the kernel's business, malformed headers too */
    IO_FRAME_VLAN,      /* of a virtual LAN: the kernel's, too */
    IO_FRAME_EXTENDED,  /* headers before UDP that only a host's whole stack treats rightly: so is
                           this */
    IO_FRAME_FRAGMENT,  /* an IP fragment of a UDP datagram; ports are 0 */
    IO_FRAME_TRUNCATED, /* ends before its IP or UDP length does */
    IO_FRAME_BAD_CHECKSUM, /* IPv4 header checksum */
};

struct io_frame {
    struct sip_addr src, dst; /* IP addresses and UDP ports */
    uint8_t dst_mac[6], src_mac[6]; /* as on the wire, one behind the other */
    uint16_t ip;      /* offset of the IP header from the frame's first byte */
    uint16_t packet;  /* bytes of the IP packet; padding behind it is left out */
    uint16_t udp;     /* offset of the UDP header from the frame's first byte */
    uint16_t payload; /* offset of the UDP payload; FRAGMENT: of what follows the IP headers */
    uint16_t length;  /* bytes of it; padding behind the datagram is left out */
    /* FRAGMENT: which piece of which datagram this is. */
    uint32_t id;
    uint16_t offset; /* bytes before it */
    bool more;       /* and behind it */
};

/*
 * Classifies a frame of `length` bytes. MACs are filled for every frame of 14 bytes, IP addresses
 * for UDP, FRAGMENT and EXTENDED (whose ports are 0), the rest as said above. Source addresses that
 * no host has are OTHER: the kernel drops those.
 *
 * A tag of VLAN 0 (a priority, IEEE 802.1Q §6.9) and IPv4 options are passed over, as are IPv6
 * hop-by-hop (in front) and destination options whose senders allow that, and the header of a
 * fragment that is all of its datagram (RFC 6946). EXTENDED are: source routes (RFC 5095, 7126),
 * options that must be understood (RFC 8200 §4.2), other IPv6 headers, and more than four of them.
 * RFC 791, 768, 8200.
 */
enum io_frame_class io_frame_parse(const uint8_t *bytes, uint32_t length, struct io_frame *ret);

/*
 * Completes the description of a datagram that was joined from fragments, `frame` being one of
 * them: ports, udp, payload and length, as offsets into these bytes; ip and packet stay the
 * fragment's. UDP, TRUNCATED or OTHER.
 */
enum io_frame_class io_frame_joined(const uint8_t *bytes, uint32_t length, struct io_frame *frame);

/* Whether the checksum of a frame that was classed UDP holds. None (0) is allowed in IPv4 alone. */
bool io_frame_udp_good(const uint8_t *bytes, const struct io_frame *frame);

/* Bytes of Ethernet, IP and UDP headers towards a destination. */
uint32_t io_frame_headers(const struct sip_ip *dst);

/*
 * Writes io_frame_headers(&dst->ip) bytes at `bytes`; `length` bytes of payload (≤ 65,535 less the
 * headers) lie behind them. Both addresses are of one family. `id` is the IPv4 identification.
 * Checksums are filled in; TTL 64; DF is not set: an IPv4 router on a narrow path cuts for us, so
 * only IPv6 paths have an MTU to be learnt.
 */
void io_frame_build(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6],
                    const struct sip_addr *src, const struct sip_addr *dst, uint32_t length,
                    uint16_t id);

/* The same of Ethernet and IP alone, in front of `udp_length` bytes of a UDP datagram, whose
 * checksum is its sender's. */
void io_frame_build_ip(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6],
                       const struct sip_ip *src, const struct sip_ip *dst, uint32_t udp_length,
                       uint16_t id);

/* Writes the IO_ETHER_BYTES in front of the IP packet that lies behind them. */
void io_frame_wrap(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6]);

/* Bytes of Ethernet and outer IP header towards a tunnel's end. */
uint32_t io_frame_tunnel_headers(const struct sip_ip *dst);

/*
 * Writes io_frame_tunnel_headers(dst) bytes at `bytes`; an IP packet of `length` bytes, of either
 * version, lies behind them and stays as it is (RFC 2003, RFC 2473, RFC 4213). src and dst are of
 * one family, the packet fits behind the outer header. The outer header: `id` as above; hop limit
 * 64; the packet's DSCP, and no ECN since the end may not carry it over (RFC 6040 §4.1); DF is
 * never set, though RFC 2003 §3.1 has it taken over: no sender is told of what does not fit, so
 * it is cut.
 */
void io_frame_tunnel(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6],
                     const struct sip_ip *src, const struct sip_ip *dst, uint32_t length,
                     uint16_t id);

void io_frame_set_macs(uint8_t *bytes, const uint8_t src_mac[6], const uint8_t dst_mac[6]);

/* The destination address of a frame whose IP header follows Ethernet's. */
struct sip_ip io_frame_destination(const uint8_t *bytes);

/*
 * Writes fragment n (from 0) of a frame whose IP packet is longer than `mtu` (≥ IO_MTU_MIN, a
 * path's in IPv6) into `out`, which takes IO_ETHER_BYTES + mtu bytes. IPv4 packets may have options
 * and be fragments themselves; in IPv6 no extension header. `id` identifies the datagram (IPv6;
 * IPv4 has it in its header). Returns the fragment's length; 0: there is none with that number, or
 * the frame cannot be cut. RFC 791 §3.2, RFC 8200 §4.5.
 */
uint32_t io_frame_fragment(const uint8_t *frame, uint32_t length, uint32_t mtu, uint32_t id,
                           uint32_t n, uint8_t *out);

#endif
