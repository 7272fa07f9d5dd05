/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames in pieces: cut into fragments, joined from them, and what a router says of those that were
 * too big.
 */
#include "tests/unit/dataplane/io/frames.h"

/* Frames of others: options are kept, a fragment's pieces are the fragment, and what cannot be cut
 * is not. */
static void test_cut_again(void **state)
{
    static const uint8_t options[4] = {148, 4, 0, 0};
    uint8_t bytes[4096], joined[4096], piece[1514], out[1514];
    struct io_frame frame, last;
    uint32_t length, size, done = 0;

    length = add_options(bytes, build(bytes, "192.0.2.10", "192.0.2.21", 3000), options, 4);
    size = io_frame_fragment(bytes, length, 1500, 0, 0, piece);
    assert_int_equal(size, 14 + 24 + 1472);
    assert_int_equal(parse(piece, size, &last), IO_FRAME_FRAGMENT);
    size = io_frame_fragment(bytes, length, 1500, 0, 1, piece);
    assert_int_equal(parse(piece, size, &last), IO_FRAME_FRAGMENT);
    assert_int_equal(last.offset, 1472);
    assert_memory_equal(piece + 34, options, 4);
    for (uint32_t n = 0;; n++) {
        uint32_t got = io_frame_fragment(piece, size, 576, 0, n, out);

        if (got == 0)
            break;
        assert_int_equal(parse(out, got, &frame), IO_FRAME_FRAGMENT);
        assert_int_equal(frame.offset, last.offset + done);
        assert_true(frame.more);
        assert_int_equal(frame.id, last.id);
        memcpy(joined + done, out + frame.payload, frame.length);
        done += frame.length;
    }
    assert_int_equal(done, last.length);
    assert_memory_equal(joined, piece + last.payload, done);

    length = build(bytes, "192.0.2.10", "192.0.2.21", 3000);
    bytes[14] = 0x44; /* no header */
    assert_int_equal(io_frame_fragment(bytes, length, 1500, 0, 0, out), 0);
    bytes[14] = 0x45;
    bytes[16] = 0xff; /* longer than the frame */
    assert_int_equal(io_frame_fragment(bytes, length, 1500, 0, 0, out), 0);
    length = build(bytes, "2001:db8::10", "2001:db8::21", 3000);
    bytes[20] = 0; /* headers that belong in front of the fragment header */
    assert_int_equal(io_frame_fragment(bytes, length, 1500, 0, 0, out), 0);
    bytes[12] = 8; /* ARP's kind */
    bytes[13] = 6;
    assert_int_equal(io_frame_fragment(bytes, length, 1500, 0, 0, out), 0);
    for (uint32_t cut = 0; cut < 54; cut++)
        assert_int_equal(io_frame_fragment(bytes, cut, 1500, 0, 0, out), 0);
}

/* ---- Packet Too Big ---- */

/* A router's message about the first `quoted` bytes of an IP packet; returns its length. */
static uint32_t build_too_big(uint8_t *bytes, const uint8_t *packet, uint32_t quoted, uint32_t mtu)
{
    uint32_t size = 8 + quoted, sum;

    build(bytes, "2001:db8:ff::1", "2001:db8::10", size - 8);
    bytes[20] = 58;
    memset(bytes + 54, 0, 8);
    bytes[54] = 2;
    bytes[60] = (uint8_t)(mtu >> 8);
    bytes[61] = (uint8_t)mtu;
    memcpy(bytes + 62, packet, quoted);
    sum = (uint16_t)~fold(plain_sum(bytes + 54, size, plain_sum(bytes + 22, 32, 58 + size)));
    bytes[56] = (uint8_t)(sum >> 8);
    bytes[57] = (uint8_t)sum;
    return 54 + size;
}

static bool too_big(const uint8_t *bytes, uint32_t length, struct io_too_big *ret)
{
    struct guard guard = guard_new(bytes, length);
    bool is = io_frame_too_big((const uint8_t *)guard.at, length, ret);

    guard_free(&guard);
    return is;
}

