/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of mode direct: where the IP packet of what was received lies, headers that lead it to
 * another MAC address, and tunnels (RFC 2003, RFC 2473, RFC 4213).
 */
#include "tests/unit/dataplane/io/frames.h"

enum { PAYLOAD = 900, CLASS = 0xb9 /* EF, and ECN's "may be marked" */ };

static const uint8_t BACKEND_MAC[6] = {2, 0, 0, 0, 0, 3};

/* A datagram as it arrives, EF; returns the frame's length. */
static uint32_t build_received(uint8_t *bytes, bool v4)
{
    uint32_t length, sum;

    length = v4 ? build(bytes, "192.0.2.21", "192.0.2.10", PAYLOAD)
                : build(bytes, "2001:db8::21", "2001:db8::10", PAYLOAD);
    if (v4) {
        bytes[15] = CLASS;
        bytes[24] = bytes[25] = 0;
        sum = (uint16_t)~fold(plain_sum(bytes + 14, 20, 0));
        bytes[24] = (uint8_t)(sum >> 8);
        bytes[25] = (uint8_t)sum;
    } else {
        bytes[14] = 6 << 4 | CLASS >> 4;
        bytes[15] = (uint8_t)(CLASS << 4);
    }
    return length;
}

/* Padding and a tag of VLAN 0 are no part of the packet; options and other headers are. */
static void test_where_the_packet_is(void **state)
{
    static const uint8_t options[4] = {148, 4, 0, 0}, tag[4] = {0x81, 0, 0xa0, 0};

    for (int v4 = 0; v4 <= 1; v4++) {
        uint8_t bytes[2048] = {0}, tagged[2048];
        uint32_t length = build_received(bytes, v4), packet = length - 14;
        struct io_frame frame;

        assert_int_equal(parse(bytes, length + 20, &frame), IO_FRAME_UDP); /* zeros behind it */
        assert_int_equal(frame.ip, 14);
        assert_int_equal(frame.packet, packet);
        memcpy(tagged, bytes, 12);
        memcpy(tagged + 12, tag, 4);
        memcpy(tagged + 16, bytes + 12, length - 12);
        assert_int_equal(parse(tagged, length + 4, &frame), IO_FRAME_UDP);
        assert_int_equal(frame.ip, 18);
        assert_int_equal(frame.packet, packet);
        if (!v4)
            continue;
        length = add_options(bytes, length, options, 4);
        assert_int_equal(parse(bytes, length, &frame), IO_FRAME_UDP);
        assert_int_equal(frame.ip, 14);
        assert_int_equal(frame.packet, packet + 4);
    }
}

/* Only the MAC addresses change; where a tag was, the packet moves to the front. */
static void test_wrap(void **state)
{
    for (int v4 = 0; v4 <= 1; v4++) {
        uint8_t bytes[2048], before[2048];
        uint32_t length = build_received(bytes, v4);

        memcpy(before, bytes, length);
        memset(bytes, 0xee, 14);
        io_frame_wrap(bytes, OUR_MAC, BACKEND_MAC);
        assert_memory_equal(bytes, BACKEND_MAC, 6);
        assert_memory_equal(bytes + 6, OUR_MAC, 6);
        assert_memory_equal(bytes + 12, before + 12, length - 12);
    }
}

static const struct {
    bool inner4;
    const char *node, *backend;
    uint8_t protocol;
    uint32_t headers;
} tunnels[] = {
    {true, "10.0.0.1", "10.0.0.11", 4, 34},
    {false, "10.0.0.1", "10.0.0.11", 41, 34},
    {true, "fd00:10::1", "fd00:10::11", 4, 54},
    {false, "fd00:10::1", "fd00:10::11", 41, 54},
};

enum { TUNNELS = sizeof(tunnels) / sizeof(tunnels[0]) };

