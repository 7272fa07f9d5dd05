/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of framing: the bytes as a stream, all at once, byte by byte, and in pieces whose
 * lengths they say themselves, within wide limits and within narrow ones. What is found must not
 * depend on the pieces, and be what dataplane/sip takes for one message.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "control/stream/frame.h"
#include "dataplane/sip/msg.h"
#include "tests/fuzz/take.h"

enum { STREAM_MAX = 16384, PINGED = 1 << 20 };

static const struct frame_limits all_limits[] = {{SIP_MSG_MAX, 1 << 20}, {200, 64}};

/* Findings as numbers, so that two runs compare. */
struct run {
    uint32_t n;
    uint32_t found[2 * STREAM_MAX];
};

static void note(struct run *run, uint32_t number)
{
    must(run->n < 2 * STREAM_MAX);
    run->found[run->n++] = number;
}

static void check_message(const char *bytes, uint32_t length, const struct frame_limits *limits)
{
    static struct sip_msg msg;

    sip_msg_index(bytes, length, &msg);
    must(msg.kind != SIP_NONE && !msg.open_end);
    must(msg.length == length && msg.body <= limits->header_max);
    must(msg.content_length >= 0 && (uint32_t)msg.content_length <= limits->body_max);
}

/* What is to be answered has a request's first line. */
static void check_refused(const char *bytes, uint32_t length, const struct frame_limits *limits,
                          enum frame_reason reason)
{
    static struct sip_msg msg;

    must(reason < FRAME_REASON_COUNT);
    if (length == 0)
        return;
    must(length <= limits->header_max && frame_reason_status(reason) >= 400);
    sip_msg_index(bytes, length, &msg);
    must(msg.kind == SIP_REQUEST && msg.method != SIP_ACK);
}

/* Takes what it can of n bytes from *at on. False at the stream's end. */
static bool take_frames(struct frame *frame, const struct frame_limits *limits, const char *bytes,
                        uint32_t n, uint32_t *at, struct run *run)
{
    for (;;) {
        enum frame_reason reason = FRAME_REASON_COUNT;
        uint32_t length = 0;
        enum frame_result result =
            frame_next(frame, limits, bytes + *at, n - *at, &length, &reason);

        must(length <= n - *at);
        if (result == FRAME_MORE)
            return true;
        if (result == FRAME_REFUSED) {
            check_refused(bytes + *at, length, limits, reason);
            note(run, (uint32_t)reason);
            note(run, length);
            return false;
        }
        must(length > 0);
        if (result == FRAME_MESSAGE) {
            check_message(bytes + *at, length, limits);
            note(run, *at);
            note(run, length);
        }
        *at += length;
        if (result == FRAME_PING) /* it ends at the same byte however it came */
            note(run, PINGED + *at);
    }
}

/* step 0: each piece is as long as its first byte says. */
static void run_steps(struct run *run, const struct frame_limits *limits, const char *bytes,
                      uint32_t n, uint32_t step)
{
    struct frame frame = {0};
    uint32_t arrived = 0, at = 0;
    bool goes_on = true;

    run->n = 0;
    while (arrived < n && goes_on) {
        uint32_t piece = step > 0 ? step : 1 + (uint32_t)(bytes[arrived] & 63);

        arrived += piece < n - arrived ? piece : n - arrived;
        goes_on = take_frames(&frame, limits, bytes, arrived, &at, run);
    }
    note(run, goes_on ? n - at : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, pieces;
    const char *bytes = (const char *)data;
    uint32_t n = (uint32_t)size;

    if (size == 0 || size > STREAM_MAX)
        return 0;
    for (size_t i = 0; i < sizeof(all_limits) / sizeof(all_limits[0]); i++) {
        run_steps(&whole, &all_limits[i], bytes, n, n);
        for (uint32_t step = 0; step < 2; step++) {
            run_steps(&pieces, &all_limits[i], bytes, n, step);
            must(pieces.n == whole.n);
            must(memcmp(pieces.found, whole.found, whole.n * sizeof(whole.found[0])) == 0);
        }
    }
    return 0;
}
