/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: see probe_tcp.h. One exists from the first message until either side closes it; what
 * is to be sent waits in it until it is connected, the beginning of an answer until the rest came.
 */
#include "control/health/probe_tcp.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/health/probe_text.h"

enum { BUCKETS = 1024 };

struct connection {
    struct probe_tcp *tcp;
    struct connection *next; /* of its bucket */
    struct probe_peer to;
    struct sip_addr from;
    int fd;
    SSL *ssl;       /* of TLS; else NULL */
    int error;      /* connect's own, told from the loop; 0: none */
    bool connected; /* TCP is */
    bool open;      /* and TLS's handshake is over: messages go and come */
    bool wanted;
    uint64_t heard_us; /* when bytes came last; 0: never */
    struct loop_event *event;
    char *held; /* to be sent, until it is connected; then what is not a whole message yet */
    size_t n_held;
};

struct probe_tcp {
    struct loop *loop;
    enum sip_transport transport; /* TCP or TLS */
    struct probe_wire wire;
    struct address_own own;
    struct connection *buckets[BUCKETS];
    struct connection *reading; /* whose messages are being told; NULL: it was closed meanwhile */
    char buffer[PROBE_TCP_MESSAGE_MAX];
    struct sip_msg msg;
};

static void on_event(void *arg);

/* FNV-1a: addresses are the configuration's, nobody chooses them to collide. */
static struct connection **bucket_of(struct probe_tcp *t, const struct probe_peer *to)
{
    const unsigned char *bytes = (const unsigned char *)&to->addr;
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < sizeof(to->addr); i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return &t->buckets[hash % BUCKETS];
}

static struct connection *find(struct probe_tcp *t, const struct probe_peer *to)
{
    struct connection *c = *bucket_of(t, to);

    while (c != NULL && (c->to.id != to->id || !sip_addr_equal(&c->to.addr, &to->addr)))
        c = c->next;
    return c;
}

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

/* Ends a connection, without waiting for the other side if that is not there. */
static void drop(struct connection *c, bool at_once)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};
    struct connection **at = bucket_of(c->tcp, &c->to);

    while (*at != NULL && *at != c)
        at = &(*at)->next;
    if (*at == c)
        *at = c->next;
    if (c->tcp->reading == c)
        c->tcp->reading = NULL;
    loop_event_free(c->event);
    tls_wire_end(c->ssl);
    if (at_once)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(c->fd);
    free(c->held);
    free(c);
}

void probe_tcp_drop_all(struct probe_tcp *t)
{
    for (int i = 0; i < BUCKETS; i++) {
        while (t->buckets[i] != NULL)
            drop(t->buckets[i], false);
    }
}

struct probe_tcp *probe_tcp_new(struct loop *loop, enum sip_transport transport,
                                const struct probe_wire *wire)
{
    struct probe_tcp *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->loop = loop;
    t->transport = transport;
    t->wire = *wire;
    return t;
}

void probe_tcp_free(struct probe_tcp *t)
{
    if (t == NULL)
        return;
    probe_tcp_drop_all(t);
    free(t);
}

void probe_tcp_from(struct probe_tcp *t, const struct address_own *own)
{
    t->own = *own;
    probe_tcp_drop_all(t);
}

void probe_tcp_want(struct probe_tcp *t, const struct probe_peer *to)
{
    struct connection *c = find(t, to);

    if (c != NULL)
        c->wanted = true;
}

void probe_tcp_drop_unwanted(struct probe_tcp *t)
{
    for (int i = 0; i < BUCKETS; i++) {
        struct connection *c = t->buckets[i], *next;

        for (; c != NULL; c = next) {
            next = c->next;
            if (!c->wanted)
                drop(c, false);
            else
                c->wanted = false;
        }
    }
}

void probe_tcp_silent(struct probe_tcp *t, const struct probe_peer *to, uint64_t sent_us)
{
    struct connection *c = find(t, to);

    if (c != NULL && c->heard_us < sent_us)
        drop(c, true);
}

/* Whether an error says that nobody is there; what fails at once, without the other side's word,
 * does so only on loopback. */
