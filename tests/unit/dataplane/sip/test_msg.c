/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of sip_msg_index (dataplane/sip/index*.c): RFC 3261 §7, §8.1.1, §18.3, §20; RFC 4475; RFC
 * 5626 §4.4.1. */
#include "dataplane/sip/index.h"
#include "tests/unit/dataplane/sip/same_msg.h"
#include "tests/unit/dataplane/sip/test_sip.h"

#define VIA "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
#define FROM "From: <sip:a@example.com>;tag=1\r\n"
#define TO "To: <sip:b@example.com>\r\n"
#define ID "Call-ID: c@192.0.2.1\r\n"
#define SEQ "CSeq: 7 OPTIONS\r\n"
#define MUST VIA FROM TO ID SEQ
#define REQ "OPTIONS sip:b@example.com SIP/2.0\r\n"
#define END "\r\n"

static const struct {
    const char *text;
    enum sip_error error;
    enum sip_kind kind;
} cases[] = {
    {REQ MUST END, SIP_OK, SIP_REQUEST},
    {"\r\n\r\n" REQ MUST END, SIP_OK, SIP_REQUEST},              /* §7.5 */
    {"OPTIONS sip:b sip/2.0\r\n" MUST END, SIP_OK, SIP_REQUEST}, /* §7.1 */
    {"SIP/2.0 200 OK\r\n" MUST END, SIP_OK, SIP_RESPONSE},
    {"SIP/2.0 100 \r\n" MUST END, SIP_OK, SIP_RESPONSE}, /* RFC 4475 §3.1.1.13 */
    {REQ MUST, SIP_OK, SIP_REQUEST},                     /* no empty line, no body */
    {REQ MUST "Content-Length: 0\r\n", SIP_OK, SIP_REQUEST},
    {REQ MUST "\"X\": y\r\n" END, SIP_ERR_HEADER, SIP_REQUEST},
    {REQ MUST "Subject: \"\\\a\"\r\n" END, SIP_OK, SIP_REQUEST},
    /* not SIP */
    {"", SIP_ERR_KEEPALIVE, SIP_NONE},
    {"\r\n", SIP_ERR_KEEPALIVE, SIP_NONE},
    {"\r\n\r\n", SIP_ERR_KEEPALIVE, SIP_NONE}, /* RFC 5626 §4.4.1 */
    {"jaK", SIP_ERR_KEEPALIVE, SIP_NONE},
    {"jaKx", SIP_ERR_NOT_SIP, SIP_NONE},
    {"GET / HTTP/1.1\r\n\r\n", SIP_ERR_NOT_SIP, SIP_NONE},
    {"INVITE sip:alan@example.com\r\n" MUST END, SIP_ERR_NOT_SIP, SIP_NONE},
    {"OPTIONS sip:b SIP/2.0", SIP_ERR_NOT_SIP, SIP_NONE},
    {" \r\nx", SIP_ERR_NOT_SIP, SIP_NONE},
    /* start-line */
    {"OPTIONS sip:b SIP/7.0\r\n" MUST END, SIP_ERR_VERSION, SIP_REQUEST}, /* RFC 4475 §3.1.2.16 */
    {"OPTIONS sip:b SIP/2.00\r\n" MUST END, SIP_ERR_VERSION, SIP_REQUEST},
    {"OPTIONS sip:b SIP/2\r\n" MUST END, SIP_ERR_START_LINE, SIP_REQUEST},
    {"OPTIONS sip:b SIP/\r\n" MUST END, SIP_ERR_START_LINE, SIP_REQUEST},
    {"OPTIONS  sip:b  SIP/2.0\r\n" MUST END, SIP_ERR_START_LINE, SIP_REQUEST}, /* §3.1.2.8 */
    {"OPTIONS sip:b;x y SIP/2.0\r\n" MUST END, SIP_ERR_START_LINE, SIP_REQUEST},
    {"OPTIONS sip:b SIP/2.0 \r\n" MUST END, SIP_ERR_START_LINE, SIP_REQUEST}, /* §3.1.2.10 */
    {"OPTIONS\tsip:b SIP/2.0\r\n" MUST END, SIP_ERR_START_LINE, SIP_REQUEST},
    {"OPTIONS SIP/2.0\r\n" MUST END, SIP_ERR_START_LINE, SIP_REQUEST},
    {" sip:b SIP/2.0\r\n" MUST END, SIP_ERR_START_LINE, SIP_REQUEST},
    {"OPT[IONS sip:b SIP/2.0\r\n" MUST END, SIP_ERR_START_LINE, SIP_REQUEST},
    {"OPTIONS sip:b\rx SIP/2.0\r\n" MUST END, SIP_ERR_START_LINE, SIP_REQUEST},
    {"SIP/3.0 200 OK\r\n" MUST END, SIP_ERR_VERSION, SIP_RESPONSE},
    {"SIP/2.0 99 Low\r\n" MUST END, SIP_ERR_STATUS, SIP_RESPONSE},
    {"SIP/2.0 099 Low\r\n" MUST END, SIP_ERR_STATUS, SIP_RESPONSE},
    {"SIP/2.0 700 High\r\n" MUST END, SIP_ERR_STATUS, SIP_RESPONSE},
    {"SIP/2.0 4294967301 x\r\n" MUST END, SIP_ERR_STATUS, SIP_RESPONSE}, /* §3.1.2.19 */
    {"SIP/2.0 2x0 OK\r\n" MUST END, SIP_ERR_STATUS, SIP_RESPONSE},
    {"SIP/2.0 200\r\n" MUST END, SIP_ERR_START_LINE, SIP_RESPONSE},
    /* header section */
    {REQ MUST "Foobar roobar\r\n" END, SIP_ERR_HEADER, SIP_REQUEST},
    {REQ MUST ": x\r\n" END, SIP_ERR_HEADER, SIP_REQUEST},
    {REQ " folded\r\n" MUST END, SIP_ERR_HEADER, SIP_REQUEST},
    {REQ MUST "X: a\rb\r\n" END, SIP_ERR_HEADER, SIP_REQUEST},
    {REQ MUST "X: a\r\r\n" END, SIP_ERR_HEADER, SIP_REQUEST},
    {REQ MUST "X : a\r\n" END, SIP_OK, SIP_REQUEST}, /* HCOLON, §25.1 */
    {REQ MUST "X\t:\r\n\ta\r\n" END, SIP_OK, SIP_REQUEST},
    {REQ MUST "X\r\n : a\r\n" END, SIP_ERR_HEADER, SIP_REQUEST},
    {REQ MUST "X: cut", SIP_ERR_HEADER_END, SIP_REQUEST},
    {REQ MUST "X: cut\r", SIP_ERR_HEADER_END, SIP_REQUEST},
    {REQ MUST "Content-Length: 5\r\n", SIP_ERR_HEADER_END, SIP_REQUEST},
    /* what must be there, once */
    {REQ FROM TO ID SEQ END, SIP_ERR_MISSING, SIP_REQUEST},
    {REQ "From: \"x\n", SIP_ERR_MISSING, SIP_REQUEST}, /* a quote open at the datagram's end */
    {REQ VIA TO ID SEQ END, SIP_ERR_MISSING, SIP_REQUEST},
    {REQ VIA FROM ID SEQ END, SIP_ERR_MISSING, SIP_REQUEST},
    {REQ VIA FROM TO SEQ END, SIP_ERR_MISSING, SIP_REQUEST},
    {REQ VIA FROM TO ID END, SIP_ERR_MISSING, SIP_REQUEST},
    {REQ MUST MUST END, SIP_OK, SIP_REQUEST},
    {REQ MUST "i: d\r\n" END, SIP_ERR_DUPLICATE, SIP_REQUEST},
    {REQ MUST "i: C@192.0.2.1\r\n" END, SIP_ERR_DUPLICATE, SIP_REQUEST}, /* §8.1.1.4 */
    {REQ MUST "CSeq: 8 OPTIONS\r\n" END, SIP_ERR_DUPLICATE, SIP_REQUEST},
    {REQ MUST "f: <sip:x@y>;tag=2\r\n" END, SIP_ERR_DUPLICATE, SIP_REQUEST},
    {REQ MUST "t: <sip:x@y>\r\n" END, SIP_ERR_DUPLICATE, SIP_REQUEST},
    {REQ MUST "Max-Forwards: 1\r\nMax-Forwards: 2\r\n" END, SIP_ERR_DUPLICATE, SIP_REQUEST},
    {REQ MUST "l: 1\r\nContent-Length: 2\r\n" END "xx", SIP_ERR_DUPLICATE, SIP_REQUEST},
    {REQ MUST "l: 2\r\nContent-Length: 2\r\n" END "xx", SIP_OK, SIP_REQUEST},
    /* values */
    {REQ "Via: SIP/2.0/UDP h;;\r\n" FROM TO ID SEQ END, SIP_ERR_VIA, SIP_REQUEST},
    {REQ VIA FROM TO "Call-ID:\r\n" SEQ END, SIP_ERR_CALL_ID, SIP_REQUEST},
    {REQ VIA FROM TO "Call-ID: a b\r\n" SEQ END, SIP_ERR_CALL_ID, SIP_REQUEST},
    {REQ VIA FROM TO ID "CSeq: 2147483647 OPTIONS\r\n" END, SIP_OK, SIP_REQUEST}, /* §8.1.1.5 */
    {REQ VIA FROM TO ID "CSeq: 2147483648 OPTIONS\r\n" END, SIP_ERR_CSEQ, SIP_REQUEST},
    {REQ VIA FROM TO ID "CSeq: 36893488147419103232 OPTIONS\r\n" END, SIP_ERR_CSEQ, SIP_REQUEST},
    {REQ VIA FROM TO ID "CSeq: 0009\r\n  OPTIONS\r\n" END, SIP_OK, SIP_REQUEST}, /* §3.1.1.1 */
    {REQ VIA FROM TO ID "CSeq: 7OPTIONS\r\n" END, SIP_ERR_CSEQ, SIP_REQUEST},
    {REQ VIA FROM TO ID "CSeq: 7\r\n" END, SIP_ERR_CSEQ, SIP_REQUEST},
    {REQ VIA FROM TO ID "CSeq: OPTIONS\r\n" END, SIP_ERR_CSEQ, SIP_REQUEST},
    {REQ VIA FROM TO ID "CSeq: 7 OPTIONS x\r\n" END, SIP_ERR_CSEQ, SIP_REQUEST},
    {REQ VIA FROM TO ID "CSeq: 7 INVITE\r\n" END, SIP_ERR_CSEQ_METHOD, SIP_REQUEST},
    {REQ VIA FROM TO ID "CSeq: 7 options\r\n" END, SIP_ERR_CSEQ_METHOD, SIP_REQUEST},
    {REQ VIA "From: \"x <sip:a@b>\r\n" TO ID SEQ END, SIP_ERR_FROM, SIP_REQUEST},
    {REQ VIA "From: <sip:a@b>, <sip:c>\r\n" TO ID SEQ END, SIP_ERR_FROM, SIP_REQUEST},
    {REQ VIA FROM "To: *\r\n" ID SEQ END, SIP_ERR_TO, SIP_REQUEST},
    {REQ VIA FROM "To: \"Mr. J. User <sip:j@x>\r\n" ID SEQ END, SIP_ERR_TO, SIP_REQUEST},
    {REQ MUST "Max-Forwards: 256\r\n" END, SIP_ERR_MAX_FORWARDS, SIP_REQUEST},
    {REQ MUST "Max-Forwards: -1\r\n" END, SIP_ERR_MAX_FORWARDS, SIP_REQUEST},
    {REQ MUST "Max-Forwards:\r\n" END, SIP_ERR_MAX_FORWARDS, SIP_REQUEST},
    {REQ MUST "Content-Length: -999\r\n" END, SIP_ERR_CONTENT_LENGTH, SIP_REQUEST}, /* §3.1.2.3 */
    {REQ MUST "Content-Length: 2147483648\r\n" END, SIP_ERR_CONTENT_LENGTH, SIP_REQUEST},
    {REQ MUST "Content-Length: 2147483647\r\n" END, SIP_ERR_BODY_SHORT, SIP_REQUEST},
    {REQ MUST "Content-Length: 3\r\n" END "xx", SIP_ERR_BODY_SHORT, SIP_REQUEST}, /* §18.3 */
    {REQ MUST "Contact: <sip:x>;;\r\n" END, SIP_ERR_CONTACT, SIP_REQUEST},
    {"SIP/2.0 200 OK\r\n" MUST "Contact: <sip:x>;;\r\n" END, SIP_OK, SIP_RESPONSE},
    {REQ MUST "Contact: *\r\n" END, SIP_OK, SIP_REQUEST},
};

