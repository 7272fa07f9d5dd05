/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: see connection.h. A connection ends in the midst of whatever runs; its memory stays
 * until the loop's next turn.
 */
#include "control/stream/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "control/stream/thread.h"

enum { INPUT_MAX = THREAD_SCRATCH }; /* bytes that wait for their turn */

static const char PONG[2] = {'\r', '\n'};

static const struct cfg_streams *limits_of(const struct connection *c)
{
    return &c->thread->view->limits;
}

/* ---- Lists ---- */

static void list_put(struct connection **list, struct connection *c)
{
    c->next = *list;
    c->at = list;
    if (c->next != NULL)
        c->next->at = &c->next;
    *list = c;
}

static void list_take(struct connection *c)
{
    *c->at = c->next;
    if (c->next != NULL)
        c->next->at = c->at;
}

/* ---- The end ---- */

void connection_end(struct connection *c, enum close_reason reason)
{
    if (c->state == CONNECTION_ENDED)
        return;
    c->state = CONNECTION_ENDED;
    table_remove(c->thread->hub->table, &c->entry);
    counts_add(&c->thread->counts, COUNT_CLOSED + (uint32_t)reason, 1);
    bufferevent_disable(c->bev, EV_READ | EV_WRITE);
    loop_timer_stop(c->timer);
    list_take(c);
    list_put(&c->thread->ended, c);
    loop_timer_start(c->thread->reap, 0);
}

static void connection_free(struct connection *c)
{
    if (c->bev != NULL)
        bufferevent_free(c->bev);
    loop_event_free(c->timer);
    intake_done(&c->intake);
    free(c);
}

void connection_reap(struct thread *thread)
{
    while (thread->ended != NULL) {
        struct connection *c = thread->ended;

        list_take(c);
        connection_free(c);
    }
}

void connection_stop(struct thread *thread)
{
    while (thread->connections != NULL)
        connection_end(thread->connections, CLOSE_STOP);
    connection_reap(thread);
}

/* Whether anything waits to be sent. */
static size_t unsent(const struct connection *c)
{
    return evbuffer_get_length(bufferevent_get_output(c->bev));
}

/* ---- Time ---- */

/* When the connection ends unless something happens before, and why. */
static uint64_t deadline(const struct connection *c, enum close_reason *ret_reason)
{
    const struct cfg_streams *limits = limits_of(c);
    uint64_t idle_ms = c->entry.active_ms + limits->idle_timeout_ms;
    uint64_t message_ms = c->partial_ms + limits->message_timeout_ms;

    if (c->state == CONNECTION_OPENING) {
        *ret_reason = CLOSE_HANDSHAKE_TIMEOUT;
        return c->entry.since_ms + limits->handshake_timeout_ms;
    }
    if (c->state == CONNECTION_LEAVING) {
        *ret_reason = c->reason;
        return c->leaving_ms + limits->message_timeout_ms;
    }
    if (c->partial_ms != 0 && message_ms < idle_ms) {
        *ret_reason = CLOSE_MESSAGE_TIMEOUT;
        return message_ms;
    }
    *ret_reason = CLOSE_IDLE;
    return idle_ms;
}

static void start_timer(struct connection *c, uint64_t now)
{
    enum close_reason reason;
    uint64_t at = deadline(c, &reason);

    loop_timer_start(c->timer, at > now ? (uint32_t)(at - now) : 0);
}

/* Time goes on meanwhile what happens; only here it is seen what is left. */
static void on_timer(void *arg)
{
    struct connection *c = arg;
    enum close_reason reason;
    uint64_t now = loop_now_ms();

    if (deadline(c, &reason) <= now)
        connection_end(c, reason);
    else
        start_timer(c, now);
}

/* Nothing more is read; what was written goes first. */
static void leave(struct connection *c, enum close_reason reason)
{
    if (c->state == CONNECTION_ENDED || c->state == CONNECTION_LEAVING)
        return;
    if (unsent(c) == 0) {
        connection_end(c, reason);
        return;
    }
    c->state = CONNECTION_LEAVING;
    c->reason = reason;
    c->leaving_ms = loop_now_ms();
    bufferevent_disable(c->bev, EV_READ);
    start_timer(c, c->leaving_ms);
}

/* ---- Sending ---- */

static void write_bytes(struct connection *c, const char *bytes, size_t length)
{
    bufferevent_write(c->bev, bytes, length);
    __atomic_store_n(&c->entry.bytes_out, c->entry.bytes_out + length, __ATOMIC_RELAXED);
    counts_add(&c->thread->counts, COUNT_BYTES_OUT, length);
}