static bool is_refusal(const struct connection *c, int error)
{
    return error == ECONNREFUSED ||
           (c->error == 0 && (error == EHOSTUNREACH || error == ENETUNREACH));
}

/* What it waits for from now on. False: no memory. */
static bool await(struct connection *c, int what)
{
    loop_event_free(c->event);
    c->event = loop_watch(c->tcp->loop, c->fd, what, on_event, c);
    return c->event != NULL;
}

/* Its address is ours, and it is on its way. 0, or a negative errno: we cannot send. */
static int begin(struct connection *c)
{
    struct sip_addr from = {.port = 0};
    union address address;
    socklen_t size = address_to_kernel(&c->to.addr, &address);
    const struct sip_ip *own = address_own_for(&c->tcp->own, &c->to.addr.ip);
    int status = set(c->fd, IPPROTO_TCP, TCP_NODELAY, 1);

    if (status == 0 && own != NULL) {
        from.ip = *own;
        set(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1); /* connect chooses it, of more */
        size = address_to_kernel(&from, &address);
        if (bind(c->fd, &address.any, size) != 0)
            status = -errno;
        size = address_to_kernel(&c->to.addr, &address);
    }
    if (status == 0 && connect(c->fd, &address.any, size) != 0 && errno != EINPROGRESS) {
        if (errno != ECONNREFUSED && errno != EHOSTUNREACH && errno != ENETUNREACH)
            status = -errno;
        c->error = errno;
    }
    if (status != 0)
        return status;
    size = sizeof(address);
    if (getsockname(c->fd, &address.any, &size) != 0)
        return -errno;
    c->from = address_from_kernel(&address);
    return await(c, LOOP_WRITE) ? 0 : -ENOMEM;
}

