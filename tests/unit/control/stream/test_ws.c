/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSockets of SIP: which messages come out of a peer's frames, what it is answered, and with
 * which code each broken rule ends; all the same however the bytes arrive.
 */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/stream/ws.h"
#include "tests/unit/guard.h"

enum { MESSAGE_MAX = 20000, WIRE_MAX = 1 << 17, TALE_MAX = 4096 };

enum { CONTINUED = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, MORE = 0x80 };

/* ---- The peer: frames as a client writes them ---- */

struct wire {
    uint8_t bytes[WIRE_MAX];
    uint32_t n;
};

static void put_byte(struct wire *wire, uint64_t byte)
{
    assert_true(wire->n < WIRE_MAX);
    wire->bytes[wire->n++] = (uint8_t)byte;
}

/* A frame's header: `first` is its first byte, `length_bytes` how its length is written: 0, 2, 8.
 */
static void put_header(struct wire *wire, uint8_t first, bool masked, uint64_t length,
                       uint32_t length_bytes)
{
    put_byte(wire, first);
    put_byte(wire, (masked ? 0x80 : 0) | (length_bytes == 0   ? length
                                          : length_bytes == 2 ? 126
                                                              : 127));
    for (uint32_t i = length_bytes; i > 0; i--)
        put_byte(wire, length >> 8 * (i - 1));
}

/* A masked frame; opcode | MORE: not the last of its message. */
static void put(struct wire *wire, uint8_t opcode, const char *payload, uint32_t n)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

    put_header(wire, (opcode & 0x0f) | ((opcode & MORE) != 0 ? 0 : 0x80), true, n,
               n > 65535 ? 8
               : n > 125 ? 2
                         : 0);
    for (uint32_t i = 0; i < 4; i++)
        put_byte(wire, mask[i]);
    for (uint32_t i = 0; i < n; i++)
        put_byte(wire, (uint8_t)payload[i] ^ mask[i % 4]);
}

static void put_text(struct wire *wire, uint8_t opcode, const char *payload)
{
    put(wire, opcode, payload, (uint32_t)strlen(payload));
}

/* ---- What becomes of it, as text ---- */

/* M and a message that came; then, of what was sent, the opcode and the payload, or a Close's code;
 * p: a keep-alive was seen. Long ones by their length. */
struct tale {
    struct ws *ws;
    char text[TALE_MAX];
    size_t length;
    uint8_t sent[WIRE_MAX];
    size_t n_sent;
    const char *answer; /* sent from within the callback */
    bool close;         /* closed from within it */
};

static void tell(struct tale *tale, const char *what, const void *bytes, size_t n)
{
    size_t left = TALE_MAX - tale->length;
    int length = n < 64 ? snprintf(tale->text + tale->length, left, "%s[%.*s] ", what, (int)n,
                                   (const char *)bytes)
                        : snprintf(tale->text + tale->length, left, "%s%zu ", what, n);

    assert_in_range(length, 1, left - 1);
    tale->length += (size_t)length;
}

/* Whole frames that were sent so far: short and unmasked. */
static void tell_sent(struct tale *tale)
{
    static const char *const names[] = {
        [TEXT] = "text", [BINARY] = "binary", [CLOSE] = "close", [PONG] = "pong"};
    size_t at = 0;

    while (at < tale->n_sent) {
        const uint8_t *frame = tale->sent + at;
        size_t n = frame[1], header = 2;
        char code[16];

        if (n == 126) {
            n = (size_t)frame[2] << 8 | frame[3];
            header = 4;
        }
        assert_in_range(n, header == 2 ? 0 : 126, header == 2 ? 125 : 65535);
        assert_true(at + header + n <= tale->n_sent);
        assert_int_equal(frame[0] & 0xf0, 0x80);
        if (frame[0] == (0x80 | CLOSE) && n == 2) {
            snprintf(code, sizeof(code), "%u", frame[2] << 8 | frame[3]);
            tell(tale, "close", code, strlen(code));
        } else {
            tell(tale, names[frame[0] & 0x0f], frame + header, n);
        }
        at += header + n;
    }
    tale->n_sent = 0;
}

static void on_message(void *arg, const char *bytes, uint32_t n)
{
    struct tale *tale = arg;

    tell_sent(tale);
    tell(tale, "M", bytes, n);
    if (tale->close)
        ws_close(tale->ws, WS_GOING_AWAY);
    if (tale->answer != NULL)
        assert_int_equal(ws_send(tale->ws, tale->answer, (uint32_t)strlen(tale->answer)),
                         tale->close ? -ESHUTDOWN : 0);
}

