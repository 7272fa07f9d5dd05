/* SPDX-License-Identifier: Apache-2.0 */
/* A request's way through the rules, and the door that every message comes in by. */
#include <assert.h>

#include "dataplane/proxy/seal.h"
#include "dataplane/proxy/stun.h"
#include "dataplane/proxy/work.h"

/* The ACK to a reply of our own bears the tag that we gave. */
bool proxy_acknowledges_us(const struct proxy_work *w)
{
    char tag[PROXY_TAG_LENGTH];
    uint64_t number;

    /* Hex digits, as few others are. */
    if (w->msg->method != SIP_ACK || w->msg->to_tag.length != PROXY_TAG_LENGTH ||
        proxy_seal_read_hex(w->msg->to_tag.at, &number) != 0)
        return false;
    proxy_reply_tag(w->s, w->msg, tag);
    return memcmp(tag, w->msg->to_tag.at, PROXY_TAG_LENGTH) == 0;
}

/* OPTIONS to ourselves: no user, our host, no Route but the one popped as ours. */
static bool asks_for_us(const struct proxy_work *w)
{
    return w->msg->method == SIP_OPTIONS && w->ruri.user.length == 0 && !w->has_token &&
           proxy_next_route(w) == NULL && proxy_uri_is_ours(w, &w->ruri);
}

static bool any_backend_lives(const struct proxy_work *w)
{
    const uint32_t *pools = snapshot_at(w->s, w->service->pools.offset);

    for (uint32_t i = 0; i < w->service->pools.n; i++) {
        const struct lb_pool *pool = &snapshot_pools(w->s)[pools[i]];

        for (uint32_t j = 0; j < pool->n_backends; j++) {
            if (proxy_backend_lives(&w->backends[pool->first_backend + j]))
                return true;
        }
    }
    return false;
}

static bool answer_options(struct proxy_work *w)
{
    if (w->s->draining)
        return proxy_refuse(w, PROXY_REPLY_503_DRAINING);
    return proxy_refuse(w, any_backend_lives(w) ? PROXY_REPLY_200_OPTIONS
                                                : PROXY_REPLY_503_NO_BACKEND);
}

static bool choose(struct proxy_work *w)
{
    if (asks_for_us(w))
        return answer_options(w);
    if (w->msg->max_forwards == 0)
        return proxy_refuse(w, PROXY_REPLY_483_HOPS);
    return w->out->sender == LB_NO_BACKEND ? proxy_choose(w) : proxy_choose_outward(w);
}

void proxy_request(struct proxy_work *w)
{
    if (proxy_acknowledges_us(w)) {
        proxy_drop(w, PROXY_DROP_ACK);
        return;
    }
    if (!proxy_source_allowed(w)) {
        proxy_refuse(w, PROXY_REPLY_403_SOURCE);
        return;
    }
    if (!proxy_check(w) || !proxy_routes_read(w) || !proxy_repair_strict(w) ||
        !proxy_rule_1_pop(w) || !choose(w) || !proxy_stream_check(w) || !proxy_rewrite(w))
        return;
    w->out->verdict = PROXY_FORWARD;
    w->out->reason = PROXY_FORWARDED_REQUEST;
    if (w->out->rule <= PROXY_RULE_TABLE)
        proxy_calls_inward(w);
    else if (w->out->rule != PROXY_RULE_NODE) /* whose call it is then */
        proxy_calls_outward(w);
}

/* Nothing in it by which its sender could tell what was answered. */
static bool unanswerable(const struct sip_msg *msg)
{
    return sip_msg_first(msg, SIP_VIA) == NULL && msg->call_id.length == 0;
}

/* Straight back to where it came from: that address is what it asks for. */
static void answer_stun(struct proxy_work *w)
{
    uint16_t status = proxy_stun_status(sip_slice(w->msg->buf, w->msg->length));

    if (w->in->from.transport != SIP_TRANSPORT_UDP || !proxy_source_allowed(w) || status == 0) {
        proxy_drop(w, PROXY_DROP_STUN);
        return;
    }
    w->out->verdict = PROXY_REPLY;
    w->out->reason = status == 200 ? PROXY_REPLY_200_STUN : PROXY_REPLY_420_STUN;
    w->out->status = status;
    w->out->to = w->in->from;
}

