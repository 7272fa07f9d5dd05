/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a stateless proxy (RFC 3261 §16, §16.11) as Tandem plays it: message, flow it came
 * by, snapshot and call table in; forward, reply, drop or punt out. It decides; its caller sends.
 * Pure: no clock, no socket, no log, no allocation. Both planes run it.
 */
#ifndef TANDEM_PROXY_PROXY_H
#define TANDEM_PROXY_PROXY_H

#include "config/snapshot.h"
#include "dataplane/lb/call_table.h"
#include "dataplane/proxy/flow.h"
#include "dataplane/proxy/via.h"
#include "dataplane/sip/edit.h"
#include "dataplane/sip/msg.h"

enum proxy_verdict { PROXY_FORWARD, PROXY_REPLY, PROXY_DROP, PROXY_PUNT };

/* Why. One counter each; the name of a drop begins with drop_, of a reply with its status. */
enum proxy_reason {
    PROXY_FORWARDED_REQUEST,
    PROXY_FORWARDED_RESPONSE,
    PROXY_REPLY_200_OPTIONS,
    PROXY_REPLY_400_MALFORMED,
    PROXY_REPLY_403_SOURCE, /* from outside, and in none of the service's sources */
    PROXY_REPLY_403_TOKEN,
    PROXY_REPLY_404_NO_ROUTE, /* from a backend, and nowhere to go */
    PROXY_REPLY_416_SCHEME,
    PROXY_REPLY_420_EXTENSION,
    PROXY_REPLY_430_FLOW,
    PROXY_REPLY_480_SIPS, /* for a sips: URI, and who it is for has no flow by TLS */
    PROXY_REPLY_482_LOOP,
    PROXY_REPLY_483_HOPS,
    PROXY_REPLY_503_NO_BACKEND,
    PROXY_REPLY_503_DRAINING, /* OPTIONS to a node that drains */
    PROXY_REPLY_503_NAME,     /* from a backend, and DNS does not answer for the next hop */
    PROXY_REPLY_505_VERSION,
    PROXY_REPLY_200_STUN, /* a Binding request: not SIP, its success counted as 200 */
    PROXY_REPLY_420_STUN, /* its error of that number: attributes that we do not know */
    PROXY_DROP_KEEPALIVE, /* absorbed, nobody's fault */
    PROXY_DROP_STUN,      /* of STUN, and no Binding request that could be answered */
    PROXY_DROP_NOT_SIP,
    PROXY_DROP_MALFORMED_RESPONSE,
    PROXY_DROP_ACK,           /* would have been answered, but ACK never is; or is ours to absorb */
    PROXY_DROP_VIA_NOT_OURS,  /* response whose top Via is another's */
    PROXY_DROP_VIA_MAC,       /* …claims to be ours and does not verify */
    PROXY_DROP_VIA_NONE_LEFT, /* response with nobody behind us */
    PROXY_DROP_UNANSWERABLE,  /* malformed beyond an answer */
    PROXY_DROP_NO_BACKEND,    /* a response in mode direct, and no backend lives */
    PROXY_DROP_FLOW,          /* a response whose stream is gone, or another node's */
    PROXY_DROP_TOO_MANY_EDITS, /* edits do not fit the edit list */
    PROXY_PUNT_NAME,   /* next hop is a name that the snapshot does not know: control resolves it */
    PROXY_PUNT_STREAM, /* it leaves by a stream, of which the caller has none: control decides */
    PROXY_REASON_COUNT,
};

/* Which rule of DESIGN section 3 chose the target. */
enum proxy_rule {
    PROXY_RULE_NONE,
    PROXY_RULE_ROUTE,    /* 2: next Route or Request-URI is a backend's address */
    PROXY_RULE_TOKEN,    /* 3: the popped token names a backend */
    PROXY_RULE_CALL,     /* 4: the call table knows the Call-ID */
    PROXY_RULE_REPLACES, /* 5: Replaces, Join, Target-Dialog */
    PROXY_RULE_TABLE,    /* 6: the pool's table */
    PROXY_RULE_FLOW,     /* outwards: the token's flow */
    PROXY_RULE_NEXT_HOP, /* outwards: address of the next Route or Request-URI */
    PROXY_RULE_NODE,     /* outwards: to the node of the cluster whose flow the token's is */
    PROXY_RULE_VIA,      /* a response: next Via */
    PROXY_RULE_COUNT,
};

/* How a message that is forwarded leaves. */
enum proxy_means {
    PROXY_REWRITTEN, /* with the edit, from to.local to to.peer */
    PROXY_BY_MAC,    /* mode direct: the datagram as it came, to the MAC address of to.peer */
    PROXY_BY_TUNNEL, /* mode direct: as it came, inside IP from to.local.ip to to.peer.ip */
};

/* What a worker reads besides the message: one snapshot and how its backends map to slots. */
struct proxy_view {
    const struct snapshot *snapshot;
    const uint16_t *slot_of; /* [backends.n] slot of a snapshot backend */
    const int32_t
        *backend_of; /* [n_slots] index in the snapshot of a slot's id, or LB_NO_BACKEND */
    uint32_t n_slots;
    bool has_streams; /* the caller can send by one: control */
};

/* The backend of a slot of the call table; LB_NO_BACKEND: it is gone. */
static inline int32_t proxy_backend_of_slot(const struct proxy_view *view, uint16_t slot)
{
    return slot < view->n_slots ? view->backend_of[slot] : LB_NO_BACKEND;
}

