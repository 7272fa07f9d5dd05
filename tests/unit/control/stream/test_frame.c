/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framing of SIP on streams: what is one message, what is passed over, what is refused, and that it
 * is all the same however the bytes arrive.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/stream/frame.h"
#include "dataplane/sip/msg.h"
#include "tests/unit/guard.h"

enum { TALE_MAX = 1024, LONG_MAX = 1 << 17 };

static const struct frame_limits limits = {.header_max = 1024, .body_max = 4096};

#define START "INVITE sip:bob@example.net SIP/2.0\r\n"
#define VIA "Via: SIP/2.0/TCP client.example.net;branch=z9hG4bK1\r\n"
#define REST VIA "From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n"
#define INVITE START REST "Content-Length: 4\r\n\r\nbody"
#define RINGING                   \
    "SIP/2.0 180 Ringing\r\n" VIA \
    "f: <sip:a@x>;tag=1\r\nt: <sip:b@x>\r\ni: 1\r\nCSeq: 1 INVITE\r\nl: 0\r\n\r\n"

/*
 * What became of a stream, as text: M and the message's length, P a ping, R and the reason, with
 * the length that can be answered; what is skipped is not told, what is left is, after a '+'.
 */
struct tale {
    char text[TALE_MAX];
    size_t length;
};

static void tell(struct tale *tale, const char *what, uint32_t number)
{
    tale->length +=
        (size_t)snprintf(tale->text + tale->length, TALE_MAX - tale->length, "%s%u ", what, number);
    assert_true(tale->length < TALE_MAX);
}

/* A stream, its bytes and how many of them have arrived; those that are left lie in front. */
struct reader {
    struct frame frame;
    struct tale tale;
    const char *at;
    uint32_t waiting;
    bool ended;
};

/* Takes what is there. The bytes lie in front of an unreadable page. */
static void reader_take(struct reader *reader, const struct frame_limits *with)
{
    for (;;) {
        uint32_t length = 0xdeadbeef;
        enum frame_reason reason = FRAME_REASON_COUNT;
        struct guard guard = guard_new(reader->at, reader->waiting);
        enum frame_result result =
            frame_next(&reader->frame, with, guard.at, reader->waiting, &length, &reason);

        guard_free(&guard);
        if (result == FRAME_MORE)
            return;
        assert_in_range(length, result == FRAME_REFUSED ? 0 : 1, reader->waiting);
        if (result == FRAME_REFUSED) {
            tell(&reader->tale, frame_reason_name(reason), length);
            reader->ended = true;
            return;
        }
        if (result == FRAME_MESSAGE)
            tell(&reader->tale, "M", length);
        if (result == FRAME_PING)
            tell(&reader->tale, "P", 0);
        reader->at += length;
        reader->waiting -= length;
    }
}

/* The tale of n bytes that arrive `step` at a time, the first time `first`. */
static struct tale tell_steps(const struct frame_limits *with, const char *bytes, uint32_t n,
                              uint32_t first, uint32_t step)
{
    struct reader reader = {.at = bytes};
    uint32_t arrived = 0;

    for (uint32_t more = first; arrived < n && !reader.ended; more = step) {
        more = more < n - arrived ? more : n - arrived;
        arrived += more;
        reader.waiting += more;
        reader_take(&reader, with);
    }
    if (!reader.ended && reader.waiting > 0)
        tell(&reader.tale, "+", reader.waiting);
    return reader.tale;
}

static struct tale tell_whole(const char *bytes, uint32_t n)
{
    return tell_steps(&limits, bytes, n, n, n);
}

static void check_tale(const char *bytes, uint32_t n, const char *expected)
{
    assert_string_equal(tell_whole(bytes, n).text, expected);
    for (uint32_t first = 1; first < n; first++)
        assert_string_equal(tell_steps(&limits, bytes, n, first, n).text, expected);
    for (uint32_t step = 1; step < 5; step++)
        assert_string_equal(tell_steps(&limits, bytes, n, step, step).text, expected);
}

struct row {
    const char *text, *tale;
};

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_tale(rows[i].text, (uint32_t)strlen(rows[i].text), rows[i].tale);
}

