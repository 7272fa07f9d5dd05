/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames in pieces: cut into fragments, and joined from them.
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
        cmocka_unit_test(test_joined),
        cmocka_unit_test(test_fragments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
