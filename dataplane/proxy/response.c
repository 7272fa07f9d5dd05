/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses: back along the Vias. The top one must be ours and verify, so that nobody bounces
 * traffic off us. Every 100, 1xx, 2xx passes, however late; a body is never looked at.
 */
#include <errno.h>

#include "dataplane/proxy/work.h"

/* The Via after the top one. 0, -ENOENT: none, -EINVAL: it does not parse. */
static int next_via(const struct sip_msg *msg, struct sip_via *ret)
{
    const struct sip_field *field = sip_msg_first(msg, SIP_VIA);

    if (msg->top_via.rest.length > 0)
        return sip_via_parse(msg->top_via.rest, ret);
    field = sip_msg_next(msg, field);
    return field == NULL ? -ENOENT : sip_via_parse(sip_msg_value(msg, field), ret);
}

/* As parsed, since backends re-serialise what we wrote. False: received or rport is malformed. */
static bool read_next(const struct sip_via *via, struct proxy_next_via *ret)
{
    uint64_t rport = 0;

    memset(ret, 0, sizeof(*ret));
    ret->sent_by_host = via->host;
    ret->sent_by_port = proxy_via_port(via);
    if (via->received.length > 0 && sip_ip_parse(via->received, &ret->received) != 0)
        return false;
    if (via->rport.length > 0 && sip_slice_number(via->rport, UINT16_MAX, &rport) != 0)
        return false;
    ret->rport = (uint16_t)rport;
    return true;
}

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

/* The address is received, else sent-by; the port rport, else sent-by's (§18.2.2, RFC 3581 §4). */
static bool peer_of(const struct sip_via *via, const struct proxy_next_via *next,
                    struct sip_addr *ret)
{
    ret->ip = next->received;
    if (via->received.length == 0 && sip_ip_parse(via->host, &ret->ip) != 0)
        return false;
    ret->port = next->rport != 0 ? next->rport : next->sent_by_port;
    return true;
}

/* The top Via as ours, against the next; its ingress then. */
static bool verify(struct proxy_work *w, struct sip_via *ret_via, struct proxy_next_via *ret_next,
                   struct proxy_flow *ret_ingress)
{
    int found;

    if (!proxy_via_is_ours(w->s, &w->msg->top_via))
        return proxy_drop(w, PROXY_DROP_VIA_NOT_OURS);
    found = next_via(w->msg, ret_via);
    if (found == -ENOENT)
        return proxy_drop(w, PROXY_DROP_VIA_NONE_LEFT);
    if (found != 0 || !read_next(ret_via, ret_next))
        return proxy_drop(w, PROXY_DROP_MALFORMED_RESPONSE);
    if (proxy_via_verify(w->s, w->msg, ret_next, ret_ingress) != 0)
        return proxy_drop(w, PROXY_DROP_VIA_MAC);
    return true;
}

void proxy_response(struct proxy_work *w)
{
    struct proxy_flow *to = &w->out->to;
    struct proxy_next_via next = {0};
    struct sip_via via = {0};

    if (!verify(w, &via, &next, to))
        return;
    /* A listener that went with a reload: its address may be another's by now. */
    if (snapshot_find_listener(w->s, to->transport, &to->local) < 0) {
        proxy_drop(w, PROXY_DROP_VIA_NOT_OURS);
        return;
    }
    if (!peer_of(&via, &next, &to->peer)) {
        proxy_drop(w, PROXY_DROP_MALFORMED_RESPONSE);
        return;
    }
    pop_via(w);
    w->out->verdict = PROXY_FORWARD;
    w->out->reason = PROXY_FORWARDED_RESPONSE;
    w->out->rule = PROXY_RULE_VIA;
    w->out->backend = proxy_backend_at(w, &to->peer);
    proxy_calls_response(w, via.branch);
}