static void test_errors(void **state)
{
    bool seen[SIP_ERROR_COUNT] = {[SIP_ERR_TOO_MANY_FIELDS] = true}; /* test_many_fields */

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct guard guard = guard_new_text(cases[i].text);
        struct sip_msg msg;
        enum sip_error error = sip_msg_index(guard.at, guard.length, &msg);

        if (error != cases[i].error || msg.error != error)
            fail_msg("case %zu: %s, want %s:\n%s", i, sip_error_phrase(error),
                     sip_error_phrase(cases[i].error), cases[i].text);
        assert_int_equal(msg.kind, cases[i].kind);
        seen[error] = true;
        guard_free(&guard);
    }
    for (int e = 0; e < SIP_ERROR_COUNT; e++)
        assert_true(seen[e]);
}

/* Each variant that this processor runs, at every cut of every case, says what the scalar one says
 * and reads no byte more. */
static void test_variants(void **state)
{
    uint32_t ran = 0;

    for (uint32_t v = 0; v < sip_index_variant_count; v++) {
        const struct sip_index_variant *variant = &sip_index_variants[v];

        if (!variant->runs_here())
            continue;
        ran++;
        for (size_t i = 0; i < COUNT(cases); i++) {
            struct guard guard = guard_new_text(cases[i].text);

            for (size_t cut = 0; cut <= guard.length; cut++) {
                char *at = memmove(guard.at + cut, cases[i].text, guard.length - cut);
                struct sip_msg scalar, other;
                const char *difference;

                memset(&other, 0x5a, sizeof(other));
                sip_index_scalar(at, guard.length - cut, &scalar);
                variant->index(at, guard.length - cut, &other);
                difference = msg_difference(&scalar, &other);
                if (difference != NULL)
                    fail_msg("%s, case %zu without %zu bytes: %s", variant->name, i, cut,
                             difference);
            }
            guard_free(&guard);
        }
    }
    assert_true(ran >= 1);
}