int connection_send(struct connection *c, const char *text, uint32_t length)
{
    if (c->state == CONNECTION_ENDED || c->state == CONNECTION_LEAVING)
        return -ENOTCONN;
    if (unsent(c) + length > limits_of(c)->write_limit) {
        connection_end(c, CLOSE_SLOW_READER);
        return -ENOTCONN;
    }
    write_bytes(c, text, length);
    __atomic_store_n(&c->entry.messages_out, c->entry.messages_out + 1, __ATOMIC_RELAXED);
    counts_add(&c->thread->counts, COUNT_SENT_STREAM, 1);
    return 0;
}

/* ---- Receiving ---- */

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

static void take_message(struct connection *c, const char *text, uint32_t length)
{
    struct relay_message message = message_of(c, text, length);

    __atomic_store_n(&c->entry.messages_in, c->entry.messages_in + 1, __ATOMIC_RELAXED);
    thread_take(c->thread, &message);
}

static void refuse(struct connection *c, const char *text, uint32_t length,
                   enum frame_reason reason)
{
    struct relay_message message = message_of(c, text, length);

    if (length > 0)
        thread_refuse(c->thread, &message, frame_reason_status(reason));
    leave(c, CLOSE_FRAME);
}

/* The first message, keep-alive or fault of n bytes. Returns how many bytes it was; 0: more are
 * needed, or the connection takes no more. */
static uint32_t take_first(struct connection *c, const char *bytes, uint32_t n)
{
    const struct frame_limits limits = {limits_of(c)->header_limit, limits_of(c)->body_limit};
    enum frame_reason reason = FRAME_NOT_SIP;
    uint32_t length = 0;

    switch (frame_next(&c->frame, &limits, bytes, n, &length, &reason)) {
    case FRAME_MORE:
        return 0;
    case FRAME_MESSAGE:
        take_message(c, bytes, length);
        return length;
    case FRAME_PING:
        counts_add(&c->thread->counts, COUNT_PINGS, 1);
        write_bytes(c, PONG, sizeof(PONG));
        return length;
    case FRAME_SKIP:
        return length;
    case FRAME_REFUSED:
        refuse(c, bytes, length, reason);
        return 0;
    }
    return 0;
}

/* Who sends faster than he takes what comes of it has to wait. */
static bool must_pause(struct connection *c)
{
    if (unsent(c) > limits_of(c)->write_limit / 2) {
        c->paused = true;
        bufferevent_disable(c->bev, EV_READ);
    }
    return c->paused;
}

/* What is left of the bytes that came begins a message, or waits while the connection is paused. */
static void keep_rest(struct connection *c, const char *rest, uint32_t n, bool whole)
{
    uint64_t now = c->entry.active_ms;

    if (intake_keep(&c->intake, rest, n) != 0) {
        connection_end(c, CLOSE_ERROR);
        return;
    }
    if (n == 0 || c->paused)
        c->partial_ms = 0;
    else if (whole || c->partial_ms == 0)
        c->partial_ms = now;
    else
        return;
    if (c->partial_ms != 0)
        start_timer(c, now);
}

/* Takes what came, a piece of it. */
static void take_input(struct connection *c, struct evbuffer *input)
{
    uint32_t held = c->intake.n, n = 0, at = 0, length = 0;
    char *bytes =
        intake_take(&c->intake, input, c->thread->scratch, sizeof(c->thread->scratch), &n);

    if (bytes == NULL) {
        connection_end(c, CLOSE_ERROR);
        return;
    }
    counts_add(&c->thread->counts, COUNT_BYTES_IN, n - held);
    __atomic_store_n(&c->entry.bytes_in, c->entry.bytes_in + n - held, __ATOMIC_RELAXED);
    do {
        length = take_first(c, bytes + at, n - at);
        at += length;
    } while (length > 0 && at < n && c->state == CONNECTION_OPEN && !must_pause(c));
    if (c->state == CONNECTION_OPEN)
        keep_rest(c, bytes + at, n - at, at > 0);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct connection *c = arg;
    struct evbuffer *input = bufferevent_get_input(bev);

    __atomic_store_n(&c->entry.active_ms, loop_now_ms(), __ATOMIC_RELAXED);
    while (c->state == CONNECTION_OPEN && !c->paused && evbuffer_get_length(input) > 0)
        take_input(c, input);
}

/* All was sent. */
static void on_written(struct bufferevent *bev, void *arg)
{
    struct connection *c = arg;

    if (c->state == CONNECTION_LEAVING) {
        connection_end(c, c->reason);
    } else if (c->paused) {
        c->paused = false;
        if (c->intake.n > 0)
            take_input(c, bufferevent_get_input(bev));
        on_read(bev, c);
        if (c->state == CONNECTION_OPEN && !c->paused)
            bufferevent_enable(bev, EV_READ);
    }
}

/* ---- The beginning ---- */