int probe_tcp_open(struct probe_tcp *t, const struct probe_peer *to, struct sip_addr *ret_from)
{
    struct connection *c = find(t, to), **bucket = bucket_of(t, to);
    int fd, status;

    if (c != NULL) {
        *ret_from = c->from;
        return 0;
    }
    fd = socket(sip_ip_is_v4(&to->addr.ip) ? AF_INET : AF_INET6,
                SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    c = calloc(1, sizeof(*c));
    if (c == NULL) {
        close(fd);
        return -ENOMEM;
    }
    *c = (struct connection){.tcp = t, .to = *to, .fd = fd, .wanted = true, .next = *bucket};
    *bucket = c;
    if (t->transport == SIP_TRANSPORT_TLS)
        c->ssl = t->wire.secure(t->wire.arg, to->id);
    status = t->transport == SIP_TRANSPORT_TLS && c->ssl == NULL ? -EAGAIN : begin(c);
    if (status == 0 && c->ssl != NULL)
        status = tls_wire_begin(c->ssl, fd);
    if (status != 0) {
        drop(c, true);
        return status;
    }
    *ret_from = c->from;
    return 0;
}

/* Keeps bytes in the place of those held before. False: no memory. */
static bool hold(struct connection *c, const char *bytes, size_t length)
{
    char *held = length == 0 ? NULL : malloc(length);

    if (length > 0 && held == NULL)
        return false;
    if (length > 0)
        memcpy(held, bytes, length);
    free(c->held);
    c->held = held;
    c->n_held = length;
    return true;
}

/* Half a message cannot be taken back: who does not read gets no more. */
static bool put(struct connection *c, const char *bytes, size_t length)
{
    if (length == 0)
        return true;
    if (c->ssl != NULL)
        return tls_wire_write(c->ssl, bytes, length);
    return send(c->fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length;
}

int probe_tcp_send(struct probe_tcp *t, const struct probe_peer *to, const char *text,
                   size_t length)
{
    struct connection *c = find(t, to);
    char *grown;

    if (c == NULL)
        return -ENOTCONN;
    if (c->open) {
        if (!put(c, text, length))
            drop(c, true);
        return 0; /* nobody answers then, and the next one finds out */
    }
    if (c->n_held + length > PROBE_TCP_HELD_MAX)
        return 0;
    grown = realloc(c->held, c->n_held + length);
    if (grown == NULL)
        return -ENOMEM;
    memcpy(grown + c->n_held, text, length);
    c->held = grown;
    c->n_held += length;
    return 0;
}

/* Nobody is there, or not who should be. */
static void refuse(struct connection *c, const char *why)
{
    struct probe_tcp *t = c->tcp;
    const struct probe_peer to = c->to;

    drop(c, true);
    t->wire.on_refused(t->wire.arg, t->transport, &to, why, NULL, 0);
}

/* Messages can go, those that wait first. */
static void finish(struct connection *c)
{
    c->open = true;
    if (!await(c, LOOP_READ) || !put(c, c->held, c->n_held))
        drop(c, true);
    else
        hold(c, NULL, 0);
}

/* TLS's handshake goes on. */
static void shake(struct connection *c)
{
    enum tls_failure failure;
    int status = tls_wire_shake(c->ssl, &failure);

    if (status == 0)
        finish(c);
    else if (status != -EAGAIN && status != -EINPROGRESS)
        refuse(c, tls_failure_text(failure));
    else if (!await(c, status == -EAGAIN ? LOOP_READ : LOOP_WRITE))
        drop(c, true);
}

/* It is connected, or cannot be. */
static void connected(struct connection *c)
{
    int error = c->error;
    socklen_t size = sizeof(error);

    if (error == 0 && getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    c->connected = error == 0;
    if (error != 0 && is_refusal(c, error))
        refuse(c, "no connection");
    else if (error != 0)
        drop(c, true);
    else if (c->ssl != NULL)
        shake(c);
    else
        finish(c);
}

static void break_off(struct connection *c)
{
    struct probe_tcp *t = c->tcp;
    const struct probe_peer to = c->to;

    drop(c, true);
    t->wire.on_broken(t->wire.arg, t->transport, &to);
}

/* Tells the messages in the buffer, and holds what is left. False: the connection is gone. */
static bool take(struct connection *c, size_t length)
{
    struct probe_tcp *t = c->tcp;
    const struct sip_addr from = c->to.addr;
    ssize_t cut = 1;
    size_t at = 0;

    t->reading = c;
    while (t->reading == c && at < length &&
           (cut = probe_cut(t->buffer + at, length - at, &t->msg)) > 0) {
        at += (size_t)cut;
        if (t->msg.kind != SIP_NONE)
            t->wire.on_message(t->wire.arg, t->transport, &from, &t->msg);
    }
    if (t->reading != c)
        return false;
    t->reading = NULL;
    if (cut >= 0 && length - at < sizeof(t->buffer) && hold(c, t->buffer + at, length - at))
        return true;
    break_off(c);
    return false;
}

/* As tls_wire_read. */
static ssize_t receive(struct connection *c, char *bytes, size_t room,
                       enum tls_failure *ret_failure)
{
    ssize_t length;

    if (c->ssl != NULL)
        return tls_wire_read(c->ssl, bytes, room, ret_failure);
    length = recv(c->fd, bytes, room, 0);
    if (length > 0)
        return length;
    return length < 0 && (errno == EAGAIN || errno == EINTR) ? -EAGAIN : -ECONNRESET;
}

/* What can be read now. Of TLS 1.3 the other side says only here that it does not want us. */
static void read_all(struct connection *c)
{
    struct probe_tcp *t = c->tcp;
    enum tls_failure failure;
    ssize_t length;

    do {
        if (c->n_held > 0)
            memcpy(t->buffer, c->held, c->n_held);
        length = receive(c, t->buffer + c->n_held, sizeof(t->buffer) - c->n_held, &failure);
        if (length == -EAGAIN || length == -EINPROGRESS)
            return;
        if (length == -EPROTO && c->heard_us == 0) {
            refuse(c, tls_failure_text(failure));
            return;
        }
        if (length <= 0) { /* closed: the next message opens another one */
            drop(c, false);
            return;
        }
        c->heard_us = loop_now_us();
    } while (take(c, c->n_held + (size_t)length) && c->ssl != NULL);
}

static void on_event(void *arg)
{
    struct connection *c = arg;

    if (c->open)
        read_all(c);
    else if (c->connected)
        shake(c);
    else
        connected(c);
}
