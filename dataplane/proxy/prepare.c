/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be hashed about messages, for several of them at once: which entry of the call table
 * and which transaction they are of, and branch and seal of our Via, which is to be written into a
 * request or was read in a response. It decides nothing but whether a response is to us.
 */
#include <errno.h>

#include "dataplane/proxy/seal.h"
#include "dataplane/proxy/work.h"

/* Messages whose hashes are made side by side, and the lanes that they are in. */
struct group {
    const struct snapshot *s;
    const struct proxy_input *const *in; /* [n], n ≤ LB_LANES */
    struct proxy_prepared *const *ret;
    uint32_t n;
    uint32_t of[LB_LANES]; /* whose lane it is */
    struct lb_lanes lanes;
    uint64_t hashes[LB_LANES];
};

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

    proxy_via_sent_by(via, ret);
    if (via->received.length > 0 && !via->received_is_ip)
        return false;
    ret->received = via->received_ip;
    if (via->rport.length > 0 && sip_slice_number(via->rport, UINT16_MAX, &rport) != 0)
        return false;
    ret->rport = (uint16_t)rport;
    return true;
}

/* The address is received, else sent-by; the port rport, else sent-by's (§18.2.2, RFC 3581 §4). */
static void set_peer(const struct sip_via *via, const struct proxy_next_via *next,
                     struct proxy_prepared *p)
{
    p->has_peer = via->received.length > 0 || next->sent_by_is_ip;
    p->peer.ip = via->received.length > 0 ? next->received : next->sent_by_ip;
    p->peer.port = next->rport != 0 ? next->rport : next->sent_by_port;
}

/* The top Via must be ours; the next one says where the response goes. */
static enum proxy_reason read_response(const struct snapshot *s, const struct proxy_input *in,
                                       struct proxy_prepared *p)
{
    const struct sip_msg *msg = in->msg;
    struct sip_slice value;
    struct sip_via via;
    int found;

    if (!proxy_via_is_ours(s, in->listener, &msg->top_via, &value))
        return PROXY_DROP_VIA_NOT_OURS;
    found = read_via(msg, &via);
    if (found == -ENOENT)
        return PROXY_DROP_VIA_NONE_LEFT;
    if (found != 0 || !read_next(&via, &p->next))
        return PROXY_DROP_MALFORMED_RESPONSE;
    if (proxy_via_read(s, value, &p->seal) != 0 ||
        proxy_via_read_branch(msg->top_via.branch, &p->branch) != 0)
        return PROXY_DROP_VIA_MAC;
    set_peer(&via, &p->next, p);
    return PROXY_FORWARDED_RESPONSE;
}

/* Our Via on a request, but for what is hashed. */
static void read_request(const struct snapshot *s, const struct snapshot_service *service,
                         const struct proxy_input *in, struct proxy_prepared *p)
{
    proxy_fill_via(in, service, p->sender == LB_NO_BACKEND, &p->next);
    p->seal.key = proxy_seal_signing_key(s);
    p->seal.local = in->from.local;
    p->seal.transport = (uint8_t)in->from.transport;
    p->seal.node = in->from.node;
    p->seal.connection = in->from.connection;
    p->sealed = service->mode == SNAPSHOT_MODE_PROXY;
}

/* Another node relays what a backend sent to it: whose it is says the Via behind that node's. */
static void look_behind_node(const struct snapshot *s, const struct snapshot_service *service,
                             const struct proxy_input *in, struct proxy_prepared *p)
{
    const struct snapshot_listener *listener = &snapshot_listeners(s)[in->listener];
    struct proxy_next_via next;
    struct sip_via via;

    if (listener->plane != SNAPSHOT_PLANE_CONTROL || listener->transport != SIP_TRANSPORT_UDP ||
        in->msg->error != SIP_OK || in->msg->kind != SIP_REQUEST ||
        snapshot_node_at(s, &in->from.peer.ip) == 0)
        return;
    if (read_via(in->msg, &via) != 0 || !read_next(&via, &next))
        return;
    set_peer(&via, &next, p);
    if (p->has_peer)
        p->sender = snapshot_find_service_backend(s, service, &p->peer, true);
    p->by_node = p->sender >= 0;
    if (p->by_node && via.transport != SIP_TRANSPORT_UDP) /* a connection's port is nobody's */
        p->peer.port = snapshot_backends(s)[p->sender].port;
}

