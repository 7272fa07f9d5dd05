/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of ICMP about packets of ours: read to the end of what they quote and no further, and
 * refused when they are damaged anywhere.
 */
#include "tests/unit/dataplane/io/icmps.h"

#define V4_FROM "198.51.100.1"
#define V4_US "192.0.2.10"
#define V4_PEER "192.0.2.21"
#define V6_FROM "2001:db8:ff::1"
#define V6_US "2001:db8::10"
#define V6_PEER "2001:db8::21"

enum { MTU = 1400, QUOTED = 400 };

static bool read_icmp(const uint8_t *bytes, uint32_t length, struct io_icmp *ret)
{
    struct guard guard = guard_new(bytes, length);
    bool is = io_icmp_read((const uint8_t *)guard.at, length, ret);

    guard_free(&guard);
    return is;
}

/* The two families, as they are told apart by the tests. */
static const struct family {
    const char *from, *us, *peer;
    struct kind port;    /* unreachable */
    uint32_t ip;         /* bytes of its header */
    uint32_t protocol;   /* where it stands in the frame */
    uint32_t tunnels[2]; /* protocols: IPv4 and IPv6 inside */
} FAMILIES[] = {
    {V4_FROM, V4_US, V4_PEER, {3, 3}, 20, 23, {4, 41}},
    {V6_FROM, V6_US, V6_PEER, {1, 4}, 40, 20, {4, 41}},
};

enum { N_FAMILIES = sizeof(FAMILIES) / sizeof(FAMILIES[0]) };

static uint32_t about(uint8_t *bytes, const struct family *f, const uint8_t *packet,
                      uint32_t quoted)
{
    return build_icmp(bytes, f->from, f->us, f->port, packet, quoted, 0);
}

static void assert_read(const uint8_t *bytes, uint32_t length, const struct family *f,
                        enum io_icmp_kind kind, uint32_t mtu)
{
    struct sip_addr src = addr(f->us, 5060), dst = addr(f->peer, 5099), from = addr(f->from, 0);
    struct io_icmp read;

    assert_true(read_icmp(bytes, length, &read));
    assert_int_equal(read.kind, kind);
    assert_true(sip_ip_equal(&read.from, &from.ip));
    assert_true(sip_addr_equal(&read.src, &src));
    assert_true(sip_addr_equal(&read.dst, &dst));
    assert_int_equal(read.mtu, mtu);
}

/* Which types and codes say what (RFC 792, RFC 4443 §3). */
static void test_kinds(void **state)
{
    static const struct {
        uint32_t family;
        struct kind kind;
        int read; /* enum io_icmp_kind; -1: none */
    } rows[] = {
        {0, {3, 0}, IO_ICMP_UNREACHABLE},
        {0, {3, 1}, IO_ICMP_UNREACHABLE},
        {0, {3, 2}, IO_ICMP_UNREACHABLE},
        {0, {3, 3}, IO_ICMP_UNREACHABLE},
        {0, {3, 4}, -1},
        {0, {3, 13}, IO_ICMP_UNREACHABLE},
        {0, {0, 0}, -1},
        {0, {1, 4}, -1},
        {0, {2, 0}, -1},
        {0, {4, 0}, -1},
        {0, {5, 1}, -1},
        {0, {8, 0}, -1},
        {0, {11, 0}, -1},
        {0, {12, 0}, -1},
        {1, {1, 0}, IO_ICMP_UNREACHABLE},
        {1, {1, 1}, IO_ICMP_UNREACHABLE},
        {1, {1, 3}, IO_ICMP_UNREACHABLE},
        {1, {1, 4}, IO_ICMP_UNREACHABLE},
        {1, {2, 0}, IO_ICMP_TOO_BIG},
        {1, {3, 3}, -1},
        {1, {4, 0}, -1},
        {1, {128, 0}, -1},
        {1, {135, 0}, -1},
        {1, {137, 0}, -1},
    };
    uint8_t datagram[2048], bytes[1600];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct family *f = &FAMILIES[rows[i].family];
        struct io_icmp read;
        uint32_t length;

        build(datagram, f->us, f->peer, 1900);
        length = build_icmp(bytes, f->from, f->us, rows[i].kind, datagram + 14, QUOTED, MTU);
        if (rows[i].read < 0)
            assert_false(read_icmp(bytes, length, &read));
        else
            assert_read(bytes, length, f, (enum io_icmp_kind)rows[i].read,
                        rows[i].read == IO_ICMP_TOO_BIG ? MTU : 0);
    }
}