static void refuse_malformed(struct proxy_work *w)
{
    if (sip_msg_is_stun(w->msg->buf, w->msg->length))
        answer_stun(w);
    else if (w->msg->error == SIP_ERR_KEEPALIVE)
        proxy_drop(w, PROXY_DROP_KEEPALIVE);
    else if (w->msg->kind == SIP_RESPONSE)
        proxy_drop(w, PROXY_DROP_MALFORMED_RESPONSE);
    else if (w->msg->kind != SIP_REQUEST || w->msg->error == SIP_ERR_NOT_SIP)
        proxy_drop(w, PROXY_DROP_NOT_SIP);
    else if (unanswerable(w->msg))
        proxy_drop(w, PROXY_DROP_UNANSWERABLE);
    else if (!proxy_source_allowed(w))
        proxy_refuse(w, PROXY_REPLY_403_SOURCE);
    else
        proxy_refuse(w, w->msg->error == SIP_ERR_VERSION ? PROXY_REPLY_505_VERSION
                                                         : PROXY_REPLY_400_MALFORMED);
}

/*
 * What somebody reads before a step has written it; all else is left as it was on the stack, the
 * Routes above all, since clearing it took longer than any step of a response.
 */
static void init(struct proxy_work *w, const struct proxy_view *view,
                 const struct proxy_input *input, const struct proxy_prepared *prepared,
                 struct proxy_output *out)
{
    const struct snapshot *s = view->snapshot;

    assert(input->listener < s->listeners.n);
    w->view = view;
    w->s = s;
    w->in = input;
    w->prepared = prepared;
    w->msg = input->msg;
    w->service = &snapshot_services(s)[snapshot_listeners(s)[input->listener].service];
    w->backends = snapshot_backends(s);
    w->out = out;
    w->pool = NULL;
    w->known = false;
    w->call_backend = LB_NO_BACKEND;
    w->n_routes = 0;
    w->first_route = 0;
    w->end_route = 0;
    w->ruri_replaced = false;
    w->moved_ruri = sip_slice("", 0);
    w->has_token = false;
    w->next_is_route = false;
    w->replaced = LB_NO_BACKEND;
}

/* The empty line that the sender left out: the next parser may be less forgiving than ours. */
static void end_headers(struct proxy_work *w)
{
    sip_edit_splice(&w->out->edit, w->msg->body, 0);
    sip_edit_put_text(&w->out->edit, "\r\n");
}

void proxy_flow_gone(const struct proxy_view *view, const struct proxy_input *input,
                     struct proxy_output *ret)
{
    struct proxy_prepared own, *at_own = &own;
    struct proxy_work w;

    assert(ret->verdict == PROXY_FORWARD);
    proxy_prepare(view, &input, 1, &at_own);
    init(&w, view, input, &own, ret);
    if (input->msg->kind == SIP_RESPONSE) {
        proxy_drop(&w, PROXY_DROP_FLOW);
        return;
    }
    proxy_calls_gone(&w);
    proxy_refuse(&w, PROXY_REPLY_430_FLOW);
}

void proxy_decide(const struct proxy_view *view, const struct proxy_input *input,
                  struct proxy_output *ret)
{
    const struct proxy_prepared *prepared = input->prepared;
    struct proxy_prepared own, *at_own = &own;
    struct proxy_work w;

    if (prepared == NULL) {
        proxy_prepare(view, &input, 1, &at_own);
        prepared = &own;
    }
    init(&w, view, input, prepared, ret);
    memset(ret, 0, offsetof(struct proxy_output, edit));
    sip_edit_init(&ret->edit);
    ret->backend = LB_NO_BACKEND;
    ret->sender = prepared->sender;
    if (input->msg->error != SIP_OK)
        refuse_malformed(&w);
    else if (w.service->mode == SNAPSHOT_MODE_DIRECT)
        proxy_direct(&w);
    else if (input->msg->kind == SIP_REQUEST)
        proxy_request(&w);
    else
        proxy_response(&w);
    if (ret->verdict == PROXY_FORWARD && ret->means == PROXY_REWRITTEN && input->msg->open_end)
        end_headers(&w);
}
