/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of dataplane/sip/uri.c: RFC 3261 §19.1, §20.10; RFC 3966; RFC 4475; RFC 5118. */
#include "dataplane/sip/uri.h"

#include "dataplane/sip/index.h"
#include "tests/unit/dataplane/sip/same_msg.h"
#include "tests/unit/dataplane/sip/test_sip.h"

static const struct {
    const char *text;
    enum sip_scheme scheme;
    const char *user, *host;
    uint16_t port;
    const char *params, *headers;
} good[] = {
    {"sip:example.com", SIP_SCHEME_SIP, NULL, "example.com", 0, NULL, NULL},
    {"SIPS:alice@example.com:5061;transport=tcp?Subject=x", SIP_SCHEME_SIPS, "alice", "example.com",
     5061, ";transport=tcp", "Subject=x"},
    {"sip:alice:secret@192.0.2.1", SIP_SCHEME_SIP, "alice", "192.0.2.1", 0, NULL, NULL},
    {"sip:user;par=u%40example.net@example.com", SIP_SCHEME_SIP, "user;par=u%40example.net",
     "example.com", 0, NULL, NULL}, /* RFC 4475 §3.1.1.13 */
    {"sip:null-%00-null@example.com", SIP_SCHEME_SIP, "null-%00-null", "example.com", 0, NULL,
     NULL}, /* RFC 4475 §3.1.1.4 */
    {"sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/"
     ";;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
     SIP_SCHEME_SIP, "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*", "example.com", 0, NULL,
     NULL}, /* RFC 4475 §3.1.1.2 */
    {"sip:*31#123@example.com", SIP_SCHEME_SIP, "*31#123", "example.com", 0, NULL, NULL},
    {"sip:[2001:db8::10:5070]", SIP_SCHEME_SIP, NULL, "[2001:db8::10:5070]", 0, NULL, NULL},
    {"sip:a@[2001:db8::10]:5070;lr", SIP_SCHEME_SIP, "a", "[2001:db8::10]", 5070, ";lr", NULL},
    {"sip:example.com?Route=%3Csip:x%3E", SIP_SCHEME_SIP, NULL, "example.com", 0, NULL,
     "Route=%3Csip:x%3E"},
    {"sip:a@b;x?Replaces=c@d;to=1", SIP_SCHEME_SIP, "a", "b", 0, ";x", "Replaces=c@d;to=1"},
    {"tel:+358-555;phone-context=x", SIP_SCHEME_TEL, "+358-555", NULL, 0, ";phone-context=x", NULL},
    {"urn:service:sos", SIP_SCHEME_URN, "service:sos", NULL, 0, NULL, NULL},
    {"nobodyKnowsThisScheme:totallyopaquecontent", SIP_SCHEME_OTHER, "totallyopaquecontent", NULL,
     0, NULL, NULL}, /* RFC 4475 §3.3.2 */
    {"soap.beep://192.0.2.103:3002", SIP_SCHEME_OTHER, "//192.0.2.103:3002", NULL, 0, NULL, NULL},
};

static const char *const bad[] = {
    "",
    "sip",
    "sip:",
    ":x",
    "example.com",
    "1sip:x",
    "s p:x",
    "sip:@example.com",
    "sip:a@",
    "sip:a@:5060",
    "sip::5060",
    "sip:a@b:",
    "sip:a@b:0",
    "sip:a@b:65536",
    "sip:a@b:5x",
    "sip:a@b:5060x",
    "sip:a b@c",
    "sip:a@b c",
    "sip:a@b\t",
    "sip:a@b\r\n",
    "<sip:a@b>",
    "sip:a@b>",
    "sip:<a@b",
    "sip:a\"b@c",
    "sip:a@b@c",
    "sip:a@b;x=c@d",
    "sip:192.0.2.256",
    "sip:2001:db8::10", /* RFC 5118 §4.2 */
    "sip:user@[2001:db8:::192.0.2.1]",
    "sip:[2001:db8::1",
    "sip:[::1]x",
    "sip:a@b\x7f",
    "tel:",
    "tel:;x",
    "tel:a b",
    "urn:<x>",
    "x:\x01",
    "sip:a@%62",
};

static void test_uri_good(void **state)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        struct guard guard = guard_new_text(good[i].text);
        struct sip_uri uri;

        if (sip_uri_parse(guarded(&guard), &uri) != 0)
            fail_msg("refused: %s", good[i].text);
        expect_slice(good[i].text, uri.whole, good[i].text);
        expect_slice(good[i].text, uri.user, good[i].user);
        expect_slice(good[i].text, uri.host, good[i].host);
        expect_slice(good[i].text, uri.params, good[i].params);
        expect_slice(good[i].text, uri.headers, good[i].headers);
        assert_int_equal(uri.scheme, good[i].scheme);
        assert_int_equal(uri.port, good[i].port);
        guard_free(&guard);
    }
}