/* A damaged bit anywhere is seen, but for what no checksum covers: Ethernet's addresses and, in
 * IPv6, the traffic class, flow label and hop limit. */
static void test_damaged(void **state)
{
    uint8_t datagram[2048], bytes[1600];
    struct io_icmp read;

    for (uint32_t i = 0; i < N_FAMILIES; i++) {
        const struct family *f = &FAMILIES[i];
        uint32_t length;

        build(datagram, f->us, f->peer, 1900);
        length = about(bytes, f, datagram + 14, QUOTED);
        assert_read(bytes, length, f, IO_ICMP_UNREACHABLE, 0);
        for (uint32_t bit = 12 * 8; bit < length * 8; bit++) {
            uint32_t byte = bit / 8;
            bool covered =
                i == 0 || !((byte >= 15 && byte < 18) || byte == 21 || (byte == 14 && bit % 8 < 4));

            bytes[byte] ^= (uint8_t)(1 << bit % 8);
            if (read_icmp(bytes, length, &read) == covered)
                fail_msg("family %u, byte %u, bit %u", i, byte, bit % 8);
            bytes[byte] ^= (uint8_t)(1 << bit % 8);
        }
        for (uint32_t cut = 0; cut < length; cut++)
            assert_false(read_icmp(bytes, cut, &read));
        assert_read(bytes, length, f, IO_ICMP_UNREACHABLE, 0);
        memset(bytes + length, 0xa5, 6); /* Ethernet's padding */
        assert_read(bytes, length + 6, f, IO_ICMP_UNREACHABLE, 0);
    }
}

/* As many bytes are quoted as one likes, as long as the ports are among them. */
static void test_quoted(void **state)
{
    uint8_t datagram[2048], bytes[1600];
    struct io_icmp read;

    for (uint32_t i = 0; i < N_FAMILIES; i++) {
        const struct family *f = &FAMILIES[i];
        uint32_t least = f->ip + 8 + (f->ip == 40 ? 8 : 0), length;

        build(datagram, f->us, f->peer, 1000);
        for (uint32_t quoted = 0; quoted < least + 8; quoted++) {
            length = about(bytes, f, datagram + 14, quoted);
            assert_int_equal(read_icmp(bytes, length, &read), quoted >= least);
        }
        datagram[f->protocol] = 6; /* TCP's are none of ours */
        length = about(bytes, f, datagram + 14, QUOTED);
        assert_false(read_icmp(bytes, length, &read));
        datagram[14] = i == 0 ? 0x65 : 0x45; /* of the other family */
        datagram[f->protocol] = 17;
        length = about(bytes, f, datagram + 14, QUOTED);
        assert_false(read_icmp(bytes, length, &read));
    }
}

/* Of a datagram in fragments the first names the ports, and it alone. */
static void test_fragments(void **state)
{
    uint8_t datagram[2048], piece[1514], bytes[1600];
    struct io_icmp read;

    for (uint32_t i = 0; i < N_FAMILIES; i++) {
        const struct family *f = &FAMILIES[i];
        uint32_t size = build(datagram, f->us, f->peer, 1900);

        io_frame_fragment(datagram, size, 1500, 7, 0, piece);
        assert_read(bytes, about(bytes, f, piece + 14, QUOTED), f, IO_ICMP_UNREACHABLE, 0);
        io_frame_fragment(datagram, size, 1500, 7, 1, piece);
        assert_false(read_icmp(bytes, about(bytes, f, piece + 14, QUOTED), &read));
    }
}