/* Encapsulates what was received; returns the frame's length. `ret_inner` is the packet. */
static uint32_t build_tunnel(uint8_t *bytes, size_t row, uint8_t *ret_inner, uint32_t *ret_packet)
{
    struct sip_addr node = addr(tunnels[row].node, 0), backend = addr(tunnels[row].backend, 5060);
    uint32_t headers = io_frame_tunnel_headers(&backend.ip);
    uint8_t received[2048];

    assert_int_equal(headers, tunnels[row].headers);
    *ret_packet = build_received(received, tunnels[row].inner4) - 14;
    memcpy(ret_inner, received + 14, *ret_packet);
    memset(bytes, 0xee, headers);
    memcpy(bytes + headers, ret_inner, *ret_packet);
    io_frame_tunnel(bytes, OUR_MAC, BACKEND_MAC, &node.ip, &backend.ip, *ret_packet, 0x4321);
    return headers + *ret_packet;
}

static void test_tunnel(void **state)
{
    for (size_t i = 0; i < TUNNELS; i++) {
        struct sip_addr node = addr(tunnels[i].node, 0), backend = addr(tunnels[i].backend, 0);
        bool outer4 = tunnels[i].headers == 34;
        uint8_t bytes[2048], inner[2048], *ip = bytes + 14;
        uint32_t packet, length = build_tunnel(bytes, i, inner, &packet);
        struct sip_ip to = io_frame_destination(bytes);

        assert_memory_equal(bytes, BACKEND_MAC, 6);
        assert_memory_equal(bytes + 6, OUR_MAC, 6);
        assert_true(sip_ip_equal(&to, &backend.ip));
        assert_memory_equal(bytes + tunnels[i].headers, inner, packet);
        if (outer4) {
            assert_memory_equal(bytes + 12, "\x08\x00\x45", 3);
            assert_int_equal(ip[1], CLASS & ~3);
            assert_int_equal(ip[2] << 8 | ip[3], length - 14);
            assert_memory_equal(ip + 4, "\x43\x21\x00\x00\x40", 5); /* id, no DF, TTL 64 */
            assert_int_equal(ip[9], tunnels[i].protocol);
            assert_int_equal(fold(plain_sum(ip, 20, 0)), 0xffff);
            assert_memory_equal(ip + 12, sip_ip_v4_bytes(&node.ip), 4);
        } else {
            assert_memory_equal(bytes + 12, "\x86\xdd", 2);
            assert_int_equal(ip[0], 0x60 | CLASS >> 4);
            assert_int_equal(ip[1], (CLASS & ~3 & 15) << 4);
            assert_memory_equal(ip + 2, "\0\0", 2);
            assert_int_equal(ip[4] << 8 | ip[5], packet);
            assert_int_equal(ip[6], tunnels[i].protocol);
            assert_int_equal(ip[7], 64);
            assert_memory_equal(ip + 8, node.ip.bytes, 16);
        }
    }
}

/* A tunnel's packet that is too long for the wire is cut outside: the pieces' contents, put
 * together, are the packet inside. */
static void test_tunnel_is_cut(void **state)
{
    for (size_t i = 0; i < TUNNELS; i++) {
        bool outer4 = tunnels[i].headers == 34;
        uint32_t front = outer4 ? 34 : 62, packet, done = 0, n = 0;
        uint8_t bytes[2048], inner[2048], joined[2048], out[600];
        uint32_t length = build_tunnel(bytes, i, inner, &packet);

        for (;; n++) {
            uint32_t size = io_frame_fragment(bytes, length, 576, 7, n, out);

            if (size == 0)
                break;
            assert_true(size <= 14 + 576);
            assert_int_equal(out[outer4 ? 23 : 54], tunnels[i].protocol);
            memcpy(joined + done, out + front, size - front);
            done += size - front;
        }
        assert_int_equal(n, 2);
        assert_int_equal(done, packet);
        assert_memory_equal(joined, inner, packet);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_the_packet_is),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_tunnel),
        cmocka_unit_test(test_tunnel_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
