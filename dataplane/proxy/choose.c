/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inwards: which backend gets a request. Rules 2 to 7, one function each, and what a backend's
 * state lets through.
 */
#include "dataplane/proxy/work.h"

static bool in_dialog(const struct proxy_work *w)
{
    return w->msg->to_tag.length > 0;
}

static bool serves_dialogs(const struct proxy_work *w, int32_t backend)
{
    return proxy_backend_lives(&w->backends[backend]);
}

static bool takes_new_calls(const struct proxy_work *w, int32_t backend)
{
    const struct lb_backend *b = &w->backends[backend];

    return b->state == LB_UP && b->weight > 0 && !b->lingering;
}

static bool send_to(struct proxy_work *w, int32_t backend, uint16_t port, enum proxy_rule rule)
{
    const struct lb_backend *b = &w->backends[backend];
    struct proxy_flow *to = &w->out->to;

    to->transport = b->transport;
    if (!proxy_egress(w, to->transport, &b->ip, &to->local))
        return proxy_refuse(w, PROXY_REPLY_503_NO_BACKEND);
    to->peer.ip = b->ip;
    to->peer.port = port;
    w->out->backend = backend;
    w->out->rule = rule;
    return true;
}

/* At once, and without Retry-After: it would keep the phone from us, who are well. */
bool proxy_refuse_dialog(struct proxy_work *w)
{
    proxy_calls_refused(w);
    proxy_refuse(w, PROXY_REPLY_503_NO_BACKEND);
    w->out->retry_after_s = 0;
    return false;
}

static int32_t token_backend(const struct proxy_work *w)
{
    int32_t backend = LB_NO_BACKEND;

    if (w->has_token && w->token.backend != 0)
        backend = snapshot_backend_by_id(w->s, w->token.backend);
    if (backend >= 0 && !snapshot_service_has_pool(w->s, w->service, w->backends[backend].pool))
        backend = LB_NO_BACKEND;
    return backend;
}

/*
 * The next Route, or without one the Request-URI of an in-dialog request, is a backend's address:
 * its port is the backend's, one of its `ports:` or the token's.
 */
static int32_t rule_2_address(const struct proxy_work *w, int32_t named, uint16_t *ret_port)
{
    const struct sip_uri *uri = proxy_next_uri(w);
    struct sip_addr addr;
    int32_t backend;

    if (proxy_next_route(w) == NULL && !in_dialog(w))
        return LB_NO_BACKEND;
    if (uri == NULL || !proxy_uri_addr(uri, &addr))
        return LB_NO_BACKEND;
    backend = snapshot_find_service_backend(w->s, w->service, &addr, false);
    if (backend < 0 && named >= 0 && addr.port == w->token.backend_port &&
        sip_ip_equal(&addr.ip, &w->backends[named].ip))
        backend = named;
    if (backend >= 0)
        *ret_port = addr.port;
    return backend;
}

static int32_t rule_3_token(const struct proxy_work *w, int32_t named, uint16_t *ret_port)
{
    if (named >= 0)
        *ret_port = w->token.backend_port != 0 ? w->token.backend_port : w->backends[named].port;
    return named;
}

/* Where the request's transaction has begun, as far as the call table knows and that one lives. */
static int32_t begun_at(const struct proxy_work *w)
{
    return w->call_backend >= 0 && serves_dialogs(w, w->call_backend) &&
                   proxy_calls_is_transaction(w)
               ? w->call_backend
               : LB_NO_BACKEND;
}

static bool follows_an_invite(const struct proxy_work *w)
{
    return w->msg->method == SIP_ACK || w->msg->method == SIP_CANCEL;
}

/*
 * Whether what is new follows the entry. A registration lasts longer than its backend may be the
 * table's choice for its key: the phone's next REGISTER goes by the table, as do the calls to it.
 */
static bool leads_new(const struct proxy_work *w)
{
    return w->call.state != LB_CALL_REGISTRATION && takes_new_calls(w, w->call_backend);
}

/*
 * A leg that a backend sends back through us: the entry is the outer leg's, so it says nothing of
 * this one's CANCEL and ACK, which must choose as their INVITE did. Where the key is not the
 * Call-ID, backends differ in whom they know, and the leg goes to whom it is for.
 */
static bool leg_joins_call(const struct proxy_work *w)
{
    return leads_new(w) &&
           w->pool->keys[follows_an_invite(w) ? SIP_INVITE : w->msg->method] == LB_KEY_CALL_ID;
}

/*
 * The call table knows the Call-ID. Without a To-tag only what belongs to a transaction stays
 * where new calls are not taken. A backend that is down keeps nothing.
 */
int32_t proxy_rule_4_call(const struct proxy_work *w)
{
    bool stays;

    if (w->call_backend < 0 || !serves_dialogs(w, w->call_backend))
        return LB_NO_BACKEND;
    if (begun_at(w) >= 0)
        stays = true;
    else if (w->out->sender != LB_NO_BACKEND && (!in_dialog(w) || w->msg->method == SIP_ACK))
        stays = leg_joins_call(w);
    else
        stays = in_dialog(w) || leads_new(w) || proxy_calls_stays(w);
    return stays ? w->call_backend : LB_NO_BACKEND;
}

/* Where a pool has another call, if that one's backend lives. */
static int32_t backend_of_call(const struct proxy_work *w, uint32_t pool, struct sip_slice call_id)
{
    uint64_t hash = proxy_hash(w->s, snapshot_pools(w->s)[pool].id, call_id);
    int32_t backend = LB_NO_BACKEND;
    struct lb_call call;

    if (lb_call_find(w->in->calls, hash, w->in->now_s, &call))
        backend = proxy_backend_of_slot(w->view, call.slot);
    return backend >= 0 && w->backends[backend].pool == pool && serves_dialogs(w, backend)
               ? backend
               : LB_NO_BACKEND;
}

