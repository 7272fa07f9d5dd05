/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upgrade to WebSocket: which requests are good, which status each of the others gets, and that
 * it is all the same however the bytes arrive.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/stream/http.h"
#include "tests/unit/guard.h"

enum { TEXT_MAX = 3 * HTTP_HEADER_MAX };

static char *const origins[] = {"https://phone.example.net", "https://b.example.net:8443"};
static const struct http_rules rules = {.path = "/sip"};
static const struct http_rules picky = {.path = "/", .origins = origins, .n_origins = 2};

/* The request of RFC 7118 §8.1, its header fields apart. */
#define LINE "GET /sip HTTP/1.1\r\n"
#define HOST "Host: sip-ws.example.com\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define ORIGIN "Origin: http://www.example.com\r\n"
#define PROTOCOL "Sec-WebSocket-Protocol: sip\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define GOOD LINE HOST UPGRADE CONNECTION KEY ORIGIN PROTOCOL VERSION "\r\n"

/* What n bytes lead to that arrive `step` at a time, the first time `first`, each time elsewhere in
 * memory and in front of an unreadable page. */
static int read_steps(struct http_upgrade *ret, const struct http_rules *with, const char *bytes,
                      uint32_t n, uint32_t first, uint32_t step)
{
    int result = -EAGAIN;

    memset(ret, 0, sizeof(*ret));
    for (uint32_t arrived = first; result == -EAGAIN; arrived += step) {
        struct guard guard = guard_new(bytes, arrived < n ? arrived : n);

        result = http_upgrade_read(ret, with, guard.at, (uint32_t)guard.length);
        guard_free(&guard);
        if (arrived >= n)
            break;
    }
    return result;
}

static void check(const struct http_rules *with, const char *text, int expected)
{
    uint32_t n = (uint32_t)strlen(text);
    struct http_upgrade upgrade;
    int result = read_steps(&upgrade, with, text, n, n, n);

    if (result != expected)
        fail_msg("%d, not %d: %s", result, expected, text);
    for (uint32_t first = 1; first < n; first++)
        assert_int_equal(read_steps(&upgrade, with, text, n, first, n), expected);
    for (uint32_t step = 1; step < 4; step++)
        assert_int_equal(read_steps(&upgrade, with, text, n, step, step), expected);
}

struct row {
    const char *text;
    int result;
};

static void check_rows(const struct http_rules *with, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check(with, rows[i].text, rows[i].result);
}

#define CHECK_ROWS(with, rows) check_rows(with, rows, sizeof(rows) / sizeof(rows[0]))

static void assert_slice(struct sip_slice slice, const char *text)
{
    assert_int_equal(slice.length, strlen(text));
    assert_memory_equal(slice.at, text, slice.length);
}

static void a_good_request_is_read(void **context)
{
    static const char text[] =
        "GET /sip?token=1/2 HTTP/1.1\r\n" HOST UPGRADE CONNECTION KEY ORIGIN PROTOCOL VERSION
        "User-Agent: \t Firefox 1 \r\nCookie: a=b\r\n\r\nmore";
    struct http_upgrade upgrade = {0};

    (void)context;
    assert_int_equal(http_upgrade_read(&upgrade, &rules, text, 40), -EAGAIN);
    assert_int_equal(http_upgrade_read(&upgrade, &rules, text, sizeof(text) - 1), 0);
    assert_int_equal(upgrade.length, sizeof(text) - 1 - strlen("more"));
    assert_slice(upgrade.target, "/sip?token=1/2");
    assert_slice(upgrade.host, "sip-ws.example.com");
    assert_slice(upgrade.origin, "http://www.example.com");
    assert_slice(upgrade.user_agent, "Firefox 1");
    assert_slice(upgrade.key, "dGhlIHNhbXBsZSBub25jZQ==");
}

static void what_may_differ(void **context)
{
    static const struct row rows[] = {
        {GOOD, 0},
        {GOOD "\x81\x80", 0},
        {GOOD GOOD, 0},
        {"GET /sip? HTTP/1.1\r\n" HOST UPGRADE CONNECTION KEY PROTOCOL VERSION "\r\n", 0},
        {LINE "HOST:[2001:db8::1]:8080\r\n" UPGRADE CONNECTION KEY PROTOCOL VERSION "\r\n", 0},
        {LINE HOST "upgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n" KEY PROTOCOL VERSION
                   "\r\n",
         0},
        {LINE HOST "Upgrade: h2c\r\nUPGRADE:,,websocket\r\nConnection: close\r\n"
                   "Connection:\tupgrade ,x\r\n" KEY PROTOCOL VERSION "\r\n",
         0},
        {LINE HOST UPGRADE CONNECTION KEY VERSION "Sec-WebSocket-Protocol: xmpp, sip\r\n\r\n", 0},
        {LINE HOST UPGRADE CONNECTION KEY VERSION "Sec-WebSocket-Protocol: msrp\r\n" PROTOCOL
                                                  "\r\n",
         0},
        {LINE HOST UPGRADE CONNECTION KEY PROTOCOL VERSION "X-$&|#^: \x80\xff\t~ \r\nY:\r\n\r\n",
         0},
        {LINE HOST UPGRADE CONNECTION
         "Sec-WebSocket-Key: abcdefghijklmnopqrst/+==\r\n" PROTOCOL VERSION
         "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
         0},
    };

    (void)context;
    CHECK_ROWS(&rules, rows);
}

