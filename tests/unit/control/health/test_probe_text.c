/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes as text: what is written, what is recognised, and where messages end in a stream, however
 * it is cut into pieces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/health/probe_text.h"

#define HEADER                                                                                   \
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 192.0.2.11;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n" \
    "To: <sip:c>;tag=2\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n"

static struct sip_addr addr_of(const char *host, uint16_t port)
{
    struct sip_addr addr = {.port = port};

    assert_int_equal(sip_ip_parse(sip_slice_of(host), &addr.ip), 0);
    return addr;
}

static void what_is_written_is_recognised(void **context)
{
    static const struct {
        enum sip_transport transport;
        const char *from, *to, *start, *via;
    } rows[] = {
        {SIP_TRANSPORT_UDP, "192.0.2.11", "10.0.0.11", "OPTIONS sip:10.0.0.11:5060 SIP/2.0\r\n",
         "\r\nVia: SIP/2.0/UDP 192.0.2.11:4444;rport;branch=z9hG4bK"},
        {SIP_TRANSPORT_TCP, "2001:db8::11", "fd00::4",
         "OPTIONS sip:[fd00::4]:5060;transport=tcp SIP/2.0\r\n",
         "\r\nVia: SIP/2.0/TCP [2001:db8::11]:4444;rport;branch=z9hG4bK"},
    };
    const struct probe_mark mark = {.nonce = 0x0123456789abcdef, .index = 0xfedc}, other = {1, 2};

    (void)context;
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct sip_addr from = addr_of(rows[i].from, 4444), to = addr_of(rows[i].to, 5060);
        char text[PROBE_TEXT_MAX];
        size_t length = probe_print(rows[i].transport, &from, &to, &mark, text);
        struct probe_mark read = {0, 0};
        struct sip_msg msg;

        assert_int_equal(length, strlen(text));
        assert_int_equal(sip_msg_index(text, length, &msg), SIP_OK);
        assert_memory_equal(text, rows[i].start, strlen(rows[i].start));
        assert_non_null(strstr(text, rows[i].via));
        assert_true(probe_mark_read(msg.top_via.branch, &read));
        assert_true(read.nonce == mark.nonce && read.index == mark.index);
        assert_true(probe_is_call_id(msg.call_id, &mark));
        assert_false(probe_is_call_id(msg.call_id, &other));
        read.nonce = 0;
        assert_true(probe_mark_find(text, length, &read));
        assert_true(read.nonce == mark.nonce && read.index == mark.index);
        for (size_t part = 0; part < length; part++) { /* as ICMP cuts it */
            bool whole = part >= (size_t)(msg.top_via.branch.at - text) + msg.top_via.branch.length;

            assert_int_equal(probe_mark_find(text, part, &read), whole);
        }
    }
}

static void other_branches_bear_no_mark(void **context)
{
    static const char *const rows[] = {
        "",
        "z9hG4bK",
        "z9hG4bK0123456789abcdef0000000",
        "z9hG4bK0123456789abcdef000000001",
        "Z9hG4bK0123456789abcdef00000000",
        "z9hG4bK000000000000000000000001",
        "z9hG4bKxxxxxxxxxxxxxxxx00000000",
    };
    struct probe_mark mark;

    (void)context;
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_false(probe_mark_read(sip_slice_of(rows[i]), &mark));
    assert_false(probe_mark_find(NULL, 0, &mark));
}

/* Each row's first message in a block of its own, so that a read beyond it is seen by ASan. */
static ssize_t cut(const char *text, size_t length, struct sip_msg *ret)
{
    char *exact = malloc(length == 0 ? 1 : length);
    ssize_t status;

    assert_non_null(exact);
    memcpy(exact, text, length);
    status = probe_cut(exact, length, ret);
    free(exact);
    return status;
}

static void messages_are_cut_where_they_end(void **context)
{
    static const struct {
        const char *whole, *more; /* the first message, and what follows */
    } rows[] = {
        {HEADER "Content-Length: 0\r\n\r\n", ""},
        {HEADER "Content-Length: 0\r\n\r\n", "SIP/2.0 200 OK\r\n"},
        {HEADER "Content-Length: 5\r\n\r\nhello", "SIP/2.0"},
        {HEADER "l : 5\r\n\r\nhello", "\r\n"},
        {HEADER "\r\n", HEADER}, /* without Content-Length */
        {"SIP/2.0 200 OK\nVia: SIP/2.0/TCP a;branch=b\nl: 2\n\nab", "c"},
        {"OPTIONS sip:us SIP/2.0\r\nContent-Length: 3\r\n\r\n\r\n\r", "\n"},
    };

    (void)context;
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t length = strlen(rows[i].whole), all;
        char text[2048];
        struct sip_msg msg;

        all = (size_t)snprintf(text, sizeof(text), "%s%s", rows[i].whole, rows[i].more);
        for (size_t part = 0; part < length; part++)
            assert_int_equal(cut(text, part, &msg), 0);
        for (size_t part = length; part <= all; part++) {
            assert_int_equal(cut(text, part, &msg), length);
            assert_int_not_equal(msg.kind, SIP_NONE);
        }
    }
}

static void what_is_no_message(void **context)
{
    static const struct {
        const char *text;
        ssize_t status;
    } rows[] = {
        {"\r\n", 2},
        {"\r\n\r\n", 4}, /* a keep-alive, RFC 5626 */
        {"\r\n\r\nSIP/2.0 200 OK\r\n", 4},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", -EBADMSG},
        {"hello\n\n", -EBADMSG},
        {"hello", 0}, /* who knows */
    };
    static const char absurd[] = HEADER "Content-Length: 4294967295\r\n\r\n",
                      great[] = HEADER "Content-Length: 2147483647\r\n\r\n";
    struct sip_msg msg;

    (void)context;
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(cut(rows[i].text, strlen(rows[i].text), &msg), rows[i].status);
        assert_int_equal(msg.kind, SIP_NONE);
    }
    assert_int_equal(cut(absurd, strlen(absurd), &msg), strlen(absurd)); /* none: it cannot be */
    assert_int_equal(cut(great, strlen(great), &msg), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_recognised),
        cmocka_unit_test(other_branches_bear_no_mark),
        cmocka_unit_test(messages_are_cut_where_they_end),
        cmocka_unit_test(what_is_no_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