/* What needs no hash. */
static void read_message(const struct snapshot *s, const struct proxy_input *in,
                         struct proxy_prepared *p)
{
    const struct snapshot_service *service = service_of(s, in);

    p->sender = LB_NO_BACKEND;
    p->by_node = false;
    p->sealed = false;
    p->reason = PROXY_FORWARDED_REQUEST;
    if (in->inside && service->mode == SNAPSHOT_MODE_PROXY) {
        p->sender = snapshot_find_service_backend(s, service, &in->from.peer, true);
        if (p->sender < 0 && s->nodes.n > 0)
            look_behind_node(s, service, in, p);
    }
    p->pool = p->sender >= 0 ? snapshot_backends(s)[p->sender].pool : service->pool;
    if (in->msg->error != SIP_OK)
        return;
    if (in->msg->kind == SIP_REQUEST) {
        read_request(s, service, in, p);
    } else if (service->mode == SNAPSHOT_MODE_PROXY) {
        p->reason = read_response(s, in, p);
        p->sealed = p->reason == PROXY_FORWARDED_RESPONSE;
    }
}

static void read_calls(struct group *g)
{
    struct lb_lanes *lanes = &g->lanes;

    lb_lanes_init(lanes, 1);
    for (uint32_t i = 0; i < g->n; i++) {
        const struct sip_msg *msg = g->in[i]->msg;

        read_message(g->s, g->in[i], g->ret[i]);
        if (msg->error != SIP_OK)
            continue;
        g->of[lanes->n] = i;
        lb_lanes_put_text(lanes, lb_lanes_add(lanes, &g->s->hash_key, 0), 0, msg->call_id.at,
                          msg->call_id.length);
    }
    lb_siphash13_lanes(lanes, g->hashes);
    for (uint32_t lane = 0; lane < lanes->n; lane++) {
        struct proxy_prepared *p = g->ret[g->of[lane]];

        p->call = g->hashes[lane];
        p->call_hash = proxy_hash_of_pool(snapshot_pools(g->s)[p->pool].id, p->call);
    }
}

/* A response's is in it already. */
static void make_branches(struct group *g)
{
    struct lb_lanes *lanes = &g->lanes;

    lb_lanes_init(lanes, PROXY_VIA_TEXTS);
    for (uint32_t i = 0; i < g->n; i++) {
        const struct sip_msg *msg = g->in[i]->msg;

        if (msg->error != SIP_OK || msg->kind != SIP_REQUEST)
            continue;
        g->of[lanes->n] = i;
        proxy_via_hash_branch(g->s, msg, &g->ret[i]->next, g->ret[i]->call, lanes);
    }
    lb_siphash24_lanes(lanes, g->hashes);
    for (uint32_t lane = 0; lane < lanes->n; lane++)
        g->ret[g->of[lane]]->branch = g->hashes[lane];
}

static void sign_or_verify(struct group *g)
{
    struct lb_lanes *lanes = &g->lanes;

    lb_lanes_init(lanes, 0);
    for (uint32_t i = 0; i < g->n; i++) {
        const struct proxy_prepared *p = g->ret[i];

        if (g->in[i]->msg->error == SIP_OK) /* one by one: together they wait for each other */
            lb_call_prefetch(g->in[i]->calls, p->call_hash);
        if (!p->sealed)
            continue;
        g->of[lanes->n] = i;
        proxy_via_hash_seal(&p->seal, p->branch, p->call, g->in[i]->msg->cseq, &p->next, lanes);
    }
    lb_siphash24_lanes(lanes, g->hashes);
    for (uint32_t lane = 0; lane < lanes->n; lane++) {
        struct proxy_prepared *p = g->ret[g->of[lane]];

        if (g->in[g->of[lane]]->msg->kind == SIP_REQUEST)
            p->seal.mac = g->hashes[lane];
        else if (!proxy_seal_mac_equal(p->seal.mac, g->hashes[lane]))
            p->reason = PROXY_DROP_VIA_MAC;
    }
}

void proxy_prepare(const struct proxy_view *view, const struct proxy_input *const *inputs,
                   uint32_t n, struct proxy_prepared *const *ret)
{
    struct group g;

    for (uint32_t at = 0; at < n; at += LB_LANES) {
        g.s = view->snapshot;
        g.in = inputs + at;
        g.ret = ret + at;
        g.n = n - at < LB_LANES ? n - at : LB_LANES;
        read_calls(&g);
        make_branches(&g);
        sign_or_verify(&g);
    }
}
