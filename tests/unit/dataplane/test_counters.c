/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the data plane's counters, and which of them a message is counted by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "dataplane/counters.h"

#define HEADERS                                                                            \
    "\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n" \
    "Call-ID: x\r\nCSeq: 1 "

static struct counters_header *named(void)
{
    void *memory = aligned_alloc(64, (counters_bytes(1) + 63) / 64 * 64);

    assert_non_null(memory);
    memset(memory, 0, counters_bytes(1));
    return counters_init(memory, 1, 7, 8, 9);
}

static void names_differ(void **state)
{
    struct counters_header *counters = named();

    for (uint32_t i = 0; i < counters->n_counters; i++) {
        assert_true(counters_name(counters, i)[0] != '\0');
        for (uint32_t j = 0; j < i; j++)
            assert_string_not_equal(counters_name(counters, i), counters_name(counters, j));
    }
    free(counters);
}

static void messages_are_counted_by_kind(void **state)
{
    static const struct {
        const char *text, *counter;
    } rows[] = {
        {"INVITE sip:c@d SIP/2.0" HEADERS "INVITE\r\n\r\n", "requests_INVITE"},
        {"UPDATE sip:c@d SIP/2.0" HEADERS "UPDATE\r\n\r\n", "requests_UPDATE"},
        {"invite sip:c@d SIP/2.0" HEADERS "invite\r\n\r\n", "requests_other"},
        {"REGISTER sip:d SIP/2.0\r\nVia: none\r\n\r\n", "requests_REGISTER"}, /* answered 400 */
        {"SIP/2.0 100 Trying" HEADERS "INVITE\r\n\r\n", "responses_1xx"},
        {"SIP/2.0 200 OK" HEADERS "BYE\r\n\r\n", "responses_2xx"},
        {"SIP/2.0 503 No" HEADERS "BYE\r\n\r\n", "responses_5xx"},
        {"SIP/2.0 699 No" HEADERS "BYE\r\n\r\n", "responses_6xx"},
        {"SIP/2.0 700 No" HEADERS "BYE\r\n\r\n", "messages_unreadable"},
        {"\r\n\r\n", "messages_unreadable"},
        {"GET / HTTP/1.1\r\n\r\n", "messages_unreadable"},
        {"", "messages_unreadable"},
    };
    struct counters_header *counters = named();

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sip_msg msg;

        sip_msg_index(rows[i].text, strlen(rows[i].text), &msg);
        assert_string_equal(counters_name(counters, counters_kind(&msg)), rows[i].counter);
    }
    free(counters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_differ),
        cmocka_unit_test(messages_are_counted_by_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
