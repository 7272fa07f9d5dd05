/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that are too large for a datagram (RFC 3261 §18.1.1): by which other way a backend has
 * them, and what changes in the request. For who has streams: it is no part of a decision, since how
 * long a message is, and whether anybody takes a connection, is known only afterwards.
 */
#ifndef TANDEM_PROXY_LARGE_H
#define TANDEM_PROXY_LARGE_H

#include "config/snapshot.h"
#include "dataplane/proxy/flow.h"
#include "dataplane/sip/edit.h"
#include "dataplane/sip/msg.h"

/* RFC 3261 §18.1.1: of a request, where nothing is known of the path's MTU. */
enum { PROXY_DATAGRAM_MAX = 1300 };

/*
 * The flow by TCP to the backend that a flow from a port of control's leads to by UDP, or the way
 * back: the same peer, from that service's listener. False: the flow is none of these, or its
 * backend is not configured to get large requests by TCP there. `ret` may not be `to`.
 */
bool proxy_large_turn(const struct snapshot *s, const struct proxy_flow *to,
                      struct proxy_flow *ret);

/* What changes in a request as it would be sent by the other flow, our Via on top, for it to be sent
 * to this one. */
void proxy_large_edit(const struct sip_msg *sent, const struct proxy_flow *to,
                      struct sip_edit *ret);

#endif