static void opened(struct connection *c)
{
    c->state = CONNECTION_OPEN;
    __atomic_store_n(&c->entry.active_ms, loop_now_ms(), __ATOMIC_RELAXED);
    start_timer(c, c->entry.active_ms);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct connection *c = arg;

    (void)bev;
    if (what & BEV_EVENT_CONNECTED)
        opened(c);
    else if (c->state == CONNECTION_LEAVING && what & (BEV_EVENT_TIMEOUT | BEV_EVENT_ERROR))
        connection_end(c, c->reason);
    else if (what & BEV_EVENT_TIMEOUT)
        connection_end(c, CLOSE_SLOW_READER);
    else if (what & BEV_EVENT_ERROR)
        connection_end(c, CLOSE_ERROR);
    else if (what & BEV_EVENT_EOF)
        leave(c, CLOSE_PEER);
}

static void set_socket(int fd)
{
    int one = 1;

    /* Messages are whole when they are written. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* The buffers of a connection that is in no table yet. NULL: no memory; the descriptor is closed.
 */
static struct connection *connection_new(struct thread *thread, int fd)
{
    struct connection *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        close(fd);
        return NULL;
    }
    c->thread = thread;
    set_socket(fd);
    c->bev = bufferevent_socket_new(loop_base(thread->loop), fd, BEV_OPT_CLOSE_ON_FREE);
    if (c->bev == NULL) {
        close(fd);
        free(c);
        return NULL;
    }
    c->timer = loop_timer_new(thread->loop, on_timer, c);
    if (c->timer != NULL)
        return c;
    connection_free(c);
    return NULL;
}

static void count_refused(struct thread *thread, enum table_verdict verdict)
{
    static const uint32_t counts[] = {[TABLE_FULL] = COUNT_REFUSED_FULL,
                                      [TABLE_SOURCE_FULL] = COUNT_REFUSED_SOURCE,
                                      [TABLE_NO_MEMORY] = COUNT_REFUSED_ERROR};

    counts_add(&thread->counts, counts[verdict], 1);
}

/* A connection in the table, whose events come from now on. NULL: it may not be; counted. */
static struct connection *connection_begin(struct thread *thread, const struct table_entry *entry,
                                           int fd)
{
    struct connection *c = connection_new(thread, fd);
    enum table_verdict verdict = TABLE_NO_MEMORY;
    struct timeval stall;

    if (c != NULL) {
        c->entry = *entry;
        c->entry.thread = thread->index;
        c->entry.since_ms = c->entry.active_ms = loop_now_ms();
        verdict = table_add(thread->hub->table, &c->entry, limits_of(c));
    }
    if (verdict != TABLE_ADDED) {
        count_refused(thread, verdict);
        if (c != NULL)
            connection_free(c);
        return NULL;
    }
    counts_add(&thread->counts, entry->outgoing ? COUNT_CONNECTED : COUNT_ACCEPTED, 1);
    list_put(&thread->connections, c);
    stall = (struct timeval){.tv_sec = limits_of(c)->message_timeout_ms / 1000,
                             .tv_usec = limits_of(c)->message_timeout_ms % 1000 * 1000L};
    bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
    bufferevent_set_timeouts(c->bev, NULL, &stall);
    bufferevent_setwatermark(c->bev, EV_READ, 0, INPUT_MAX);
    start_timer(c, c->entry.since_ms);
    return c;
}

void connection_accept(struct thread *thread, enum sip_transport transport,
                       const struct sip_addr *local, int fd, const struct sip_addr *peer)
{
    const struct table_entry entry = {
        .transport = (uint8_t)transport, .local = *local, .peer = *peer};
    struct connection *c = connection_begin(thread, &entry, fd);

    if (c == NULL)
        return;
    opened(c);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

struct connection *connection_connect(struct thread *thread, enum sip_transport transport,
                                      const struct sip_addr *local, int fd,
                                      const struct sip_addr *peer)
{
    const struct table_entry entry = {
        .transport = (uint8_t)transport, .outgoing = true, .local = *local, .peer = *peer};
    struct connection *c = connection_begin(thread, &entry, fd);

    if (c == NULL)
        return NULL;
    /* Without an address it takes the descriptor's connect(2) as under way. */
    if (bufferevent_socket_connect(c->bev, NULL, 0) != 0) {
        connection_end(c, CLOSE_ERROR);
        return NULL;
    }
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
    return c;
}

void connection_follow(struct thread *thread)
{
    const struct snapshot *s = thread->view->snapshot;
    struct connection *next;

    for (struct connection *c = thread->connections; c != NULL; c = next) {
        next = c->next;
        if (snapshot_find_listener(s, (enum sip_transport)c->entry.transport, &c->entry.local) < 0)
            connection_end(c, CLOSE_LISTENER);
    }
}
