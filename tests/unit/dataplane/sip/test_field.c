/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of dataplane/sip/field.c: names (RFC 3261 §7.3.1, §20), lists, walking, looking up. */
#include "dataplane/sip/msg.h"

#include "tests/unit/dataplane/sip/test_sip.h"

static const struct {
    const char *name, *compact;
    enum sip_field_id id;
} names[] = {
    {"Via", "v", SIP_VIA},
    {"Route", NULL, SIP_ROUTE},
    {"Record-Route", NULL, SIP_RECORD_ROUTE},
    {"Call-ID", "i", SIP_CALL_ID},
    {"CSeq", NULL, SIP_CSEQ},
    {"From", "f", SIP_FROM},
    {"To", "t", SIP_TO},
    {"Max-Forwards", NULL, SIP_MAX_FORWARDS},
    {"Content-Length", "l", SIP_CONTENT_LENGTH},
    {"Contact", "m", SIP_CONTACT},
    {"Path", NULL, SIP_PATH},
    {"Supported", "k", SIP_SUPPORTED},
    {"Require", NULL, SIP_REQUIRE},
    {"Proxy-Require", NULL, SIP_PROXY_REQUIRE},
    {"Replaces", NULL, SIP_REPLACES},
    {"Join", NULL, SIP_JOIN},
    {"Target-Dialog", NULL, SIP_TARGET_DIALOG},
    {"Refer-To", "r", SIP_REFER_TO},
    {"Retry-After", NULL, SIP_RETRY_AFTER},
    {"Expires", NULL, SIP_EXPIRES},
};

static void expect_id(const char *name, size_t length, enum sip_field_id id)
{
    struct guard guard = guard_new(name, length);

    if (sip_field_parse(guarded(&guard)) != id)
        fail_msg("%.*s is not field %d", (int)length, name, id);
    guard_free(&guard);
}

/* Each name in three cases is itself; with any letter changed, cut or added it is another. */
static void test_names(void **state)
{
    assert_int_equal(COUNT(names), SIP_FIELD_COUNT - 1);
    for (size_t i = 0; i < COUNT(names); i++) {
        size_t length = strlen(names[i].name);
        char text[32];

        expect_id(names[i].name, length, names[i].id);
        for (size_t at = 0; at < length; at++) {
            strcpy(text, names[i].name);
            if (sip_char_is(text[at], SIP_CHAR_ALPHA))
                text[at] ^= 0x20;
            expect_id(text, length, names[i].id);
            text[at] = '~';
            expect_id(text, length, SIP_FIELD_OTHER);
        }
        snprintf(text, sizeof(text), "%sx", names[i].name);
        expect_id(text, length + 1, SIP_FIELD_OTHER);
        if (names[i].compact != NULL)
            expect_id(names[i].compact, 1, names[i].id);
    }
}

static void test_other_names(void **state)
{
    static const char *const others[] = {
        "",
        "x",
        "c",
        "e",
        "s",
        "biku",
        "Privacy",
        "Subject",
        "Event",
        "Allow-Events",
        "Content-Type",
        "Content-Encoding",
        "P-Asserted-Identity",
        "Session-Expires",
        "User-Agent",
        "Proxy-Authorization",
    };

    for (size_t i = 0; i < COUNT(others); i++)
        expect_id(others[i], strlen(others[i]), SIP_FIELD_OTHER);
    for (int c = 0; c < 256; c++) { /* one byte: the compact forms and nothing else */
        char letter = (char)c;
        bool known = c != 0 && strchr("viftlmkrVIFTLMKR", c) != NULL;

        assert_int_equal(sip_field_parse(sip_slice(&letter, 1)) != SIP_FIELD_OTHER, known);
    }
}