static void on_send(void *arg, const void *bytes, size_t n)
{
    struct tale *tale = arg;

    assert_true(tale->n_sent + n <= WIRE_MAX);
    if (n > 0)
        memcpy(tale->sent + tale->n_sent, bytes, n);
    tale->n_sent += n;
}

static void on_ping(void *arg)
{
    tell_sent(arg);
    tell(arg, "p", "", 0);
}

static const struct ws_callbacks callbacks = {on_message, on_send, on_ping};

/* Gives the bytes `step` at a time, the first time `first`; the last word is the result's. */
static void play(struct tale *tale, const struct wire *wire, uint32_t first, uint32_t step)
{
    uint32_t taken = 0, more = first;
    int result = 0;

    tale->ws = ws_new(MESSAGE_MAX, &callbacks, tale);
    assert_non_null(tale->ws);
    for (; taken < wire->n && result == 0; more = step) {
        struct guard guard;

        more = more < wire->n - taken ? more : wire->n - taken;
        guard = guard_new(wire->bytes + taken, more);
        result = ws_take(tale->ws, guard.at, more);
        guard_free(&guard);
        taken += more;
    }
    tell_sent(tale);
    assert_true(result == 0 || result == -ESHUTDOWN);
    assert_int_equal(ws_take(tale->ws, "", 0), result);
    if (result != 0)
        tell(tale, "end", "", 0);
    else if (ws_pending(tale->ws))
        tell(tale, "pending", "", 0);
    ws_free(tale->ws);
}

static void check_with(const struct wire *wire, const char *answer, bool close,
                       const char *expected)
{
    static struct tale tale;

    for (uint32_t first = wire->n; first > 0; first--) {
        if (wire->n > 1000 && first > 600 && first < wire->n - 16)
            continue;
        tale = (struct tale){.answer = answer, .close = close};
        play(&tale, wire, first, wire->n);
        assert_string_equal(tale.text, expected);
    }
    for (uint32_t step = 1; step < 5; step++) {
        tale = (struct tale){.answer = answer, .close = close};
        play(&tale, wire, step, step);
        assert_string_equal(tale.text, expected);
    }
}

/* Checks what was put and begins anew. */
static void check(struct wire *wire, const char *expected)
{
    check_with(wire, NULL, false, expected);
    wire->n = 0;
}

static struct wire wire;

/* RFC 7118 §5: text or binary, one SIP message in one WebSocket message. */
static void messages_come_out_of_frames(void **context)
{
    (void)context;
    put_text(&wire, TEXT, "INVITE");
    check(&wire, "M[INVITE] ");
    put_text(&wire, BINARY, "INVITE \xff\x80");
    check(&wire, "M[INVITE \xff\x80] ");
    put_text(&wire, TEXT, "one");
    put_text(&wire, BINARY, "two");
    put_text(&wire, TEXT, "\r\n\r\nthree\r\n\r\n");
    check(&wire, "M[one] M[two] M[\r\n\r\nthree\r\n\r\n] ");
    /* RFC 6455 §5.4, §5.5: fragments, with control frames between them */
    put_text(&wire, TEXT | MORE, "one ");
    put_text(&wire, PING, "are you there?");
    put_text(&wire, CONTINUED | MORE, "");
    put_text(&wire, PONG, "I am");
    put_text(&wire, CONTINUED | MORE, "and ");
    put_text(&wire, CONTINUED, "two");
    put_text(&wire, TEXT, "three");
    check(&wire, "pong[are you there?] p[] M[one and two] M[three] ");
    put_text(&wire, TEXT | MORE, "");
    put_text(&wire, CONTINUED, "");
    put_text(&wire, TEXT, "");
    put_text(&wire, BINARY | MORE, "x");
    put_text(&wire, CONTINUED, "");
    check(&wire, "M[x] ");
}

static void what_is_not_whole_is_pending(void **context)
{
    (void)context;
    put_text(&wire, TEXT, "one");
    put_byte(&wire, 0x81);
    check(&wire, "M[one] pending[] ");
    put_header(&wire, 0x81, true, 5, 0);
    check(&wire, "pending[] ");
    put_text(&wire, TEXT | MORE, "one");
    check(&wire, "pending[] ");
    put_text(&wire, TEXT, "some text");
    wire.n--;
    check(&wire, "pending[] ");
    put_text(&wire, TEXT | MORE, "one");
    put_text(&wire, PING, "");
    check(&wire, "pong[] p[] pending[] ");
    put_text(&wire, PING, "");
    put_text(&wire, PONG, "unasked");
    check(&wire, "pong[] p[] ");
}