static void test_nul(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        enum sip_error error;
    } nuls[] = {
        {"\0\0\0\0", 4, SIP_ERR_KEEPALIVE},
        {REQ MUST "X: a\0b\r\n\r\n", sizeof(REQ MUST "X: a?b\r\n\r\n") - 1, SIP_ERR_HEADER},
        {REQ MUST "\0\r\n\r\n", sizeof(REQ MUST "?\r\n\r\n") - 1, SIP_ERR_HEADER},
        {REQ MUST "X: \"\\\0\"\r\n\r\n", sizeof(REQ MUST "X: \"\\?\"\r\n\r\n") - 1, SIP_OK},
        {"OPTIONS sip:\0 SIP/2.0\r\n" MUST END, sizeof("OPTIONS sip:? SIP/2.0\r\n" MUST END) - 1,
         SIP_ERR_START_LINE},
        {REQ MUST END "\0\0", sizeof(REQ MUST END) + 1, SIP_OK}, /* bodies are bytes */
    };

    for (size_t i = 0; i < COUNT(nuls); i++) {
        struct guard guard = guard_new(nuls[i].text, nuls[i].length);
        struct sip_msg msg;

        assert_int_equal(sip_msg_index(guard.at, guard.length, &msg), nuls[i].error);
        guard_free(&guard);
    }
}

