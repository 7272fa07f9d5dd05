/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows by streams: whose connection one is, and who can send by it. Workers have none; they hand
 * over what they decided to whoever does, who decides again. What is another node's is relayed to
 * it, with our Via on a request, as it came of a response. It must not know how a connection is
 * found.
 */
#include "dataplane/proxy/work.h"

bool proxy_stream_reaches(const struct proxy_work *w, const struct proxy_flow *flow)
{
    return flow->connection == 0 || flow->node == w->s->node_id;
}

static bool punt(struct proxy_work *w)
{
    w->out->verdict = PROXY_PUNT;
    w->out->reason = PROXY_PUNT_STREAM;
    if (w->msg->kind == SIP_REQUEST)
        proxy_calls_punted(w);
    return false;
}

/* A stream says whose it is; of datagrams the address does that they leave from. */
static bool is_of(const struct snapshot_node *node, const struct proxy_flow *flow)
{
    return flow->transport == SIP_TRANSPORT_UDP ? sip_ip_equal(&node->ip, &flow->local.ip)
                                                : node->id == flow->node;
}

/* To the node whose flow it is, from where that one expects us. False: there is none such. */
static bool to_node(struct proxy_work *w, const struct proxy_flow *flow)
{
    const struct snapshot_node *nodes = snapshot_nodes(w->s);
    const struct snapshot_listener *own = NULL;
    uint32_t service = snapshot_listeners(w->s)[w->in->listener].service, i = 0;

    for (; i < w->s->nodes.n && own == NULL; i++) {
        if (is_of(&nodes[i], flow))
            own = snapshot_own_listener(w->s, service, sip_ip_is_v4(&nodes[i].ip));
    }
    if (own == NULL)
        return false;
    w->out->to = (struct proxy_flow){.transport = SIP_TRANSPORT_UDP,
                                     .local = own->addr,
                                     .peer = {nodes[i - 1].ip, own->addr.port}};
    w->out->rule = PROXY_RULE_NODE;
    return true;
}

/* A node relays to another once: a request that comes to the wrong one so is sent no further. */
bool proxy_stream_relay(struct proxy_work *w)
{
    if (w->prepared->by_node || !to_node(w, &w->token.flow))
        return proxy_refuse(w, PROXY_REPLY_430_FLOW);
    proxy_routes_restore(w);
    return w->view->has_streams || punt(w);
}

bool proxy_stream_relay_response(struct proxy_work *w)
{
    const struct proxy_flow flow = w->out->to;

    if (snapshot_node_at(w->s, &w->in->from.peer.ip) != 0 || !to_node(w, &flow))
        return proxy_drop(w, PROXY_DROP_FLOW);
    return w->view->has_streams || punt(w);
}

bool proxy_stream_check(struct proxy_work *w)
{
    return w->out->to.transport == SIP_TRANSPORT_UDP || w->view->has_streams || punt(w);
}
