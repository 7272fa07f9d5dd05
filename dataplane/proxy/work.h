/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to proxy/: the desk on which one decision is made. It lives on the stack of
 * proxy_decide; the files of this room hand it from step to step. A step that returns bool says
 * whether the next may follow; when it says false it has left its verdict in `out`.
 */
#ifndef TANDEM_PROXY_WORK_H
#define TANDEM_PROXY_WORK_H

#include "dataplane/proxy/proxy.h"
#include "dataplane/proxy/token.h"
#include "dataplane/proxy/via.h"
#include "dataplane/sip/uri.h"

enum {
    PROXY_ROUTES_MAX = 32,   /* Route values a request; more is refused as malformed */
    PROXY_OWN_VIAS_MAX = 5,  /* more of our own Vias: a loop */
    PROXY_RETRY_AFTER_S = 5, /* of a 503: health sees a backend return within a few seconds */
    PROXY_TAG_LENGTH = 16,   /* hex digits of the To-tag of local replies */
};

struct proxy_route {
    const struct sip_field *field;
    struct sip_nameaddr addr;
    bool is_uri;        /* what is in it parses */
    struct sip_uri uri; /* when it does */
};

/* A member that a comment gives a condition means nothing until that holds (request.c's init). */
struct proxy_work {
    const struct proxy_view *view;
    const struct snapshot *s;
    const struct proxy_input *in;
    const struct proxy_prepared *prepared;
    const struct sip_msg *msg;
    const struct snapshot_service *service;
    const struct lb_backend *backends; /* the snapshot's */
    struct proxy_output *out;

    /* The pool that is asked (proxy_enter_pool): NULL before. */
    const struct lb_pool *pool;
    uint32_t pool_index; /* when there is one */

    /* What the call table knows of the Call-ID in that pool (calls.c). */
    uint64_t call_hash; /* when there is a pool */
    bool known;
    struct lb_call call;  /* when known */
    int32_t call_backend; /* LB_NO_BACKEND also when its backend is gone */

    /* The Route set (route.c): of `n` values, [first, end) stay in the message. */
    uint32_t n_routes, first_route, end_route;
    struct proxy_route routes[PROXY_ROUTES_MAX];

    /* The Request-URI as it will be sent, when proxy_check let it pass. */
    struct sip_uri ruri;
    bool ruri_replaced;
    struct sip_slice moved_ruri; /* appended to the Routes for a strict router; length 0: none */

    bool has_token;           /* rule 1 popped one */
    struct proxy_token token; /* when has_token */

    bool next_is_route; /* the target was read from the next Route */
    int32_t replaced;   /* backend whose Routes get out->backend's address */
};

/* Up, busy and draining backends get what belongs to them already. */
static inline bool proxy_backend_lives(const struct lb_backend *backend)
{
    return backend->state < LB_DOWN;
}

static inline bool proxy_is_tls(uint8_t transport)
{
    return transport == SIP_TRANSPORT_TLS || transport == SIP_TRANSPORT_WSS;
}

/* Offset in the message of a byte of it. */
static inline uint32_t proxy_offset(const struct proxy_work *w, const char *at)
{
    return (uint32_t)(at - w->msg->buf);
}

/* reply.c: the verdicts that are not a forward. They return false, for `return proxy_refuse(…)`. */
bool proxy_refuse(struct proxy_work *w, enum proxy_reason reason);
bool proxy_drop(struct proxy_work *w, enum proxy_reason reason);
uint16_t proxy_reason_status(enum proxy_reason reason); /* reason.c; 0: no reply */
/* The To-tag of our replies to a request: the same for its retransmissions and its ACK. */
void proxy_reply_tag(const struct snapshot *s, const struct sip_msg *request,
                     char ret_tag[PROXY_TAG_LENGTH]);

/* check.c */
bool proxy_check(struct proxy_work *w); /* RFC 3261 §16.3 */
/* How many Vias of a message are ours: so often it came past us, and a response will. */
uint32_t proxy_own_vias(const struct proxy_work *w);
/* Whether an option tag of Proxy-Require may pass; an empty element says nothing. */
bool proxy_allows_extension(const struct snapshot *s, const struct snapshot_service *service,
                            struct sip_slice tag);

/* route.c */
bool proxy_routes_read(struct proxy_work *w);
bool proxy_repair_strict(struct proxy_work *w); /* §16.4 */
bool proxy_rule_1_pop(struct proxy_work *w);
/* Undoes the two before, for who is to do the same: but our address without a token stays popped.
 */
void proxy_routes_restore(struct proxy_work *w);
/* The topmost Route that stays; NULL: none. */
const struct proxy_route *proxy_next_route(const struct proxy_work *w);
/* Whether a request must not leave but by TLS: its next Route or Request-URI is a sips: one. */
bool proxy_is_secure(const struct proxy_work *w);
/* The URI of the next hop: of the next Route, else the Request-URI. NULL: it does not parse. */
const struct sip_uri *proxy_next_uri(const struct proxy_work *w);
/* §16.6 step 6: a next Route without lr is a strict router's. */
void proxy_strict_next_hop(struct proxy_work *w);
void proxy_put_request_uri(struct proxy_work *w);
void proxy_put_routes(struct proxy_work *w);

