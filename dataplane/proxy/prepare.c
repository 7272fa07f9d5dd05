/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be hashed about messages, for several of them at once: which entry of the call table
 * and which transaction they are of, and branch and seal of our Via, which is to be written into a
 * request or was read in a response. It decides nothing but whether a response is to us.
 */
#include <errno.h>

#include "dataplane/proxy/seal.h"
#include "dataplane/proxy/work.h"

enum { GROUP = 16, HASHES = 2 * GROUP }; /* messages whose hashes lie on the stack together */

/* Hashes that are ended together, and where each end belongs. */
struct batch {
    uint32_t n;
    struct lb_siphash hashes[HASHES];
    uint64_t *ends[HASHES];
};

/* The next one's place. */
static struct lb_siphash *next_hash(struct batch *batch, uint64_t *ret_end)
{
    batch->ends[batch->n] = ret_end;
    return &batch->hashes[batch->n++];
}

static void end_hashes(struct batch *batch)
{
    struct lb_siphash *hashes[HASHES];
    uint64_t ends[HASHES];

    for (uint32_t i = 0; i < batch->n; i++)
        hashes[i] = &batch->hashes[i];
    lb_siphash_end_all(hashes, batch->n, ends);
    for (uint32_t i = 0; i < batch->n; i++)
        *batch->ends[i] = ends[i];
    batch->n = 0;
}

static const struct snapshot_service *service_of(const struct snapshot *s,
                                                 const struct proxy_input *in)
{
    return &snapshot_services(s)[snapshot_listeners(s)[in->listener].service];
}

/* The Via after the top one. 0, -ENOENT: none, -EINVAL: it does not parse. */
static int read_via(const struct sip_msg *msg, struct sip_via *ret)
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

    memset(&ret->received, 0, sizeof(ret->received));
    proxy_via_sent_by(via, ret);
    if (via->received.length > 0 && sip_ip_parse(via->received, &ret->received) != 0)
        return false;
    if (via->rport.length > 0 && sip_slice_number(via->rport, UINT16_MAX, &rport) != 0)
        return false;
    ret->rport = (uint16_t)rport;
    return true;
}

/* The address is received, else sent-by; the port rport, else sent-by's (§18.2.2, RFC 3581 §4). */
static void set_peer(const struct sip_via *via, struct proxy_prepared *p)
{
    p->has_peer = via->received.length > 0 || p->next.sent_by_is_ip;
    p->peer.ip = via->received.length > 0 ? p->next.received : p->next.sent_by_ip;
    p->peer.port = p->next.rport != 0 ? p->next.rport : p->next.sent_by_port;
}

/* The top Via must be ours; the next one says where the response goes. */
static enum proxy_reason read_response(const struct snapshot *s, const struct proxy_input *in,
                                       struct sip_via *ret_via, struct proxy_prepared *p)
{
    const struct sip_msg *msg = in->msg;
    struct sip_slice value;
    int found;

    if (!proxy_via_is_ours(s, in->listener, &msg->top_via, &value))
        return PROXY_DROP_VIA_NOT_OURS;
    found = read_via(msg, ret_via);
    if (found == -ENOENT)
        return PROXY_DROP_VIA_NONE_LEFT;
    if (found != 0 || !read_next(ret_via, &p->next))
        return PROXY_DROP_MALFORMED_RESPONSE;
    if (proxy_via_read(s, value, &p->seal) != 0)
        return PROXY_DROP_VIA_MAC;
    set_peer(ret_via, p);
    return PROXY_FORWARDED_RESPONSE;
}

/* What needs no hash; then the Call-ID's and the transaction's are begun. */
static void begin(const struct proxy_view *view, const struct proxy_input *in, struct batch *batch,
                  struct proxy_prepared *p)
{
    const struct snapshot *s = view->snapshot;
    const struct snapshot_service *service = service_of(s, in);
    const struct sip_msg *msg = in->msg;
    struct sip_slice branch = msg->top_via.branch;
    struct sip_via via;

