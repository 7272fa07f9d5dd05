/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of single values, taken and refused. */
#include "tests/unit/config/sample.h"

#include "config/value.h"

struct number_case {
    const char *text;
    int ret;
    uint64_t number;
};

static void test_durations(void **state)
{
    static const struct number_case cases[] = {
        {"500ms", 0, 500},
        {"30s", 0, 30000},
        {"2m", 0, 120000},
        {"24h", 0, 86400000},
        {"7d", 0, 604800000},
        {"0s", 0, 0},
        {"30", -ENODATA, 0},
        {"", -EINVAL, 0},
        {"s", -EINVAL, 0},
        {"1.5h", -EINVAL, 0},
        {"-1s", -EINVAL, 0},
        {"30 s", -EINVAL, 0},
        {"30S", -EINVAL, 0},
        {"30sec", -EINVAL, 0},
        {"18446744073709551615ms", 0, UINT64_MAX},
        {"18446744073709551616ms", -ERANGE, 0},
        {"18446744073709551615s", -ERANGE, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t ms = 0;

        assert_int_equal(value_duration(cases[i].text, &ms), cases[i].ret);
        assert_int_equal(ms, cases[i].number);
    }
}

static void test_sizes(void **state)
{
    static const struct number_case cases[] = {
        {"64KiB", 0, 65536},
        {"64MiB", 0, 67108864},
        {"2GiB", 0, 2147483648},
        {"64", -ENODATA, 0},
        {"64MB", -EINVAL, 0},
        {"64mib", -EINVAL, 0},
        {"0x40MiB", -EINVAL, 0},
        {"17179869184GiB", -ERANGE, 0},
        {"17179869183GiB", 0, UINT64_C(17179869183) << 30},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t bytes = 0;

        assert_int_equal(value_size(cases[i].text, &bytes), cases[i].ret);
        assert_int_equal(bytes, cases[i].number);
    }
}

static void test_addresses(void **state)
{
    static const char *const good[] = {"192.0.2.10",    "10.0.0.1",        "2001:db8::1",
                                       "[2001:db8::1]", "223.255.255.255", "240.0.0.1",
                                       "fe80::1"};
    static const char *const bad[] = {"",
                                      "host",
                                      "0.0.0.0",
                                      "0.1.2.3",
                                      "224.0.0.1",
                                      "239.255.255.255",
                                      "255.255.255.255",
                                      "::",
                                      "ff02::1",
                                      "192.0.2",
                                      "192.0.2.1/24",
                                      "192.0.2.1 "};
    struct sip_ip ip;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(value_ip(good[i], &ip), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(value_ip(bad[i], &ip), -EINVAL);
}

static void test_prefixes(void **state)
{
    static const struct {
        const char *prefix, *ip;
        bool has;
    } cases[] = {
        {"192.0.2.10/24", "192.0.2.255", true},  {"192.0.2.10/24", "192.0.3.1", false},
        {"192.0.2.10/32", "192.0.2.10", true},   {"192.0.2.10/32", "192.0.2.11", false},
        {"192.0.2.10/25", "192.0.2.127", true},  {"192.0.2.10/25", "192.0.2.128", false},
        {"128.0.0.1/1", "200.0.0.1", true},      {"128.0.0.1/1", "127.0.0.1", false},
        {"2001:db8::1/64", "2001:db8::2", true}, {"2001:db8::1/64", "2001:db8:0:1::2", false},
        {"2001:db8::1/1", "192.0.2.1", false},   {"fd00::1/128", "fd00::1", true},
        {"fd00::1/9", "fd7f::1", true},          {"fd00::1/9", "fd80::1", false},
    };
    static const char *const bad[] = {"192.0.2.10",
                                      "192.0.2.10/",
                                      "192.0.2.10/0",
                                      "192.0.2.10/33",
                                      "192.0.2.10/-1",
                                      "192.0.2.10/2x",
                                      "::1/129",
                                      "/24",
                                      "x/24",
                                      "192.0.2.10/255.255.255.0",
                                      "192.0.2.10/24/24",
                                      "11111111111111111111111111111111111111111111111111/24"};
    struct cfg_prefix prefix;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sip_addr addr = sample_addr(cases[i].ip, 0);

        assert_int_equal(value_prefix(cases[i].prefix, &prefix), 0);
        assert_int_equal(value_prefix_has(&prefix, &addr.ip), cases[i].has);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(value_prefix(bad[i], &prefix), -EINVAL);
}

static void test_networks(void **state)
{
    static const struct {
        const char *text;
        int ret;
        uint8_t length;
        const char *in, *out;
    } cases[] = {
        {"198.51.100.0/24", 0, 24, "198.51.100.9", "198.51.101.9"},
        {"203.0.113.7", 0, 32, "203.0.113.7", "203.0.113.8"},
        {"203.0.113.128/25", 0, 25, "203.0.113.255", "203.0.113.127"},
        {"0.0.0.0/0", 0, 0, "203.0.113.7", "2001:db8::1"},
        {"::/0", 0, 0, "2001:db8::1", "203.0.113.7"},
        {"::1", 0, 128, "::1", "::2"},
        {"2001:db8::/31", 0, 31, "2001:db9::1", "2001:dba::1"},
        {"198.51.100.1/24", -EDOM, 0, NULL, NULL},
        {"203.0.113.64/25", -EDOM, 0, NULL, NULL},
        {"128.0.0.0/0", -EDOM, 0, NULL, NULL},
        {"2001:db8::1/127", -EDOM, 0, NULL, NULL},
        {"[2001:db8::1]", -EINVAL, 0, NULL, NULL},
        {"198.51.100.0/33", -EINVAL, 0, NULL, NULL},
        {"::ffff:198.51.100.0/120", -EINVAL, 0, NULL, NULL},
        {"2001:db8::/129", -EINVAL, 0, NULL, NULL},
        {"198.51.100.0/", -EINVAL, 0, NULL, NULL},
        {"198.51.100.0/2 4", -EINVAL, 0, NULL, NULL},
        {"198.51.100.0/24/1", -EINVAL, 0, NULL, NULL},
        {"/24", -EINVAL, 0, NULL, NULL},
        {"example.net", -EINVAL, 0, NULL, NULL},
        {"", -EINVAL, 0, NULL, NULL},
        {"11111111111111111111111111111111111111111111111111/24", -EINVAL, 0, NULL, NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cfg_prefix prefix = {.length = 200};
        struct sip_addr addr;

        if (value_network(cases[i].text, &prefix) != cases[i].ret)
            fail_msg("`%s`", cases[i].text);
        assert_int_equal(prefix.length, cases[i].ret == 0 ? cases[i].length : 200);
        if (cases[i].ret != 0)
            continue;
        addr = sample_addr(cases[i].in, 0);
        assert_true(value_prefix_has(&prefix, &addr.ip));
        addr = sample_addr(cases[i].out, 0);
        assert_false(value_prefix_has(&prefix, &addr.ip));
    }
}

static void test_servers(void **state)
{
    static const struct {
        const char *text, *ip;
        uint16_t port;
    } good[] = {
        {"192.0.2.53", "192.0.2.53", 53},
        {"192.0.2.53:1", "192.0.2.53", 1},
        {"127.0.0.1:65535", "127.0.0.1", 65535},
        {"2001:db8::53", "2001:db8::53", 53},
        {"::1", "::1", 53},
        {"[2001:db8::53]", "2001:db8::53", 53},
        {"[2001:db8::53]:5353", "2001:db8::53", 5353},
    };
    static const char *const bad[] = {"",
                                      ":",
                                      ":53",
                                      "192.0.2.53:",
                                      "192.0.2.53:0",
                                      "192.0.2.53:65536",
                                      "192.0.2.53:+53",
                                      "192.0.2.53:53:53",
                                      "[2001:db8::53",
                                      "[2001:db8::53]:",
                                      "[2001:db8::53]5353",
                                      "[192.0.2.53]:53",
                                      "0.0.0.0",
                                      "224.0.0.1",
                                      "::",
                                      "ns.example",
                                      "192.0.2.53 ",
                                      "[2001:0db8:0000:0000:0000:0000:0000:00053]"};
    struct sip_addr server;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct sip_addr expected = sample_addr(good[i].ip, good[i].port);

        assert_int_equal(value_server(good[i].text, 53, &server), 0);
        assert_true(sip_addr_equal(&server, &expected));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (value_server(bad[i], 53, &server) != -EINVAL)
            fail_msg("`%s`", bad[i]);
    }
}

struct word_case {
    bool (*is)(const char *text);
    const char *text;
    bool good;
};

static void test_words(void **state)
{
    static const struct word_case cases[] = {
        {value_is_name, "kam-1.a_b", true},
        {value_is_name, "", false},
        {value_is_name, "-a", false},
        {value_is_name, ".a", false},
        {value_is_name, "a b", false},
        {value_is_name, "a/b", false},
        {value_is_name, "k\xc3\xa4m", false},
        {value_is_interface, "eth0", true},
        {value_is_interface, "123456789012345", true},
        {value_is_interface, "1234567890123456", false},
        {value_is_interface, "", false},
        {value_is_interface, "..", false},
        {value_is_interface, "a/b", false},
        {value_is_interface, "a b", false},
        {value_is_token, "sec-agree", true},
        {value_is_token, "a b", false},
        {value_is_token, "", false},
        {value_is_token, "a:b", false},
        {value_is_host, "example.net", true},
        {value_is_host, "EXAMPLE", true},
        {value_is_host, "192.0.2.1", true},
        {value_is_host, "[2001:db8::1]", true},
        {value_is_host, "192.0.2", false},
        {value_is_host, "a..b", false},
        {value_is_host, "a.", false},
        {value_is_host, ".a", false},
        {value_is_host, "-a.net", false},
        {value_is_host, "a-.net", false},
        {value_is_host, "", false},
        {value_is_host, "a:5060", false},
        {value_is_host, "sip:a", false},
        {value_is_host, "a@b", false},
        {value_is_host_name, "example.net", true},
        {value_is_host_name, "192.0.2.1", false},
        {value_is_host_name, "[2001:db8::1]", false},
        {value_is_origin, "https://phone.example.net", true},
        {value_is_origin, "http://192.0.2.7:8080", true},
        {value_is_origin, "https://[2001:db8::7]", true},
        {value_is_origin, "https://[2001:db8::7]:8443", true},
        {value_is_origin, "capacitor://localhost", true},
        {value_is_origin, "null", true},
        {value_is_origin, "file://", true},
        {value_is_origin, "", false},
        {value_is_origin, "phone.example.net", false},
        {value_is_origin, "https:phone.example.net", false},
        {value_is_origin, "https://", false},
        {value_is_origin, "://phone.example.net", false},
        {value_is_origin, "ht tps://phone.example.net", false},
        {value_is_origin, "https://phone.example.net/", false},
        {value_is_origin, "https://*.example.net", false},
        {value_is_origin, "https://a@phone.example.net", false},
        {value_is_origin, "https://phone.example.net:", false},
        {value_is_origin, "https://phone.example.net:0", false},
        {value_is_origin, "https://phone.example.net:65536", false},
        {value_is_origin, "https://[2001:db8::7]8443", false},
        {value_is_path, "/", true},
        {value_is_path, "/sip/v1;a=b", true},
        {value_is_path, "", false},
        {value_is_path, "sip", false},
        {value_is_path, "/a b", false},
        {value_is_path, "/a?b", false},
        {value_is_path, "/a#b", false},
        {value_is_path, "/\"", false},
        {value_is_dialled, "0049", true},
        {value_is_dialled, "+49", true},
        {value_is_dialled, "*21#", true},
        {value_is_dialled, "+", false},
        {value_is_dialled, "++4", false},
        {value_is_dialled, "4+9", false},
        {value_is_dialled, "49 30", false},
        {value_is_dialled, "bob", false},
        {value_is_dialled, "", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i].is(cases[i].text) != cases[i].good)
            fail_msg("case %zu: `%s`", i, cases[i].text);
    }
}

static void test_printed(void **state)
{
    static const struct {
        uint64_t number;
        const char *duration, *size;
    } cases[] = {
        {0, "0ms", "0KiB"},
        {1, "1ms", "1"},
        {1500, "1500ms", "1500"},
        {90000, "90s", "90000"},
        {5400000, "90m", "5400000"},
        {172800000, "2d", "168750KiB"},
        {65536, "65536ms", "64KiB"},
        {UINT64_C(3) << 30, "3221225472ms", "3GiB"},
        {UINT64_MAX, "18446744073709551615ms", "18446744073709551615"},
    };
    char text[VALUE_UNIT_ROOM];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        value_duration_print(cases[i].number, text);
        assert_string_equal(text, cases[i].duration);
        value_size_print(cases[i].number, text);
        assert_string_equal(text, cases[i].size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_networks),  cmocka_unit_test(test_servers),
        cmocka_unit_test(test_words),     cmocka_unit_test(test_printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
