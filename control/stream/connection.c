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
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "control/stream/receive.h"
#include "control/stream/secure.h"
#include "control/stream/thread.h"
#include "control/stream/web.h"

const struct cfg_streams *connection_limits(const struct connection *c)
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
    c->unopened = c->state == CONNECTION_OPENING && c->entry.outgoing;
    c->state = CONNECTION_ENDED;
    table_remove(c->thread->hub->table, &c->entry);
    counts_add(&c->thread->counts[c->entry.transport], COUNT_CLOSED + (uint32_t)reason, 1);
    wire_stop(&c->wire);
    loop_timer_stop(c->timer);
    loop_event_free(c->linger);
    c->linger = NULL;
    list_take(c);
    list_put(&c->thread->ended, c);
    loop_timer_start(c->thread->reap, 0);
    connection_weigh(c);
}

/* What is at its end holds nothing any more: its memory goes with the loop's next turn. */
static size_t held_by(const struct connection *c)
{
    if (c->state == CONNECTION_ENDED)
        return 0;
    return c->intake.room + c->wire.room + (c->web != NULL ? web_held(c) : 0);
}

void connection_weigh(struct connection *c)
{
    struct hub *hub = c->thread->hub;
    size_t held = held_by(c), all;

    if (held == c->held)
        return;
    all = __atomic_add_fetch(&hub->held, held - c->held, __ATOMIC_RELAXED);
    c->held = held;
    if (all > connection_limits(c)->memory_limit &&
        held > connection_limits(c)->memory_limit / (table_size(hub->table) + 1u))
        connection_end(c, CLOSE_MEMORY);
}

static void connection_free(struct connection *c)
{
    wire_goodbye(&c->wire);
    wire_done(&c->wire);
    loop_event_free(c->timer);
    web_free(c->web);
    intake_done(&c->intake);
    free(c);
}

/* What waited for a connection that came to nothing: nothing of it has gone. Not at once, since a
 * connection may end in the midst of a decision. */
static void give_back(const struct connection *c)
{
    const char *text = c->wire.waits + c->wire.begin;
    uint32_t n = (uint32_t)wire_unsent(&c->wire), length = 0;
    const struct proxy_flow to = {
        .transport = c->entry.transport, .local = c->entry.local, .peer = c->entry.peer};
    const struct frame_limits limits = {n < SIP_MSG_MAX ? n : SIP_MSG_MAX, n};
    enum frame_reason reason;

    for (; n > 0; text += length, n -= length) {
        struct frame frame = {.scanned = 0};

        if (frame_next(&frame, &limits, text, n, &length, &reason) != FRAME_MESSAGE)
            return;
        counts_add(&c->thread->counts[c->entry.transport], COUNT_UNDELIVERED, 1);
        thread_undelivered(c->thread, &to, text, length);
    }
}

void connection_reap(struct thread *thread)
{
    while (thread->ended != NULL) {
        struct connection *c = thread->ended;

        list_take(c);
        if (c->unopened)
            give_back(c);
        connection_free(c);
    }
}

void connection_stop(struct thread *thread)
{
    while (thread->connections != NULL)
        connection_end(thread->connections, CLOSE_STOP);
    connection_reap(thread);
}

size_t connection_unsent(const struct connection *c)
{
    return wire_unsent(&c->wire);
}

/* ---- Time ---- */

/* When the connection ends unless something happens before, and why. */
static uint64_t deadline(const struct connection *c, enum close_reason *ret_reason)
{
    const struct cfg_streams *limits = connection_limits(c);
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
    if (c->state == CONNECTION_LINGERING) {
        *ret_reason = c->reason;
        return c->leaving_ms + CONNECTION_LINGER_MS;
    }
    if (c->partial_ms != 0 && message_ms < idle_ms) {
        *ret_reason = CLOSE_MESSAGE_TIMEOUT;
        return message_ms;
    }
    *ret_reason = CLOSE_IDLE;
    return idle_ms;
}

void connection_start_timer(struct connection *c, uint64_t now)
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
        connection_start_timer(c, now);
}

static void on_linger(void *arg)
{
    struct connection *c = arg;
    ssize_t n = recv(c->wire.fd, c->thread->scratch, sizeof(c->thread->scratch), 0);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        connection_end(c, c->reason);
}