/* RFC 7118 §6, RFC 5626 §3.5.1. */
static void keep_alives_are_answered(void **context)
{
    (void)context;
    put_text(&wire, TEXT, "\r\n\r\n");
    put_text(&wire, BINARY, "\r\n\r\n");
    put_text(&wire, TEXT, "\r\n");
    put_text(&wire, TEXT, "\r\n\r\n\r\n");
    put_text(&wire, TEXT | MORE, "\r\n");
    put_text(&wire, CONTINUED, "\r\n");
    check(&wire, "text[\r\n] p[] binary[\r\n] p[] text[\r\n] p[] text[\r\n] p[] ");
    for (uint32_t i = 0; i < 3; i++)
        put_text(&wire, PING, "12345");
    check(&wire, "pong[12345] p[] pong[12345] p[] pong[12345] p[] ");
}

/* RFC 6455 §5.5.1, §7.4. */
static void closes(void **context)
{
    static const struct {
        const char *payload;
        uint32_t n;
        const char *tale;
    } rows[] = {
        {"", 0, "close[] end[] "},
        {"\x03\xe8", 2, "close[1000] end[] "},
        {"\x03\xe9going", 7, "close[1001] end[] "},
        {"\x0b\xb8", 2, "close[3000] end[] "},
        {"\x13\x87", 2, "close[4999] end[] "},
        {"\x03\xf6", 2, "close[1014] end[] "},
        {"\x03", 1, "close[1002] end[] "},
        {"\x03\xe7", 2, "close[1002] end[] "}, /* 999 */
        {"\x03\xec", 2, "close[1002] end[] "}, /* 1004 */
        {"\x03\xed", 2, "close[1002] end[] "}, /* 1005 */
        {"\x03\xee", 2, "close[1002] end[] "}, /* 1006 */
        {"\x03\xf7", 2, "close[1002] end[] "}, /* 1015 */
        {"\x0b\xb7", 2, "close[1002] end[] "}, /* 2999 */
        {"\x13\x88", 2, "close[1002] end[] "}, /* 5000 */
        {"\x03\xe8\xc3", 3, "close[1007] end[] "},
        {"\x03\xe8\xff\xff", 4, "close[1007] end[] "},
        {"\x03\xe8\xc3\xa4", 4, "close[1000] end[] "},
    };

    (void)context;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        put(&wire, CLOSE, rows[i].payload, rows[i].n);
        put_text(&wire, TEXT, "never read");
        put_text(&wire, PING, "");
        check(&wire, rows[i].tale);
    }
    put_text(&wire, TEXT, "one");
    put_text(&wire, TEXT | MORE, "lost");
    put(&wire, CLOSE, "\x03\xe8", 2);
    check(&wire, "M[one] close[1000] end[] ");
}

static void broken_rules_end_it(void **context)
{
    (void)context;
    /* §5.1: a client's frames are masked */
    put_header(&wire, 0x81, false, 1, 0);
    put_byte(&wire, 'x');
    check(&wire, "close[1002] end[] ");
    put_header(&wire, 0x89, false, 0, 0);
    check(&wire, "close[1002] end[] ");
    /* §5.2: reserved bits and opcodes; lengths in as few bytes as it takes, below 2^63 */
    for (uint32_t bit = 0x10; bit <= 0x40; bit <<= 1) {
        put_text(&wire, TEXT, "x");
        wire.bytes[0] |= (uint8_t)bit;
        check(&wire, "close[1002] end[] ");
    }
    for (uint8_t opcode = 3; opcode < 16; opcode = opcode == 7 ? 11 : opcode + 1) {
        put_text(&wire, opcode, "x");
        check(&wire, "close[1002] end[] ");
        put_text(&wire, TEXT | MORE, "one");
        put_text(&wire, opcode, "x");
        check(&wire, "close[1002] end[] ");
    }
    put_header(&wire, 0x81, true, 125, 2);
    put_text(&wire, TEXT, "");
    check(&wire, "close[1002] end[] ");
    put_header(&wire, 0x81, true, 65535, 8);
    check(&wire, "close[1002] end[] ");
    put_header(&wire, 0x81, true, 1ull << 63, 8);
    check(&wire, "close[1002] end[] ");
    /* §5.4: a continuation of nothing, a message within a message */
    put_text(&wire, CONTINUED, "x");
    check(&wire, "close[1002] end[] ");
    put_text(&wire, TEXT, "one");
    put_text(&wire, CONTINUED | MORE, "x");
    check(&wire, "M[one] close[1002] end[] ");
    put_text(&wire, TEXT | MORE, "one");
    put_text(&wire, BINARY, "x");
    check(&wire, "close[1002] end[] ");
    /* §5.5: control frames are whole and short */
    put_text(&wire, PING | MORE, "x");
    check(&wire, "close[1002] end[] ");
    put_header(&wire, 0x89, true, 126, 2);
    check(&wire, "close[1002] end[] ");
}

