/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of ICMP for tests: about the beginning of a packet, in both families. */
#ifndef TANDEM_TEST_IO_ICMPS_H
#define TANDEM_TEST_IO_ICMPS_H

#include "dataplane/io/icmp.h"
#include "tests/unit/dataplane/io/frames.h"

/* A type and code of either family. */
struct kind {
    uint8_t type, code;
};

static const struct kind TOO_BIG6 __attribute__((unused)) = {2, 0};
static const struct kind PORT4 __attribute__((unused)) = {3, 3};
static const struct kind PORT6 __attribute__((unused)) = {1, 4};

static inline void put_sum(uint8_t *at, uint32_t sum)
{
    uint16_t checksum = (uint16_t)~fold(sum);

    at[0] = (uint8_t)(checksum >> 8);
    at[1] = (uint8_t)checksum;
}

/* Makes the checksums of a message without extension headers right. */
static inline void sum_icmp(uint8_t *bytes, uint32_t length)
{
    bool v4 = bytes[14] >> 4 == 4;
    uint32_t header = v4 ? (bytes[14] & 15) * 4u : 40, size = length - 14 - header;
    uint8_t *icmp = bytes + 14 + header;

    icmp[2] = icmp[3] = 0;
    if (v4) {
        bytes[24] = bytes[25] = 0;
        put_sum(bytes + 24, plain_sum(bytes + 14, header, 0));
        put_sum(icmp + 2, plain_sum(icmp, size, 0));
    } else {
        put_sum(icmp + 2, plain_sum(icmp, size, plain_sum(bytes + 22, 32, 58 + size)));
    }
}

/* One from `src` to `dst` about the first `quoted` bytes of an IP packet; returns its length. */
static inline uint32_t build_icmp(uint8_t *bytes, const char *src, const char *dst,
                                  struct kind kind, const uint8_t *packet, uint32_t quoted,
                                  uint32_t mtu)
{
    uint32_t length = build(bytes, src, dst, quoted); /* UDP's header is as long as ICMP's */
    bool v4 = bytes[14] >> 4 == 4;
    uint8_t *icmp = bytes + (v4 ? 34 : 54);

    bytes[v4 ? 23 : 20] = v4 ? 1 : 58;
    memset(icmp, 0, 8);
    icmp[0] = kind.type;
    icmp[1] = kind.code;
    icmp[6] = (uint8_t)(mtu >> 8);
    icmp[7] = (uint8_t)mtu;
    memcpy(icmp + 8, packet, quoted);
    sum_icmp(bytes, length);
    return length;
}

#endif
