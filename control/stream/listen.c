/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets: see listen.h.
 */
#include "control/stream/listen.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/address.h"
#include "control/handover.h"
#include "control/log.h"
#include "control/stream/connection.h"
#include "control/stream/thread.h"

struct listener {
    struct listener *next;
    struct thread *thread;
    enum sip_transport transport;
    struct sip_addr addr;
    int fd; /* -1: could not be opened */
    struct loop_event *watch, *pause;
};

struct listeners {
    struct listener *first;
};

struct listeners *listeners_new(void)
{
    return calloc(1, sizeof(struct listeners));
}

/* The descriptor of a UDP port is the sockets'. */
static void listener_close(struct listener *l)
{
    loop_event_free(l->watch);
    l->watch = NULL;
    if (l->fd >= 0 && l->transport != SIP_TRANSPORT_UDP)
        close(l->fd);
    l->fd = -1;
}

static void listener_free(struct listener *l)
{
    listener_close(l);
    loop_event_free(l->pause);
    free(l);
}

void listeners_free(struct listeners *listeners)
{
    if (listeners == NULL)
        return;
    while (listeners->first != NULL) {
        struct listener *l = listeners->first;

        listeners->first = l->next;
        listener_free(l);
    }
    free(listeners);
}

/* ---- What comes ---- */

static void on_connection(void *arg);

static void on_pause_over(void *arg)
{
    struct listener *l = arg;

    if (l->fd >= 0 && l->watch == NULL)
        l->watch = loop_watch(l->thread->loop, l->fd, LOOP_READ, on_connection, l);
}

/* The connection stays in the kernel's queue: to be asked for it again at once would be in vain. */
static void pause_accepting(struct listener *l)
{
    counts_add(&l->thread->counts[l->transport], COUNT_REFUSED_ERROR, 1);
    loop_event_free(l->watch);
    l->watch = NULL;
    loop_timer_start(l->pause, LISTEN_PAUSE_MS);
}

/* The first descriptor that is not given to who connects to us: the rest is left for backends, names,
 * probes and reloads, whoever comes. */
static int first_kept(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur > INT_MAX)
        return INT_MAX;
    return (int)files.rlim_cur - (files.rlim_cur < 2 * LISTEN_FILES_KEPT
                                      ? (int)files.rlim_cur / 2
                                      : (int)LISTEN_FILES_KEPT);
}

