/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of dataplane/sip/slice.c: numbers, case, white space, classes (RFC 3261 §25.1). */
#include <stdio.h>

#include "tests/unit/dataplane/sip/test_sip.h"

static void test_number(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        int result;
        uint64_t number;
    } cases[] = {
        {"0", 0, 0, 0},
        {"70", 255, 0, 70},
        {"0068", 255, 0, 68}, /* RFC 4475 §3.1.1.1 */
        {"255", 255, 0, 255},
        {"256", 255, -ERANGE, 0},
        {"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, -ERANGE, 0},
        {"99999999999999999999999999", UINT64_MAX, -ERANGE, 0},
        {"", 9, -EINVAL, 0},
        {"-1", 9, -EINVAL, 0},
        {"+1", 9, -EINVAL, 0},
        {" 1", 9, -EINVAL, 0},
        {"1 ", 9, -EINVAL, 0},
        {"0x1", 99, -EINVAL, 0},
        {"999999999999999999999x", 9, -EINVAL, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct guard guard = guard_new_text(cases[i].text);
        uint64_t number = 4711;

        assert_int_equal(sip_slice_number(guarded(&guard), cases[i].max, &number), cases[i].result);
        assert_true(number == (cases[i].result == 0 ? cases[i].number : 4711));
        guard_free(&guard);
    }
}

static void test_equal(void **state)
{
    assert_true(sip_slice_equal(sip_slice_of("a"), sip_slice_of("a")));
    assert_false(sip_slice_equal(sip_slice_of("a"), sip_slice_of("A")));
    assert_true(sip_slice_equal(sip_slice(NULL, 0), sip_slice_of("")));
    assert_true(sip_slice_equal_nocase(sip_slice_of("Call-ID"), sip_slice_of("cALL-id")));
    assert_false(sip_slice_equal_nocase(sip_slice_of("Call-ID"), sip_slice_of("Call-I")));
    /* '@' and '`' differ by the bit that tells letters' cases apart, and are no letters. */
    assert_false(sip_slice_equal_nocase(sip_slice_of("@"), sip_slice_of("`")));
    assert_false(sip_slice_equal_nocase(sip_slice_of("["), sip_slice_of("{")));
}

static void test_trim(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},     {" ", ""},
        {"a", "a"},   {" \t\r\n a b \r\n ", "a b"},
        {"a\t", "a"}, {"\r\n\r\n\r\n", ""},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct guard guard = guard_new_text(cases[i][0]);

        expect_slice(cases[i][0], sip_slice_trim(guarded(&guard)), cases[i][1]);
        guard_free(&guard);
    }
}

/* RFC 3261 §25.1: token = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~")
 */
static void test_classes(void **state)
{
    static const char marks[] = "-.!%*_+`'~";

    for (int c = 0; c < 256; c++) {
        bool alphanum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool token = alphanum || (c != 0 && strchr(marks, c) != NULL);

        assert_int_equal(sip_char_is((char)c, SIP_CHAR_TOKEN), token);
        assert_int_equal(sip_char_is((char)c, SIP_CHAR_HOST),
                         alphanum || c == '-' || c == '.' || c == '_');
        assert_int_equal(sip_char_is((char)c, SIP_CHAR_SCHEME),
                         alphanum || c == '-' || c == '.' || c == '+');
        assert_int_equal(sip_char_is((char)c, SIP_CHAR_DIGIT), c >= '0' && c <= '9');
        assert_int_equal(sip_char_is((char)c, SIP_CHAR_ALPHA), alphanum && !(c >= '0' && c <= '9'));
        assert_int_equal(sip_char_is((char)c, SIP_CHAR_VISIBLE), c > ' ' && c != 0x7f);
        assert_int_equal(sip_char_is((char)c, SIP_CHAR_STOP),
                         c != 0 && strchr(";,\"<>", c) != NULL);
        assert_int_equal(sip_char_is((char)c, SIP_CHAR_LWS),
                         c == ' ' || c == '\t' || c == '\r' || c == '\n');
    }
    assert_false(sip_slice_only(sip_slice_of(""), SIP_CHAR_TOKEN));
    assert_true(sip_slice_only(sip_slice_of("a1"), SIP_CHAR_TOKEN));
    assert_false(sip_slice_only(sip_slice_of("a 1"), SIP_CHAR_TOKEN));
}

static void test_number_print(void **state)
{
    static const uint32_t numbers[] = {0, 7, 10, 65535, 1000000000, UINT32_MAX};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char text[SIP_NUMBER_TEXT_MAX + 1] = "", expected[16];

        assert_int_equal(sip_number_print(numbers[i], text),
                         snprintf(expected, sizeof(expected), "%u", numbers[i]));
        assert_string_equal(text, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number),  cmocka_unit_test(test_number_print),
        cmocka_unit_test(test_equal),   cmocka_unit_test(test_trim),
        cmocka_unit_test(test_classes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
