/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: what is read out of bytes flush against a page that cannot be read, what is written, and
 * that the one understands the other. Checksums are verified by a sum of their own.
 */
#include "tests/unit/dataplane/io/frames.h"

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
        {"VLAN tag", false, 12, 0x81, IO_FRAME_VLAN},
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
    longer[20] = 0; /* hop-by-hop, of padding */
    assert_int_equal(parse(longer, length + 8, &frame), IO_FRAME_UDP);
    assert_int_equal(frame.payload, 70);
    assert_int_equal(frame.length, 5);
    assert_true(checksum_good);
    longer[55] = 200; /* longer than the packet */
    assert_int_equal(parse(longer, length + 8, &frame), IO_FRAME_EXTENDED);
    longer[55] = 0;
    longer[20] = 43; /* routing */
    assert_int_equal(parse(longer, length + 8, &frame), IO_FRAME_EXTENDED);
    longer[20] = 44; /* fragment, that is all of its datagram (RFC 6946) */
    assert_int_equal(parse(longer, length + 8, &frame), IO_FRAME_UDP);
    assert_int_equal(frame.payload, 70);
    longer[57] = 1; /* and not */
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

/* What a chain of IPv6 headers between IP and UDP makes of a datagram (RFC 8200 §4, RFC 5095). */
static void test_extensions(void **state)
{
    static const struct {
        const char *what;
        uint8_t first;
        uint8_t chain[48]; /* its headers; the last one's next header is 17 */
        uint32_t length;
        enum io_frame_class class;
    } rows[] = {
        {"none", 17, {0}, 0, IO_FRAME_UDP},
        {"destination options", 60, {17, 0, 1, 4}, 8, IO_FRAME_UDP},
        {"hop-by-hop, destination", 0, {60, 0, 1, 4, 0, 0, 0, 0, 17, 0}, 16, IO_FRAME_UDP},
        {"hop-by-hop behind", 60, {0, 0, 1, 4, 0, 0, 0, 0, 17, 0}, 16, IO_FRAME_EXTENDED},
        {"router alert", 0, {17, 0, 5, 2, 0, 0, 1, 0}, 8, IO_FRAME_UDP},
        {"an option unknown, passed over", 60, {17, 0, 0x3e, 4}, 8, IO_FRAME_UDP},
        {"an option that must be known", 60, {17, 0, 0x7e, 4}, 8, IO_FRAME_EXTENDED},
        {"jumbogram", 0, {17, 0, 0xc2, 4}, 8, IO_FRAME_EXTENDED},
        {"an option past its header", 60, {17, 0, 1, 5}, 8, IO_FRAME_EXTENDED},
        {"half an option", 60, {17, 0, 1, 3, 0, 0, 0, 1}, 8, IO_FRAME_EXTENDED},
        {"routing type 0", 43, {17, 0, 0, 1}, 8, IO_FRAME_EXTENDED},
        {"authentication", 51, {17, 0}, 8, IO_FRAME_EXTENDED},
        {"four",
         60,
         {60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0,
          60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0},
         32,
         IO_FRAME_UDP},
        {"five",
         60,
         {60, 0, 1, 4, 0,  0, 0, 0, 60, 0, 1, 4, 0,  0, 0, 0, 60, 0, 1, 4,
          0,  0, 0, 0, 60, 0, 1, 4, 0,  0, 0, 0, 17, 0, 1, 4, 0,  0, 0, 0},
         40,
         IO_FRAME_EXTENDED},
        {"a piece", 44, {17, 0, 0, 9, 0, 1, 2, 3}, 8, IO_FRAME_FRAGMENT},
        {"a piece of options", 44, {60, 0, 0, 8, 0, 1, 2, 3}, 8, IO_FRAME_EXTENDED},
        {"a piece of ICMP", 44, {58, 0, 0, 8, 0, 1, 2, 3}, 8, IO_FRAME_OTHER},
        {"all of it, then options", 44, {60, 0, 0, 0, 0, 1, 2, 3, 17, 0, 1, 4}, 16, IO_FRAME_UDP},
        {"TCP behind options", 60, {6, 0, 1, 4}, 8, IO_FRAME_OTHER},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t bytes[256], longer[256];
        struct io_frame frame;
        uint32_t length = build(bytes, "2001:db8::10", "2001:db8::21", 5), n = rows[i].length;

        memcpy(longer, bytes, 54);
        memcpy(longer + 54, rows[i].chain, n);
        memcpy(longer + 54 + n, bytes + 54, length - 54);
        longer[19] = (uint8_t)(bytes[19] + n);
        longer[20] = rows[i].first;
        if (parse(longer, length + n, &frame) != rows[i].class)
            fail_msg("%s", rows[i].what);
        if (rows[i].class == IO_FRAME_UDP)
            assert_int_equal(frame.payload, 62 + n);
        if (rows[i].class == IO_FRAME_FRAGMENT) {
            assert_int_equal(frame.payload, 54 + n);
            assert_int_equal(frame.length, 13);
            assert_int_equal(frame.id, 0x010203);
            assert_int_equal(frame.offset, 8);
            assert_true(frame.more);
        }
    }
}