static void messages_are_told_apart(void **context)
{
    static const struct row rows[] = {
        {INVITE, "M180 "},
        {INVITE INVITE, "M180 M180 "},
        {INVITE RINGING INVITE RINGING, "M180 M138 M180 M138 "},
        {INVITE "INVITE ", "M180 +7 "},
        /* Bare line feeds end lines, too, as for sip_msg_index. */
        {"OPTIONS sip:x SIP/2.0\nl: 3\n\nabcOPTIONS sip:x SIP/2.0\nl: 0\r\n\n", "M31 M29 "},
        {"OPTIONS sip:x SIP/2.0\r\nl: 3\n\r\nabc", "M33 "},
        /* An empty line is none when a CR more is in it, or a blank. */
        {"OPTIONS sip:x SIP/2.0\r\nl: 0\r\n\r\r\n\r\n", "M34 "},
        {"OPTIONS sip:x SIP/2.0\r\nl: 0\r\n \r\n\r\n", "M34 "},
        /* A body may hold anything. */
        {"OPTIONS sip:x SIP/2.0\r\nl: 8\r\n\r\n\r\n\r\nl: 9" RINGING, "M39 M138 "},
        /* What is wrong otherwise is the core's to answer. */
        {"OPTIONS sip:x SIP/3.0\r\nl: 0\r\n\r\n", "M31 "},
        {"OPTIONS  SIP/2.0\r\nl: 1\r\nno field\r\n\r\nx", "M37 "},
        {"SIP/2.0 99 No\r\nl: 0\r\n\r\n", "M23 "},
    };

    (void)context;
    check_rows(rows, sizeof(rows) / sizeof(rows[0]));
}

/* RFC 3261 §7.3.1, §7.3.3, §18.3, §20.14. */
static void content_length_is_read_as_the_grammar_has_it(void **context)
{
    static const struct {
        const char *field, *tale;
    } rows[] = {
        {"Content-Length: 4\r\n", "M"},
        {"content-length:4\r\n", "M"},
        {"CONTENT-LENGTH \t : \t 4 \t\r\n", "M"},
        {"l: 4\r\n", "M"},
        {"L:4\r\n", "M"},
        {"l\t:4\r\n", "M"},
        {"Content-Length:\r\n 4\r\n", "M"},
        {"l:\r\n\t\r\n 4\r\n", "M"},
        {"l: 4\n", "M"},
        {"l: 0004\r\n", "M"},
        {"l: 4\r\nContent-Length: 4\r\n", "M"},
        {"l: 4\r\nContent-Length:\r\n  4 \r\nL:4\r\n", "M"},
        {"l: 4\r\nl: 5\r\n", "length_contrary"},
        {"l: 4\r\nl: 04\r\n", "length_contrary"},
        {"l: 4\r\nl:\r\n", "length_contrary"},
        {"l: 4\r\nVia: x\r\nl: 4\r\nCONTENT-length: 0\r\n", "length_contrary"},
        {"", "length_missing"},
        {"Content-Lengt: 4\r\n", "length_missing"},
        {"X-Content-Length: 4\r\n", "length_missing"},
        {"Subject: x\r\n l: 4\r\n", "length_missing"},
        {"Content-Length 4\r\n", "length_missing"},
        {"Content-Length;x: 4\r\n", "length_missing"},
        {"l:\r\n", "length_bad"},
        {"l: -1\r\n", "length_bad"},
        {"l: +4\r\n", "length_bad"},
        {"l: 0x4\r\n", "length_bad"},
        {"l: 4 4\r\n", "length_bad"},
        {"l: 4, 4\r\n", "length_bad"},
        {"l: 4;x=y\r\n", "length_bad"},
        {"l: 4.0\r\n", "length_bad"},
        {"l: \"4\"\r\n", "length_bad"},
        {"l: 2147483648\r\n", "length_bad"},
        {"l: 4294967300\r\n", "length_bad"},
        {"l: 18446744073709551620\r\n", "length_bad"},
        {"l: 2147483647\r\n", "body_long"},
        {"l: 4097\r\n", "body_long"},
    };
    char text[512], tale[64];

    (void)context;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t n =
            (uint32_t)snprintf(text, sizeof(text), "%s%s%s\r\nbody", START, REST, rows[i].field);

        snprintf(tale, sizeof(tale), "%s%u ", rows[i].tale, n - (rows[i].tale[0] == 'M' ? 0 : 4));
        check_tale(text, n, tale);
    }
}

