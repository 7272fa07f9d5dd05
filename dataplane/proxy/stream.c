/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows by streams: whose connection one is, and who can send by it. Workers have none; they hand
 * over what they decided to whoever does, who decides again. What is another node's is relayed to
 * it. It must not know how a connection is found.
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

/* Where the service's streams meet its backends' family, here; as on all nodes. */
static const struct snapshot_listener *own_listener(const struct proxy_work *w, bool v4)
{
    const struct snapshot_listener *listeners = snapshot_listeners(w->s);
    uint32_t service = listeners[w->in->listener].service;

    for (uint32_t i = 0; i < w->s->listeners.n; i++) {
        if (listeners[i].service == service && listeners[i].plane == SNAPSHOT_PLANE_CONTROL &&
            listeners[i].transport == SIP_TRANSPORT_UDP &&
            sip_ip_is_v4(&listeners[i].addr.ip) == v4)
            return &listeners[i];
    }
    return NULL;
}

/* A stream says whose it is; of datagrams the address does that they leave from. */
static bool is_of(const struct snapshot_node *node, const struct proxy_flow *flow)
{
    return flow->transport == SIP_TRANSPORT_UDP ? sip_ip_equal(&node->ip, &flow->local.ip)
                                                : node->id == flow->node;
}

/* A node relays to another once: a request that comes to the wrong one so is sent no further. */
bool proxy_stream_relay(struct proxy_work *w)
{
    const struct snapshot_node *nodes = snapshot_nodes(w->s);
    const struct snapshot_listener *own = NULL;
    uint32_t i = 0;

    for (; i < w->s->nodes.n && own == NULL; i++) {
        if (is_of(&nodes[i], &w->token.flow))
            own = own_listener(w, sip_ip_is_v4(&nodes[i].ip));
    }
    if (own == NULL || w->prepared->by_node)
        return proxy_refuse(w, PROXY_REPLY_430_FLOW);
    w->out->to.transport = SIP_TRANSPORT_UDP;
    w->out->to.local = own->addr;
    w->out->to.peer = (struct sip_addr){nodes[i - 1].ip, own->addr.port};
    w->out->rule = PROXY_RULE_NODE;
    proxy_routes_restore(w);
    return w->view->has_streams || punt(w);
}

bool proxy_stream_check(struct proxy_work *w)
{
    return w->out->to.transport == SIP_TRANSPORT_UDP || w->view->has_streams || punt(w);
}
