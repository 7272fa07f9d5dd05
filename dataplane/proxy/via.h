/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our Via: the branch that a stateless proxy derives from the message (RFC 3261 §16.11), and a
 * signed parameter with the ingress, so that the response finds its way back and nobody bounces
 * traffic off us. What is hashed is said here; when, by who hashes many at once.
 */
#ifndef TANDEM_PROXY_VIA_H
#define TANDEM_PROXY_VIA_H

#include "config/snapshot.h"
#include "dataplane/proxy/flow.h"
#include "dataplane/sip/edit.h"
#include "dataplane/sip/msg.h"

enum {
    PROXY_SIP_PORT = 5060,
    PROXY_SIPS_PORT = 5061,
    PROXY_WS_PORT = 80,
    PROXY_WSS_PORT = 443,
    PROXY_BRANCH_LENGTH = 23, /* cookie and 16 hex digits */
};

/* What the sender's Via says after we filled in received and rport. */
struct proxy_next_via {
    bool sent_by_is_ip;
    struct sip_ip sent_by_ip;      /* when it is an address */
    struct sip_slice sent_by_host; /* when it is a name */
    uint16_t sent_by_port;         /* the transport's default when none is written */
    uint16_t rport;                /* 0: none */
    struct sip_ip received;        /* all zero: no received */
};

/* What our parameter says: how the request came, and the key and the MAC that sign it. */
struct proxy_via_seal {
    const struct snapshot_mac_key *key;
    uint64_t mac;
    struct sip_addr local; /* ours, to which it came */
    uint8_t transport;     /* enum sip_transport */
    uint32_t node;         /* of a stream, as in a proxy_flow; else 0 */
    uint64_t connection;
};

/* Whether a branch identifies its transaction alone (RFC 3261 §17.2.3); else it is RFC 2543's. */
bool proxy_via_branch_is_unique(struct sip_slice branch);

/* Host, and port or its transport's default: backends add and remove that one. */
void proxy_via_sent_by(const struct sip_via *via, struct proxy_next_via *ret);

/*
 * Adds a lane for what our branch is made of: a request's transaction, the same for its
 * retransmissions, its CANCEL and the ACK to its failure, under a key that never rotates. Sent-by
 * as proxy_via_sent_by() has it; `call` is the Call-ID's keyed hash. The lanes have
 * PROXY_VIA_TEXTS.
 */
enum { PROXY_VIA_TEXTS = 2 };
void proxy_via_hash_branch(const struct snapshot *s, const struct sip_msg *request,
                           const struct proxy_next_via *sent_by, uint64_t call,
                           struct lb_lanes *lanes);

/* The number that our branch of a message shows. 0, or -EACCES: it is none that we write. */
int proxy_via_read_branch(struct sip_slice branch, uint64_t *ret);

/* Adds a lane, without texts, for the MAC: so that a seal is good for no other transaction, and to
 * go nowhere else. `call` is the Call-ID's keyed hash. */
void proxy_via_hash_seal(const struct proxy_via_seal *seal, uint64_t branch, uint64_t call,
                         uint32_t cseq, const struct proxy_next_via *next, struct lb_lanes *lanes);

/*
 * Puts `Via: SIP/2.0/UDP …CRLF` with a signed seal into an open splice, for what goes to that flow;
 * sent-by is our address, at the front of an array of SIP_ADDR_TEXT_ROOM bytes. With `alias` (RFC
 * 5923 §6) where the connection may be one that we make: the peer may send requests back by it.
 */
void proxy_via_put(struct sip_edit *edit, const struct proxy_flow *to, struct sip_slice sent_by,
                   uint64_t branch, const struct proxy_via_seal *seal);

/* Whether a via-parm is one of ours, sent-by a listener's (most likely that one's), with our
 * parameter; its value then. */
bool proxy_via_is_ours(const struct snapshot *s, uint32_t likely, const struct sip_via *via,
                       struct sip_slice *ret_value);

/* Reads a seal out of our parameter's value. 0, or -EACCES: nothing that we could have signed. */
int proxy_via_read(const struct snapshot *s, struct sip_slice value, struct proxy_via_seal *ret);

#endif