/* RFC 3629 §4, RFC 6455 §8.1: by its last byte when it is cut, at once when it is none. */
static void text_is_utf8(void **context)
{
    static const char *const good[] = {"\x7f",         "\xc2\x80",         "\xdf\xbf",
                                       "\xe0\xa0\x80", "\xed\x9f\xbf",     "\xee\x80\x80",
                                       "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x7f",
                                      "\xc2\xc0",
                                      "\xe0\x9f\xbf",
                                      "\xe0\xa0",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xef\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf0\x90\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80",
                                      "\xfe",
                                      "\xff",
                                      "\xe1\x80\xe1\x80",
                                      "\xf1\x80\x80\x41"};
    char tale[64], text[20];

    (void)context;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        put_text(&wire, TEXT, good[i]);
        put(&wire, TEXT | MORE, good[i], 1);
        put_text(&wire, CONTINUED, good[i] + 1);
        snprintf(tale, sizeof(tale), "M[%s] M[%s] ", good[i], good[i]);
        check(&wire, tale);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        put_text(&wire, TEXT, bad[i]);
        check(&wire, "close[1007] end[] ");
        put_text(&wire, BINARY, bad[i]);
        snprintf(tale, sizeof(tale), "M[%s] ", bad[i]);
        check(&wire, tale);
    }
    put_text(&wire, TEXT | MORE, "no end \xff");
    check(&wire, "close[1007] end[] ");
    /* Wherever in a long text. */
    for (uint32_t at = 0; at < sizeof(text); at++) {
        memset(text, 'x', sizeof(text));
        text[at] = '\x80';
        put(&wire, TEXT, text, sizeof(text));
        check(&wire, "close[1007] end[] ");
        if (at + 1 == sizeof(text))
            break;
        memcpy(text + at, "\xc3\xa4", 2);
        put(&wire, TEXT, text, sizeof(text));
        snprintf(tale, sizeof(tale), "M[%.*s] ", (int)sizeof(text), text);
        check(&wire, tale);
    }
}

static void messages_have_a_limit(void **context)
{
    static char text[2 * MESSAGE_MAX];

    (void)context;
    memset(text, 'x', sizeof(text));
    put(&wire, TEXT, text, MESSAGE_MAX);
    put(&wire, TEXT, text, 126);
    put(&wire, BINARY, text, 65);
    check(&wire, "M20000 M126 M65 ");
    put(&wire, TEXT, text, MESSAGE_MAX + 1);
    check(&wire, "close[1009] end[] ");
    put(&wire, BINARY | MORE, text, MESSAGE_MAX - 10);
    put(&wire, CONTINUED, text, 10);
    check(&wire, "M20000 ");
    put(&wire, BINARY | MORE, text, MESSAGE_MAX - 10);
    put(&wire, CONTINUED, text, 11);
    check(&wire, "close[1009] end[] ");
    /* Refused as soon as it is announced, and a byte of it is there. */
    put_header(&wire, 0x82, true, 1ull << 62, 8);
    for (uint32_t i = 0; i < 5; i++)
        put_byte(&wire, 0);
    check(&wire, "close[1009] end[] ");
}

/* A message in the smallest fragments takes twice its bytes at most. */
static void fragments_are_cheap(void **context)
{
    static struct tale tale;
    size_t before;

    (void)context;
    put_text(&wire, TEXT | MORE, "x");
    for (uint32_t i = 1; i < 15000; i++)
        put_text(&wire, CONTINUED | MORE, "y");
    tale = (struct tale){0};
    tale.ws = ws_new(MESSAGE_MAX, &callbacks, &tale);
    before = mallinfo2().uordblks;
    assert_int_equal(ws_take(tale.ws, (const char *)wire.bytes, wire.n), 0);
    assert_in_range(mallinfo2().uordblks - before, 0, 2 * 15000);
    wire.n = 0;
    put_text(&wire, CONTINUED, "");
    assert_int_equal(ws_take(tale.ws, (const char *)wire.bytes, wire.n), 0);
    assert_string_equal(tale.text, "M15000 ");
    assert_in_range(mallinfo2().uordblks, 0, before);
    ws_free(tale.ws);
    wire.n = 0;
}

