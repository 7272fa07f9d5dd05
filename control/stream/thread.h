/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread of the streams: its loop, what it decides by and sends with, its listeners and
 * connections. It knows neither how bytes become messages nor what comes of these.
 */
#ifndef TANDEM_STREAM_THREAD_H
#define TANDEM_STREAM_THREAD_H

#include <pthread.h>

#include "control/loop.h"
#include "control/stream/relay.h"

enum {
    THREAD_SCRATCH = 1 << 16,
    THREAD_TICK_MS = 1000,
    THREAD_LEAVE_MS = 2000,           /* what its connections have to end in good order */
    THREAD_TRIM_MIN = 64,             /* connections; fewer leave little behind */
};

struct connection;
struct listeners;
struct wires;

/* All its own; others reach it by its inbox. The rooms that run in it may look in here. */
struct thread {
    struct hub *hub;
    uint32_t index;                   /* in the hub */
    struct inbox *inbox;
    pthread_t pthread;
    bool started;
    struct loop *loop;
    struct loop_event *watch, *tick, *reap, *leave;
    bool leaving;                     /* ends with its last connection */
    struct view *view;
    struct sockets *sockets;
    struct wires *wires;              /* of its connections */
    struct post post;
    struct relay *relay;
    struct listeners *listeners;
    struct connection *connections;   /* connection.h's lists */
    struct connection *ended;
    uint32_t asked;                   /* parts of phones that other nodes were asked for */
    uint32_t most;                    /* connections of all threads, since memory was given back */
    struct counts counts[SIP_TRANSPORT_COUNT];
    char scratch[THREAD_SCRATCH];     /* of whoever works just now */
};

/* Makes thread `index` of the hub, whose inbox is there, opens what it listens to, and lets it run with
 * a view (a reference, taken over also on failure). NULL: no memory. Main. */
struct thread *thread_new(struct hub *hub, uint32_t index, struct view *view);

/* Has it hand its listening sockets over and end its connections in good order (connection_retire),
 * for THREAD_LEAVE_MS at most; thread_join waits for that. Main. */
void thread_leave(struct thread *thread);
void thread_join(struct thread *thread);

/* Waits for its end; its connections are closed. */
void thread_free(struct thread *thread);

uint32_t thread_index(const struct thread *thread);

/* What it has counted of a transport; any thread may read. */
const struct counts *thread_counts(const struct thread *thread, enum sip_transport transport);

/* A message that came to this thread: decides, sends, counts. */
void thread_take(struct thread *thread, const struct relay_message *message);

/* What was sent to a flow by a stream and did not get there: a request that was too large for a
 * datagram is sent as one after all, else it is answered as if the peer had said 503 (RFC 3261
 * §16.9), which counts as a message of that stream's. */
void thread_undelivered(struct thread *t, const struct proxy_flow *to, const char *text,
                        uint32_t length);

/* The answer to a request whose stream ends. */
void thread_refuse(struct thread *thread, const struct relay_message *message, uint16_t status);

#endif
