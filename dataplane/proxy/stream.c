/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows by streams: whose connection one is, and who can send by it. Workers have none; they hand
 * over what they decided to whoever does, who decides again. It must not know how one is found.
 */
#include "dataplane/proxy/work.h"

/* The one place that another node's connection is told by: to be relayed to, once nodes can. */
bool proxy_stream_reaches(const struct proxy_work *w, const struct proxy_flow *flow)
{
    return flow->connection == 0 || flow->node == w->s->node_id;
}

bool proxy_stream_check(struct proxy_work *w)
{
    if (w->out->to.transport == SIP_TRANSPORT_UDP || w->view->has_streams)
        return true;
    w->out->verdict = PROXY_PUNT;
    w->out->reason = PROXY_PUNT_STREAM;
    if (w->msg->kind == SIP_REQUEST)
        proxy_calls_punted(w);
    return false;
}