static void test_too_big(void **state)
{
    struct sip_addr src = addr("2001:db8::10", 5060), dst = addr("2001:db8::21", 5099);
    uint8_t datagram[2048], piece[1514], bytes[1600];
    struct io_too_big read;
    uint32_t length, size = build(datagram, "2001:db8::10", "2001:db8::21", 1900);

    /* About a whole datagram, and about the first piece of one. */
    io_frame_fragment(datagram, size, 1500, 7, 0, piece);
    for (uint32_t i = 0; i < 2; i++) {
        length = build_too_big(bytes, (i == 0 ? datagram : piece) + 14, 400, 1400);
        assert_true(too_big(bytes, length, &read));
        assert_true(sip_addr_equal(&read.src, &src));
        assert_true(sip_addr_equal(&read.dst, &dst));
        assert_int_equal(read.mtu, 1400);
    }
    for (uint32_t bit = 20 * 8; bit < length * 8; bit++) { /* damaged anywhere */
        if (bit / 8 == 21)
            continue; /* but in the hop limit, which no checksum covers */
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(too_big(bytes, length, &read));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (uint32_t cut = 0; cut < length; cut++)
        assert_false(too_big(bytes, cut, &read));
    for (uint32_t quoted = 0; quoted < 56; quoted++) {
        length = build_too_big(bytes, datagram + 14, quoted, 1400);
        assert_false(too_big(bytes, length, &read));
    }
    /* A later piece names no ports, TCP's are none of ours. */
    io_frame_fragment(datagram, size, 1500, 7, 1, piece);
    length = build_too_big(bytes, piece + 14, 400, 1400);
    assert_false(too_big(bytes, length, &read));
    datagram[20] = 6;
    length = build_too_big(bytes, datagram + 14, 400, 1400);
    assert_false(too_big(bytes, length, &read));
    /* Nor does a tunnel's packet, of IPv4 or IPv6: its addresses suffice. */
    for (uint32_t i = 0; i < 2; i++) {
        datagram[20] = i == 0 ? 4 : 41;
        length = build_too_big(bytes, datagram + 14, 400, 1400);
        assert_true(too_big(bytes, length, &read));
        assert_true(sip_ip_equal(&read.src.ip, &src.ip));
        assert_true(sip_ip_equal(&read.dst.ip, &dst.ip));
        assert_int_equal(read.src.port, 0);
        assert_int_equal(read.dst.port, 0);
    }
}

/* A datagram that was joined: its UDP header must agree with what there is. */
static void test_joined(void **state)
{
    uint8_t bytes[256];
    uint32_t length = build(bytes, "192.0.2.10", "192.0.2.21", 20);
    struct io_frame frame, joined;

    assert_int_equal(parse(bytes, length, &frame), IO_FRAME_UDP);
    joined = (struct io_frame){.src.ip = frame.src.ip, .dst.ip = frame.dst.ip};
    for (uint32_t cut = 0; cut < 28; cut++)
        assert_int_not_equal(io_frame_joined(bytes + 34, cut, &joined), IO_FRAME_UDP);
    assert_int_equal(io_frame_joined(bytes + 34, 28, &joined), IO_FRAME_UDP);
    assert_true(sip_addr_equal(&joined.src, &frame.src));
    assert_true(sip_addr_equal(&joined.dst, &frame.dst));
    assert_int_equal(joined.payload, 8);
    assert_int_equal(joined.length, 20);
    assert_true(io_frame_udp_good(bytes + 34, &joined));
    bytes[60] ^= 1;
    assert_false(io_frame_udp_good(bytes + 34, &joined));
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
        {"2001:db8::10", "2001:db8::21", 65473, 1280, 54},
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
            assert_int_equal(frame.payload, front);
            assert_int_equal(frame.length, size - front);
            assert_int_equal(frame.offset, done);
            assert_int_equal(frame.more, more);
            assert_int_equal(frame.id, v4 ? 0x1234 : 0xabcdef01);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_again),
        cmocka_unit_test(test_too_big),
        cmocka_unit_test(test_joined),
        cmocka_unit_test(test_fragments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
