/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of dataplane/sip/ip.c: RFC 3261 §25.1 hosts, RFC 4291 and RFC 5952 text, RFC 5118. */
#include "dataplane/sip/ip.h"

#include "tests/unit/dataplane/sip/test_sip.h"

/* An address as written, and as printed; NULL: refused. */
static const char *const texts[][2] = {
    {"192.0.2.1", "192.0.2.1"},
    {"0.0.0.0", "0.0.0.0"},
    {"255.255.255.255", "255.255.255.255"},
    {"192.000.002.001", "192.0.2.1"}, /* 1*3DIGIT, decimal */
    {"[2001:db8::1]", "[2001:db8::1]"},
    {"[2001:DB8:0:0:0:0:0:1]", "[2001:db8::1]"}, /* RFC 5952 §4.3 */
    {"2001:db8::9:255", "[2001:db8::9:255]"},    /* RFC 5118 §4.5: received without brackets */
    {"[::]", "[::]"},
    {"[2001:db8:0:1:1:1:1:1]", "[2001:db8:0:1:1:1:1:1]"}, /* RFC 5952 §4.2.2 */
    {"[2001:0:0:1:0:0:0:1]", "[2001:0:0:1::1]"},          /* RFC 5952 §4.2.3 */
    {"[::ffff:192.0.2.7]", "192.0.2.7"},                  /* RFC 5118 §4.10: mapped is IPv4 here */
    {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]"},
    {"", NULL},
    {"192.0.2", NULL},
    {"192.0.2.", NULL},
    {"192.0.2.256", NULL},
    {"192.0.2.1.1", NULL},
    {"192.0.2.1 ", NULL},
    {"0192.0.2.1", NULL},
    {"192.0..1", NULL},
    {"[", NULL},
    {"[]", NULL},
    {"[2001:db8::1", NULL},
    {"2001:db8::1]", NULL},
    {"[192.0.2.1]", NULL},
    {"[2001:db8:::1]", NULL}, /* RFC 5118 §4.4 */
    {"[fe80::1%eth0]", NULL},
    {"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]", NULL},
    {"example.com", NULL},
};

static void test_parse_print(void **state)
{
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct guard guard = guard_new_text(texts[i][0]);
        struct sip_ip ip, before;
        char text[SIP_IP_TEXT_MAX];
        int result;

        memset(&ip, 0x5a, sizeof(ip));
        before = ip;
        result = sip_ip_parse(guarded(&guard), &ip);
        guard_free(&guard);
        if (texts[i][1] == NULL) {
            assert_int_equal(result, -EINVAL);
            assert_true(sip_ip_equal(&ip, &before));
            continue;
        }
        assert_int_equal(result, 0);
        expect_slice(texts[i][0], sip_slice(text, sip_ip_print(&ip, text)), texts[i][1]);
        assert_int_equal(sip_ip_is_v4(&ip), texts[i][1][0] != '[');
    }
}

static void test_nul_inside(void **state)
{
    struct sip_ip ip;

    assert_int_equal(sip_ip_parse(sip_slice("[::1\0]", 6), &ip), -EINVAL);
    assert_int_equal(sip_ip_parse(sip_slice("1.2.3.4\0", 8), &ip), -EINVAL);
}

static void test_addr(void **state)
{
    struct sip_addr a = {.port = 5060}, b;
    char text[SIP_ADDR_TEXT_MAX];

    a.ip = sip_ip_from_v4((const uint8_t[]){192, 0, 2, 10});
    assert_memory_equal(sip_ip_v4_bytes(&a.ip), ((const uint8_t[]){192, 0, 2, 10}), 4);
    expect_slice("v4", sip_slice(text, sip_addr_print(&a, text)), "192.0.2.10:5060");
    b = a;
    assert_true(sip_addr_equal(&a, &b));
    b.port = 0;
    assert_false(sip_addr_equal(&a, &b));
    expect_slice("no port", sip_slice(text, sip_addr_print(&b, text)), "192.0.2.10");
    memset(b.ip.bytes, 0xff, 16);
    b.ip = sip_ip_from_v6(b.ip.bytes);
    b.port = 65535;
    assert_int_equal(sip_addr_print(&b, text), SIP_ADDR_TEXT_MAX);
    assert_int_equal(sizeof(struct sip_addr), 18);
}

static void test_host(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"example.com", true},
        {"example.com.", true},
        {"a-b.c", true},
        {"kam_1", true},
        {"3com", true},
        {"192.0.2.1", true},
        {"[::1]", true},
        {"x.invalid", true},
        {"", false},
        {"192.0.2.400", false},
        {"2001", false},
        {"1.2.3", false},
        {".example.com", false},
        {"a..b", false},
        {"a b", false},
        {"::1", false},
        {"[::1", false},
        {"a;b", false},
        {"ex\xc3\xa4.com", false},
        {".", false},
        {"[1.2.3.4]", false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct guard guard = guard_new_text(cases[i].text);

        if (sip_host_valid(guarded(&guard)) != cases[i].valid)
            fail_msg("%s", cases[i].text);
        guard_free(&guard);
    }
}

static void test_transport(void **state)
{
    for (int t = SIP_TRANSPORT_UDP; t < SIP_TRANSPORT_COUNT; t++) {
        const char *name = sip_transport_name((enum sip_transport)t);

        assert_int_equal(sip_transport_parse(sip_slice_of(name)), t);
    }
    assert_int_equal(sip_transport_parse(sip_slice_of("wSs")), SIP_TRANSPORT_WSS);
    assert_int_equal(sip_transport_parse(sip_slice_of("SCTP")), SIP_TRANSPORT_NONE);
    assert_int_equal(sip_transport_parse(sip_slice_of("")), SIP_TRANSPORT_NONE);
    assert_int_equal(sip_transport_parse(sip_slice_of("NONE")), SIP_TRANSPORT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_print), cmocka_unit_test(test_nul_inside),
        cmocka_unit_test(test_addr),        cmocka_unit_test(test_host),
        cmocka_unit_test(test_transport),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
