/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where one SIP message ends and the next begins on a stream (RFC 3261 §18.3, §7.5; RFC 5626
 * §3.5.1). It looks at bytes that wait in the caller's buffer, each of them once however they
 * arrive, and says what the first of them are. It owns no bytes and knows no socket; what a header
 * section is, and what a Content-Length, is dataplane/sip's to say.
 */
#ifndef TANDEM_CONTROL_STREAM_FRAME_H
#define TANDEM_CONTROL_STREAM_FRAME_H

#include <stdbool.h>
#include <stdint.h>

enum frame_result {
    FRAME_MORE,    /* no message yet */
    FRAME_MESSAGE, /* the first bytes are one message: header section and body */
    FRAME_PING,    /* CRLFCRLF: keep-alive, to be answered with one CRLF */
    FRAME_SKIP,    /* line ends or NULs between messages: nothing */
    FRAME_REFUSED, /* where the next message begins cannot be known: the stream ends */
};

/* Why a stream is refused. */
enum frame_reason {
    FRAME_NOT_SIP,         /* the first line is not SIP's: HTTP, TLS, noise */
    FRAME_HEADERS_LONG,    /* the header section is longer than header_max: 513 */
    FRAME_HEADERS_MANY,    /* more fields than are remembered, Content-Length maybe not: 400 */
    FRAME_LENGTH_MISSING,  /* no Content-Length: 400 (RFC 3261 §18.3) */
    FRAME_LENGTH_BAD,      /* no number, negative, above 2^31: 400 */
    FRAME_LENGTH_CONTRARY, /* two Content-Lengths that differ: 400 */
    FRAME_BODY_LONG,       /* Content-Length above body_max: 413 */
    FRAME_REASON_COUNT,
};

/* They may change from call to call. */
struct frame_limits {
    uint32_t header_max; /* bytes of the start-line, header fields and empty line; ≤ SIP_MSG_MAX */
    uint32_t body_max;   /* bytes; < 2^31 */
};

/* How far the message in front was read. All zero on a new stream, then frame_next's alone. */
struct frame {
    uint32_t scanned; /* bytes that were looked at and hold no whole header section */
    uint32_t line;    /* of them, bytes of the start-line; 0: not whole yet */
    uint32_t length;  /* of the whole message; 0: not known yet */
    bool crlf;        /* a CRLF was skipped right before: with another one it is a ping */
};

/*
 * Looks at the n bytes that wait, of which the first ones were seen before if the last result was
 * FRAME_MORE. *ret_length: the bytes that the result is about, which the caller takes out before it
 * calls again with what is left (n may be 0). MORE leaves both outputs alone; then the next call
 * has the same bytes and at least one more, in any place of memory.
 *
 * REFUSED: *ret_reason says why, and *ret_length > 0 that those first bytes are the header section
 * (or its whole lines up to the limit) of a request that can be answered, with
 * frame_reason_status(), before the stream ends: it is 0 for what is not SIP, a response, an ACK.
 * *frame is of no use then. Results do not depend on how the bytes were split. Any thread.
 */
enum frame_result frame_next(struct frame *frame, const struct frame_limits *limits,
                             const char *bytes, uint32_t n, uint32_t *ret_length,
                             enum frame_reason *ret_reason);

/* The status of the answer: 400, 413 or 513; 0 where there is none to give. */
uint16_t frame_reason_status(enum frame_reason reason);

/* In snake_case, for counters. */
const char *frame_reason_name(enum frame_reason reason);

#endif
