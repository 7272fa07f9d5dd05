/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight bytes of a UDP datagram's payload get other values, and its checksum what becomes of it. Of
 * frames that are Ethernet, IPv4 without options, UDP.
 */
#ifndef TANDEM_PERF_OVERWRITE_H
#define TANDEM_PERF_OVERWRITE_H

#include <stdint.h>
#include <string.h>

enum {
    OVERWRITE_BYTES = 8,
    OVERWRITE_HEADERS = 14 + 20 + 8,
    OVERWRITE_CHECKSUM_AT = 14 + 20 + 6,
    OVERWRITE_WORDS = OVERWRITE_BYTES / 2 + 1, /* that the bytes touch, wherever they begin */
};

static inline uint32_t overwrite_sum(const uint8_t *at)
{
    uint32_t sum = 0;

    for (int i = 0; i < OVERWRITE_WORDS; i++) {
        uint16_t word;

        memcpy(&word, at + 2 * i, sizeof(word));
        sum += word;
    }
    return sum;
}

/* `at`: from the frame's first byte; two bytes behind the eight belong to it too. RFC 1624, 3. */
static inline void overwrite(uint8_t *frame, uint16_t at, const char bytes[OVERWRITE_BYTES])
{
    uint8_t *words = frame + at / 2 * 2;
    uint32_t sum = 0xffffu * OVERWRITE_WORDS - overwrite_sum(words);
    uint16_t checksum;

    memcpy(frame + at, bytes, OVERWRITE_BYTES);
    sum += overwrite_sum(words);
    memcpy(&checksum, frame + OVERWRITE_CHECKSUM_AT, sizeof(checksum));
    sum += (uint16_t)~checksum;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    checksum = (uint16_t)~sum;
    checksum = checksum == 0 ? 0xffff : checksum;
    memcpy(frame + OVERWRITE_CHECKSUM_AT, &checksum, sizeof(checksum));
}

#endif