static void request_lines(void **context)
{
    static const struct row rows[] = {
        {"POST /sip HTTP/1.1\r\n", 405},
        {"get /sip HTTP/1.1\r\n", 405},
        {"CONNECT a:1 HTTP/1.1\r\n", 405},
        {"GET / HTTP/1.1\r\n", 404},
        {"GET /sip/ HTTP/1.1\r\n", 404},
        {"GET /SIP HTTP/1.1\r\n", 404},
        {"GET /%73ip HTTP/1.1\r\n", 404},
        {"GET //sip HTTP/1.1\r\n", 404},
        {"GET /x/../sip HTTP/1.1\r\n", 404},
        {"GET /si HTTP/1.1\r\n", 404},
        {"GET /sip HTTP/1.0\r\n", 505},
        {"GET /sip HTTP/2.0\r\n", 505},
        {"PRI * HTTP/2.0\r\n", 505},
        {"GET /sip HTTP/1.2\r\n", 505},
        {"GET * HTTP/1.1\r\n", 400},
        {"GET http://x/sip HTTP/1.1\r\n", 400},
        {"GET /sip#x HTTP/1.1\r\n", 400},
        {"GET /s\tip HTTP/1.1\r\n", 400},
        {"GET /sip\x7f HTTP/1.1\r\n", 400},
        {"GET /sip\xff HTTP/1.1\r\n", 400},
        {"GET  /sip HTTP/1.1\r\n", 400},
        {"GET /sip  HTTP/1.1\r\n", 400},
        {"GET /sip HTTP/1.1 \r\n", 400},
        {" GET /sip HTTP/1.1\r\n", 400},
        {"GET\t/sip\tHTTP/1.1\r\n", 400},
        {"GET /sip http/1.1\r\n", 400},
        {"GET /sip HTTP/1\r\n", 400},
        {"GET /sip HTTP/11.1\r\n", 400},
        {"GET /sip HTTP/x.1\r\n", 400},
        {"GET /sip\r\n", 400},
        {"GET\r\n", 400},
        {"G(T /sip HTTP/1.1\r\n", 400},
        {"\r\n" GOOD, 400},
        {"GET /sip HTTP/1.1\n", 400},
        {"GET /sip HTTP/1.1\r\r\n", 400},
        {"INVITE sip:x SIP/2.0\r\n", 400},
        {"\x16", 400}, /* TLS: ClientHello */
        {"\x80\x2e", 400},
        {"GET /sip HTTP/1.1", -EAGAIN},
        {"GET /sip HTTP/1.1\r", -EAGAIN},
        {LINE, -EAGAIN},
        {LINE HOST UPGRADE CONNECTION KEY PROTOCOL VERSION, -EAGAIN},
        {LINE HOST UPGRADE CONNECTION KEY PROTOCOL VERSION "\r", -EAGAIN},
    };

    (void)context;
    CHECK_ROWS(&rules, rows);
}

