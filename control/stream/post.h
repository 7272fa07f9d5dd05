/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a decided message leaves: by a datagram, by the connection of its flow, or by one to its peer,
 * whichever thread has that. One for each thread, and one for main, which has neither connections
 * nor ports of its own and has the threads send. It does not know what is sent.
 */
#ifndef TANDEM_STREAM_POST_H
#define TANDEM_STREAM_POST_H

#include "config/snapshot.h"
#include "control/sockets.h"
#include "control/stream/counts.h"
#include "control/stream/hub.h"

struct post {
    struct hub *hub;
    struct thread *thread;            /* NULL: main's */
    struct sockets *sockets;
    struct counts *counts;            /* [SIP_TRANSPORT_COUNT] */
};

/*
 * Sends a message to a flow. `name`: whom the peer must show to be where TLS is begun, a name or an
 * address's text; "": whoever is connected there already, else it must show its address. 0: it went, or goes to a connection that was there a moment ago;
 * -ENOTCONN: a stream, and there is no such connection and can be none; another negative errno: it
 * was not sent. What is given to another thread may still be lost there, and is counted.
 */
int post_send(struct post *post, const struct snapshot *snapshot, const struct proxy_flow *to,
              const char *name, const char *text, uint32_t length);

#endif