/* All was sent: the peer is told that no more comes, and has a while to read it. */
static void linger(struct connection *c)
{
    wire_goodbye(&c->wire);
    wire_stop(&c->wire);
    c->linger = loop_watch(c->thread->loop, c->wire.fd, LOOP_READ, on_linger, c);
    if (c->linger == NULL || shutdown(c->wire.fd, SHUT_WR) != 0) {
        connection_end(c, c->reason);
        return;
    }
    c->state = CONNECTION_LINGERING;
    c->leaving_ms = loop_now_ms();
    connection_start_timer(c, c->leaving_ms);
}

void connection_leave(struct connection *c, enum close_reason reason)
{
    if (c->state >= CONNECTION_LEAVING)
        return;
    if (connection_unsent(c) == 0) {
        connection_end(c, reason);
        return;
    }
    c->state = CONNECTION_LEAVING;
    c->reason = reason;
    c->leaving_ms = loop_now_ms();
    wire_pause(&c->wire);
    connection_start_timer(c, c->leaving_ms);
}

static void retire(struct connection *c)
{
    if (c->state == CONNECTION_OPENING) {
        connection_end(c, CLOSE_STOP);
        return;
    }
    if (c->state != CONNECTION_OPEN)
        return;
    if (c->web != NULL)
        web_close(c);
    c->reason = CLOSE_STOP;
    if (connection_unsent(c) > 0)
        connection_leave(c, CLOSE_STOP);
    else
        linger(c);
}

void connection_retire(struct thread *thread)
{
    struct connection *next;

    for (struct connection *c = thread->connections; c != NULL; c = next) {
        next = c->next;
        retire(c);
    }
}

/* ---- Sending ---- */

void connection_write(struct connection *c, const void *bytes, size_t length)
{
    if (wire_write(&c->wire, bytes, length) != 0) {
        connection_end(c, CLOSE_ERROR);
        return;
    }
    connection_weigh(c);
    __atomic_store_n(&c->entry.bytes_out, c->entry.bytes_out + length, __ATOMIC_RELAXED);
    counts_add(&c->thread->counts[c->entry.transport], COUNT_BYTES_OUT, length);
}

int connection_send(struct connection *c, const char *text, uint32_t length)
{
    if (c->state >= CONNECTION_LEAVING)
        return -ENOTCONN;
    if (connection_unsent(c) + length > connection_limits(c)->write_limit) {
        connection_end(c, CLOSE_SLOW_READER);
        return -ENOTCONN;
    }
    if (c->web != NULL && web_send(c, text, length) != 0)
        return -ENOTCONN;
    if (c->web == NULL)
        connection_write(c, text, length);
    __atomic_store_n(&c->entry.messages_out, c->entry.messages_out + 1, __ATOMIC_RELAXED);
    counts_add(&c->thread->counts[c->entry.transport], COUNT_SENT_STREAM, 1);
    return 0;
}

/* ---- What happens ---- */

static void on_input(void *arg)
{
    receive_input(arg);
}

/* All was sent. */
static void on_sent(void *arg)
{
    struct connection *c = arg;

    connection_weigh(c);
    if (c->state == CONNECTION_LEAVING && c->reason == CLOSE_PEER) {
        connection_end(c, c->reason);
    } else if (c->state == CONNECTION_LEAVING) {
        linger(c);
    } else if (c->paused) {
        receive_resume(c);
    }
}

/* ---- The beginning ---- */

void connection_opened(struct connection *c)
{
    if (c->state == CONNECTION_ENDED)
        return;
    c->state = CONNECTION_OPEN;
    wire_rank(&c->wire, LOOP_RANK_USUAL);
    __atomic_store_n(&c->entry.active_ms, loop_now_ms(), __ATOMIC_RELAXED);
    connection_start_timer(c, c->entry.active_ms);
}

/* TCP, or TLS, is there. */
static void on_opened(void *arg)
{
    struct connection *c = arg;

    if (secure_has(c->entry.transport))
        secure_opened(c);
    if (c->web == NULL)
        connection_opened(c);
}

/* It ends while it opens. */
static void failed(struct connection *c, bool late)
{
    bool secure = secure_has(c->entry.transport), web = c->web != NULL;

    if (late) {
        connection_end(c, CLOSE_HANDSHAKE_TIMEOUT);
        return;
    }
    if (secure && *c->entry.cipher == '\0')
        secure_failed(c);
    connection_end(c, secure || web ? CLOSE_HANDSHAKE : CLOSE_ERROR);
}

static void on_ended(void *arg, enum wire_end end)
{
    struct connection *c = arg;

    if (c->state == CONNECTION_OPENING)
        failed(c, end == WIRE_STALLED);
    else if (c->state == CONNECTION_LEAVING)
        connection_end(c, c->reason);
    else if (end == WIRE_CLOSED)
        connection_leave(c, CLOSE_PEER);
    else
        connection_end(c, end == WIRE_STALLED ? CLOSE_SLOW_READER : CLOSE_ERROR);
}

