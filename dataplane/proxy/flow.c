/* SPDX-License-Identifier: Apache-2.0 */
/* Flows: equality. */
#include "dataplane/proxy/flow.h"

bool proxy_flow_equal(const struct proxy_flow *a, const struct proxy_flow *b)
{
    if (a->connection != 0 || b->connection != 0)
        return a->node == b->node && a->connection == b->connection;
    return a->transport == b->transport && sip_addr_equal(&a->local, &b->local) &&
           sip_addr_equal(&a->peer, &b->peer);
}