/* Options of IPv4, in the message's own header and in the quoted one. */
static void test_options(void **state)
{
    static const uint8_t options[8] = {148, 4, 0, 0, 1, 1, 1, 0};
    const struct family *f = &FAMILIES[0];
    uint8_t datagram[2048], bytes[1600];
    struct io_icmp read;
    uint32_t length;

    add_options(datagram, build(datagram, f->us, f->peer, 1000), options, 8);
    for (uint32_t quoted = 34; quoted < 40; quoted++) {
        length = about(bytes, f, datagram + 14, quoted);
        assert_int_equal(read_icmp(bytes, length, &read), quoted >= 36);
    }
    length = add_options(bytes, length, options, 8);
    assert_read(bytes, length, f, IO_ICMP_UNREACHABLE, 0);
    datagram[14] = 0x44; /* no header */
    length = about(bytes, f, datagram + 14, QUOTED);
    assert_false(read_icmp(bytes, length, &read));
    datagram[14] = 0x4f; /* longer than what is quoted */
    length = about(bytes, f, datagram + 14, 60);
    assert_false(read_icmp(bytes, length, &read));
}

/* A message that comes in fragments itself is not looked at: the rest may say anything. */
static void test_message_in_fragments(void **state)
{
    static const uint8_t fields[][2] = {{0x20, 0}, {0, 1}, {0x1f, 0xff}};
    const struct family *f = &FAMILIES[0];
    uint8_t datagram[2048], bytes[1600];
    struct io_icmp read;
    uint32_t length;

    build(datagram, f->us, f->peer, 1000);
    length = about(bytes, f, datagram + 14, QUOTED);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        memcpy(bytes + 20, fields[i], 2);
        sum_icmp(bytes, length);
        assert_false(read_icmp(bytes, length, &read));
    }
    bytes[20] = 0x40; /* DF, as Linux has it */
    bytes[21] = 0;
    sum_icmp(bytes, length);
    assert_read(bytes, length, f, IO_ICMP_UNREACHABLE, 0);
}

/* A tunnel's packet names no ports: its addresses suffice. */
static void test_tunnels(void **state)
{
    uint8_t datagram[2048], bytes[1600];

    for (uint32_t i = 0; i < N_FAMILIES; i++) {
        const struct family *f = &FAMILIES[i];
        struct sip_addr src = addr(f->us, 0), dst = addr(f->peer, 0);

        build(datagram, f->us, f->peer, 1000);
        for (uint32_t t = 0; t < 2; t++) {
            struct io_icmp read;

            datagram[f->protocol] = (uint8_t)f->tunnels[t];
            assert_true(read_icmp(bytes, about(bytes, f, datagram + 14, QUOTED), &read));
            assert_true(sip_addr_equal(&read.src, &src));
            assert_true(sip_addr_equal(&read.dst, &dst));
        }
    }
}

/* IPv4 addresses dressed as IPv6 ones are on no wire: neither who speaks nor who is spoken of. */
static void test_mapped(void **state)
{
    static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 192, 0, 2, 21};
    static const uint32_t places[] = {22, 38, 54 + 8 + 8, 54 + 8 + 24};
    uint8_t datagram[2048], bytes[1600];
    struct io_icmp read;

    build(datagram, V6_US, V6_PEER, 1000);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        uint32_t length = about(bytes, &FAMILIES[1], datagram + 14, QUOTED);

        memcpy(bytes + places[i], mapped, sizeof(mapped));
        sum_icmp(bytes, length);
        assert_false(read_icmp(bytes, length, &read));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),   cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_quoted),  cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_options), cmocka_unit_test(test_message_in_fragments),
        cmocka_unit_test(test_tunnels), cmocka_unit_test(test_mapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
