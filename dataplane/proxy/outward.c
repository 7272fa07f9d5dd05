/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a backend's request goes: to a token's flow, to another backend, or to its next hop, whose
 * name control has resolved (RFC 3263) or will.
 */
#include "dataplane/proxy/work.h"

/* One backend calls another through us: the token's flow is the sender itself. */
static bool flow_is_sender(const struct proxy_work *w)
{
    return proxy_flow_equal(&w->token.flow, &w->in->from) ||
           proxy_backend_at(w, &w->token.flow.peer) == w->out->sender;
}

static bool to_flow(struct proxy_work *w)
{
    const struct proxy_flow *flow = &w->token.flow;

    if (snapshot_find_listener(w->s, flow->transport, &flow->local) < 0 ||
        !proxy_stream_reaches(w, flow))
        return proxy_stream_relay(w);
    if (!proxy_is_tls(flow->transport) && proxy_is_secure(w))
        return proxy_refuse(w, PROXY_REPLY_480_SIPS);
    w->out->to = *flow;
    w->out->rule = PROXY_RULE_FLOW;
    w->out->backend = proxy_backend_at(w, &flow->peer);
    return true;
}

static bool is_websocket(enum sip_transport transport)
{
    return transport == SIP_TRANSPORT_WS || transport == SIP_TRANSPORT_WSS;
}

/* A sips: next hop leaves by TLS or WSS only; an address without a transport means UDP. */
static enum sip_transport hop_transport(const struct sip_uri *uri)
{
    enum sip_transport transport = proxy_uri_transport(uri);

    if (uri->scheme != SIP_SCHEME_SIPS)
        return transport;
    return is_websocket(transport) ? SIP_TRANSPORT_WSS : SIP_TRANSPORT_TLS;
}

/* The way to an address. `transport=ws` says no more than that it is a WebSocket (RFC 7118 §5.2.2):
 * where there is no plain one it is the other. */
static bool by_address(struct proxy_work *w, const struct sip_uri *next)
{
    struct proxy_flow *to = &w->out->to;

    to->transport = hop_transport(next);
    if (proxy_egress(w, to->transport, &to->peer.ip, &to->local))
        return true;
    if (to->transport == SIP_TRANSPORT_WS) {
        to->transport = SIP_TRANSPORT_WSS;
        if (proxy_egress(w, to->transport, &to->peer.ip, &to->local))
            return true;
    }
    return proxy_refuse(w, PROXY_REPLY_404_NO_ROUTE);
}

/* What RFC 3263 §4.1 asks of a URI: the transport that it names, if it names one. */
static struct proxy_name hop_name(const struct sip_uri *uri)
{
    struct proxy_name name = {.host = uri->host, .port = uri->port};
    struct sip_slice value;

    if (uri->scheme == SIP_SCHEME_SIPS ||
        sip_param_find(uri->params, sip_slice_of("transport"), &value, NULL))
        name.transport = (uint8_t)hop_transport(uri);
    return name;
}

/* Back to the virtual address, or to one of our domains with no Route left: a spiral. */
static bool is_spiral(const struct proxy_work *w, const struct sip_uri *next)
{
    if (proxy_uri_is_listener(w, next))
        return true;
    return proxy_next_route(w) == NULL && proxy_uri_is_domain(w, next);
}

/* Whether the service could send by a transport at all; NONE: DNS has the choice. */
static bool has_listener(const struct proxy_work *w, uint8_t transport)
{
    const struct snapshot_listener *listeners = snapshot_listeners(w->s);
    uint32_t service = listeners[w->in->listener].service;

    for (uint32_t i = 0; i < w->s->listeners.n; i++) {
        if (listeners[i].service == service && listeners[i].transport == transport)
            return true;
    }
    return transport == SIP_TRANSPORT_NONE;
}

static uint32_t chance(const struct snapshot_target *target)
{
    return target->weight == 0 ? 1 : target->weight * 64u;
}

/*
 * Of those targets that are left: the chances of RFC 2782, where a weight of 0 has a very small
 * one. By the transaction, so that what belongs to it follows it.
 */
static const struct snapshot_target *draw(const struct snapshot_target *const *targets, uint32_t n,
                                          uint64_t hash)
{
    uint32_t sum = 0, at, i = 0;

    for (uint32_t j = 0; j < n; j++)
        sum += chance(targets[j]);
    at = (uint32_t)(hash % sum);
    while (at >= chance(targets[i]))
        at -= chance(targets[i++]);
    return targets[i];
}