static void what_is_missing_doubled_or_wrong(void **context)
{
    static const struct row rows[] = {
        {LINE "\r\n", 400},
        {LINE UPGRADE CONNECTION KEY PROTOCOL VERSION "\r\n", 400},
        {LINE HOST CONNECTION KEY PROTOCOL VERSION "\r\n", 400},
        {LINE HOST UPGRADE KEY PROTOCOL VERSION "\r\n", 400},
        {LINE HOST UPGRADE CONNECTION PROTOCOL VERSION "\r\n", 400},
        {LINE HOST UPGRADE CONNECTION KEY VERSION "\r\n", 400},
        {LINE HOST UPGRADE CONNECTION KEY PROTOCOL "\r\n", 400},
        {LINE HOST HOST UPGRADE CONNECTION KEY PROTOCOL VERSION "\r\n", 400},
        {LINE HOST UPGRADE CONNECTION KEY KEY PROTOCOL VERSION "\r\n", 400},
        {LINE HOST UPGRADE CONNECTION KEY PROTOCOL VERSION VERSION "\r\n", 400},
        {LINE HOST UPGRADE CONNECTION KEY PROTOCOL VERSION ORIGIN ORIGIN "\r\n", 400},
        {LINE "Host:\r\n" UPGRADE CONNECTION KEY PROTOCOL VERSION "\r\n", 400},
        {LINE "Host: a b\r\n" UPGRADE CONNECTION KEY PROTOCOL VERSION "\r\n", 400},
        {LINE "Host: a/b\r\n" UPGRADE CONNECTION KEY PROTOCOL VERSION "\r\n", 400},
        {LINE "Host: a@b\r\n" UPGRADE CONNECTION KEY PROTOCOL VERSION "\r\n", 400},
        {LINE HOST "Upgrade: websockets\r\n" CONNECTION KEY PROTOCOL VERSION "\r\n", 400},
        {LINE HOST "Upgrade: h2c\r\n" CONNECTION KEY PROTOCOL VERSION "\r\n", 400},
        {LINE HOST UPGRADE "Connection: keep-alive\r\n" KEY PROTOCOL VERSION "\r\n", 400},
        {LINE HOST UPGRADE CONNECTION KEY VERSION "Sec-WebSocket-Protocol: SIP\r\n\r\n", 400},
        {LINE HOST UPGRADE CONNECTION KEY VERSION "Sec-WebSocket-Protocol: sips\r\n\r\n", 400},
        {LINE HOST UPGRADE CONNECTION KEY VERSION "Sec-WebSocket-Protocol:\r\n\r\n", 400},
        {LINE HOST UPGRADE CONNECTION KEY PROTOCOL "Sec-WebSocket-Version:\r\n\r\n", 400},
        {LINE HOST UPGRADE CONNECTION KEY PROTOCOL "Sec-WebSocket-Version: 8\r\n\r\n", 426},
        {LINE HOST UPGRADE CONNECTION KEY PROTOCOL "Sec-WebSocket-Version: 013\r\n\r\n", 426},
        {LINE HOST UPGRADE CONNECTION KEY PROTOCOL "Sec-WebSocket-Version: 13, 8\r\n\r\n", 426},
    };

    (void)context;
    CHECK_ROWS(&rules, rows);
}

static void keys(void **context)
{
    static const char *const bad[] = {
        "",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZSBub25jZQA=",
        "dGhlIHNhbXBsZSBub25jZQAB",
        "dGhlIHNhbXBsZSBub25j-Q==",
        "dGhlIHNhbXBsZSBub25j Q==",
        "dGhlIHNhbXBsZSBub25j\xc3\xa4==",
        "dGhlIHNhbXBsZSBub25jZQ==, x",
        "\"dGhlIHNhbXBsZSBub25jZQ==\"",
    };
    char text[512];

    (void)context;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "%sSec-WebSocket-Key: %s\r\n%s", LINE HOST UPGRADE CONNECTION,
                 bad[i], PROTOCOL VERSION "\r\n");
        check(&rules, text, 400);
    }
}