static void test_request(void **state)
{
    struct guard guard = guard_new_text(
        "INVITE sip:bob@example.com SIP/2.0\r\n"
        "TO :\n sip:bob@example.com ;  tag    = 1918181833n\r\n"
        "from   : \"J Rosenberg \\\\\\\"\" <sip:jdrosen@example.com>\r\n  ; tag = 98asjd8\r\n"
        "MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv@192.0.2.1\r\ncseq: 0009\r\n  INVITE\r\n"
        "v:  SIP  / 2.0  /  TCP  spindle.example.com  ;\r\n  branch = z9hG4bK9ikj8 \r\n"
        "l: 4\r\n\r\nbodyTRAILING");
    struct sip_msg msg;

    assert_int_equal(sip_msg_index(guard.at, guard.length, &msg), SIP_OK);
    assert_int_equal(msg.kind, SIP_REQUEST);
    assert_int_equal(msg.method, SIP_INVITE);
    expect_slice("method", msg.method_text, "INVITE");
    expect_slice("uri", msg.request_uri, "sip:bob@example.com");
    expect_slice("call-id", msg.call_id, "wsinv@192.0.2.1");
    expect_slice("from", msg.from_uri, "sip:jdrosen@example.com");
    expect_slice("from tag", msg.from_tag, "98asjd8");
    expect_slice("to", msg.to_uri, "sip:bob@example.com");
    expect_slice("to tag", msg.to_tag, "1918181833n");
    assert_int_equal(msg.cseq, 9);
    assert_int_equal(msg.max_forwards, 68);
    assert_int_equal(msg.content_length, 4);
    assert_true(msg.via_ok);
    expect_slice("branch", msg.top_via.branch, "z9hG4bK9ikj8");
    assert_memory_equal(guard.at + msg.headers, "TO :", 4);
    assert_memory_equal(guard.at + msg.body, "bodyTRAILING", 12);
    assert_int_equal(msg.length, msg.body + 4); /* §18.3: what follows is ignored */
    assert_false(msg.open_end);
    guard_free(&guard);
}

