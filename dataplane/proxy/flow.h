/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flow: how to get back to a peer. By a stream that is a connection of one node's; which one,
 * tells them apart, whatever the addresses are by now.
 */
#ifndef TANDEM_PROXY_FLOW_H
#define TANDEM_PROXY_FLOW_H

#include "dataplane/sip/ip.h"

struct proxy_flow {
    struct sip_addr local; /* our address and port */
    struct sip_addr peer;
    uint8_t transport;   /* enum sip_transport */
    uint32_t node;       /* of a stream: whose connection it is (snapshot_node_id); else 0 */
    uint64_t connection; /* …and which, never given twice; 0: any to the peer, or a new one */
};

bool proxy_flow_equal(const struct proxy_flow *a, const struct proxy_flow *b);

#endif
