/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: what is read out of bytes flush against a page that cannot be read, what is written, and
 * that the one understands the other. Checksums are verified by a sum of their own.
 */
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

static const uint8_t OUR_MAC[6] = {2, 0, 0, 0, 0, 1}, PEER_MAC[6] = {2, 0, 0, 0, 0, 2};

/* Whether the checksum of the datagram that was parsed last holds. */
static bool checksum_good;

static enum io_frame_class parse(const uint8_t *bytes, uint32_t length, struct io_frame *ret)
{
    struct guard guard = guard_new(bytes, length);
    const uint8_t *at = (const uint8_t *)guard.at;
    enum io_frame_class class = io_frame_parse(at, length, ret);

    checksum_good = class == IO_FRAME_UDP && io_frame_udp_good(at, ret);
    guard_free(&guard);
    return class;
}

static struct sip_addr addr(const char *ip, uint16_t port)
{
    struct sip_addr ret = {.port = port};

    assert_int_equal(sip_ip_parse(sip_slice_of(ip), &ret.ip), 0);
    return ret;
}

/* Builds a frame with `length` bytes of payload; returns its length. */
static uint32_t build(uint8_t *bytes, const char *src, const char *dst, uint32_t length)
{
    struct sip_addr from = addr(src, 5060), to = addr(dst, 5099);
    uint32_t headers = io_frame_headers(&to.ip);

    for (uint32_t i = 0; i < length; i++)
        bytes[headers + i] = (uint8_t)(i * 7 + 1);
    io_frame_build(bytes, OUR_MAC, PEER_MAC, &from, &to, length, 0x1234);
    return headers + length;
}

/* RFC 1071, the plain way: bytes in pairs, big-endian. */
static uint32_t plain_sum(const uint8_t *at, size_t length, uint32_t sum)
{
    for (size_t i = 0; i < length; i++)
        sum += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* What a whole, good datagram of ours looks like, for both families and lengths odd and even. */
static void test_build(void **state)
{
    static const struct {
        const char *src, *dst;
        uint32_t length, front;
    } rows[] = {
        {"192.0.2.10", "192.0.2.21", 0, 42},        {"192.0.2.10", "192.0.2.21", 1, 42},
        {"192.0.2.10", "192.0.2.21", 1000, 42},     {"192.0.2.10", "192.0.2.21", 65493, 42},
        {"2001:db8::10", "2001:db8::21", 0, 62},    {"2001:db8::10", "2001:db8::21", 3, 62},
        {"2001:db8::10", "2001:db8::21", 1001, 62},
    };
    uint8_t *bytes = malloc(ROOM);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t length = build(bytes, rows[i].src, rows[i].dst, rows[i].length);
        struct sip_addr src = addr(rows[i].src, 5060), dst = addr(rows[i].dst, 5099);
        bool v4 = rows[i].front == 42;
        uint8_t *udp = bytes + rows[i].front - 8;
        struct io_frame frame;
        uint32_t sum;

        assert_int_equal(length, rows[i].front + rows[i].length);
        assert_int_equal(parse(bytes, length, &frame), IO_FRAME_UDP);
        assert_memory_equal(frame.src_mac, OUR_MAC, 6);
        assert_memory_equal(frame.dst_mac, PEER_MAC, 6);
        assert_true(sip_addr_equal(&frame.src, &src));
        assert_true(sip_addr_equal(&frame.dst, &dst));
        assert_int_equal(frame.payload, rows[i].front);
        assert_int_equal(frame.length, rows[i].length);
        assert_true(checksum_good);
        assert_true(udp[6] != 0 || udp[7] != 0);

        /* Pseudo header: addresses, protocol 17, length; all of it sums up to 0xffff. */
        sum = plain_sum(bytes + (v4 ? 26 : 22), v4 ? 8 : 32, 17 + 8 + rows[i].length);
        assert_int_equal(fold(plain_sum(udp, 8 + rows[i].length, sum)), 0xffff);
        if (v4) {
            assert_int_equal(fold(plain_sum(bytes + 14, 20, 0)), 0xffff);
            assert_int_equal(bytes[18] << 8 | bytes[19], 0x1234);
            assert_int_equal(bytes[20] << 8 | bytes[21], 0);
        }
        assert_int_equal(bytes[v4 ? 22 : 21], 64);
    }
    free(bytes);
}