static void test_response(void **state)
{
    struct guard guard =
        guard_new_text("SIP/2.0 486 Busy Here\r\n" VIA FROM TO ID "CSeq: 9 NOVEL\r\n\r\nrest");
    struct sip_msg msg;

    assert_int_equal(sip_msg_index(guard.at, guard.length, &msg), SIP_OK);
    assert_int_equal(msg.status, 486);
    assert_int_equal(msg.method, SIP_METHOD_UNKNOWN);
    expect_slice("method", msg.method_text, "NOVEL");
    assert_int_equal(msg.content_length, -1);
    assert_int_equal(msg.max_forwards, -1);
    assert_int_equal(msg.length, guard.length);
    guard_free(&guard);
}

/* After the first fault the rest is still read, so that the request can be answered. */
static void test_goes_on(void **state)
{
    struct guard guard = guard_new_text("OPTIONS  sip:b SIP/2.0\r\njunk\r\nMax-Forwards: x\r\n" MUST
                                        "Content-Length: 99\r\n\r\n");
    struct sip_msg msg;

    assert_int_equal(sip_msg_index(guard.at, guard.length, &msg), SIP_ERR_START_LINE);
    assert_true(msg.via_ok);
    expect_slice("call-id", msg.call_id, "c@192.0.2.1");
    expect_slice("from tag", msg.from_tag, "1");
    expect_slice("to", msg.to_uri, "sip:b@example.com");
    assert_int_equal(msg.cseq, 7);
    guard_free(&guard);
}

static void test_open_end(void **state)
{
    struct guard guard = guard_new_text(REQ MUST);
    struct sip_msg msg;

    assert_int_equal(sip_msg_index(guard.at, guard.length, &msg), SIP_OK);
    assert_true(msg.open_end);
    assert_int_equal(msg.body, guard.length);
    assert_int_equal(msg.length, guard.length);
    guard_free(&guard);
}

/* Every front of a message stays within its bounds, and nothing that is cut in a line is good. */
static void test_cut(void **state)
{
    static const char text[] = REQ MUST "Content-Length: 4\r\n" END "body";

    for (size_t length = 0; length < sizeof(text) - 1; length++) {
        struct guard guard = guard_new(text, length);
        struct sip_msg msg;
        enum sip_error error = sip_msg_index(guard.at, length, &msg);
        bool whole_lines = length >= strlen(REQ MUST) && length < sizeof(text) - 1 && msg.open_end;

        assert_true(msg.length <= length && msg.body <= length);
        if (error == SIP_OK)
            assert_true(whole_lines && length == strlen(REQ MUST));
        guard_free(&guard);
    }
}

