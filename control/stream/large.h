/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that go to a backend by TCP since they are too large for a datagram (RFC 3261 §18.1.1):
 * which INVITEs did, since CANCEL and ACK must follow them (§9.1, §17.1.1.3; the backend compares
 * sent-by, §17.2.3), and how all of them go by UDP after all where nobody takes a connection. What
 * the other way is, and what changes in a request, the core says.
 */
#ifndef TANDEM_STREAM_LARGE_H
#define TANDEM_STREAM_LARGE_H

#include "control/stream/post.h"
#include "dataplane/sip/msg.h"

struct large;

/* What is remembered, of all threads. NULL: no memory. */
struct large *large_new(void);
void large_free(struct large *large);

/* Sends a request, `text`, as decided for a flow; by the other way, if there is one, where that is
 * called for. `branch`: our Via's; `name` and what it returns as post_send. */
int large_send(struct post *post, const struct snapshot *snapshot, const struct proxy_flow *to,
               enum sip_method method, uint64_t branch, const char *name, const char *text,
               uint32_t length);

/* Sends by UDP what was sent to a flow by TCP and did not get there. False: it is no such request, or
 * it did not go. */
bool large_retry(struct post *post, const struct snapshot *snapshot, const struct proxy_flow *to,
                 const char *text, uint32_t length);

#endif
