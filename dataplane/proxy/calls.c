/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What requests and responses teach the call table, and what it says of a request (rule 4). The
 * transaction noted in an entry is the one that began it or the caller's last without a To-tag, so
 * that only its own final response ends a call: branches of a fork share the Call-ID.
 *
 * A call that a backend passes on comes past us twice. What the caller sent and was told decides:
 * what the callee answers may never come to the caller, when the backend between them has died.
 */
#include "dataplane/proxy/work.h"

static int32_t backend_of_slot(const struct proxy_work *w, uint16_t slot)
{
    int32_t backend = proxy_backend_of_slot(w->view, slot);

    if (backend < 0 || w->backends[backend].pool != w->pool_index)
        return LB_NO_BACKEND;
    return backend;
}

void proxy_enter_pool(struct proxy_work *w, uint32_t pool)
{
    const struct lb_pool *entered = &snapshot_pools(w->s)[pool];

    if (w->pool == entered)
        return;
    w->pool = entered;
    w->pool_index = pool;
    w->call_hash = proxy_hash_of_pool(entered->id, w->prepared->call);
    w->call_backend = LB_NO_BACKEND;
    w->known = lb_call_find(w->in->calls, w->call_hash, w->in->now_s, &w->call);
    if (w->known)
        w->call_backend = backend_of_slot(w, w->call.slot);
}

/*
 * As the call table notes it: by our branch, which CANCEL and ACK share with their INVITE, and by
 * the method, since it takes both to tell a transaction (RFC 3261 §17.2.3).
 */
static uint32_t transaction_of(const struct proxy_work *w)
{
    uint32_t method = w->msg->method;

    if (method == SIP_ACK || method == SIP_CANCEL)
        method = SIP_INVITE;
    return ((uint32_t)w->prepared->branch ^ method) & 0xffffff;
}

bool proxy_calls_is_transaction(const struct proxy_work *w)
{
    return w->known && w->call.transaction == transaction_of(w);
}

bool proxy_calls_stays(const struct proxy_work *w)
{
    if (w->msg->method == SIP_ACK || w->msg->method == SIP_CANCEL)
        return true;
    if (lb_call_is_challenged(&w->call, w->in->now_s))
        return true;
    return proxy_calls_is_transaction(w);
}

/* What an unknown call is after a request; LB_CALL_FREE: nothing worth an entry. */
static enum lb_call_state state_of_request(const struct sip_msg *msg)
{
    bool in_dialog = msg->to_tag.length > 0;

    switch (msg->method) {
    case SIP_ACK:
    case SIP_CANCEL:
        return LB_CALL_FREE;
    case SIP_BYE:
        return in_dialog ? LB_CALL_FREE : LB_CALL_OTHER;
    case SIP_INVITE:
        return in_dialog ? LB_CALL_LIVE : LB_CALL_BEGUN;
    case SIP_UPDATE:
    case SIP_PRACK:
    case SIP_INFO:
        return in_dialog ? LB_CALL_LIVE : LB_CALL_OTHER;
    case SIP_SUBSCRIBE:
    case SIP_REFER:
    case SIP_PUBLISH:
        return LB_CALL_SUBSCRIPTION;
    case SIP_NOTIFY:
        return in_dialog ? LB_CALL_SUBSCRIPTION : LB_CALL_OTHER;
    default:
        return LB_CALL_OTHER;
    }
}

static void put(struct proxy_work *w, int32_t backend, enum lb_call_state state,
                uint32_t transaction)
{
    uint16_t slot = w->view->slot_of[backend];

    if (slot == LB_NO_SLOT || state == LB_CALL_FREE)
        return;
    lb_call_put(w->in->calls, w->call_hash, slot, state, transaction, w->in->now_s, w->in->counts,
                &w->call);
}

/*
 * Only seen again: transaction and challenge stay what they were, and the time of a challenge too,
 * since what follows it is let through for so long only.
 */
static void touch(struct proxy_work *w)
{
    if (w->call.challenged)
        return;
    lb_call_note(w->in->calls, &w->call, w->call.transaction, w->call.challenged, w->in->now_s);
}

