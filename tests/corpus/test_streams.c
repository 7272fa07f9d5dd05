/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each message of the project's folders, and of the corpus beside it when that is there, on a
 * stream: behind another message and in front of two more, cut in two at every byte of it, and byte
 * by byte. What is found must be the same each time; and a message that a datagram may be is found
 * on a stream, too, with the same length.
 *
 * Usage: test_streams FOREIGN-FOLDER OWN-FOLDER…
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/stream/frame.h"
#include "dataplane/sip/msg.h"
#include "tests/corpus/walk.h"
#include "tests/unit/guard.h"

enum { FINDINGS_MAX = 256, MESSAGES_MIN = 100, FOUND_MIN = 20, WIRE_MAX = CORPUS_MESSAGE + 1024 };

static const struct frame_limits limits = {SIP_MSG_MAX, 1 << 20};

static const char before[] = "OPTIONS sip:before SIP/2.0\r\nl: 2\r\n\r\n\r\n";
static const char after[] = "OPTIONS sip:after SIP/2.0\nContent-Length: 0\n\n"
                            "\r\n\r\nSIP/2.0 200 OK\r\nl:\r\n 3\r\n\r\nend";

/* What frame_next says of a stream, skipped bytes left out. */
struct findings {
    uint32_t n;
    struct {
        enum frame_result result;
        uint32_t at, length; /* from the stream's first byte */
        enum frame_reason reason;
    } of[FINDINGS_MAX];
};

struct stream {
    struct frame frame;
    uint32_t at; /* what was taken of it */
    bool ended;
    struct findings findings;
};

static void stream_init(struct stream *stream)
{
    memset(&stream->frame, 0, sizeof(stream->frame));
    stream->at = stream->findings.n = 0;
    stream->ended = false;
}

/* Takes what it can of the first n bytes. */
static void stream_take(struct stream *stream, const char *bytes, uint32_t n)
{
    struct findings *findings = &stream->findings;

    while (!stream->ended) {
        uint32_t length = 0, i = findings->n;
        enum frame_reason reason = FRAME_REASON_COUNT;
        enum frame_result result = frame_next(&stream->frame, &limits, bytes + stream->at,
                                              n - stream->at, &length, &reason);

        if (result == FRAME_MORE)
            return;
        if (result != FRAME_SKIP) {
            assert_true(i < FINDINGS_MAX);
            memset(&findings->of[i], 0, sizeof(findings->of[i]));
            /* A ping lies where its last byte does. */
            findings->of[i].at = result == FRAME_PING ? stream->at + length : stream->at;
            findings->of[i].length = result == FRAME_PING ? 0 : length;
            findings->of[i].result = result;
            findings->of[i].reason = reason;
            findings->n++;
        }
        stream->ended = result == FRAME_REFUSED;
        stream->at += length;
    }
}

static void check_same(const struct findings *one, const struct findings *other)
{
    assert_int_equal(one->n, other->n);
    assert_memory_equal(one->of, other->of, one->n * sizeof(one->of[0]));
}

/* What is being cut, for the last word of a test that fails. */
static struct {
    const char *file; /* NULL: all is done */
    uint32_t cut;
} current;

static void say_where(void)
{
    if (current.file != NULL)
        fprintf(stderr, "failed on %s, cut at %u\n", current.file, current.cut);
}

struct counts {
    unsigned long messages, found, cuts;
};

/* Cut at each byte, and byte by byte, with what is not there yet out of reach. */
static void cut_stream(const char *bytes, uint32_t n, uint32_t from, uint32_t to,
                       const struct findings *expected)
{
    static struct stream stream;
    struct guard first = guard_new(bytes, n), rest = guard_new(bytes, n);

    for (current.cut = from; current.cut <= to; current.cut++) {
        char *at = first.at + n - current.cut;

        memcpy(at, bytes, current.cut);
        stream_init(&stream);
        stream_take(&stream, at, current.cut);
        stream_take(&stream, rest.at, n);
        check_same(expected, &stream.findings);
    }
    stream_init(&stream);
    for (current.cut = 0; current.cut <= n; current.cut++)
        stream_take(&stream, rest.at, current.cut);
    check_same(expected, &stream.findings);
    guard_free(&first);
    guard_free(&rest);
}

/* What was found is, as a datagram, one whole message; and what is a whole message as a datagram,
 * and has a Content-Length, was found. */
static bool check_found(const char *wire, uint32_t at, uint32_t n, const struct findings *findings)
{
    static struct sip_msg msg;
    bool found = false;

    while (n > 0 && (wire[at] == '\r' || wire[at] == '\n')) {
        at++;
        n--;
    }
    for (uint32_t i = 0; i < findings->n; i++) {
        if (findings->of[i].result != FRAME_MESSAGE)
            continue;
        sip_msg_index(wire + findings->of[i].at, findings->of[i].length, &msg);
        assert_int_not_equal(msg.kind, SIP_NONE);
        assert_false(msg.open_end);
        assert_int_equal(msg.length, findings->of[i].length);
        assert_in_range(msg.content_length, 0, msg.length - msg.body);
        found |= findings->of[i].at == at && findings->of[i].length <= n;
    }
    sip_msg_index(wire + at, n, &msg);
    if (msg.error == SIP_OK && !msg.open_end)
        assert_int_equal(found, msg.content_length >= 0);
    return found;
}

static void stream_message(void *arg, const char *file, const char *bytes, size_t length)
{
    static char wire[WIRE_MAX];
    static struct stream whole;
    struct counts *counts = arg;
    char *end = sip_put_text(sip_put(sip_put_text(wire, before), bytes, length), after);
    uint32_t from = sizeof(before) - 1, n = (uint32_t)(end - wire);

    current.file = file;
    current.cut = n;
    stream_init(&whole);
    stream_take(&whole, wire, n);
    assert_true(whole.findings.n >= 1 && whole.findings.of[0].length == from);
    counts->found += check_found(wire, from, (uint32_t)length, &whole.findings);
    cut_stream(wire, n, from, from + (uint32_t)length, &whole.findings);
    counts->messages++;
    counts->cuts += length;
    current.file = NULL;
}

int main(int argc, char **argv)
{
    struct counts counts = {0};

    if (argc < 3)
        errx(2, "usage: test_streams FOREIGN-FOLDER OWN-FOLDER…");
    atexit(say_where);
    walk_all(argv + 1, argc - 1, stream_message, &counts);
    printf("%lu messages (%lu of them found whole), %lu cuts\n", counts.messages, counts.found,
           counts.cuts);
    return counts.messages >= MESSAGES_MIN && counts.found >= FOUND_MIN ? 0 : 1;
}
