/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The streams of this node: threads that listen, keep connections and decide about what comes by
 * them. It follows what runs (reload) without closing what stays, and decides about what the data
 * plane hands over. All here is main's.
 */
#ifndef TANDEM_STREAM_STREAM_H
#define TANDEM_STREAM_STREAM_H

#include "control/reload.h"
#include "control/stream/relay.h"
#include "control/stream/table.h"

struct stream;

struct handover;

/* Follows reload from now on; threads begin with the first configuration that has stream listeners.
 * They take the sockets of `handover` (NULL: none). NULL: no memory. Freed before reload. */
struct stream *stream_new(struct loop *loop, struct reload *reload, struct handover *handover);
void stream_free(struct stream *stream);

/* Hands all listening sockets over and ends all connections in good order, which takes
 * THREAD_LEAVE_MS at most; only stream_free may follow. */
void stream_leave(struct stream *stream);

/* Who takes the messages whose next hop is a name, of whichever thread; NULL: nobody, they are lost. */
void stream_on_name(struct stream *stream,
                    void (*fn)(void *arg, const struct relay_message *message), void *arg);

/* Decides about a message that did not come by a thread, or waited for a name, by what runs now; as
 * relay_decide. */
enum relay_result stream_decide(struct stream *stream, const struct relay_message *message,
                                struct proxy_name *ret_name);

/* How control decides by a call table of its own: what `why` asks. */
struct stream_calls {
    const struct proxy_view *view;    /* of what runs */
    const struct lb_call_table *table;
    uint32_t now_s;
};

/* False: no streams, or no memory for what runs now. Valid until the loop goes on. */
bool stream_calls(struct stream *stream, struct stream_calls *ret);

/* What was counted, of all threads together, of a transport or of all; not what stream_decide
 * returned. */
void stream_counts_of(const struct stream *stream, enum sip_transport transport,
                      struct counts *ret);
void stream_counts(const struct stream *stream, struct counts *ret);

/* The TLS of what runs, for who holds a reference; NULL: none. */
struct tls *stream_tls(const struct stream *stream);

uint32_t stream_connections(const struct stream *stream);
void stream_each(const struct stream *stream,
                 void (*fn)(void *arg, const struct table_entry *entry), void *arg);

/* Ends a connection. False: there is none of that number. */
bool stream_kill(struct stream *stream, uint64_t id);

#endif