static bool is_call(const struct proxy_work *w)
{
    return w->call.state == LB_CALL_BEGUN || w->call.state == LB_CALL_LIVE;
}

/* A transaction that begins something, at the backend that has the Call-ID already. */
static void begin_again(struct proxy_work *w, uint32_t transaction)
{
    enum lb_call_state state = state_of_request(w->msg);

    /* What is no call itself does not take the place of a call's transaction. */
    if (state == LB_CALL_FREE || (is_call(w) && state != LB_CALL_BEGUN)) {
        touch(w);
        return;
    }
    if (!is_call(w) && state != LB_CALL_OTHER && state != w->call.state)
        lb_call_change(w->in->calls, &w->call, state, w->in->now_s, w->in->counts);
    lb_call_note(w->in->calls, &w->call, transaction, false, w->in->now_s);
}

static bool live_backend(const struct proxy_work *w, int32_t backend)
{
    return backend >= 0 && proxy_backend_lives(&w->backends[backend]);
}

/* A request with a To-tag: the Route set or the token may know better than the table. */
static void inward_in_dialog(struct proxy_work *w)
{
    if (w->known && live_backend(w, w->call_backend))
        touch(w);
    else
        put(w, w->out->backend, state_of_request(w->msg), transaction_of(w));
}

/* A transaction that goes to another backend than the one that has the Call-ID. */
static void begin_elsewhere(struct proxy_work *w, uint32_t transaction)
{
    enum lb_call_state state = state_of_request(w->msg);

    /* What is no call itself does not take the entry of one. */
    if (w->known && is_call(w) && state != LB_CALL_BEGUN && live_backend(w, w->call_backend))
        return;
    put(w, w->out->backend, state, transaction);
}

static void end_call(struct proxy_work *w)
{
    if (is_call(w))
        lb_call_change(w->in->calls, &w->call, LB_CALL_ENDED, w->in->now_s, w->in->counts);
}

/* Whether the caller will ask no more when this has failed. */
static bool is_last_word(const struct proxy_work *w)
{
    if (w->msg->method == SIP_BYE)
        return w->msg->to_tag.length > 0;
    return (w->msg->method == SIP_INVITE || w->msg->method == SIP_CANCEL) &&
           w->call.state == LB_CALL_BEGUN && proxy_calls_is_transaction(w);
}

void proxy_calls_refused(struct proxy_work *w)
{
    if (w->known && is_last_word(w) && !live_backend(w, w->call_backend))
        end_call(w);
}

void proxy_calls_inward(struct proxy_work *w)
{
    uint32_t transaction;

    /* Another backend than the one that is down can only say that it knows no such call. */
    if (w->msg->method == SIP_CANCEL)
        proxy_calls_refused(w);
    if (w->msg->to_tag.length > 0) {
        inward_in_dialog(w);
        return;
    }
    transaction = transaction_of(w);
    if (w->known && w->out->sender != LB_NO_BACKEND && live_backend(w, w->call_backend))
        touch(w); /* a spiral: the entry is the outer transaction's */
    else if (!w->known || w->call_backend != w->out->backend)
        begin_elsewhere(w, transaction);
    else if (w->call.transaction == transaction)
        touch(w);
    else
        begin_again(w, transaction);
}

/* What a backend passes on of what we gave it: our Via is below its own. */
static bool is_passed_on(const struct proxy_work *w)
{
    return proxy_own_vias(w) > 0;
}

/*
 * No call begins. An ACK that is passed on is one to a 2xx, which went to the caller past another
 * table than this one: control's, or another node's.
 */
static void outward_of_call(struct proxy_work *w)
{
    touch(w);
    if (w->msg->method == SIP_ACK && w->call.state == LB_CALL_BEGUN && is_passed_on(w))
        lb_call_change(w->in->calls, &w->call, LB_CALL_LIVE, w->in->now_s, w->in->counts);
}

