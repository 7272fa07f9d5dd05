/* SPDX-License-Identifier: Apache-2.0 */
/* Frames for the tests of io/frame: built by hand, read flush against a page that cannot be read. */
#ifndef TANDEM_TEST_IO_FRAMES_H
#define TANDEM_TEST_IO_FRAMES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/io/frame.h"
#include "tests/unit/guard.h"

enum { ROOM = 66 * 1024 };

static const uint8_t OUR_MAC[6] __attribute__((unused)) = {2, 0, 0, 0, 0, 1};
static const uint8_t PEER_MAC[6] __attribute__((unused)) = {2, 0, 0, 0, 0, 2};

/* Whether the checksum of the datagram that was parsed last holds. */
static bool checksum_good __attribute__((unused));

static inline enum io_frame_class parse(const uint8_t *bytes, uint32_t length, struct io_frame *ret)
{
    struct guard guard = guard_new(bytes, length);
    const uint8_t *at = (const uint8_t *)guard.at;
    enum io_frame_class class = io_frame_parse(at, length, ret);

    checksum_good = class == IO_FRAME_UDP && io_frame_udp_good(at, ret);
    guard_free(&guard);
    return class;
}

static inline struct sip_addr addr(const char *ip, uint16_t port)
{
    struct sip_addr ret = {.port = port};

    assert_int_equal(sip_ip_parse(sip_slice_of(ip), &ret.ip), 0);
    return ret;
}

/* Builds a frame with `length` bytes of payload; returns its length. */
static inline uint32_t build(uint8_t *bytes, const char *src, const char *dst, uint32_t length)
{
    struct sip_addr from = addr(src, 5060), to = addr(dst, 5099);
    uint32_t headers = io_frame_headers(&to.ip);

    for (uint32_t i = 0; i < length; i++)
        bytes[headers + i] = (uint8_t)(i * 7 + 1);
    io_frame_build(bytes, OUR_MAC, PEER_MAC, &from, &to, length, 0x1234);
    return headers + length;
}

/* RFC 1071, the plain way: bytes in pairs, big-endian. */
static inline uint32_t plain_sum(const uint8_t *at, size_t length, uint32_t sum)
{
    for (size_t i = 0; i < length; i++)
        sum += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
    return sum;
}

static inline uint16_t fold(uint32_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}


/* Makes a frame's IPv4 header longer by options; returns the frame's length. */
static inline uint32_t add_options(uint8_t *bytes, uint32_t length, const uint8_t *options, uint32_t n)
{
    uint32_t total = (uint32_t)(bytes[16] << 8 | bytes[17]) + n;
    uint16_t sum;

    memmove(bytes + 34 + n, bytes + 34, length - 34);
    memcpy(bytes + 34, options, n);
    bytes[14] = (uint8_t)(bytes[14] + n / 4);
    bytes[16] = (uint8_t)(total >> 8);
    bytes[17] = (uint8_t)total;
    bytes[24] = bytes[25] = 0;
    sum = (uint16_t)~fold(plain_sum(bytes + 14, 20 + n, 0));
    bytes[24] = (uint8_t)(sum >> 8);
    bytes[25] = (uint8_t)sum;
    return length + n;
}

#endif