/* ours.c: what is our address, and which address is where. */
bool proxy_uri_addr(const struct sip_uri *uri, struct sip_addr *ret); /* false: no address in it */
/* What its transport parameter says, UDP when it has none; NONE: something unknown. */
enum sip_transport proxy_uri_transport(const struct sip_uri *uri);
bool proxy_addr_is_listener(const struct proxy_work *w, const struct sip_addr *addr);
bool proxy_uri_is_listener(const struct proxy_work *w, const struct sip_uri *uri);
bool proxy_uri_is_domain(const struct proxy_work *w, const struct sip_uri *uri);
bool proxy_uri_is_ours(const struct proxy_work *w, const struct sip_uri *uri);
/* Whether another node of the cluster wrote it, where it receives what the service's backends send.
 */
bool proxy_uri_is_node(const struct proxy_work *w, const struct sip_uri *uri);
/* Our address to send from: the ingress listener when it fits, else the service's first that does.
 */
bool proxy_egress(const struct proxy_work *w, enum sip_transport transport,
                  const struct sip_ip *peer, struct sip_addr *ret_local);
/* The backend of the service's pools with that address, any port; LB_NO_BACKEND. */
int32_t proxy_backend_at(const struct proxy_work *w, const struct sip_addr *addr);

/* stream.c */
/* Whether a flow may be ours to send by: one by a stream is its node's alone. */
bool proxy_stream_reaches(const struct proxy_work *w, const struct proxy_flow *flow);
/* For the node whose flow the token's is, by control's own address; false: there is none such, or
 * the caller has no streams, and out says so. */
bool proxy_stream_relay(struct proxy_work *w);
/* The same of a response that is for out->to, with nothing changed. */
bool proxy_stream_relay_response(struct proxy_work *w);
/* False: what goes to out->to leaves by a stream, the caller has none, and out says so. */
bool proxy_stream_check(struct proxy_work *w);

/* key.c */
/*
 * A keyed hash as one pool has it. Another pool has another for the same text, one to one: what
 * nobody can predict of the hash nobody can of this.
 */
static inline uint64_t proxy_hash_of_pool(uint32_t pool_id, uint64_t hash)
{
    return hash ^ pool_id * 0x9e3779b97f4a7c15u; /* 2^64 by the golden ratio: all bits differ */
}

/* Of a text: of a Call-ID the call table's. */
uint64_t proxy_hash(const struct snapshot *s, uint32_t pool_id, struct sip_slice text);
uint64_t proxy_key(const struct proxy_work *w); /* of rule 6 */

/* trunk.c: who may ask, and which pool is asked. */
bool proxy_source_allowed(const struct proxy_work *w);
uint32_t
proxy_match(const struct proxy_work *w); /* index of the pool of the first match that fits */

/* choose.c: inwards. Sets out->to, backend, rule; false: refused. */
bool proxy_choose(struct proxy_work *w);          /* rules 2 to 7 */
bool proxy_choose_by_match(struct proxy_work *w); /* rules 4 to 7 in the pool that matches */

int32_t proxy_rule_4_call(const struct proxy_work *w); /* LB_NO_BACKEND: it says nothing */
/* Whether an in-dialog request has no backend any more that could know its dialog. */
bool proxy_dialog_is_lost(const struct proxy_work *w);
bool proxy_refuse_dialog(struct proxy_work *w);

/* related.c: the Call-ID that Replaces, Join or Target-Dialog names. Length 0: none. */
enum { PROXY_CALL_ID_MAX = 256 };
struct sip_slice proxy_related_call(const struct sip_msg *msg, char buf[PROXY_CALL_ID_MAX]);

/* outward.c: from a backend. */
bool proxy_choose_outward(struct proxy_work *w);

/* direct.c: mode direct, where backends answer by themselves. */
void proxy_direct(struct proxy_work *w);

/* request.c */
/* Whether it is the ACK to a reply of our own. */
bool proxy_acknowledges_us(const struct proxy_work *w);

/* calls.c */
/* Goes on in a pool: with what the call table knows of the Call-ID there. */
void proxy_enter_pool(struct proxy_work *w, uint32_t pool);
/* Whether it is of the transaction that the entry knows: sent again, or its CANCEL or ACK. */
bool proxy_calls_is_transaction(const struct proxy_work *w);
bool proxy_calls_stays(const struct proxy_work *w); /* that, CANCEL, ACK, or challenged before */
void proxy_calls_inward(struct proxy_work *w);
void proxy_calls_outward(struct proxy_work *w);
void proxy_calls_response(struct proxy_work *w);
/* A request that no backend gets: the caller is told so, which may be the end of a call. */
void proxy_calls_refused(struct proxy_work *w);
/* A request that who has streams decides about anew. */
void proxy_calls_punted(struct proxy_work *w);
/* A request that was decided, and whose stream is gone: its sender is told so. */
void proxy_calls_gone(struct proxy_work *w);
/* Mode direct, which sees what comes from outside only. The pool is entered. */
void proxy_calls_direct_request(struct proxy_work *w);
void proxy_calls_direct_response(struct proxy_work *w);

/* granted.c: the seconds for which a 2xx to REGISTER grants something; 0: nothing is registered. */
uint32_t proxy_granted_s(const struct sip_msg *response);

/* rewrite.c */
void proxy_fill_via(const struct proxy_input *in, const struct snapshot_service *service,
                    bool outside, struct proxy_next_via *ret);
bool proxy_rewrite(struct proxy_work *w);

void proxy_request(struct proxy_work *w);
void proxy_response(struct proxy_work *w);

#endif
