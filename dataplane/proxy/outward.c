/* SPDX-License-Identifier: Apache-2.0 */
/* Where a backend's request goes: to a token's flow, to another backend, or to its next hop. */
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

    if (snapshot_find_listener(w->s, flow->transport, &flow->local) < 0)
        return proxy_refuse(w, PROXY_REPLY_430_FLOW);
    w->out->to = *flow;
    w->out->rule = PROXY_RULE_FLOW;
    w->out->backend = proxy_backend_at(w, &flow->peer);
    return true;
}

/* A sips: next hop leaves by TLS or WSS only; an address without a transport means UDP. */
static enum sip_transport hop_transport(const struct sip_uri *uri)
{
    enum sip_transport transport = SIP_TRANSPORT_UDP;
    struct sip_slice value;

    if (sip_param_find(uri->params, sip_slice_of("transport"), &value, NULL))
        transport = sip_transport_parse(value);
    if (uri->scheme != SIP_SCHEME_SIPS)
        return transport;
    return transport == SIP_TRANSPORT_WS || transport == SIP_TRANSPORT_WSS ? SIP_TRANSPORT_WSS
                                                                           : SIP_TRANSPORT_TLS;
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

static bool to_next_hop(struct proxy_work *w)
{
    struct proxy_flow *to = &w->out->to;
    struct sip_uri next;

    if (!proxy_next_uri(w, &next) || next.host.length == 0)
        return proxy_refuse(w, PROXY_REPLY_404_NO_ROUTE);
    if (is_spiral(w, &next))
        return proxy_choose_by_match(w);
    if (!proxy_uri_addr(&next, &to->peer)) {
        w->out->verdict = PROXY_PUNT;
        w->out->reason = PROXY_PUNT_NAME;
        w->out->name = hop_name(&next);
        return false;
    }
    to->transport = hop_transport(&next);
    if (!proxy_egress(w, to->transport, &to->peer.ip, &to->local))
        return proxy_refuse(w, PROXY_REPLY_404_NO_ROUTE);
    w->next_is_route = proxy_next_route(w) != NULL;
    w->out->rule = PROXY_RULE_NEXT_HOP;
    w->out->backend = proxy_backend_at(w, &to->peer);
    return true;
}

bool proxy_choose_outward(struct proxy_work *w)
{
    proxy_enter_pool(w, w->backends[w->out->sender].pool);
    if (!w->has_token)
        return to_next_hop(w);
    /* A Path token names no backend: the registered peer is meant, even when it is the sender. */
    if (w->token.backend == 0 || !flow_is_sender(w))
        return to_flow(w);
    return proxy_choose(w);
}
