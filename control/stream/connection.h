/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection: its bytes become messages for its thread, its thread's messages bytes; its limits
 * and its end. Everything here runs in the connection's own thread. It does not know what becomes
 * of a message.
 */
#ifndef TANDEM_STREAM_CONNECTION_H
#define TANDEM_STREAM_CONNECTION_H

#include "control/loop.h"
#include "control/stream/counts.h"
#include "control/stream/frame.h"
#include "control/stream/intake.h"
#include "control/stream/table.h"
#include "control/stream/wire.h"
#include "dataplane/proxy/flow.h"

struct cfg_streams;
struct thread;
struct web;

/* How long what still comes is thrown away before an end: what is closed with bytes unread is reset,
 * and then the peer may not see the last that was sent to it. */
enum { CONNECTION_LINGER_MS = 1000 };

/* How long what was sent may be without an acknowledgement of the peer's host: who vanished without a
 * word is given up when those have who wait for his answer (RFC 3261 §17.1.1.2, Timer B). The kernel by
 * itself would try for a quarter of an hour. */
enum { CONNECTION_UNACKNOWLEDGED_MS = 32000 };

enum connection_state {
    CONNECTION_OPENING,               /* connect(2), TLS, the upgrade to WebSocket */
    CONNECTION_OPEN,
    CONNECTION_LEAVING,               /* nothing is taken any more; what waits is sent */
    CONNECTION_LINGERING,             /* all is sent, and the peer knows; it may be sending still */
    CONNECTION_ENDED,                 /* nobody finds it; freed as soon as nobody uses it */
};

struct connection {
    struct table_entry entry;         /* the first: connection_of */
    struct thread *thread;
    struct connection *next, **at;    /* in one of the thread's lists */
    struct wire wire;
    struct loop_event *timer;
    enum connection_state state;
    enum close_reason reason;         /* of LEAVING and LINGERING */
    bool paused;                      /* nothing is read until what it caused is sent */
    uint64_t partial_ms;              /* when the message began that waits for its end; 0: none */
    uint64_t leaving_ms;              /* when LEAVING or LINGERING began */
    struct loop_event *linger;        /* reads while LINGERING */
    size_t held;                      /* bytes of memory, as connection_weigh saw them last */
    struct intake intake;
    struct frame frame;
    struct web *web;                  /* of ws and wss; else NULL */
    bool unopened;                    /* ENDED, and what was to be sent first still waits */
    char name[];                      /* the entry's */
};

static inline struct connection *connection_of(struct table_entry *entry)
{
    return (struct connection *)(void *)entry;
}

/* Options of a socket that is to connect, or to listen: what it accepts has them, too. */
void connection_prepare(int fd);

/* One that a listener accepted; the descriptor is taken over. What may not be is closed, counted. */
void connection_accept(struct thread *thread, enum sip_transport transport,
                       const struct sip_addr *local, int fd, const struct sip_addr *peer);

/* One that connects to a flow's peer, who must show to be `name` where it is by TLS. NULL: it may not
 * be, or no memory; the descriptor is closed. */
struct connection *connection_connect(struct thread *thread, const struct proxy_flow *to,
                                      const char *name, int fd);

/* Sends a message. 0, or -ENOTCONN: it is at its end, maybe since it does not take what is sent. */
int connection_send(struct connection *connection, const char *text, uint32_t length);

/* Ends a connection at once: nobody finds it any more, what was not sent is lost. */
void connection_end(struct connection *connection, enum close_reason reason);

/* ---- For what works on one ---- */

const struct cfg_streams *connection_limits(const struct connection *connection);

/* Whether what comes is of use. */
static inline bool connection_reads(const struct connection *c)
{
    return c->state == CONNECTION_OPENING || c->state == CONNECTION_OPEN;
}

/* All handshakes are done. */
void connection_opened(struct connection *connection);

/* Sends bytes as they are, and how many of them the kernel has not taken yet. */
void connection_write(struct connection *connection, const void *bytes, size_t length);
size_t connection_unsent(const struct connection *connection);

/* What it holds of messages that are not whole, or not sent, may have changed: ends it where all of
 * this node's hold too much together, and it more than its share. */
void connection_weigh(struct connection *connection);

/* Nothing more is taken; what was written goes first, then it ends. */
void connection_leave(struct connection *connection, enum close_reason reason);

/* What it waits for has changed. now: loop_now_ms(). */
void connection_start_timer(struct connection *connection, uint64_t now);

/* ---- For the thread ---- */

/* Ends those whose listener the new view does not have. */
void connection_follow(struct thread *thread);

/* Frees the ended ones. */
void connection_reap(struct thread *thread);

/* Ends all, since control starts anew: what was written goes first, and the peers are told, each in
 * its protocol's way. They are gone when the thread has no connections any more. */
void connection_retire(struct thread *thread);

/* Ends and frees all. */
void connection_stop(struct thread *thread);

#endif