void proxy_calls_outward(struct proxy_work *w)
{
    enum lb_call_state state = state_of_request(w->msg);
    bool over, orphan;

    if (state == LB_CALL_FREE || state == LB_CALL_OTHER) {
        if (w->known)
            outward_of_call(w);
        return;
    }
    over = w->known && (w->call.state == LB_CALL_ENDED || w->call.state == LB_CALL_OTHER) &&
           w->msg->to_tag.length == 0;
    /* Whose backend is down or gone is the sender's, who goes on with it. */
    orphan = w->known && !live_backend(w, w->call_backend);
    if (over && is_passed_on(w))
        touch(w); /* sent again, since nobody answers, after the caller's end of it was over */
    else if (!w->known || ((over || orphan) && w->call_backend != w->out->sender))
        put(w, w->out->sender, state, transaction_of(w));
    else if (over && w->call.transaction != transaction_of(w))
        begin_again(w, transaction_of(w));
    else
        touch(w);
}

/*
 * What begins by a stream is learnt of where its answers come past, and that is not here: an entry
 * of ours would never end. One that we have lives on. To a backend by a stream all that a pool gets
 * goes there, so that it needs nothing of ours.
 */
void proxy_calls_punted(struct proxy_work *w)
{
    if (w->known)
        touch(w);
}

void proxy_calls_gone(struct proxy_work *w)
{
    bool inward = w->out->rule <= PROXY_RULE_TABLE;

    proxy_enter_pool(w, w->backends[inward ? w->out->backend : w->out->sender].pool);
    if (w->known && is_last_word(w))
        end_call(w);
}

static bool is_challenge(uint16_t status)
{
    return status == 401 || status == 407;
}

/* There is no such dialog, whatever was asked within it (RFC 5057 §5.1). */
static bool knows_no_dialog(uint16_t status)
{
    switch (status) {
    case 404:
    case 410:
    case 416:
    case 481:
    case 482:
    case 483:
    case 484:
    case 485:
    case 502:
    case 604:
        return true;
    default:
        return false;
    }
}

/* The dialog is over at the caller's side when BYE succeeds, or finds none (RFC 3261 §15.1.1). */
static bool ends_dialog(uint16_t status)
{
    return (status >= 200 && status < 300) || status == 408 || knows_no_dialog(status);
}

static void invite_succeeded(struct proxy_work *w, int32_t backend)
{
    if (!w->known && backend != LB_NO_BACKEND)
        put(w, backend, LB_CALL_LIVE, 0);
    else if (w->known && w->call.state == LB_CALL_BEGUN)
        lb_call_change(w->in->calls, &w->call, LB_CALL_LIVE, w->in->now_s, w->in->counts);
}

/*
 * The final failure of the transaction that the entry knows: it ends a call that had only begun,
 * and a dialog that was taken for one by its To-tag alone, and that the backend does not know.
 */
static void transaction_failed(struct proxy_work *w)
{
    bool unknown_dialog = w->call.state == LB_CALL_LIVE && knows_no_dialog(w->msg->status);

    if ((w->msg->method == SIP_INVITE && w->call.state == LB_CALL_BEGUN) || unknown_dialog)
        lb_call_change(w->in->calls, &w->call, LB_CALL_ENDED, w->in->now_s, w->in->counts);
    if (w->call.state != LB_CALL_LIVE)
        lb_call_note(w->in->calls, &w->call, w->call.transaction, is_challenge(w->msg->status),
                     w->in->now_s);
}

/*
 * A backend granted what the phone asked of it, or answers that nothing is registered any more. A
 * failure takes nothing away: what was granted before lasts until it expires.
 */
static void register_succeeded(struct proxy_work *w)
{
    uint32_t granted_s = proxy_granted_s(w->msg);

    if (is_call(w) || w->call.state == LB_CALL_SUBSCRIPTION)
        return;
    if (granted_s > 0)
        lb_call_register(w->in->calls, &w->call, granted_s, w->in->now_s, w->in->counts);
    else if (w->call.state == LB_CALL_REGISTRATION)
        lb_call_change(w->in->calls, &w->call, LB_CALL_OTHER, w->in->now_s, w->in->counts);
}