/*
 * Another call is named: where that one is, in whichever pool of the service, or would be by the
 * hash of its Call-ID.
 */
static int32_t rule_5_related(struct proxy_work *w)
{
    const uint32_t *pools = snapshot_at(w->s, w->service->pools.offset);
    char buf[PROXY_CALL_ID_MAX];
    struct sip_slice call_id = proxy_related_call(w->msg, buf);
    int32_t backend;

    if (call_id.length == 0)
        return LB_NO_BACKEND;
    backend = backend_of_call(w, w->pool_index, call_id);
    for (uint32_t i = 0; backend < 0 && i < w->service->pools.n; i++) {
        if (pools[i] != w->pool_index)
            backend = backend_of_call(w, pools[i], call_id);
    }
    if (backend < 0)
        return snapshot_table_lookup(w->s, w->pool_index, proxy_hash(w->s, w->pool->id, call_id));
    proxy_enter_pool(w, w->backends[backend].pool);
    return backend;
}

static int32_t rule_6_table(const struct proxy_work *w)
{
    return snapshot_table_lookup(w->s, w->pool_index, proxy_key(w));
}

bool proxy_dialog_is_lost(const struct proxy_work *w)
{
    return in_dialog(w) && w->call_backend >= 0 && !serves_dialogs(w, w->call_backend) &&
           w->pool->share != LB_SHARE_DIALOGS;
}

/* In the pool that was entered. */
static bool rules_4_to_7(struct proxy_work *w)
{
    enum proxy_rule rule = PROXY_RULE_CALL;
    int32_t backend = proxy_rule_4_call(w);

    if (backend < 0 && proxy_dialog_is_lost(w))
        return proxy_refuse_dialog(w);
    if (backend < 0) {
        rule = PROXY_RULE_REPLACES;
        backend = rule_5_related(w);
    }
    if (backend < 0) {
        rule = PROXY_RULE_TABLE;
        backend = rule_6_table(w);
    }
    if (backend < 0) {
        proxy_calls_refused(w);
        return proxy_refuse(w, PROXY_REPLY_503_NO_BACKEND); /* rule 7 */
    }
    return send_to(w, backend, w->backends[backend].port, rule);
}

/*
 * Whether a pool that does not match has the request all the same. In a dialog the Request-URI may
 * say nothing of what the pool was chosen by: a phone that ignores Record-Route puts a contact
 * there; but a backend's request is not for the backend itself. Else it is the transaction's pool:
 * the rules may have changed since, or it was chosen by Replaces, which CANCEL does not have.
 */
static bool has_request(const struct proxy_work *w)
{
    if (w->call_backend < 0)
        return false;
    return in_dialog(w) ? w->call_backend != w->out->sender : proxy_calls_is_transaction(w);
}

static void enter_pool_that_has_it(struct proxy_work *w, uint32_t matched)
{
    const uint32_t *pools = snapshot_at(w->s, w->service->pools.offset);

    for (uint32_t i = 0; i < w->service->pools.n; i++) {
        if (pools[i] == matched)
            continue;
        proxy_enter_pool(w, pools[i]);
        if (has_request(w))
            return;
    }
    proxy_enter_pool(w, matched);
}

bool proxy_choose_by_match(struct proxy_work *w)
{
    uint32_t matched = proxy_match(w);

    proxy_enter_pool(w, matched);
    if (w->call_backend < 0 && w->service->pools.n > 1)
        enter_pool_that_has_it(w, matched);
    return rules_4_to_7(w);
}

/* Whether the backend that a Route or a token names gets a request of no transaction that we know.
 */
static bool named_gets(const struct proxy_work *w, int32_t named)
{
    bool known = w->call_backend >= 0 && serves_dialogs(w, w->call_backend);

    if (!serves_dialogs(w, named))
        return false;
    if (in_dialog(w) || takes_new_calls(w, named))
        return true;
    return known ? named == w->call_backend && proxy_calls_stays(w) : follows_an_invite(w);
}

/*
 * A backend that is named names its pool, too. Once a transaction has begun somewhere the rest of
 * it goes there, whatever else names or takes new calls meanwhile.
 */
bool proxy_choose(struct proxy_work *w)
{
    enum proxy_rule rule = PROXY_RULE_ROUTE;
    uint16_t port = 0;
    int32_t named = token_backend(w), begun;
    int32_t backend = rule_2_address(w, named, &port);
    bool by_route = backend >= 0 && proxy_next_route(w) != NULL;

    if (backend < 0) {
        rule = PROXY_RULE_TOKEN;
        backend = rule_3_token(w, named, &port);
    }
    if (backend < 0)
        return proxy_choose_by_match(w);
    proxy_enter_pool(w, w->backends[backend].pool);
    begun = begun_at(w);
    if (begun >= 0 ? begun == backend : named_gets(w, backend)) {
        w->next_is_route = by_route;
        return send_to(w, backend, port, rule);
    }
    /* Another proxy can serve the dialog, but a Request-URI is an end's own address. */
    if (begun < 0 && in_dialog(w) &&
        (w->pool->share != LB_SHARE_DIALOGS || (rule == PROXY_RULE_ROUTE && !by_route)))
        return proxy_refuse_dialog(w);
    w->replaced = backend;
    return rules_4_to_7(w);
}
