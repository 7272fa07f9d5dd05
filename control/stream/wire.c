/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets and TLS in the loop: see wire.h. A socket is watched for reading once and for all; for
 * writing only while the kernel takes no more. TLS reads ahead: all that came in one system call.
 */
#include "control/stream/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "control/loop.h"

enum {
    ROOM_MIN = 2048,
    WRITE_MAX = 1 << 16, /* what is handed to TLS at once; it makes records of it */
};

struct wires {
    struct event_base *base;
    struct event flush;
    struct wire *first; /* of those that have to send */
};

/* ---- The end ---- */

static void list_take(struct wire *w)
{
    if (w->at == NULL)
        return;
    *w->at = w->next;
    if (w->next != NULL)
        w->next->at = w->at;
    w->at = NULL;
}

void wire_stop(struct wire *w)
{
    w->state = WIRE_STOPPED;
    w->reads = false;
    list_take(w);
    event_del(&w->readable);
    event_del(&w->writable);
}

/* OpenSSL may have called who stopped it already. */
static void end(struct wire *w, enum wire_end how)
{
    if (w->state == WIRE_STOPPED)
        return;
    if (how == WIRE_CLOSED)
        wire_pause(w);
    else
        wire_stop(w);
    w->calls->ended(w->arg, how);
}

/* OpenSSL failed, or the peer ended. */
static void end_secure(struct wire *w, int code)
{
    w->error = ERR_peek_last_error();
    ERR_clear_error();
    end(w, code == SSL_ERROR_ZERO_RETURN ? WIRE_CLOSED : WIRE_BROKEN);
}

void wire_goodbye(struct wire *w)
{
    if (w->ssl == NULL || SSL_in_init(w->ssl))
        return;
    SSL_set_shutdown(w->ssl, SSL_RECEIVED_SHUTDOWN);
    (void)SSL_shutdown(w->ssl);
    ERR_clear_error();
}

void wire_done(struct wire *w)
{
    if (w->wires == NULL)
        return;
    wire_stop(w);
    SSL_free(w->ssl);
    close(w->fd);
    free(w->waits);
    w->wires = NULL;
}

/* ---- Sending ---- */

static void wait_writable(struct wire *w)
{
    if (w->state == WIRE_STOPPED)
        return;
    w->blocked = true;
    event_add(&w->writable, &w->stall);
}

/* What was sent; 0: the kernel takes no more for now; -1: the wire ended. */
static ssize_t send_plain(struct wire *w)
{
    ssize_t n = send(w->fd, w->waits + w->begin, wire_unsent(w), MSG_NOSIGNAL);

    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EINTR) {
        wait_writable(w);
        return 0;
    }
    end(w, WIRE_BROKEN);
    return -1;
}

static ssize_t send_secure(struct wire *w)
{
    size_t length = wire_unsent(w);
    int n, code;

    ERR_clear_error();
    n = SSL_write(w->ssl, w->waits + w->begin, (int)(length < WRITE_MAX ? length : WRITE_MAX));
    if (n > 0)
        return n;
    code = SSL_get_error(w->ssl, n);
    if (code != SSL_ERROR_WANT_WRITE) {
        end_secure(w, code);
        return -1;
    }
    wait_writable(w);
    return 0;
}

static void flush(struct wire *w)
{
    while (wire_unsent(w) > 0) {
        ssize_t n = w->ssl == NULL ? send_plain(w) : send_secure(w);

        if (n <= 0 || w->state == WIRE_STOPPED)
            return;
        w->begin += (size_t)n;
    }
    free(w->waits);
    w->waits = NULL;
    w->begin = w->end = w->room = 0;
    w->calls->sent(w->arg);
}

/* All who were ready have been called. */
static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct wires *wires = arg;

    (void)fd;
    (void)what;
    while (wires->first != NULL) {
        struct wire *w = wires->first;

        list_take(w);
        flush(w);
    }
}

static void flush_later(struct wire *w)
{
    struct wires *wires = w->wires;

    if (w->at != NULL || w->blocked || w->state != WIRE_OPEN)
        return;
    if (wires->first == NULL)
        event_active(&wires->flush, EV_WRITE, 0);
    w->next = wires->first;
    w->at = &wires->first;
    if (w->next != NULL)
        w->next->at = &w->next;
    wires->first = w;
}

/* 0, or -ENOMEM. */
static int make_room(struct wire *w, size_t length)
{
    const size_t need = wire_unsent(w) + length;
    size_t room = w->room == 0 ? ROOM_MIN : w->room;
    char *waits;

    if (w->begin > 0 && w->room - w->end < length) {
        memmove(w->waits, w->waits + w->begin, wire_unsent(w));
        w->end -= w->begin;
        w->begin = 0;
    }
    if (need <= w->room)
        return 0;
    while (room < need)
        room *= 2;
    waits = realloc(w->waits, room);
    if (waits == NULL)
        return -ENOMEM;
    w->waits = waits;
    w->room = room;
    return 0;
}

int wire_write(struct wire *w, const void *bytes, size_t length)
{
    if (make_room(w, length) != 0)
        return -ENOMEM;
    memcpy(w->waits + w->end, bytes, length);
    w->end += length;
    flush_later(w);
    return 0;
}