/* Addresses that no honest frame bears are the kernel's to drop; above all IPv4 ones in IPv6's
 * clothes (RFC 4942 §2.2), which would pass for a backend's. */
static void test_martians(void **state)
{
    static const char *const v4[] = {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.5",
                                     "255.255.255.255"};
    static const uint8_t v6[][16] = {
        {0},                                      /* :: */
        {[15] = 1},                               /* ::1 */
        {[0] = 0xff, [1] = 2, [15] = 1},          /* ff02::1 */
        {[10] = 0xff, [11] = 0xff, 10, 0, 0, 11}, /* ::ffff:10.0.0.11 */
    };
    struct io_frame frame;
    uint8_t bytes[128];
    uint32_t length;

    for (size_t i = 0; i < sizeof(v4) / sizeof(v4[0]); i++) {
        length = build(bytes, v4[i], "192.0.2.21", 20);
        assert_int_equal(parse(bytes, length, &frame), IO_FRAME_OTHER);
    }
    for (size_t i = 0; i < sizeof(v6) / sizeof(v6[0]); i++) {
        length = build(bytes, "2001:db8::10", "2001:db8::21", 20);
        memcpy(bytes + 22, v6[i], 16);
        assert_int_equal(parse(bytes, length, &frame), IO_FRAME_OTHER);
    }
    length = build(bytes, "2001:db8::10", "2001:db8::21", 20);
    memcpy(bytes + 38, v6[3], 16); /* as the destination */
    assert_int_equal(parse(bytes, length, &frame), IO_FRAME_OTHER);
    length = build(bytes, "223.255.255.254", "192.0.2.21", 20);
    assert_int_equal(parse(bytes, length, &frame), IO_FRAME_UDP);
}

/* A checksum that comes out as 0 is sent as 0xffff (RFC 768), and still verifies. */
static void test_zero_checksum(void **state)
{
    struct sip_addr src = addr("192.0.2.10", 5060), dst = addr("192.0.2.21", 5099);
    uint8_t bytes[64] = {0};
    struct io_frame frame;

    io_frame_build(bytes, OUR_MAC, PEER_MAC, &src, &dst, 2, 1);
    memcpy(bytes + 42, bytes + 40, 2); /* a payload that is the sum of the rest */
    io_frame_build(bytes, OUR_MAC, PEER_MAC, &src, &dst, 2, 1);
    assert_int_equal(bytes[40], 0xff);
    assert_int_equal(bytes[41], 0xff);
    assert_int_equal(parse(bytes, 44, &frame), IO_FRAME_UDP);
    assert_true(checksum_good);
}