/* The caller hears of a 2xx by what the backend makes of it, and that comes past us again. */
static bool is_for_caller(const struct proxy_work *w, int32_t backend)
{
    return backend == LB_NO_BACKEND || backend != w->out->backend || proxy_own_vias(w) < 2;
}

/* What the pool that was entered learns from a success, and while it rings. True: that was all. */
static bool learn_progress(struct proxy_work *w, int32_t backend)
{
    uint16_t status = w->msg->status;

    if (w->msg->method == SIP_INVITE && status >= 200 && status < 300 && is_for_caller(w, backend))
        invite_succeeded(w, backend);
    if (!w->known)
        return true;
    if (status < 200) /* Timer C starts again (RFC 3261 §16.7), and so does an entry's */
        touch(w);
    else if (w->msg->method == SIP_BYE && ends_dialog(status))
        end_call(w);
    else
        return false;
    return true;
}

/* What a registrar says to a phone; not what a backend hears that registers somewhere itself. */
static bool may_grant(const struct proxy_work *w, int32_t backend)
{
    return w->msg->method == SIP_REGISTER && w->msg->status < 300 && backend != LB_NO_BACKEND &&
           backend == w->out->sender && backend == w->call_backend;
}

/* What a response says of the call in the pool of a backend that is at one of its ends. */
static void learn(struct proxy_work *w, int32_t backend)
{
    bool fails;

    proxy_enter_pool(w, backend != LB_NO_BACKEND ? w->backends[backend].pool : w->service->pool);
    if (learn_progress(w, backend))
        return;
    fails = w->msg->status >= 300 && w->msg->method != SIP_CANCEL;
    if (!fails && !may_grant(w, backend))
        return;
    if (w->call.transaction != transaction_of(w))
        return;
    if (fails)
        transaction_failed(w);
    else
        register_succeeded(w);
}

/* Nothing is learnt from a 100, nor from what is not final and of no INVITE. */
static bool says_nothing(const struct sip_msg *response)
{
    return response->status < 200 && (response->method != SIP_INVITE || response->status == 100);
}

void proxy_calls_response(struct proxy_work *w)
{
    int32_t sender = w->out->sender, backend = w->out->backend;

    if (says_nothing(w->msg))
        return;
    learn(w, sender != LB_NO_BACKEND ? sender : backend);
    /* Between backends of two pools, each pool has the call. */
    if (sender != LB_NO_BACKEND && backend != LB_NO_BACKEND &&
        w->backends[sender].pool != w->backends[backend].pool)
        learn(w, backend);
}

/*
 * An ACK in a call whose final answer went from the backend to the caller past us. It is of the
 * INVITE's transaction when that failed (RFC 3261 §17.1.1.3), perhaps by a 401 or 407.
 */
static void learn_by_ack(struct proxy_work *w)
{
    if (w->call.state != LB_CALL_BEGUN)
        return;
    if (!proxy_calls_is_transaction(w) || !proxy_via_branch_is_unique(w->msg->top_via.branch)) {
        lb_call_change(w->in->calls, &w->call, LB_CALL_LIVE, w->in->now_s, w->in->counts);
        return;
    }
    end_call(w);
    lb_call_note(w->in->calls, &w->call, w->call.transaction, true, w->in->now_s);
}

/* BYE ends a dialog unless it is challenged, and then the next one still finds the entry. */
void proxy_calls_direct_request(struct proxy_work *w)
{
    proxy_calls_inward(w);
    if (!w->known || w->msg->to_tag.length == 0)
        return;
    if (w->msg->method == SIP_ACK)
        learn_by_ack(w);
    else if (w->msg->method == SIP_BYE)
        end_call(w);
}

/* The callee's. A failure is one branch's perhaps: the backend says to the caller what it means. */
void proxy_calls_direct_response(struct proxy_work *w)
{
    if (!says_nothing(w->msg))
        (void)learn_progress(w, w->out->backend);
}