    p->sender = LB_NO_BACKEND;
    p->sealed = false;
    p->reason = PROXY_FORWARDED_REQUEST;
    if (in->inside && service->mode == SNAPSHOT_MODE_PROXY)
        p->sender = snapshot_find_service_backend(s, service, &in->from.peer, true);
    p->pool = p->sender >= 0 ? snapshot_backends(s)[p->sender].pool : service->pool;
    if (msg->error != SIP_OK)
        return;
    proxy_hash_call(s, snapshot_pools(s)[p->pool].id, msg->call_id,
                    next_hash(batch, &p->call_hash));
    if (msg->kind == SIP_REQUEST) {
        proxy_fill_via(in, service, p->sender == LB_NO_BACKEND, &p->next);
        proxy_via_seal(s, &in->from, &p->seal);
        p->sealed = service->mode == SNAPSHOT_MODE_PROXY;
    } else if (service->mode == SNAPSHOT_MODE_PROXY) {
        p->reason = read_response(s, in, &via, p);
        if (p->reason != PROXY_FORWARDED_RESPONSE)
            return;
        branch = via.branch;
        p->sealed = true;
    }
    proxy_hash_transaction(s, msg, branch, next_hash(batch, &p->transaction));
}

static bool is_sealed(const struct proxy_input *in, const struct proxy_prepared *p,
                      enum sip_kind kind)
{
    return p->sealed && in->msg->kind == kind;
}

/* The branches of requests, then the seals of all, which are made of the branches. */
static void prepare_vias(const struct snapshot *s, const struct proxy_input *const *in, uint32_t n,
                         struct batch *batch, struct proxy_prepared *const *ret)
{
    uint64_t ends[GROUP];

    for (uint32_t i = 0; i < n; i++) {
        if (is_sealed(in[i], ret[i], SIP_REQUEST))
            proxy_via_hash_transaction(s, in[i]->msg, next_hash(batch, &ret[i]->branch_hash));
    }
    end_hashes(batch);
    for (uint32_t i = 0; i < n; i++) {
        struct sip_slice branch = in[i]->msg->top_via.branch;

        if (!ret[i]->sealed)
            continue;
        if (in[i]->msg->kind == SIP_REQUEST) {
            proxy_via_branch(ret[i]->branch_hash, ret[i]->branch);
            branch = sip_slice(ret[i]->branch, PROXY_BRANCH_LENGTH);
        }
        proxy_via_hash_seal(&ret[i]->seal, in[i]->msg, branch, &ret[i]->next,
                            next_hash(batch, &ends[i]));
    }
    end_hashes(batch);
    for (uint32_t i = 0; i < n; i++) {
        if (is_sealed(in[i], ret[i], SIP_REQUEST))
            ret[i]->seal.mac = ends[i];
        else if (ret[i]->sealed && !proxy_seal_mac_equal(ret[i]->seal.mac, ends[i]))
            ret[i]->reason = PROXY_DROP_VIA_MAC;
    }
}

static void prepare_group(const struct proxy_view *view, const struct proxy_input *const *in,
                          uint32_t n, struct proxy_prepared *const *ret)
{
    struct batch batch;

    batch.n = 0;
    for (uint32_t i = 0; i < n; i++)
        begin(view, in[i], &batch, ret[i]);
    end_hashes(&batch);
    for (uint32_t i = 0; i < n; i++) {
        if (in[i]->msg->error == SIP_OK)
            lb_call_prefetch(in[i]->calls, ret[i]->call_hash);
    }
    prepare_vias(view->snapshot, in, n, &batch, ret);
}

void proxy_prepare(const struct proxy_view *view, const struct proxy_input *const *inputs,
                   uint32_t n, struct proxy_prepared *const *ret)
{
    for (uint32_t at = 0; at < n; at += GROUP)
        prepare_group(view, inputs + at, n - at < GROUP ? n - at : GROUP, ret + at);
}
