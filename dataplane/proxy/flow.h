/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flow: how to get back to a peer. Node and connection join when streams do.
 */
#ifndef TANDEM_PROXY_FLOW_H
#define TANDEM_PROXY_FLOW_H

#include "dataplane/sip/ip.h"

struct proxy_flow {
    struct sip_addr local; /* our address and port */
    struct sip_addr peer;
    uint8_t transport; /* enum sip_transport */
};

bool proxy_flow_equal(const struct proxy_flow *a, const struct proxy_flow *b);

#endif
