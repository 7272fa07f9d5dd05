/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers and checksums as they stand in packets: for the files of io/ that read and write headers,
 * and for nobody else.
 */
#ifndef TANDEM_IO_WIRE_H
#define TANDEM_IO_WIRE_H

#include <string.h>

#include "dataplane/io/sum.h"
#include "dataplane/sip/ip.h"

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_IPV6 = 0x86dd,
    PROTOCOL_HOP_BY_HOP = 0,
    PROTOCOL_ICMP = 1,
    PROTOCOL_IPV4 = 4, /* inside IP */
    PROTOCOL_UDP = 17,
    PROTOCOL_IPV6 = 41,
    PROTOCOL_ROUTING = 43,
    PROTOCOL_FRAGMENT = 44,
    PROTOCOL_ESP = 50,
    PROTOCOL_AH = 51,
    PROTOCOL_ICMPV6 = 58,
    PROTOCOL_OPTIONS = 60,
    PROTOCOL_MOBILITY = 135,
    IPV4_MORE_FRAGMENTS = 0x2000,
    IPV4_OFFSET_MASK = 0x1fff,
    IPV6_FRAGMENT_BYTES = 8,
};

static inline uint16_t load16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t load32(const uint8_t *at)
{
    return (uint32_t)load16(at) << 16 | load16(at + 2);
}

static inline void store16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void store32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

/* Whether an IPv6 header's next one is an extension header. */
static inline bool is_extension(uint8_t protocol)
{
    switch (protocol) {
    case PROTOCOL_HOP_BY_HOP:
    case PROTOCOL_ROUTING:
    case PROTOCOL_FRAGMENT:
    case PROTOCOL_OPTIONS:
    case PROTOCOL_ESP:
    case PROTOCOL_AH:
    case PROTOCOL_MOBILITY:
        return true;
    default:
        return false;
    }
}

/* As io_sum_add, of a few bytes. */
static inline uint64_t sum_add(uint64_t sum, const uint8_t *at, uint32_t length)
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

/* Folds a sum into the checksum, in memory order: to be stored by memcpy. To add the halves the
 * other way around brings each half's carry into the other: the upper one is their sum then, and no
 * branch depends on how many carries there were. */
static inline uint16_t sum_end(uint64_t sum)
{
    uint32_t folded;

    sum += sum >> 32 | sum << 32;
    folded = (uint32_t)(sum >> 32);
    folded += folded >> 16 | folded << 16;
    return (uint16_t)~(folded >> 16);
}

static inline void store_sum(uint8_t *at, uint64_t sum)
{
    uint16_t checksum = sum_end(sum);

    memcpy(at, &checksum, sizeof(checksum));
}

/* A number as its two bytes in the packet count in such a sum. */
static inline uint64_t sum_of(uint32_t number)
{
    uint8_t bytes[2];
    uint16_t half;

    store16(bytes, number);
    memcpy(&half, bytes, sizeof(half));
    return half;
}

/* The sum over a pseudo header (RFC 768, RFC 8200 §8.1), to which `length` bytes are added. */
static inline uint64_t pseudo_sum(bool v4, uint8_t protocol, const struct sip_ip *src,
                                  const struct sip_ip *dst, uint32_t length)
{
    uint64_t sum = sum_of(protocol) + sum_of(length);

    if (v4)
        return sum_add(sum_add(sum, sip_ip_v4_bytes(src), 4), sip_ip_v4_bytes(dst), 4);
    sum = sum_add(sum, src->bytes, sizeof(src->bytes));
    return sum_add(sum, dst->bytes, sizeof(dst->bytes));
}

/* The sum over pseudo header, header and payload. */
static inline uint64_t transport_sum(uint8_t protocol, const struct sip_ip *src,
                                     const struct sip_ip *dst, const uint8_t *at, uint32_t length)
{
    return io_sum_add(pseudo_sum(sip_ip_is_v4(dst), protocol, src, dst, length), at, length);
}

#endif