/* RFC 5626 §3.5.1, §4.4.1. */
static void keep_alives_between_messages(void **context)
{
    static const struct {
        const char *text;
        uint32_t n;
        const char *tale;
    } rows[] = {
        {"\r\n\r\n", 4, "P0 "},
        {"\r\n\r\n\r\n\r\n", 8, "P0 P0 "},
        {"\r\n", 2, ""},
        {"\r", 1, "+1 "},
        {"\r\n\r", 3, "+1 "},
        {"\r\n\r\n\r\n", 6, "P0 "},
        {"\n\n\n\n", 4, ""},
        {"\r\r\r\r\n", 5, ""},
        {"\r\n\n\r\n", 5, ""}, /* no double CRLF */
        {"\0\0\0\0", 4, ""},
        {"\r\n\0\r\n", 5, ""},
        {"\r\n\r\n" INVITE "\r\n\r\n" INVITE "\r\n", 370, "P0 M180 P0 M180 "},
        {"\r\n" INVITE "\r\n" INVITE "\r\n\r\n", 368, "M180 M180 P0 "},
        {"\0\0" INVITE "\0" INVITE "\r\n\0", 366, "M180 M180 "},
        {"\r\nINVITE ", 9, "+7 "},
    };

    (void)context;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_tale(rows[i].text, rows[i].n, rows[i].tale);
}

/* A CRLF alone waits for no second one: it is taken at once, and its peer is not slow. */
static void a_single_crlf_is_not_waited_with(void **context)
{
    struct frame frame = {0};
    enum frame_reason reason;
    uint32_t length = 0;

    (void)context;
    assert_int_equal(frame_next(&frame, &limits, "\r\n", 2, &length, &reason), FRAME_SKIP);
    assert_int_equal(length, 2);
    assert_int_equal(frame_next(&frame, &limits, "", 0, &length, &reason), FRAME_MORE);
    assert_int_equal(frame_next(&frame, &limits, "\r\n", 2, &length, &reason), FRAME_PING);
    assert_int_equal(frame_next(&frame, &limits, "\r\n", 2, &length, &reason), FRAME_SKIP);
    assert_int_equal(frame_next(&frame, &limits, "\r\n\r\n", 4, &length, &reason), FRAME_PING);
    assert_int_equal(length, 2);
}

static void what_is_not_sip_is_refused_at_its_first_line(void **context)
{
    static const struct row rows[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not_sip0 "},
        {"GET / HTTP/1.1\r\n", "not_sip0 "},
        {"\n\nEHLO mail\n", "not_sip0 "},
        {"SSH-2.0-OpenSSH_9.2\r\n", "not_sip0 "},
        {"jaK\r\n", "not_sip0 "},
        {" \r\n", "not_sip0 "},
        {"INVITE sip:x SIP\r\n", "not_sip0 "},
        {"\x16\x03\x01\x02", "not_sip0 "}, /* TLS: ClientHello */
        {"\x80\x2e\x01", "not_sip0 "},     /* SSLv2 */
        {"\x7f", "not_sip0 "},
        {"\r\n\x01", "not_sip0 "},
        {INVITE "GET / HTTP/1.0\n\nabc", "M180 not_sip0 "},
        {INVITE "x" INVITE, "M180 M181 "},
        {INVITE "x\r\n" INVITE, "M180 not_sip0 "},
        /* Not at its end yet: limits and time bound it. */
        {"GET / HTTP/1.1", "+14 "},
    };

    (void)context;
    check_rows(rows, sizeof(rows) / sizeof(rows[0]));
    check_tale("\0\1\0\0\x21\x12\xa4\x42", 8, "not_sip0 "); /* STUN */
}