/* One bit of payload, ports or addresses off: the checksum says so. 0 means none, in IPv4 alone. */
static void test_bad_checksum(void **state)
{
    uint8_t bytes[256];
    struct io_frame frame;
    uint32_t length = build(bytes, "192.0.2.10", "192.0.2.21", 101);

    for (uint32_t bit = 34 * 8; bit < length * 8; bit++) {
        if (bit / 8 >= 38 && bit / 8 < 40)
            continue; /* the length, which is part of the parse */
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(parse(bytes, length, &frame), IO_FRAME_UDP);
        assert_false(checksum_good);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    memset(bytes + 40, 0, 2);
    assert_int_equal(parse(bytes, length, &frame), IO_FRAME_UDP);
    assert_true(checksum_good);

    length = build(bytes, "2001:db8::10", "2001:db8::21", 11);
    memset(bytes + 60, 0, 2);
    assert_int_equal(parse(bytes, length, &frame), IO_FRAME_UDP);
    assert_false(checksum_good);
}

/* One byte of a good frame changed: the class it then has. */
static void test_classes(void **state)
{
    static const struct {
        const char *what;
        bool v6;
        uint32_t at;
        uint8_t value;
        enum io_frame_class class;
    } rows[] = {
        {"ARP", false, 13, 0x06, IO_FRAME_OTHER},
        {"VLAN tag", false, 12, 0x81, IO_FRAME_OTHER},
        {"version 5", false, 14, 0x55, IO_FRAME_OTHER},
        {"header of 16 bytes", false, 14, 0x44, IO_FRAME_OTHER},
        {"header checksum", false, 24, 0xee, IO_FRAME_BAD_CHECKSUM},
        {"TTL, without the checksum", false, 22, 1, IO_FRAME_BAD_CHECKSUM},
        {"longer than the frame", false, 16, 1, IO_FRAME_TRUNCATED},
        {"UDP longer than IP", false, 38, 1, IO_FRAME_TRUNCATED},
        {"UDP of 7 bytes", false, 39, 7, IO_FRAME_OTHER},
        {"version 4 in an IPv6 frame", true, 14, 0x40, IO_FRAME_OTHER},
        {"TCP", true, 20, 6, IO_FRAME_OTHER},
        {"no next header", true, 20, 59, IO_FRAME_OTHER},
        {"longer than the frame", true, 18, 1, IO_FRAME_TRUNCATED},
        {"UDP longer than IP", true, 58, 1, IO_FRAME_TRUNCATED},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t bytes[256];
        struct io_frame frame;
        uint32_t length = rows[i].v6 ? build(bytes, "2001:db8::10", "2001:db8::21", 40)
                                     : build(bytes, "192.0.2.10", "192.0.2.21", 40);

        bytes[rows[i].at] = rows[i].value;
        if (parse(bytes, length, &frame) != rows[i].class)
            fail_msg("%s", rows[i].what);
    }
}

/* Cut anywhere, a frame is never UDP; padded, it is, without the padding. */
static void test_lengths(void **state)
{
    static const char *const pairs[][2] = {{"192.0.2.10", "192.0.2.21"},
                                           {"2001:db8::10", "2001:db8::21"}};

    for (size_t i = 0; i < 2; i++) {
        uint8_t bytes[256] = {0};
        struct io_frame frame;
        uint32_t length = build(bytes, pairs[i][0], pairs[i][1], 4);

        for (uint32_t cut = 0; cut < length; cut++)
            assert_int_equal(parse(bytes, cut, &frame), IO_FRAME_TRUNCATED);
        assert_int_equal(parse(bytes, length + 14, &frame), IO_FRAME_UDP);
        assert_int_equal(frame.length, 4);
    }
}

/* IPv4 options and IPv6 extension headers stand between IP and UDP (RFC 791 §3.1, RFC 8200 §4). */
static void test_headers_between(void **state)
{
    uint8_t bytes[256], longer[256];
    struct io_frame frame;
    uint32_t length = build(bytes, "2001:db8::10", "2001:db8::21", 5);

    memcpy(longer, bytes, 54);
    memset(longer + 54, 0, 8);
    memcpy(longer + 62, bytes + 54, length - 54);
    longer[19] = (uint8_t)(bytes[19] + 8);
    longer[54] = 17;
    longer[20] = 0; /* hop-by-hop */
    assert_int_equal(parse(longer, length + 8, &frame), IO_FRAME_UDP);
    assert_int_equal(frame.payload, 70);
    assert_int_equal(frame.length, 5);
    assert_true(checksum_good);
    longer[55] = 200; /* longer than the packet */
    assert_int_equal(parse(longer, length + 8, &frame), IO_FRAME_OTHER);
    longer[55] = 0;
    longer[20] = 43; /* routing */
    assert_int_equal(parse(longer, length + 8, &frame), IO_FRAME_OTHER);
    longer[20] = 44; /* fragment */
    assert_int_equal(parse(longer, length + 8, &frame), IO_FRAME_FRAGMENT);
    longer[54] = 6; /* of TCP: the kernel's */
    assert_int_equal(parse(longer, length + 8, &frame), IO_FRAME_OTHER);

    length = build(bytes, "192.0.2.10", "192.0.2.21", 5);
    memcpy(longer, bytes, 34);
    memset(longer + 34, 1, 4); /* four no-operations */
    memcpy(longer + 38, bytes + 34, length - 34);
    longer[14] = 0x46;
    longer[17] = (uint8_t)(bytes[17] + 4);
    longer[24] = longer[25] = 0;
    uint16_t sum = (uint16_t)~fold(plain_sum(longer + 14, 24, 0));
    longer[24] = (uint8_t)(sum >> 8);
    longer[25] = (uint8_t)sum;
    assert_int_equal(parse(longer, length + 4, &frame), IO_FRAME_UDP);
    assert_int_equal(frame.payload, 46);
    assert_true(checksum_good);
}

/* Fragments: each fits the MTU, is classed as one, and together they are the datagram. */
static void test_fragments(void **state)
{
    static const struct {
        const char *src, *dst;
        uint32_t length, mtu, fragments;
    } rows[] = {
        {"192.0.2.10", "192.0.2.21", 1473, 1500, 2},
        {"192.0.2.10", "192.0.2.21", 2952, 1500, 2},
        {"192.0.2.10", "192.0.2.21", 2953, 1500, 3},
        {"192.0.2.10", "192.0.2.21", 65493, 576, 119},
        {"2001:db8::10", "2001:db8::21", 1453, 1500, 2},
        {"2001:db8::10", "2001:db8::21", 9000, 1280, 8},
    };
    uint8_t *bytes = malloc(ROOM), *joined = malloc(ROOM), out[1514];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t length = build(bytes, rows[i].src, rows[i].dst, rows[i].length);
        bool v4 = strchr(rows[i].src, ':') == NULL;
        uint32_t front = v4 ? 34 : 62, n = 0, size, done = 0;

        for (;; n++) {
            size = io_frame_fragment(bytes, length, rows[i].mtu, 0xabcdef01, n, out);
            if (size == 0)
                break;
            const uint8_t *field = out + (v4 ? 20 : 56);
            uint32_t offset = (uint32_t)(field[0] << 8 | field[1]);
            bool more = v4 ? (offset & 0x2000) != 0 : (offset & 1) != 0;
            struct io_frame frame;

            assert_true(size <= 14 + rows[i].mtu);
            assert_int_equal(parse(out, size, &frame), IO_FRAME_FRAGMENT);
            assert_int_equal(v4 ? (offset & 0x1fff) * 8 : offset & ~7u, done);
            assert_int_equal(more, n + 1 < rows[i].fragments);
            if (v4)
                assert_int_equal(out[18] << 8 | out[19], 0x1234);
            else
                assert_memory_equal(out + 58, "\xab\xcd\xef\x01", 4);
            memcpy(joined + done, out + front, size - front);
            done += size - front;
        }
        assert_int_equal(n, rows[i].fragments);
        assert_int_equal(done, rows[i].length + 8);
        assert_memory_equal(joined, bytes + (v4 ? 34 : 54), done);
    }
    free(joined);
    free(bytes);
}

static void test_macs_and_destination(void **state)
{
    uint8_t bytes[128];
    struct sip_addr dst = addr("192.0.2.21", 0), dst6 = addr("2001:db8::21", 0);
    struct sip_ip got;

    build(bytes, "192.0.2.10", "192.0.2.21", 4);
    got = io_frame_destination(bytes);
    assert_true(sip_ip_equal(&got, &dst.ip));
    build(bytes, "2001:db8::10", "2001:db8::21", 4);
    got = io_frame_destination(bytes);
    assert_true(sip_ip_equal(&got, &dst6.ip));
    io_frame_set_macs(bytes, PEER_MAC, OUR_MAC);
    assert_memory_equal(bytes, OUR_MAC, 6);
    assert_memory_equal(bytes + 6, PEER_MAC, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_build),
        cmocka_unit_test(test_martians),
        cmocka_unit_test(test_zero_checksum),
        cmocka_unit_test(test_bad_checksum),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_headers_between),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_macs_and_destination),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