/* Takes a connection from a socket's queue. False, and errno: there is none that can be had. */
static bool accept_one(struct listener *l, int socket)
{
    union address from;
    socklen_t size = sizeof(from);
    int fd = accept4(socket, &from.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct sip_addr peer;

    if (fd < 0)
        return false;
    if (fd >= first_kept()) {
        counts_add(&l->thread->counts[l->transport], COUNT_REFUSED_ERROR, 1);
        close(fd);
        return true;
    }
    peer = address_from_kernel(&from);
    connection_accept(l->thread, l->transport, &l->addr, fd, &peer);
    return true;
}

static void on_connection(void *arg)
{
    struct listener *l = arg;

    for (uint32_t i = 0; i < LISTEN_BURST; i++) {
        if (accept_one(l, l->fd))
            continue;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(l);
        return;
    }
}

static void on_datagram(void *arg)
{
    struct listener *l = arg;
    struct thread *t = l->thread;

    for (uint32_t i = 0; i < LISTEN_BURST; i++) {
        union address from;
        socklen_t size = sizeof(from);
        ssize_t length = recvfrom(l->fd, t->scratch, sizeof(t->scratch), 0, &from.any, &size);
        struct relay_message message = {.from = {.local = l->addr, .transport = SIP_TRANSPORT_UDP},
                                        .text = t->scratch};

        if (length < 0)
            return;
        message.from.peer = address_from_kernel(&from);
        message.length = (uint32_t)length;
        thread_take(t, &message);
    }
}

/* ---- What is listened to ---- */

/* A descriptor, or a negative errno. */
static int open_stream(const struct sip_addr *addr)
{
    int fd = socket(sip_ip_is_v4(&addr->ip) ? AF_INET : AF_INET6,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int status;

    if (fd < 0)
        return -errno;
    connection_prepare(fd);
    status = address_bind(fd, addr);
    if (status == 0 && listen(fd, LISTEN_BACKLOG) != 0)
        status = -errno;
    if (status == 0)
        return fd;
    close(fd);
    return status;
}

/* A descriptor, or a negative errno; the predecessor's socket, if it left one. */
static int listener_socket(struct listener *l)
{
    struct handover *handover = l->thread->hub->handover;
    bool udp = l->transport == SIP_TRANSPORT_UDP;
    int fd = handover_take(handover, udp ? SOCK_DGRAM : SOCK_STREAM, &l->addr);

    if (udp && fd >= 0)
        sockets_adopt(l->thread->sockets, &l->addr, fd);
    if (udp)
        return sockets_receive(l->thread->sockets, &l->addr);
    return fd >= 0 ? fd : open_stream(&l->addr);
}

/* 0, or a negative errno. */
static int listener_open(struct listener *l)
{
    bool udp = l->transport == SIP_TRANSPORT_UDP;

    l->fd = listener_socket(l);
    if (l->fd < 0) {
        int status = l->fd;

        l->fd = -1;
        return status;
    }
    l->watch = loop_watch(l->thread->loop, l->fd, LOOP_READ, udp ? on_datagram : on_connection, l);
    if (l->watch != NULL)
        return 0;
    listener_close(l);
    return -ENOMEM;
}

/* A predecessor had more threads: the last of ours takes what waits at the sockets of those too many. */
static void empty_rest(struct listener *l)
{
    struct thread *t = l->thread;
    int fd;

    if (t->index + 1 != t->hub->n_threads || l->transport == SIP_TRANSPORT_UDP)
        return;
    while ((fd = handover_take(t->hub->handover, SOCK_STREAM, &l->addr)) >= 0) {
        while (accept_one(l, fd))
            ;
        close(fd);
    }
}

static bool is_ours(const struct snapshot_listener *listener)
{
    return listener->plane == SNAPSHOT_PLANE_CONTROL;
}

static bool is_wanted(const struct snapshot *s, const struct listener *l)
{
    int32_t i = snapshot_find_listener(s, l->transport, &l->addr);

    return i >= 0 && is_ours(&snapshot_listeners(s)[i]);
}

static struct listener *find(const struct listeners *listeners,
                             const struct snapshot_listener *wanted)
{
    struct listener *l = listeners->first;

    while (l != NULL && (l->transport != (enum sip_transport)wanted->transport ||
                         !sip_addr_equal(&l->addr, &wanted->addr)))
        l = l->next;
    return l;
}

static struct listener *add(struct thread *t, const struct snapshot_listener *wanted)
{
    struct listener *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return NULL;
    l->thread = t;
    l->transport = (enum sip_transport)wanted->transport;
    l->addr = wanted->addr;
    l->fd = -1;
    l->pause = loop_timer_new(t->loop, on_pause_over, l);
    if (l->pause == NULL) {
        free(l);
        return NULL;
    }
    l->next = t->listeners->first;
    t->listeners->first = l;
    return l;
}

/* Opens a listener unless it is; a new one's failure is said. */
static void want(struct thread *t, const struct snapshot_listener *wanted)
{
    struct listener *l = find(t->listeners, wanted);
    bool is_new = l == NULL;
    char text[SIP_ADDR_TEXT_MAX];
    int status;

    if (is_new)
        l = add(t, wanted);
    if (l == NULL || l->fd >= 0)
        return;
    status = listener_open(l);
    if (status == 0)
        empty_rest(l);
    if (status != 0 && is_new)
        log_error("listen: %s %.*s: %s", sip_transport_name(l->transport),
                  (int)sip_addr_print(&l->addr, text), text, strerror(-status));
}

void listen_follow(struct thread *t)
{
    const struct snapshot *s = t->view->snapshot;
    struct listener **at = &t->listeners->first;

    while (*at != NULL) {
        struct listener *l = *at;

        if (is_wanted(s, l)) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        listener_free(l);
    }
    sockets_keep(t->sockets, s);
    for (uint32_t i = 0; i < s->listeners.n; i++) {
        if (is_ours(&snapshot_listeners(s)[i]))
            want(t, &snapshot_listeners(s)[i]);
    }
}

void listen_leave(struct thread *t)
{
    for (struct listener *l = t->listeners->first; l != NULL; l = l->next)
        handover_keep(t->hub->handover, l->fd);
    listeners_free(t->listeners);
    t->listeners = NULL;
}