/* A tag of VLAN 0 is a priority and passed over; any other is the kernel's (IEEE 802.1Q §6.9). */
static void test_tags(void **state)
{
    static const struct {
        const char *what;
        uint8_t tags[8];
        uint32_t length;
        enum io_frame_class class;
    } rows[] = {
        {"priority", {0x81, 0, 0xa0, 0}, 4, IO_FRAME_UDP},
        {"VLAN 1", {0x81, 0, 0, 1}, 4, IO_FRAME_VLAN},
        {"VLAN 256", {0x81, 0, 1, 0}, 4, IO_FRAME_VLAN},
        {"of a provider", {0x88, 0xa8, 0, 1}, 4, IO_FRAME_VLAN},
        {"two", {0x88, 0xa8, 0, 1, 0x81, 0, 0, 1}, 8, IO_FRAME_VLAN},
        {"a priority, and VLAN 1", {0x81, 0, 0, 0, 0x81, 0, 0, 1}, 8, IO_FRAME_VLAN},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t bytes[256], longer[256];
        struct io_frame frame;
        uint32_t length = build(bytes, "192.0.2.10", "192.0.2.21", 5), n = rows[i].length;

        memcpy(longer, bytes, 12);
        memcpy(longer + 12, rows[i].tags, n);
        memcpy(longer + 12 + n, bytes + 12, length - 12);
        if (parse(longer, length + n, &frame) != rows[i].class)
            fail_msg("%s", rows[i].what);
        if (rows[i].class != IO_FRAME_UDP)
            continue;
        assert_int_equal(frame.payload, 42 + n);
        assert_true(checksum_good);
        for (uint32_t cut = 0; cut < length + n; cut++)
            assert_int_equal(parse(longer, cut, &frame), IO_FRAME_TRUNCATED);
    }
}

/* IPv4 options are passed over but for those that name routers (RFC 7126 §4.3, 4.4). */
static void test_options(void **state)
{
    static const struct {
        uint8_t options[40];
        uint32_t n;
        enum io_frame_class class;
    } rows[] = {
        {{0}, 4, IO_FRAME_UDP},
        {{1, 1, 1, 0}, 4, IO_FRAME_UDP},
        {{7, 7, 4, 0, 0, 0, 0, 0}, 8, IO_FRAME_UDP},
        {{148, 4, 0, 0}, 4, IO_FRAME_UDP},
        {{131, 7, 4, 10, 0, 0, 1, 0}, 8, IO_FRAME_EXTENDED},
        {{1, 137, 7, 4, 10, 0, 0, 1}, 8, IO_FRAME_EXTENDED},
        {{148, 4, 0, 0, 137, 3, 4, 0}, 8, IO_FRAME_EXTENDED},
        {{0, 131, 7, 4}, 4, IO_FRAME_UDP}, /* behind the end */
        {{7, 0, 0, 0}, 4, IO_FRAME_UDP},   /* malformed, harmless to us */
        {{7, 255, 0, 0}, 4, IO_FRAME_UDP},
        {{1, 1, 1, 7}, 4, IO_FRAME_UDP},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t bytes[256];
        struct io_frame frame;
        uint32_t length = build(bytes, "192.0.2.10", "192.0.2.21", 5);

        length = add_options(bytes, length, rows[i].options, rows[i].n);
        assert_int_equal(parse(bytes, length, &frame), rows[i].class);
        if (rows[i].class == IO_FRAME_UDP)
            assert_int_equal(frame.payload, 42 + rows[i].n);
    }
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

/* A frame with a tag of VLAN 0 in it says the same, by the way of all frames that are not plain. */
static void compare_with_tagged(const uint8_t *bytes, uint32_t length)
{
    uint8_t tagged[256];
    struct io_frame plain, other;
    enum io_frame_class class = parse(bytes, length, &plain);

    memcpy(tagged, bytes, 12);
    memcpy(tagged + 12, "\x81\x00\x00\x00", 4);
    memcpy(tagged + 16, bytes + 12, length - 12);
    assert_int_equal(parse(tagged, length + 4, &other), class);
    if (class != IO_FRAME_UDP)
        return;
    assert_true(sip_addr_equal(&plain.src, &other.src) && sip_addr_equal(&plain.dst, &other.dst));
    assert_memory_equal(plain.src_mac, other.src_mac, 6);
    assert_memory_equal(plain.dst_mac, other.dst_mac, 6);
    assert_int_equal(plain.ip + 4, other.ip);
    assert_int_equal(plain.udp + 4, other.udp);
    assert_int_equal(plain.payload + 4, other.payload);
    assert_int_equal(plain.packet, other.packet);
    assert_int_equal(plain.length, other.length);
    assert_int_equal(plain.id, other.id);
    assert_int_equal(plain.offset, other.offset);
    assert_int_equal(plain.more, other.more);
}

/* The short way for plain frames takes none that it should not, and understands it alike. */
static void test_plain(void **state)
{
    static const char *const hosts[][2] = {{"192.0.2.1", "192.0.2.2"},
                                           {"2001:db8::1", "2001:db8::2"}};

    srand(11);
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t family = i % 2, headers = family == 0 ? 42 : 62, changed;
        uint8_t bytes[128];
        uint32_t length = build(bytes, hosts[family][0], hosts[family][1], (uint32_t)rand() % 9);

        for (changed = i % 4; changed > 0; changed--)
            bytes[14 + (uint32_t)rand() % (headers - 14)] = (uint8_t)(rand() % 3 == 0 ? 0 : rand());
        if (family == 0 && rand() % 2 == 0) { /* right again, so that it is not what fails first */
            uint16_t sum;

            bytes[24] = bytes[25] = 0;
            sum = (uint16_t)~fold(plain_sum(bytes + 14, 20, 0));
            bytes[24] = (uint8_t)(sum >> 8);
            bytes[25] = (uint8_t)sum;
        }
        if (rand() % 8 == 0)
            length -= (uint32_t)rand() % (length - 14);
        compare_with_tagged(bytes, length);
    }
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
        cmocka_unit_test(test_extensions),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_macs_and_destination),
        cmocka_unit_test(test_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
