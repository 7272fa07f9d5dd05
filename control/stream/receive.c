/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes by a connection: see receive.h. Bytes are taken in pieces; what is left of one begins
 * a message and waits with the connection.
 */
#include "control/stream/receive.h"

#include "control/stream/connection.h"
#include "control/stream/thread.h"
#include "control/stream/web.h"

enum { TURN_BYTES = THREAD_SCRATCH }; /* then others have their turn */

static const char PONG[2] = {'\r', '\n'};

static struct relay_message message_of(const struct connection *c, const char *text,
                                       uint32_t length)
{
    return (struct relay_message){.from = {.local = c->entry.local,
                                           .peer = c->entry.peer,
                                           .transport = c->entry.transport,
                                           .node = c->thread->view->snapshot->node_id,
                                           .connection = c->entry.id},
                                  .text = text,
                                  .length = length};
}

void receive_message(struct connection *c, const char *text, uint32_t length)
{
    struct relay_message message = message_of(c, text, length);

    __atomic_store_n(&c->entry.messages_in, c->entry.messages_in + 1, __ATOMIC_RELAXED);
    thread_take(c->thread, &message);
}

static void refuse(struct connection *c, const char *text, uint32_t length,
                   enum frame_reason reason)
{
    struct relay_message message = message_of(c, text, length);

    counts_add(&c->thread->counts[c->entry.transport], COUNT_FRAME + (uint32_t)reason, 1);
    if (length > 0)
        thread_refuse(c->thread, &message, frame_reason_status(reason));
    connection_leave(c, CLOSE_FRAME);
}

/* The first message, keep-alive or fault of n bytes. Returns how many bytes it was; 0: more are
 * needed, or the connection takes no more. */
static uint32_t take_first(struct connection *c, const char *bytes, uint32_t n)
{
    const struct cfg_streams *sizes = connection_limits(c);
    const struct frame_limits limits = {sizes->header_limit, sizes->body_limit};
    enum frame_reason reason = FRAME_NOT_SIP;
    uint32_t length = 0;

    switch (frame_next(&c->frame, &limits, bytes, n, &length, &reason)) {
    case FRAME_MORE:
        return 0;
    case FRAME_MESSAGE:
        receive_message(c, bytes, length);
        return length;
    case FRAME_PING:
        counts_add(&c->thread->counts[c->entry.transport], COUNT_PINGS, 1);
        connection_write(c, PONG, sizeof(PONG));
        return length;
    case FRAME_SKIP:
        return length;
    case FRAME_REFUSED:
        refuse(c, bytes, length, reason);
        return 0;
    }
    return 0;
}

/* Who sends faster than he takes what comes of it has to wait; what he began to send then is not late
 * by his fault. */
static bool must_pause(struct connection *c)
{
    if (connection_unsent(c) > connection_limits(c)->write_limit / 2) {
        c->paused = true;
        c->partial_ms = 0;
        wire_pause(&c->wire);
    }
    return c->paused;
}

/* Returns how many bytes were taken. */
static uint32_t take_messages(struct connection *c, const char *bytes, uint32_t n)
{
    uint32_t at = 0, length;

    do {
        length = take_first(c, bytes + at, n - at);
        at += length;
    } while (length > 0 && at < n && c->state == CONNECTION_OPEN && !must_pause(c));
    return at;
}

/* Notes since when a message waits for its end; `whole`: one came to its end meanwhile. */
static void watch_partial(struct connection *c, bool waits, bool whole)
{
    if (!waits) {
        c->partial_ms = 0;
    } else if (whole || c->partial_ms == 0) {
        c->partial_ms = c->entry.active_ms;
        connection_start_timer(c, c->partial_ms);
    }
}

/* Takes what came in the thread's scratch, behind what waits. */
static void take_piece(struct connection *c, uint32_t came)
{
    uint64_t messages = c->entry.messages_in;
    uint32_t n = 0, at;
    char *bytes = intake_take(&c->intake, c->thread->scratch, came, &n);

    if (bytes == NULL) {
        connection_end(c, CLOSE_ERROR);
        return;
    }
    counts_add(&c->thread->counts[c->entry.transport], COUNT_BYTES_IN, came);
    __atomic_store_n(&c->entry.bytes_in, c->entry.bytes_in + came, __ATOMIC_RELAXED);
    at = c->web != NULL ? web_take(c, bytes, n) : take_messages(c, bytes, n);
    if (!connection_reads(c))
        return;
    if (intake_keep(&c->intake, bytes + at, n - at) != 0)
        connection_end(c, CLOSE_ERROR);
    else if (c->web != NULL)
        watch_partial(c, web_pending(c), c->entry.messages_in != messages);
    else
        watch_partial(c, at < n && !c->paused, at > 0);
    connection_weigh(c);
}

void receive_input(struct connection *c)
{
    char *scratch = c->thread->scratch;
    uint32_t n, taken = 0;

    __atomic_store_n(&c->entry.active_ms, loop_now_ms(), __ATOMIC_RELAXED);
    while (connection_reads(c) && !must_pause(c)) {
        n = wire_read(&c->wire, scratch, sizeof(c->thread->scratch));
        if (n == 0)
            return;
        taken += n;
        take_piece(c, n);
        if (!connection_reads(c) || !wire_holds(&c->wire))
            return;
        if (taken >= TURN_BYTES && !c->paused) {
            wire_resume(&c->wire); /* with what it holds */
            return;
        }
    }
}

void receive_resume(struct connection *c)
{
    c->paused = false;
    __atomic_store_n(&c->entry.active_ms, loop_now_ms(), __ATOMIC_RELAXED);
    if (c->intake.n > 0)
        take_piece(c, 0);
    if (connection_reads(c) && !must_pause(c))
        wire_resume(&c->wire);
}