/* A request with so many bytes of header section and no body. */
static uint32_t build(char *ret, uint32_t size, const char *last_line)
{
    uint32_t n = (uint32_t)sprintf(ret, "%s%sSubject: ", START, REST);
    uint32_t tail = (uint32_t)strlen(last_line);

    memset(ret + n, 's', size - n - tail);
    memcpy(ret + size - tail, last_line, tail);
    return size;
}

static void a_header_section_has_a_limit(void **context)
{
    static char text[2048];
    char tale[64];

    (void)context;
    build(text, 1024, "\r\nl: 0\r\n\r\n");
    check_tale(text, 1024, "M1024 ");
    /* One byte more: what is answered are the whole lines before. */
    build(text, 1025, "\r\nl: 0\r\n\r\n");
    check_tale(text, 1025, "headers_long1023 ");
    /* The limit is known to be passed before the line ends. */
    snprintf(tale, sizeof(tale), "headers_long%zu ", strlen(START REST));
    build(text, 1024, "");
    check_tale(text, 1024, tale);
    /* A response, or a start-line of that length, is not answered. */
    memcpy(text, "SIP/2.0 180 Ringing and more here\r\n", strlen(START) - 1);
    memset(text, 'x', 1024);
    check_tale(text, 1024, "headers_long0 ");
    check_tale(text, 1023, "+1023 ");
    build(text, 1024, "");
    memcpy(text, "SIP/2.0 200 OK           12345678", 33);
    check_tale(text, 1024, "headers_long0 ");
    build(text, 1024, "");
    memcpy(text, "ACK sip:bobbybob@", 17);
    check_tale(text, 1024, "headers_long0 ");
}

/* A reload lowers the limit below what was looked at already. */
static void a_limit_may_sink(void **context)
{
    static const uint32_t limit[] = {1024, 400, 60};
    static char text[1024];

    (void)context;
    build(text, 1024, "\r\nl: 0\r\n\r\n");
    for (uint32_t i = 0; i < 3; i++) {
        struct guard guard = guard_new(text, i < 2 ? 500 : 1024);
        struct frame frame = {0};
        enum frame_reason reason = FRAME_REASON_COUNT;
        uint32_t length = 0;

        assert_int_equal(frame_next(&frame, &limits, text, 500, &length, &reason), FRAME_MORE);
        assert_int_equal(frame_next(&frame, &(struct frame_limits){limit[i], 4096}, guard.at,
                                    (uint32_t)guard.length, &length, &reason),
                         i == 0 ? FRAME_MORE : FRAME_REFUSED);
        assert_int_equal(reason, i == 0 ? FRAME_REASON_COUNT : FRAME_HEADERS_LONG);
        guard_free(&guard);
    }
}

static void what_is_refused_is_answered_to_requests_only(void **context)
{
    static const struct row rows[] = {
        {START "l: x\r\n\r\n", "length_bad44 "},
        {"ACK sip:x SIP/2.0\r\nl: x\r\n\r\n", "length_bad0 "},
        {"SIP/2.0 200 OK\r\nl: x\r\n\r\n", "length_bad0 "},
        {"SIP/2.0 200 OK\r\n\r\n", "length_missing0 "},
        {"ACK sip:x SIP/2.0\r\nl: 5000\r\n\r\n", "body_long0 "},
    };

    (void)context;
    check_rows(rows, sizeof(rows) / sizeof(rows[0]));
    assert_int_equal(frame_reason_status(FRAME_NOT_SIP), 0);
    assert_int_equal(frame_reason_status(FRAME_LENGTH_MISSING), 400);
    assert_int_equal(frame_reason_status(FRAME_LENGTH_BAD), 400);
    assert_int_equal(frame_reason_status(FRAME_LENGTH_CONTRARY), 400);
    assert_int_equal(frame_reason_status(FRAME_HEADERS_MANY), 400);
    assert_int_equal(frame_reason_status(FRAME_BODY_LONG), 413);
    assert_int_equal(frame_reason_status(FRAME_HEADERS_LONG), 513);
}