/* ---- Receiving ---- */

bool wire_holds(const struct wire *w)
{
    return w->ssl != NULL && SSL_has_pending(w->ssl) == 1;
}

static uint32_t read_plain(struct wire *w, char *to, uint32_t room)
{
    ssize_t n = recv(w->fd, to, room, 0);

    if (n > 0)
        return (uint32_t)n;
    if (n == 0)
        end(w, WIRE_CLOSED);
    else if (errno != EAGAIN && errno != EINTR)
        end(w, WIRE_BROKEN);
    return 0;
}

static uint32_t read_secure(struct wire *w, char *to, uint32_t room)
{
    int n, code;

    ERR_clear_error();
    n = SSL_read(w->ssl, to, (int)room);
    if (n > 0)
        return (uint32_t)n;
    code = SSL_get_error(w->ssl, n);
    w->read_blocked = code == SSL_ERROR_WANT_WRITE;
    if (w->read_blocked)
        wait_writable(w);
    else if (code != SSL_ERROR_WANT_READ)
        end_secure(w, code);
    return 0;
}

uint32_t wire_read(struct wire *w, char *to, uint32_t room)
{
    uint32_t n = w->ssl == NULL ? read_plain(w, to, room) : read_secure(w, to, room);

    return w->state == WIRE_STOPPED ? 0 : n;
}

void wire_pause(struct wire *w)
{
    w->reads = false;
    event_del(&w->readable);
}

void wire_resume(struct wire *w)
{
    w->reads = true;
    event_add(&w->readable, NULL);
    if (wire_holds(w))
        event_active(&w->readable, EV_READ, 0);
}

/* ---- The beginning ---- */

static void opened(struct wire *w)
{
    w->state = WIRE_OPEN;
    if (wire_unsent(w) > 0)
        flush_later(w);
    w->calls->opened(w->arg);
    if (w->reads && wire_holds(w))
        w->calls->input(w->arg);
}

static void shake(struct wire *w)
{
    int done, code;

    ERR_clear_error(); /* another wire's would count as this one's */
    done = SSL_do_handshake(w->ssl);
    if (w->state == WIRE_STOPPED)
        return;
    if (done == 1) {
        opened(w);
        return;
    }
    code = SSL_get_error(w->ssl, done);
    if (code == SSL_ERROR_WANT_WRITE)
        wait_writable(w);
    else if (code != SSL_ERROR_WANT_READ)
        end_secure(w, code);
}

/* connect(2) came to its end. */
static void connected(struct wire *w)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0 ||
        event_add(&w->readable, NULL) != 0) {
        end(w, WIRE_BROKEN);
        return;
    }
    w->reads = true;
    w->state = WIRE_SHAKING;
    if (w->ssl == NULL)
        opened(w);
    else
        shake(w);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct wire *w = arg;

    (void)fd;
    (void)what;
    if (w->state == WIRE_SHAKING)
        shake(w);
    else
        w->calls->input(w->arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct wire *w = arg;

    (void)fd;
    w->blocked = false;
    if (what & EV_TIMEOUT)
        end(w, WIRE_STALLED);
    else if (w->state == WIRE_CONNECTING)
        connected(w);
    else if (w->state == WIRE_SHAKING)
        shake(w);
    else if (w->read_blocked && w->reads)
        w->calls->input(w->arg);
    if (wire_unsent(w) > 0)
        flush_later(w);
}

int wire_begin(struct wire *w, struct wires *wires, int fd, SSL *ssl, uint32_t stall_ms,
               const struct wire_calls *calls, void *arg)
{
    if (ssl != NULL && SSL_set_fd(ssl, fd) != 1) {
        ERR_clear_error();
        return -ENOMEM;
    }
    *w = (struct wire){
        .wires = wires,
        .calls = calls,
        .arg = arg,
        .ssl = ssl,
        .fd = fd,
        .stall = {.tv_sec = stall_ms / 1000, .tv_usec = stall_ms % 1000 * 1000L},
    };
    event_assign(&w->readable, wires->base, fd, EV_READ | EV_PERSIST, on_readable, w);
    event_assign(&w->writable, wires->base, fd, EV_WRITE, on_writable, w);
    return 0;
}

int wire_accepted(struct wire *w)
{
    w->state = w->ssl == NULL ? WIRE_OPEN : WIRE_SHAKING;
    w->reads = true;
    return event_add(&w->readable, NULL) == 0 ? 0 : -ENOMEM;
}

int wire_connects(struct wire *w)
{
    w->state = WIRE_CONNECTING;
    return event_add(&w->writable, &w->stall) == 0 ? 0 : -ENOMEM;
}

void wire_rank(struct wire *w, int rank)
{
    event_priority_set(&w->readable, rank);
    event_priority_set(&w->writable, rank);
}

/* ---- A loop's ---- */

struct wires *wires_new(struct loop *loop)
{
    struct wires *wires = calloc(1, sizeof(*wires));

    if (wires == NULL)
        return NULL;
    wires->base = loop_base(loop);
    event_assign(&wires->flush, wires->base, -1, 0, on_flush, wires);
    return wires;
}

void wires_free(struct wires *wires)
{
    if (wires == NULL)
        return;
    event_del(&wires->flush);
    free(wires);
}