/* The first priority that has a target which a listener of the service can reach. */
static bool choose_target(struct proxy_work *w, const struct snapshot_name *name)
{
    const struct snapshot_target *usable[SNAPSHOT_TARGETS_MAX], *chosen;
    const struct snapshot_target *targets = snapshot_at(w->s, name->targets.offset);
    struct proxy_flow *to = &w->out->to;
    uint32_t n = 0;

    for (uint32_t i = 0; i < name->targets.n; i++) {
        if (n > 0 && targets[i].priority != usable[0]->priority)
            break;
        if (proxy_egress(w, (enum sip_transport)targets[i].transport, &targets[i].addr.ip,
                         &to->local))
            usable[n++] = &targets[i];
    }
    if (n == 0)
        return proxy_refuse(w, PROXY_REPLY_404_NO_ROUTE);
    chosen = draw(usable, n, w->prepared->branch);
    to->transport = (enum sip_transport)chosen->transport;
    to->peer = chosen->addr;
    return proxy_egress(w, to->transport, &to->peer.ip, &to->local);
}

/* Nobody knows the name yet. Control decides later by a call table of its own, so ours learns now
 * what it would have learnt. */
static bool punt(struct proxy_work *w, const struct proxy_name *name)
{
    w->out->verdict = PROXY_PUNT;
    w->out->reason = PROXY_PUNT_NAME;
    w->out->name = *name;
    proxy_calls_outward(w);
    return false;
}

/* At once, and without Retry-After: it would keep the backend from us, who are well. */
static bool refuse_name(struct proxy_work *w)
{
    proxy_refuse(w, PROXY_REPLY_503_NAME);
    w->out->retry_after_s = 0;
    return false;
}

static bool by_name(struct proxy_work *w, const struct sip_uri *next)
{
    struct proxy_name name = hop_name(next);
    const struct snapshot_name *found;

    /* Nobody is called by a WebSocket but who opened it: the name of one is no host's. */
    if (hop_transport(next) == SIP_TRANSPORT_NONE || is_websocket(hop_transport(next)) ||
        !has_listener(w, name.transport) || name.host.length > SNAPSHOT_HOST_MAX)
        return proxy_refuse(w, PROXY_REPLY_404_NO_ROUTE);
    found = snapshot_find_name(w->s, name.host, name.port, (enum sip_transport)name.transport);
    if (found == NULL)
        return punt(w, &name);
    if (found->outcome == SNAPSHOT_NAME_FAILED)
        return refuse_name(w);
    if (found->outcome == SNAPSHOT_NAME_NONE)
        return proxy_refuse(w, PROXY_REPLY_404_NO_ROUTE);
    return choose_target(w, found);
}

static bool to_next_hop(struct proxy_work *w)
{
    const struct sip_uri *next = proxy_next_uri(w);
    struct proxy_flow *to = &w->out->to;

    if (next == NULL || next->host.length == 0)
        return proxy_refuse(w, PROXY_REPLY_404_NO_ROUTE);
    if (is_spiral(w, next))
        return proxy_choose_by_match(w);
    if (proxy_uri_addr(next, &to->peer)) {
        if (!by_address(w, next))
            return false;
    } else if (!by_name(w, next)) {
        return false;
    } else if (proxy_addr_is_listener(w, &to->peer)) {
        return proxy_choose_by_match(w);
    }
    if (to->transport != SIP_TRANSPORT_UDP)
        w->out->name = hop_name(next);
    w->next_is_route = proxy_next_route(w) != NULL;
    w->out->rule = PROXY_RULE_NEXT_HOP;
    w->out->backend = proxy_backend_at(w, &to->peer);
    return true;
}

bool proxy_choose_outward(struct proxy_work *w)
{
    proxy_enter_pool(w, w->backends[w->out->sender].pool);
    /* What a node relays is for our flow, and nothing else. */
    if (w->prepared->by_node)
        return w->has_token ? to_flow(w) : proxy_refuse(w, PROXY_REPLY_430_FLOW);
    if (!w->has_token)
        return to_next_hop(w);
    /* A Path token names no backend: the registered peer is meant, even when it is the sender. */
    if (w->token.backend == 0 || !flow_is_sender(w))
        return to_flow(w);
    return proxy_choose(w);
}