static const struct wire_calls CALLS = {on_opened, on_input, on_sent, on_ended};

void connection_prepare(int fd)
{
    unsigned int unacknowledged_ms = CONNECTION_UNACKNOWLEDGED_MS;
    int one = 1;

    /* Messages are whole when they are written. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms,
                     sizeof(unacknowledged_ms));
}

static bool has_web(const struct connection *c)
{
    return c->entry.transport == SIP_TRANSPORT_WS || c->entry.transport == SIP_TRANSPORT_WSS;
}

/* What else a connection in the table needs; the descriptor is its wire's then. False: no memory, or
 * nothing is configured for it any more. */
static bool equip(struct connection *c, int fd)
{
    const bool secure = secure_has(c->entry.transport);
    SSL *ssl = NULL;

    c->timer = loop_timer_new(c->thread->loop, on_timer, c);
    c->web = has_web(c) ? web_new() : NULL;
    if (c->timer == NULL || (has_web(c) && c->web == NULL))
        return false;
    if (secure)
        ssl = secure_new(c);
    if ((secure && ssl == NULL) ||
        wire_begin(&c->wire, c->thread->wires, fd, ssl, connection_limits(c)->message_timeout_ms,
                   &CALLS, c) != 0) {
        SSL_free(ssl);
        return false;
    }
    wire_rank(&c->wire, LOOP_RANK_LATER);
    return true;
}

/* A connection in the table. NULL: there may be no more, or no memory; counted. */
static struct connection *enter(struct thread *thread, const struct table_entry *entry)
{
    static const uint32_t refused[] = {[TABLE_FULL] = COUNT_REFUSED_FULL,
                                       [TABLE_SOURCE_FULL] = COUNT_REFUSED_SOURCE,
                                       [TABLE_NO_MEMORY] = COUNT_REFUSED_ERROR};
    enum table_verdict verdict = TABLE_NO_MEMORY;
    size_t name_size = strlen(entry->name) + 1;
    struct connection *c = calloc(1, sizeof(*c) + name_size);

    if (c != NULL) {
        c->thread = thread;
        c->entry = *entry;
        c->entry.name = memcpy(c->name, entry->name, name_size);
        c->entry.thread = thread->index;
        c->entry.since_ms = c->entry.active_ms = loop_now_ms();
        verdict = table_add(thread->hub->table, &c->entry, connection_limits(c));
    }
    if (verdict == TABLE_ADDED)
        return c;
    counts_add(&thread->counts[entry->transport], refused[verdict], 1);
    free(c);
    return NULL;
}

/* A connection whose events come from now on. NULL: there is none, and no descriptor; counted. */
static struct connection *begin(struct thread *thread, const struct table_entry *entry, int fd)
{
    struct connection *c = enter(thread, entry);

    if (c != NULL && !equip(c, fd)) {
        table_remove(thread->hub->table, &c->entry);
        counts_add(&thread->counts[entry->transport], COUNT_REFUSED_ERROR, 1);
        connection_free(c);
        c = NULL;
    }
    if (c == NULL) {
        close(fd);
        return NULL;
    }
    counts_add(&thread->counts[entry->transport],
               entry->outgoing ? COUNT_CONNECTED : COUNT_ACCEPTED, 1);
    list_put(&thread->connections, c);
    connection_start_timer(c, c->entry.since_ms);
    return c;
}

void connection_accept(struct thread *thread, enum sip_transport transport,
                       const struct sip_addr *local, int fd, const struct sip_addr *peer)
{
    const struct table_entry entry = {
        .transport = (uint8_t)transport, .local = *local, .peer = *peer, .name = ""};
    struct connection *c = begin(thread, &entry, fd);

    if (c == NULL)
        return;
    if (transport == SIP_TRANSPORT_TCP)
        connection_opened(c);
    if (wire_accepted(&c->wire) != 0)
        connection_end(c, CLOSE_ERROR);
}

struct connection *connection_connect(struct thread *thread, const struct proxy_flow *to,
                                      const char *name, int fd)
{
    const struct table_entry entry = {.transport = to->transport,
                                      .outgoing = true,
                                      .local = to->local,
                                      .peer = to->peer,
                                      .name = name};
    struct connection *c = begin(thread, &entry, fd);

    if (c == NULL)
        return NULL;
    if (wire_connects(&c->wire) == 0)
        return c;
    connection_end(c, CLOSE_ERROR);
    return NULL;
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