/* RFC 9112 §11.2: nothing that another parser could take for a body, or for another field. */
static void nothing_is_smuggled(void **context)
{
#define FIELDS HOST UPGRADE CONNECTION KEY PROTOCOL VERSION
    static const struct row rows[] = {
        {LINE FIELDS "Content-Length: 0\r\n\r\n", 400},
        {LINE FIELDS "content-length: 5\r\n\r\nhello", 400},
        {LINE FIELDS "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {LINE FIELDS "TRANSFER-ENCODING:\r\n\r\n", 400},
        {LINE FIELDS "Transfer-Encoding : chunked\r\n\r\n", 400},
        {LINE FIELDS "X: y\r\n Content-Length: 5\r\n\r\n", 400}, /* obs-fold */
        {LINE FIELDS "X: y\r\n\tz\r\n\r\n", 400},
        {LINE " X: y\r\n" FIELDS "\r\n", 400},
        {LINE FIELDS "X\r\n\r\n", 400},
        {LINE FIELDS ": y\r\n\r\n", 400},
        {LINE FIELDS "X y: z\r\n\r\n", 400},
        {LINE FIELDS "X: y\n\r\n", 400},
        {LINE FIELDS "\n", 400},
        {LINE FIELDS "X: y\n\n", 400},
        {LINE FIELDS "X: y\rContent-Length: 5\r\n\r\n", 400},
        {LINE FIELDS "X: y\r\r\n\r\n", 400},
        {LINE FIELDS "X: \x01\r\n\r\n", 400},
        {LINE FIELDS "X: \x7f\r\n\r\n", 400},
        {LINE FIELDS "X(: y\r\n\r\n", 400},
    };
    static const char nul[] = LINE FIELDS "X: \0\r\n\r\n", name[] = LINE FIELDS "X\0: y\r\n\r\n";
    struct http_upgrade upgrade;
    uint32_t n = sizeof(nul) - 1;

    (void)context;
    CHECK_ROWS(&rules, rows);
    assert_int_equal(read_steps(&upgrade, &rules, nul, n, n, n), 400);
    n = sizeof(name) - 1;
    assert_int_equal(read_steps(&upgrade, &rules, name, n, n, n), 400);
}

static void origins_are_of_a_list(void **context)
{
#define ROOT "GET / HTTP/1.1\r\n"
    static const struct row rows[] = {
        {ROOT FIELDS "Origin: https://phone.example.net\r\n\r\n", 0},
        {ROOT FIELDS "Origin: HTTPS://Phone.Example.NET\r\n\r\n", 0},
        {ROOT FIELDS "Origin: https://b.example.net:8443\r\n\r\n", 0},
        {ROOT FIELDS "Origin: https://phone.example.net.evil.example\r\n\r\n", 403},
        {ROOT FIELDS "Origin: http://phone.example.net\r\n\r\n", 403},
        {ROOT FIELDS "Origin: https://phone.example.net, x\r\n\r\n", 403},
        {ROOT FIELDS "Origin: null\r\n\r\n", 403},
        {ROOT FIELDS "Origin:\r\n\r\n", 403},
        {ROOT FIELDS "\r\n", 403},
    };

    (void)context;
    CHECK_ROWS(&picky, rows);
}

/* Reads a text of this length that ends in `tail`, filled up with 'x' after `head`. */
static int read_long(const char *head, const char *tail, uint32_t n, uint32_t step)
{
    static char text[TEXT_MAX];
    struct http_upgrade upgrade;
    size_t head_length = strlen(head), tail_length = strlen(tail);

    memset(text, 'x', n);
    memcpy(text, head, head_length);
    memcpy(text + n - tail_length, tail, tail_length);
    return read_steps(&upgrade, &rules, text, n, step, step);
}

static void sizes_have_limits(void **context)
{
    static const uint32_t steps[] = {1, 7, 1000, TEXT_MAX};

    (void)context;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        uint32_t step = steps[i];

        assert_int_equal(read_long(LINE FIELDS "X: ", "\r\n\r\n", HTTP_HEADER_MAX, step), 0);
        assert_int_equal(read_long(LINE FIELDS "X: ", "\r\n\r\n", HTTP_HEADER_MAX + 1, step), 431);
        assert_int_equal(read_long(LINE FIELDS "X: ", "", HTTP_HEADER_MAX - 1, step), -EAGAIN);
        assert_int_equal(read_long(LINE FIELDS "X: ", "", HTTP_HEADER_MAX, step), 431);
        assert_int_equal(read_long("GET /sip?", "", HTTP_HEADER_MAX - 1, step), -EAGAIN);
        assert_int_equal(read_long("GET /sip?", "", 2 * HTTP_HEADER_MAX, step), 414);
        assert_int_equal(read_long("GET /", " HTTP/1.1\r\n", HTTP_HEADER_MAX, step), 404);
    }
}

/* RFC 6455 §1.3: the key and what becomes of it. */
static void answers(void **context)
{
    static const int statuses[] = {400, 403, 404, 405, 408, 414, 426, 431, 503, 505};
    struct http_upgrade upgrade = {0};
    char answer[HTTP_ANSWER_MAX], begin[32];
    int32_t n;

    (void)context;
    assert_int_equal(http_upgrade_read(&upgrade, &rules, GOOD, sizeof(GOOD) - 1), 0);
    n = http_accept_print(&upgrade, answer);
    assert_int_equal(n, strlen(answer));
    assert_string_equal(answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\n"
                                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                "Sec-WebSocket-Protocol: sip\r\n\r\n");
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        n = http_refuse_print(statuses[i], answer);
        assert_in_range(n, 1, HTTP_ANSWER_MAX - 1);
        assert_int_equal(n, strlen(answer));
        snprintf(begin, sizeof(begin), "HTTP/1.1 %d ", statuses[i]);
        assert_memory_equal(answer, begin, strlen(begin));
        assert_non_null(strstr(answer, "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
    }
    http_refuse_print(405, answer);
    assert_non_null(strstr(answer, "\r\nAllow: GET\r\n"));
    http_refuse_print(426, answer);
    assert_non_null(strstr(answer, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                   "Sec-WebSocket-Version: 13\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_request_is_read),
        cmocka_unit_test(what_may_differ),
        cmocka_unit_test(request_lines),
        cmocka_unit_test(what_is_missing_doubled_or_wrong),
        cmocka_unit_test(keys),
        cmocka_unit_test(nothing_is_smuggled),
        cmocka_unit_test(origins_are_of_a_list),
        cmocka_unit_test(sizes_have_limits),
        cmocka_unit_test(answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