static void test_uri_bad(void **state)
{
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct guard guard = guard_new_text(bad[i]);
        struct sip_uri uri, before;

        memset(&uri, 0x5a, sizeof(uri));
        before = uri;
        if (sip_uri_parse(guarded(&guard), &uri) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
        assert_memory_equal(&uri, &before, sizeof(uri));
        guard_free(&guard);
    }
    assert_int_equal(sip_uri_parse(sip_slice("sip:a\0b@c", 9), &(struct sip_uri){0}), -EINVAL);
}

/* As long as ours and longer, and addresses of every width. */
static const char *const others[] = {
    "sip:t1.AgHAAAIKE8TGEgQBE8SqDxESE8QAAAAAAAAAAA@192.0.2.10:5060;lr",
    "sip:t1.AgHAAAIKE8TGEgQBE8SqDxESE8QAAAAAAAAAAA@192.0.2.10:5060;transport=tls;lr;and=so;on",
    "sip:0123456789abcdef0123456789abcdef0123456789abcdef0123456789@192.0.2.10",
    "sip:0123456789abcdef0123456789abcdef0123456789abcdef0123456789a@192.0.2.10",
    "sip:a@0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "sip:0123456789abcdef0123456789abcdef0123456789abcdef0123456789",
    "sip:1.22.133.4",
    "sip:255.1.99.100:1",
    "sips:a:b@1.2.3.4:65535?c@d",
    "sip:a@111.222.33.44;x=?y",
};

static void compare_uris(const struct sip_index_variant *variant, struct sip_slice text)
{
    struct sip_uri scalar, other;
    const char *difference;

    if (!variant->uri(text, &other))
        return;
    difference = sip_uri_scalar(text, &scalar) != 0 ? "refused" : uri_difference(&scalar, &other);
    if (difference != NULL)
        fail_msg("%s: %s of %.*s", variant->name, difference, (int)text.length, text.at);
}

/* Whatever a variant takes, it takes as the scalar one: with any byte in the place of each. */
static void compare_changed(const struct sip_index_variant *variant, const char *text)
{
    struct guard guard = guard_new_text(text);

    for (size_t i = 0; i < guard.length; i++) {
        for (int byte = 0; byte < 256; byte++) {
            guard.at[i] = (char)byte;
            compare_uris(variant, guarded(&guard));
        }
        guard.at[i] = text[i];
    }
    guard_free(&guard);
}

static void test_uri_variants(void **state)
{
    for (uint32_t v = 0; v < sip_index_variant_count; v++) {
        const struct sip_index_variant *variant = &sip_index_variants[v];

        if (!variant->runs_here() || variant->uri == NULL)
            continue;
        for (size_t i = 0; i < COUNT(good); i++)
            compare_changed(variant, good[i].text);
        for (size_t i = 0; i < COUNT(bad); i++)
            compare_changed(variant, bad[i]);
        for (size_t i = 0; i < COUNT(others); i++)
            compare_changed(variant, others[i]);
    }
}

static const struct {
    const char *text, *uri, *params, *whole, *rest;
    bool bracketed;
} addresses[] = {
    {"<sip:a@b>", "sip:a@b", NULL, "<sip:a@b>", NULL, true},
    {" \"Mr. X\" <sip:a@b;lr>;tag=1 ", "sip:a@b;lr", ";tag=1", "\"Mr. X\" <sip:a@b;lr>;tag=1", NULL,
     true},
    {"sip:a@b;tag=1;x", "sip:a@b", ";tag=1;x", "sip:a@b;tag=1;x", NULL, false}, /* §20.10 */
    {"sip:a@b", "sip:a@b", NULL, "sip:a@b", NULL, false},
    {"*", "*", NULL, "*", NULL, false},
    {"Bell Ltd. <sip:a@b> ; q = 0.5", "sip:a@b", "; q = 0.5", "Bell Ltd. <sip:a@b> ; q = 0.5", NULL,
     true},
    {"\"a, <b> \\\"c\" <sip:a,b@c>;x=\",\" ,\r\n <sip:d>;y, <sip:e>", "sip:a,b@c", ";x=\",\"",
     "\"a, <b> \\\"c\" <sip:a,b@c>;x=\",\"", "<sip:d>;y, <sip:e>", true},
    {"<  sip:a@b  >", "sip:a@b", NULL, "<  sip:a@b  >", NULL, true}, /* RFC 4475 §3.1.2.14 */
    {"\\\"arik\\\" <sip:a@b>;tag=1", "sip:a@b", ";tag=1", "\\\"arik\\\" <sip:a@b>;tag=1", NULL,
     true}, /* seen in phones */
    {"<sip:a@b>;+sip.instance=\"<urn:uuid:0>\";reg-id=1", "sip:a@b",
     ";+sip.instance=\"<urn:uuid:0>\";reg-id=1",
     "<sip:a@b>;+sip.instance=\"<urn:uuid:0>\";reg-id=1", NULL, true}, /* RFC 5626 */
    {"sip:a@b,sip:c@d", "sip:a@b", NULL, "sip:a@b", "sip:c@d", false},
    {"<http://x>", "http://x", NULL, "<http://x>", NULL, true},
};

