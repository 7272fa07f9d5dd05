/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mode direct: a backend holds the listener's address itself, gets every datagram as it came, and
 * answers past us. Who gets it is told by the Call-ID alone, in requests and in responses, since
 * nothing of ours is in a message. Everybody is outside, backends too.
 */
#include "dataplane/proxy/work.h"

/* Asked about ourselves while the node drains: whoever watches us shall look elsewhere. */
static bool asks_who_drains(const struct proxy_work *w)
{
    struct sip_uri uri;

    return w->s->draining && w->msg->method == SIP_OPTIONS &&
           sip_msg_first(w->msg, SIP_ROUTE) == NULL &&
           sip_uri_parse(w->msg->request_uri, &uri) == 0 && uri.user.length == 0 &&
           proxy_uri_is_ours(w, &uri);
}

static int32_t by_table(const struct proxy_work *w)
{
    return snapshot_table_lookup(w->s, w->pool_index, w->call_hash);
}

/* False: a tunnel cannot reach it, since a family has tunnels of its own. */
static bool send_to(struct proxy_work *w, int32_t backend, enum proxy_rule rule)
{
    const struct lb_backend *b = &w->backends[backend];
    struct proxy_output *out = w->out;

    if (w->service->tunnel && sip_ip_is_v4(&w->s->node_ip) != sip_ip_is_v4(&b->ip))
        return false;
    out->verdict = PROXY_FORWARD;
    out->means = w->service->tunnel ? PROXY_BY_TUNNEL : PROXY_BY_MAC;
    out->rule = rule;
    out->backend = backend;
    out->to.transport = w->in->from.transport;
    out->to.local = w->in->from.local;
    if (w->service->tunnel)
        out->to.local.ip = w->s->node_ip;
    out->to.peer.ip = b->ip;
    out->to.peer.port = b->port;
    return true;
}

static void request(struct proxy_work *w)
{
    enum proxy_rule rule = PROXY_RULE_CALL;
    int32_t backend = proxy_rule_4_call(w);

    if (backend < 0 && proxy_dialog_is_lost(w)) {
        proxy_refuse_dialog(w);
        return;
    }
    if (backend < 0) {
        rule = PROXY_RULE_TABLE;
        backend = by_table(w);
    }
    if (backend < 0 || !send_to(w, backend, rule)) {
        proxy_refuse(w, PROXY_REPLY_503_NO_BACKEND);
        return;
    }
    w->out->reason = PROXY_FORWARDED_REQUEST;
    proxy_calls_direct_request(w);
}

/* To whoever sent the request, as far as its Call-ID tells. */
static void response(struct proxy_work *w)
{
    enum proxy_rule rule = PROXY_RULE_CALL;
    int32_t backend = w->call_backend;

    if (backend < 0 || !proxy_backend_lives(&w->backends[backend])) {
        rule = PROXY_RULE_TABLE;
        backend = by_table(w);
    }
    if (backend < 0 || !send_to(w, backend, rule)) {
        proxy_drop(w, PROXY_DROP_NO_BACKEND);
        return;
    }
    w->out->reason = PROXY_FORWARDED_RESPONSE;
    proxy_calls_direct_response(w);
}

void proxy_direct(struct proxy_work *w)
{
    proxy_enter_pool(w, w->service->pool);
    if (w->msg->kind == SIP_RESPONSE)
        response(w);
    else if (proxy_acknowledges_us(w))
        proxy_drop(w, PROXY_DROP_ACK);
    else if (!proxy_source_allowed(w))
        proxy_refuse(w, PROXY_REPLY_403_SOURCE);
    else if (asks_who_drains(w))
        proxy_refuse(w, PROXY_REPLY_503_DRAINING);
    else
        request(w);
}