/* What was found out about a message ahead of the decision, by hashing above all. */
struct proxy_prepared {
    int32_t sender;             /* backend index of the sender, or LB_NO_BACKEND: outside */
    bool by_node;               /* a request of that backend's, relayed by another node: peer is its
                                   address */
    uint32_t pool;              /* index of the sender's pool, or of the service's own */
    uint64_t call;              /* keyed hash of the Call-ID */
    uint64_t call_hash;         /* the call table's, of that and the pool */
    bool sealed;                /* our Via is known, as below */
    enum proxy_reason reason;   /* of a response: why it is dropped, or FORWARDED_RESPONSE */
    struct proxy_next_via next; /* a request's top Via as filled in; a response's, behind ours */
    struct proxy_via_seal seal; /* of our Via */
    uint64_t branch;            /* our Via's: what identifies the transaction, in responses too */
    bool has_peer;              /* of a response: whether its Vias say where it goes; see by_node */
    struct sip_addr peer;
};

struct proxy_input {
    const struct sip_msg *msg;
    struct proxy_flow from; /* local = the listener's address and port */
    uint32_t listener;      /* index in the snapshot */
    bool inside;            /* the frame may come from a backend (port zone, MAC) */
    uint32_t now_s;         /* seconds of the call table */
    struct lb_call_table *calls;
    struct lb_call_counts *counts;         /* the caller's own */
    const struct proxy_prepared *prepared; /* NULL: proxy_decide prepares it */
};

/* A next hop that is a name: what snapshot_find_name is asked for. */
struct proxy_name {
    struct sip_slice host; /* in the message, as it stands there */
    uint16_t port;         /* 0: none written */
    uint8_t transport;     /* enum sip_transport; NONE: not given; of sips: TLS or WSS */
};

struct proxy_output {
    enum proxy_verdict verdict;
    enum proxy_reason reason;
    enum proxy_rule rule;
    enum proxy_means means; /* of a forward */
    uint16_t status;        /* of a reply */
    uint16_t retry_after_s; /* of a 503; 0: none */
    int32_t sender;         /* backend index of the sender, or LB_NO_BACKEND: outside */
    int32_t backend;        /* backend index it goes to, or LB_NO_BACKEND */
    struct proxy_flow to;   /* where to send: forward and reply */
    struct proxy_name name; /* of PROXY_PUNT_NAME: what control resolves; of PROXY_RULE_NEXT_HOP by
                               a stream: whom the URI names, for whom it must be */
    struct sip_edit edit;   /* of a forwarded message */
};

/*
 * Decides about one indexed datagram (also one with msg->error). Changes the call table as the
 * rules say. Any worker thread. Fills *ret whatever comes.
 */
void proxy_decide(const struct proxy_view *view, const struct proxy_input *input,
                  struct proxy_output *ret);

/*
 * In the place of a forward by a stream that turns out to be gone: *ret, as proxy_decide filled it
 * for the same input, becomes 430 to the sender of a request, but for an ACK, and a drop of a
 * response. The call table learns of it. For who has streams.
 */
void proxy_flow_gone(const struct proxy_view *view, const struct proxy_input *input,
                     struct proxy_output *ret);

/*
 * Prepares n indexed datagrams for proxy_decide, for the same view: ret[i] for inputs[i]. Many cost
 * less than each alone: they are hashed side by side, and what is looked up of the call table is on
 * its way when the decisions begin. Of no messages there need be no view. Any worker thread.
 */
void proxy_prepare(const struct proxy_view *view, const struct proxy_input *const *inputs,
                   uint32_t n, struct proxy_prepared *const *ret);

/*
 * The backend that a prepared message is probably of, by the call table or the table of its pool;
 * LB_NO_BACKEND where they do not say. Asks for its memory, so that proxy_decide need not wait for
 * it, once others of the burst were foreseen, too. Any worker thread.
 */
int32_t proxy_foresee(const struct proxy_view *view, const struct proxy_input *input);

/*
 * Writes the local reply that proxy_decide asked for: all Vias (received and rport filled in),
 * From, To with a To-tag that retransmissions repeat, Call-ID, CSeq, what the status needs
 * (Retry-After, Unsupported, Accept; a proxy's 200 to OPTIONS has no Allow: RFC 3261 §11.2), and
 * Content-Length 0. A Binding request gets STUN's answer. Returns its length or -ENOSPC.
 */
int32_t proxy_reply_print(const struct proxy_view *view, const struct proxy_input *input,
                          const struct proxy_output *output, char *ret_text, size_t size);

/* snake_case, stable: names of counters and metrics. */
const char *proxy_reason_name(enum proxy_reason reason);
const char *proxy_rule_name(enum proxy_rule rule); /* "rule 4: the call table knows the Call-ID" */

/* The answer to `why CALL-ID` for one pool, without changing anything. */
struct proxy_why {
    uint64_t hash;     /* of pool and Call-ID: the call table's */
    uint64_t key_hash; /* of the pool's INVITE key, when that is the Call-ID */
    uint32_t table_position;
    int32_t table_backend; /* rule 6's choice now; LB_NO_BACKEND */
    bool in_table;
    struct lb_call call; /* when in_table */
    int32_t call_backend;
    enum proxy_rule rule; /* PROXY_RULE_CALL or PROXY_RULE_TABLE, or NONE (key not the Call-ID) */
    int32_t backend;      /* the outcome */
};

void proxy_why(const struct proxy_view *view, uint32_t pool, struct sip_slice call_id,
               const struct lb_call_table *calls, uint32_t now_s, struct proxy_why *ret);

#endif