static size_t repeat(char *out, const char *head, const char *line, size_t count)
{
    size_t length = strlen(head), each = strlen(line);

    memcpy(out, head, length);
    while (count-- > 0) {
        memcpy(out + length, line, each);
        length += each;
    }
    memcpy(out + length, END, 2);
    return length + 2;
}

/* More fields than are remembered, and other faults before, among and behind them: each variant
 * says what the scalar one says, the first fault too. */
static void test_many_fields_alike(void **state)
{
    static const char *const lines[] = {
        "Route: <sip:a>\r\n",
        "k:a\r\n",
        "Route: <sip:a>\r\nX: y\r\nm:<sip:a>\r\nbroken\r\n",
        "X: y\r\nk:a\r\nk:\r\nSupported:  b \r\n",
        "k:a\r\n b\r\nk:c\n",
    };
    static char text[80000];
    struct sip_msg scalar, other;

    for (size_t i = 0; i < COUNT(lines); i++) {
        for (size_t count = 30; count <= 300; count++) {
            size_t length = repeat(text, REQ MUST, lines[i], count);

            sip_index_scalar(text, length, &scalar);
            for (uint32_t v = 0; v < sip_index_variant_count; v++) {
                if (!sip_index_variants[v].runs_here())
                    continue;
                memset(&other, 0x5a, sizeof(other));
                sip_index_variants[v].index(text, length, &other);
                if (msg_difference(&scalar, &other) != NULL)
                    fail_msg("%s, lines %zu, %zu times: %s", sip_index_variants[v].name, i, count,
                             msg_difference(&scalar, &other));
            }
        }
        assert_int_equal(scalar.n_fields, SIP_FIELDS_MAX);
    }
}

static void test_many_fields(void **state)
{
    static char text[80000];
    struct sip_msg msg;
    size_t length = repeat(text, REQ MUST, "Route: <sip:a>\r\n", SIP_FIELDS_MAX - 5);

    assert_int_equal(sip_msg_index(text, length, &msg), SIP_OK);
    assert_int_equal(msg.n_fields, SIP_FIELDS_MAX);
    length = repeat(text, REQ MUST, "Route: <sip:a>\r\n", SIP_FIELDS_MAX - 4);
    assert_int_equal(sip_msg_index(text, length, &msg), SIP_ERR_TOO_MANY_FIELDS);
    assert_int_equal(msg.n_fields, SIP_FIELDS_MAX);
    expect_slice("call-id", msg.call_id, "c@192.0.2.1");
    length = repeat(text, REQ MUST, "X:y\r\n", 10000); /* others are not remembered */
    assert_int_equal(sip_msg_index(text, length, &msg), SIP_OK);
    length = repeat(text, REQ MUST "X: y\r\n", " fold\r\n", 8000);
    assert_int_equal(sip_msg_index(text, length, &msg), SIP_OK);
}

/* §7.3.1 has no limit on the header section; we do, and bodies beyond it are for streams. */
static void test_sizes(void **state)
{
    static char text[200000];
    struct sip_msg msg;
    size_t length =
        repeat(text, REQ MUST, "X: 45678901234567890123456789012345678901234567\r\n", 1400);

    assert_true(length > SIP_MSG_MAX);
    assert_int_equal(sip_msg_index(text, length, &msg), SIP_ERR_HEADER_END);
    length = repeat(text, REQ MUST "Content-Length: 100000\r\n", "", 0);
    memset(text + length, 'x', 100000);
    assert_int_equal(sip_msg_index(text, length + 100000, &msg), SIP_OK);
    assert_int_equal(msg.length, length + 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),      cmocka_unit_test(test_variants),
        cmocka_unit_test(test_nul),         cmocka_unit_test(test_request),
        cmocka_unit_test(test_response),    cmocka_unit_test(test_goes_on),
        cmocka_unit_test(test_open_end),    cmocka_unit_test(test_cut),
        cmocka_unit_test(test_many_fields), cmocka_unit_test(test_many_fields_alike),
        cmocka_unit_test(test_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
