/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of dataplane/sip/phrase.c: every number has its word, and methods come back from theirs. */
#include "dataplane/sip/msg.h"

#include "tests/unit/dataplane/sip/test_sip.h"

static void test_methods(void **state)
{
    static const char *const others[] = {"",        "I",       "IN",         "invite",
                                         "INVITED", "INVIT",   "RE%47ISTER", "REGISTE",
                                         "PUB",     "UNKNOWN", "unknown",    "SUBSCRIB\xc5"};

    for (int m = SIP_INVITE; m < SIP_METHOD_COUNT; m++) {
        struct guard guard = guard_new_text(sip_method_name((enum sip_method)m));

        assert_int_equal(sip_method_parse(guarded(&guard)), m);
        guard_free(&guard);
    }
    for (size_t i = 0; i < COUNT(others); i++) { /* case-sensitive: RFC 3261 §7.1 */
        struct guard guard = guard_new_text(others[i]);

        assert_int_equal(sip_method_parse(guarded(&guard)), SIP_METHOD_UNKNOWN);
        guard_free(&guard);
    }
    assert_string_equal(sip_method_name(SIP_METHOD_COUNT), sip_method_name(SIP_METHOD_UNKNOWN));
}

static void test_errors(void **state)
{
    for (int e = 0; e < SIP_ERROR_COUNT; e++) {
        assert_non_null(sip_error_phrase((enum sip_error)e));
        for (int other = 0; other < e; other++)
            assert_string_not_equal(sip_error_phrase((enum sip_error)e),
                                    sip_error_phrase((enum sip_error)other));
    }
    assert_non_null(sip_error_phrase(SIP_ERROR_COUNT));
}

/* RFC 3261 §21, RFC 5626 §11.6 */
static void test_statuses(void **state)
{
    assert_string_equal(sip_status_phrase(200), "OK");
    assert_string_equal(sip_status_phrase(430), "Flow Failed");
    assert_string_equal(sip_status_phrase(483), "Too Many Hops");
    assert_string_equal(sip_status_phrase(503), "Service Unavailable");
    assert_string_equal(sip_status_phrase(299), "Unknown Status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_statuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