static void test_list(void **state)
{
    static const struct {
        const char *text;
        const char *elements[4];
    } cases[] = {
        {"", {NULL}},
        {"a", {"a"}},
        {" a , b\r\n ,c ", {"a", "b", "c"}},
        {"\"x,y\" <sip:a,b>;z=\",\", d", {"\"x,y\" <sip:a,b>;z=\",\"", "d"}},
        {"\"\\\",\" , b", {"\"\\\",\"", "b"}},
        {"<a\"b>,c", {"<a\"b>", "c"}},
        {"a,,b", {"a", "", "b"}},
        {"a,", {"a"}},
        {"\"open, b", {"\"open, b"}},
        {"a\\", {"a\\"}},
        {"\"a\\", {"\"a\\"}},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct guard guard = guard_new_text(cases[i].text);
        struct sip_slice rest = guarded(&guard), element;
        size_t n = 0;

        while (sip_list_next(&rest, &element)) {
            assert_non_null(cases[i].elements[n]);
            expect_slice(cases[i].text, element, cases[i].elements[n]);
            n++;
        }
        assert_null(cases[i].elements[n]);
        guard_free(&guard);
    }
}

static const char message[] = "OPTIONS sip:a SIP/2.0\r\n"
                              "v: SIP/2.0/UDP a, SIP/2.0/UDP b \r\n"
                              "X-Key : first\r\n"
                              "Via: SIP/2.0/UDP c\r\n"
                              "Supported: path,\r\n\t100rel \r\n \r\n"
                              "X-Keys: wrong\r\n"
                              "k:  gruu\n"
                              "X-key: second\r\n"
                              "Folded:\r\n one\r\n  two\r\n"
                              "f: <sip:a>;tag=1\r\nTo: sip:b\r\ni: c\r\nCSeq: 1 OPTIONS\r\n"
                              "Require:\r\n"
                              "\r\nX-Body: no\r\n";

static void test_walk(void **state)
{
    struct guard guard = guard_new(message, sizeof(message) - 1);
    const struct sip_field *field;
    struct sip_msg msg;

    assert_int_equal(sip_msg_index(guard.at, guard.length, &msg), SIP_OK);
    field = sip_msg_first(&msg, SIP_VIA);
    expect_slice("via", sip_msg_value(&msg, field), "SIP/2.0/UDP a, SIP/2.0/UDP b");
    expect_slice("via", sip_msg_line(&msg, field), "v: SIP/2.0/UDP a, SIP/2.0/UDP b \r\n");
    field = sip_msg_next(&msg, field);
    expect_slice("via", sip_msg_value(&msg, field), "SIP/2.0/UDP c");
    assert_null(sip_msg_next(&msg, field));
    assert_null(sip_msg_first(&msg, SIP_ROUTE));
    field = sip_msg_first(&msg, SIP_SUPPORTED);
    expect_slice("fold", sip_msg_value(&msg, field), "path,\r\n\t100rel");
    expect_slice("fold", sip_msg_line(&msg, field), "Supported: path,\r\n\t100rel \r\n \r\n");
    field = sip_msg_next(&msg, field);
    expect_slice("lf", sip_msg_line(&msg, field), "k:  gruu\n");
    field = sip_msg_first(&msg, SIP_REQUIRE);
    expect_slice("empty", sip_msg_value(&msg, field), "");
    expect_slice("empty", sip_msg_line(&msg, field), "Require:\r\n");
    assert_true(sip_msg_has_token(&msg, SIP_SUPPORTED, sip_slice_of("PATH")));
    assert_true(sip_msg_has_token(&msg, SIP_SUPPORTED, sip_slice_of("gruu")));
    assert_false(sip_msg_has_token(&msg, SIP_SUPPORTED, sip_slice_of("pat")));
    assert_false(sip_msg_has_token(&msg, SIP_PROXY_REQUIRE, sip_slice_of("path")));
    guard_free(&guard);
}

static void test_find_named(void **state)
{
    static const char *const cases[][2] = {
        {"X-KEY", "first"},
        {"x-keys", "wrong"},
        {"Folded", "one\r\n  two"},
        {"X-Ke", ""},
        {"X-Body", ""},
        {"To", "sip:b"},
        {"", ""},
        {"Require", ""},
        {"one", ""},
        {"CSeq", "1 OPTIONS"},
    };
    struct guard guard = guard_new(message, sizeof(message) - 1);
    struct sip_msg msg;

    sip_msg_index(guard.at, guard.length, &msg);
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_slice(cases[i][0], sip_msg_find_named(&msg, sip_slice_of(cases[i][0])), cases[i][1]);
    guard_free(&guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),      cmocka_unit_test(test_other_names),
        cmocka_unit_test(test_list),       cmocka_unit_test(test_walk),
        cmocka_unit_test(test_find_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
