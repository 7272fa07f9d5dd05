/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that we make: from a listener's address (in a cluster to a backend: from this
 * node's), any port, to a peer that none leads to (RFC 3261 §18.1.1).
 */
#ifndef TANDEM_STREAM_OUTGOING_H
#define TANDEM_STREAM_OUTGOING_H

#include "dataplane/proxy/flow.h"

struct thread;

/* Connects to the flow's peer by its transport (TCP or TLS, where it must show to be `name`, as
 * post_send) and sends the message as soon as that is done; when it is not a request is answered. 0,
 * or a negative errno: nothing was begun. */
int outgoing_send(struct thread *thread, const struct proxy_flow *to, const char *name,
                  const char *text, uint32_t length);

#endif
