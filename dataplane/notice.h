/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ICMP and the kernel say of our packets, and what follows: path MTUs are remembered, backends
 * that do not get what we send are counted. Main only.
 */
#ifndef TANDEM_NOTICE_H
#define TANDEM_NOTICE_H

#include "dataplane/worker.h"

/*
 * Looks at a frame for the kernel that came by a port; most are no business of ours.
 *
 * A path MTU is believed from anybody, since a forged one costs little (io/path_mtu.h). That a
 * backend is unreachable is believed only from the inside, or anybody could have backends taken
 * out: by the port's zone; where both sides share the port, in a frame from the MAC that our route
 * to the sender uses, the sender being the backend itself or our next hop to it. It is counted for
 * every backend with that address and port.
 */
void notice_frame(const struct worker_shared *shared, uint8_t port, const uint8_t *bytes,
                  uint32_t length, uint64_t now_ms);

/* Counts a backend of a view once more: its next hop does not answer the kernel. */
void notice_unreachable(const struct worker_shared *shared, const struct proxy_view *view,
                        uint32_t backend);

#endif