/* Fields above the number that is remembered might hide a Content-Length that others read. */
static void no_content_length_is_overlooked(void **context)
{
    static const struct frame_limits wide = {SIP_MSG_MAX, 4096};
    static char text[8192];
    char tale[64];
    uint32_t n;

    (void)context;
    for (uint32_t fields = SIP_FIELDS_MAX; fields <= SIP_FIELDS_MAX + 1; fields++) {
        bool fits = fields == SIP_FIELDS_MAX;

        n = (uint32_t)sprintf(text, "%s%sl: 4\r\n", START, REST);
        for (uint32_t i = 7; i <= fields; i++) /* REST has five and l: is the sixth */
            n += (uint32_t)sprintf(text + n, i < fields ? "v: SIP/2.0/TCP x\r\n" : "l: 4\r\n");
        n += (uint32_t)sprintf(text + n, "\r\nbody");
        snprintf(tale, sizeof(tale), fits ? "M%u " : "headers_many%u ", fits ? n : n - 4);
        assert_string_equal(tell_steps(&wide, text, n, n, n).text, tale);
    }
}

static void the_largest_message(void **context)
{
    static const struct frame_limits widest = {SIP_MSG_MAX, 0x7fffffff};
    static char text[LONG_MAX];
    struct frame frame = {0};
    enum frame_reason reason;
    uint32_t length = 0;

    (void)context;
    build(text, SIP_MSG_MAX, "\r\nl: 2147483647\r\n\r\n");
    assert_int_equal(frame_next(&frame, &widest, text, LONG_MAX, &length, &reason), FRAME_MORE);
    assert_int_equal(frame.length, SIP_MSG_MAX + 0x7fffffffu);
    frame = (struct frame){0};
    build(text, SIP_MSG_MAX + 1, "\r\nl: 0\r\n\r\n");
    assert_int_equal(frame_next(&frame, &widest, text, LONG_MAX, &length, &reason), FRAME_REFUSED);
    assert_int_equal(reason, FRAME_HEADERS_LONG);
}

/*
 * Linear: whatever was looked at before is not read again. Seen before were bytes that are another
 * message's now, and an end that is not there any more goes unnoticed only if nobody looks.
 */
static void bytes_are_looked_at_once(void **context)
{
    static char text[65536];
    const struct frame_limits wide = {sizeof(text) - 1, sizeof(text)};
    struct frame frame = {0};
    enum frame_reason reason;
    uint32_t length = 0, n = (uint32_t)strlen(START);

    (void)context;
    memcpy(text, START, n);
    for (; n < sizeof(text) - 2; n++) {
        assert_int_equal(frame_next(&frame, &wide, text, n, &length, &reason), FRAME_MORE);
        assert_int_equal(frame.scanned, n);
        /* All but the last two bytes are made an end of a header section. */
        if (n > strlen(START) + 8)
            memcpy(text + n - 8, "\r\n\r\n", 4);
        text[n] = 'x';
    }
    /* The body: nothing but a count. */
    frame = (struct frame){0};
    n = (uint32_t)sprintf(text, "%sl: 1000\r\n\r\n", START);
    assert_int_equal(frame_next(&frame, &wide, text, n, &length, &reason), FRAME_MORE);
    assert_int_equal(frame.length, n + 1000);
    memset(text, '\n', n);
    assert_int_equal(frame_next(&frame, &wide, text, n + 999, &length, &reason), FRAME_MORE);
    assert_int_equal(frame_next(&frame, &wide, text, n + 1000, &length, &reason), FRAME_MESSAGE);
    assert_int_equal(length, n + 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_told_apart),
        cmocka_unit_test(content_length_is_read_as_the_grammar_has_it),
        cmocka_unit_test(keep_alives_between_messages),
        cmocka_unit_test(a_single_crlf_is_not_waited_with),
        cmocka_unit_test(what_is_not_sip_is_refused_at_its_first_line),
        cmocka_unit_test(a_header_section_has_a_limit),
        cmocka_unit_test(a_limit_may_sink),
        cmocka_unit_test(what_is_refused_is_answered_to_requests_only),
        cmocka_unit_test(no_content_length_is_overlooked),
        cmocka_unit_test(the_largest_message),
        cmocka_unit_test(bytes_are_looked_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
