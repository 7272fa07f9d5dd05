/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers and checksums as they stand in packets: for the files of io/ that read and write headers,
 * and for nobody else.
 */
#ifndef TANDEM_IO_WIRE_H
#define TANDEM_IO_WIRE_H

#include <string.h>

#include "dataplane/sip/ip.h"

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_IPV6 = 0x86dd,
    PROTOCOL_ICMP = 1,
    PROTOCOL_IPV4 = 4, /* inside IP */
    PROTOCOL_UDP = 17,
    PROTOCOL_IPV6 = 41,
    PROTOCOL_FRAGMENT = 44,
    PROTOCOL_ICMPV6 = 58,
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

/* Adds to a ones' complement sum in the order of the bytes in memory (RFC 1071 §2.B). */
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

/* Folds a sum into the checksum, in memory order: to be stored by memcpy. */
static inline uint16_t sum_end(uint64_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static inline void store_sum(uint8_t *at, uint64_t sum)
{
    uint16_t checksum = sum_end(sum);

    memcpy(at, &checksum, sizeof(checksum));
}

/* The sum over pseudo header, header and payload (RFC 768, RFC 8200 §8.1). */
static inline uint64_t transport_sum(uint8_t protocol, const struct sip_ip *src,
                                     const struct sip_ip *dst, const uint8_t *at, uint32_t length)
{
    uint8_t tail[4] = {0, protocol, 0, 0};
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
    return sum_add(sum, at, length);
}

#endif
