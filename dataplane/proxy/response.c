/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses: back along the Vias. The top one must be ours and verify (prepare.c), so that nobody
 * bounces traffic off us. Every 100, 1xx, 2xx passes, however late; a body is never looked at.
 */
#include "dataplane/proxy/work.h"

static void pop_via(struct proxy_work *w)
{
    const struct sip_via *top = &w->msg->top_via;
    struct sip_slice line;

    if (top->rest.length > 0) {
        struct sip_slice rest = sip_slice_trim(top->rest);

        sip_edit_splice(&w->out->edit, proxy_offset(w, top->whole.at),
                        (uint32_t)(rest.at - top->whole.at));
        return;
    }
    line = sip_msg_line(w->msg, sip_msg_first(w->msg, SIP_VIA));
    sip_edit_splice(&w->out->edit, proxy_offset(w, line.at), line.length);
}

/* Along the Via behind ours, which is popped. */
static bool to_peer(struct proxy_work *w)
{
    if (!proxy_stream_check(w))
        return false;
    pop_via(w);
    w->out->rule = PROXY_RULE_VIA;
    w->out->backend = proxy_backend_at(w, &w->out->to.peer);
    return true;
}

/*
 * Whether out->to leaves from a listener of ours. What came to another node's own port has its
 * answer leave from ours: whoever was asked answers by the node that his network leads him to.
 */
static bool has_listener(struct proxy_work *w)
{
    struct sip_addr *local = &w->out->to.local;
    const struct snapshot_listener *own = NULL;

    if (snapshot_find_listener(w->s, w->out->to.transport, local) >= 0)
        return true;
    if (w->out->to.transport == SIP_TRANSPORT_UDP && snapshot_node_at(w->s, &local->ip) != 0)
        own = snapshot_own_listener(w->s, snapshot_listeners(w->s)[w->in->listener].service,
                                    sip_ip_is_v4(&local->ip));
    if (own == NULL || own->addr.port != local->port)
        return false;
    *local = own->addr;
    return true;
}

void proxy_response(struct proxy_work *w)
{
    const struct proxy_prepared *prepared = w->prepared;
    struct proxy_flow *to = &w->out->to;
    bool ours;

    if (prepared->reason != PROXY_FORWARDED_RESPONSE) {
        proxy_drop(w, prepared->reason);
        return;
    }
    to->transport = prepared->seal.transport;
    to->local = prepared->seal.local;
    to->node = prepared->seal.node;
    to->connection = prepared->seal.connection;
    /* A listener that went with a reload: its address may be another's by now. */
    if (!has_listener(w)) {
        proxy_drop(w, PROXY_DROP_VIA_NOT_OURS);
        return;
    }
    if (!prepared->has_peer) {
        proxy_drop(w, PROXY_DROP_MALFORMED_RESPONSE);
        return;
    }
    to->peer = prepared->peer;
    ours = proxy_stream_reaches(w, to);
    if (ours ? !to_peer(w) : !proxy_stream_relay_response(w))
        return;
    w->out->verdict = PROXY_FORWARD;
    w->out->reason = PROXY_FORWARDED_RESPONSE;
    if (ours) /* else the call is the other node's */
        proxy_calls_response(w);
}