static const char *const bad_addresses[] = {
    "",
    " ",
    "Bell",
    "\"Mr. J. User <sip:j@example.com>", /* RFC 4475 §3.1.2.6 */
    "<sip:a@b",
    "sip:a@b>",
    "<>",
    "< >",
    "<<sip:a@b>>",
    "<sip:a@b>>",
    "<sip:a@b>x",
    "\"Joe\" <sip:joe@example.org>;;;;", /* RFC 4475 §3.1.2.1 */
    "<sip:a@b>;",
    "<sip:a@b>,",
    "<sip:a@b>, ,<sip:c>",
    ",<sip:a@b>",
    "<sip:a@b>;x=\"y",
    "Bell, Alexander <sip:a@b>;tag=43", /* RFC 4475 §3.1.2.15 */
    "a b:c",
    "sip:a\"b\"@c",
    "sip:",
    "*;",
    "\"a\" sip:b@c",
    "<sip:a@b>;x=<y>",
    "a<sip:b\\",
};

static void test_nameaddr_good(void **state)
{
    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct guard guard = guard_new_text(addresses[i].text);
        struct sip_nameaddr address;

        if (sip_nameaddr_parse(guarded(&guard), &address) != 0)
            fail_msg("refused: %s", addresses[i].text);
        expect_slice(addresses[i].text, address.uri, addresses[i].uri);
        expect_slice(addresses[i].text, address.params, addresses[i].params);
        expect_slice(addresses[i].text, address.whole, addresses[i].whole);
        expect_slice(addresses[i].text, address.rest, addresses[i].rest);
        assert_int_equal(address.bracketed, addresses[i].bracketed);
        guard_free(&guard);
    }
}

static void test_nameaddr_bad(void **state)
{
    for (size_t i = 0; i < COUNT(bad_addresses); i++) {
        struct guard guard = guard_new_text(bad_addresses[i]);
        struct sip_nameaddr address, before;

        memset(&address, 0x5a, sizeof(address));
        before = address;
        if (sip_nameaddr_parse(guarded(&guard), &address) != -EINVAL)
            fail_msg("accepted: %s", bad_addresses[i]);
        assert_memory_equal(&address, &before, sizeof(address));
        guard_free(&guard);
    }
}

static void test_unescape(void **state)
{
    static const struct {
        const char *text, *plain;
    } texts[] = {
        {"", ""},       {"abc", "abc"},       {"%61%62%2e%2E", "ab.."}, {"%", "%"},
        {"a%4", "a%4"}, {"%zz", "%zz"},       {"%4g%41", "%4gA"},       {"%25%34%31", "%41"},
        {"%%41", "%A"}, {"100%41%", "100A%"},
    };

    for (size_t i = 0; i < COUNT(texts); i++) {
        struct guard guard = guard_new_text(texts[i].text);
        uint32_t whole = (uint32_t)strlen(texts[i].plain);

        for (uint32_t size = 0; size <= whole + 1; size++) {
            char plain[16] = "###############";

            assert_int_equal(sip_uri_unescape(guarded(&guard), plain, size), whole);
            assert_memory_equal(plain, texts[i].plain, size < whole ? size : whole);
            assert_int_equal(plain[size < whole ? size : whole], '#');
        }
        guard_free(&guard);
    }
}

/* What earlier parsers give back for "none": no address at all. */
static void test_no_address(void **state)
{
    assert_int_equal(sip_nameaddr_parse(sip_slice(NULL, 0), &(struct sip_nameaddr){0}), -EINVAL);
    assert_int_equal(sip_uri_parse(sip_slice(NULL, 0), &(struct sip_uri){0}), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uri_good),      cmocka_unit_test(test_uri_bad),
        cmocka_unit_test(test_nameaddr_good), cmocka_unit_test(test_nameaddr_bad),
        cmocka_unit_test(test_unescape),      cmocka_unit_test(test_no_address),
        cmocka_unit_test(test_uri_variants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