static void messages_are_sent(void **context)
{
    static char text[70000];
    static struct tale tale;
    struct ws *ws;

    (void)context;
    tale = (struct tale){0};
    ws = ws_new(MESSAGE_MAX, &callbacks, &tale);
    assert_int_equal(ws_send(ws, "SIP/2.0 200 \xc3\xa4", 14), 0);
    assert_int_equal(ws_send(ws, "SIP/2.0 200 \xe4", 13), 0);
    assert_int_equal(ws_send(ws, "SIP/2.0 200 \xc3", 13), 0);
    memset(text, 'x', sizeof(text));
    assert_int_equal(ws_send(ws, text, 125), 0);
    assert_int_equal(ws_send(ws, text, 126), 0);
    assert_int_equal(ws_send(ws, text, 65535), 0);
    tell_sent(&tale);
    assert_string_equal(tale.text, "text[SIP/2.0 200 \xc3\xa4] binary[SIP/2.0 200 \xe4] "
                                   "binary[SIP/2.0 200 \xc3] text125 text126 text65535 ");
    assert_int_equal(ws_send(ws, text, 65536), 0);
    assert_int_equal(tale.n_sent, 10 + 65536);
    assert_memory_equal(tale.sent, "\x81\x7f\0\0\0\0\0\1\0\0xxx", 13);
    ws_free(ws);
    ws_free(NULL);
}

static void callbacks_may_send_and_close(void **context)
{
    (void)context;
    put_text(&wire, TEXT | MORE, "one");
    put_text(&wire, CONTINUED, " more");
    put_text(&wire, TEXT, "two");
    put_text(&wire, PING, "x");
    check_with(&wire, "answer", false, "M[one more] text[answer] M[two] text[answer] pong[x] p[] ");
    /* After our Close nothing is sent; what still comes is taken until the peer's. */
    put_text(&wire, TEXT, "\r\n\r\n");
    check_with(&wire, "answer", true, "M[one more] close[1001] M[two] p[] p[] ");
    put(&wire, CLOSE, "\x03\xe8", 2);
    check_with(&wire, "answer", true, "M[one more] close[1001] M[two] p[] p[] end[] ");
    wire.n = 0;
}

static void the_first_code_is_kept(void **context)
{
    static struct tale tale;
    struct ws *ws;

    (void)context;
    tale = (struct tale){0};
    ws = ws_new(MESSAGE_MAX, &callbacks, &tale);
    assert_int_equal(ws_code(ws), 0);
    ws_close(ws, WS_POLICY);
    ws_close(ws, WS_NORMAL);
    assert_int_equal(ws_code(ws), WS_POLICY);
    assert_int_equal(ws_send(ws, "x", 1), -ESHUTDOWN);
    put(&wire, CLOSE, "\x03\xe8", 2);
    assert_int_equal(ws_take(ws, (const char *)wire.bytes, wire.n), -ESHUTDOWN);
    assert_int_equal(ws_take(ws, (const char *)wire.bytes, wire.n), -ESHUTDOWN);
    assert_int_equal(ws_code(ws), WS_POLICY);
    tell_sent(&tale);
    assert_string_equal(tale.text, "close[1008] ");
    ws_free(ws);
    tale = (struct tale){0};
    ws = ws_new(MESSAGE_MAX, &callbacks, &tale);
    wire.n = 0;
    put(&wire, CLOSE, "", 0);
    assert_int_equal(ws_take(ws, (const char *)wire.bytes, wire.n), -ESHUTDOWN);
    assert_int_equal(ws_code(ws), WS_NO_CODE);
    ws_free(ws);
    wire.n = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_out_of_frames),
        cmocka_unit_test(what_is_not_whole_is_pending),
        cmocka_unit_test(keep_alives_are_answered),
        cmocka_unit_test(closes),
        cmocka_unit_test(broken_rules_end_it),
        cmocka_unit_test(text_is_utf8),
        cmocka_unit_test(messages_have_a_limit),
        cmocka_unit_test(fragments_are_cheap),
        cmocka_unit_test(messages_are_sent),
        cmocka_unit_test(callbacks_may_send_and_close),
        cmocka_unit_test(the_first_code_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
