/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending from whichever thread: see post.h.
 */
#include "control/stream/post.h"

#include <errno.h>
#include <string.h>

#include "control/stream/connection.h"
#include "control/stream/outgoing.h"
#include "control/stream/thread.h"

/* Has a thread do it. */
static int give(struct post *post, uint32_t thread, enum task_kind kind,
                const struct proxy_flow *flow, const char *name, const char *text, uint32_t length)
{
    struct task *task = task_new(kind, flow, name, text, length);

    if (task == NULL)
        return -ENOMEM;
    if (inbox_put(post->hub->inboxes[thread], task))
        return 0;
    task_free(task);
    counts_add(&post->counts[flow->transport], COUNT_LOST_FULL, 1);
    return 0;
}

/* Which thread connects to a peer: always the same, so that there is one connection. */
static uint32_t thread_of(const struct hub *hub, const struct sip_addr *peer)
{
    uint32_t sum = peer->port;

    for (size_t i = 0; i < sizeof(peer->ip.bytes); i++)
        sum = sum * 31 + peer->ip.bytes[i];
    return sum % hub->n_threads;
}

static bool can_connect(const struct proxy_flow *to)
{
    return to->connection == 0 &&
           (to->transport == SIP_TRANSPORT_TCP || to->transport == SIP_TRANSPORT_TLS);
}

/* A response goes where its request came from as long as that is there (RFC 3261 §18.2.2); a
 * request to where its phone is now. */
static bool find(const struct post *post, const struct proxy_flow *to, const char *name,
                 const char *text, uint32_t length, struct table_place *ret)
{
    static const char response[] = "SIP/2.0 ";
    const size_t n = sizeof(response) - 1;

    if (to->connection == 0)
        return table_find_peer(post->hub->table, (enum sip_transport)to->transport, &to->local,
                               &to->peer, name, ret);
    if (length >= n && memcmp(text, response, n) == 0)
        return table_find(post->hub->table, to->connection, ret);
    return table_find_phone(post->hub->table, to->connection, ret);
}

static int send_stream(struct post *post, const struct proxy_flow *to, const char *name,
                       const char *text, uint32_t length)
{
    struct table_place place = {.thread = 0};
    struct proxy_flow flow = *to;
    bool found;

    if (post->hub->n_threads == 0)
        return -ENOTCONN;
    found = find(post, to, name, text, length, &place);
    if (!found && !can_connect(to))
        return -ENOTCONN;
    if (!found)
        place.thread = thread_of(post->hub, &to->peer);
    flow.connection = found ? place.id : 0;
    if (post->thread == NULL || thread_index(post->thread) != place.thread)
        return give(post, place.thread, TASK_STREAM, &flow, name, text, length);
    if (found)
        return connection_send(connection_of(place.entry), text, length);
    return outgoing_send(post->thread, &flow, name, text, length);
}

static int send_datagram(struct post *post, const struct snapshot *snapshot,
                         const struct proxy_flow *to, const char *text, uint32_t length)
{
    int32_t listener = snapshot_find_listener(snapshot, SIP_TRANSPORT_UDP, &to->local);
    bool ours =
        listener >= 0 && snapshot_listeners(snapshot)[listener].plane == SNAPSHOT_PLANE_CONTROL;
    int status;

    /* A socket of main's there would get a share of what comes. */
    if (ours && post->thread == NULL && post->hub->n_threads > 0)
        return give(post, 0, TASK_DATAGRAM, to, "", text, length);
    status = sockets_send(post->sockets, &to->local, &to->peer, text, length);
    if (status == 0)
        counts_add(&post->counts[SIP_TRANSPORT_UDP], COUNT_SENT_DATAGRAM, 1);
    return status;
}

int post_send(struct post *post, const struct snapshot *snapshot, const struct proxy_flow *to,
              const char *name, const char *text, uint32_t length)
{
    if (to->transport == SIP_TRANSPORT_UDP)
        return send_datagram(post, snapshot, to, text, length);
    return send_stream(post, to, name, text, length);
}
