/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our Via: the branch that a stateless proxy derives from the message (RFC 3261 §16.11), and a
 * signed parameter with the ingress, so that the response finds its way back and nobody bounces
 * traffic off us.
 */
#ifndef TANDEM_PROXY_VIA_H
#define TANDEM_PROXY_VIA_H

#include "config/snapshot.h"
#include "dataplane/proxy/flow.h"
#include "dataplane/sip/edit.h"
#include "dataplane/sip/msg.h"

enum { PROXY_SIP_PORT = 5060, PROXY_SIPS_PORT = 5061 };

/* What the sender's Via says after we filled in received and rport. */
struct proxy_next_via {
    struct sip_slice sent_by_host;
    uint16_t sent_by_port;  /* the transport's default when none is written */
    struct sip_ip received; /* all zero: no received */
    uint16_t rport;         /* 0: none */
};

/* Whether a branch identifies its transaction alone (RFC 3261 §17.2.3); else it is RFC 2543's. */
bool proxy_via_branch_is_unique(struct sip_slice branch);

/*
 * What our branch is made of: of a request's transaction, the same for its retransmissions, its
 * CANCEL and the ACK to its failure, under a key that never rotates.
 */
uint64_t proxy_via_transaction(const struct snapshot *s, const struct sip_msg *request);

/* Puts `Via: SIP/2.0/UDP …CRLF` into an open splice: sent-by = `to->local`, ingress = `from`. */
void proxy_via_put(struct sip_edit *edit, const struct snapshot *s, const struct sip_msg *request,
                   const struct proxy_flow *from, const struct proxy_flow *to,
                   const struct proxy_next_via *next);

/*
 * Verifies a response's top Via as ours against the next Via, Call-ID and CSeq number, so that it
 * is good for no other transaction, and gives the ingress (transport and our local address).
 * Returns 0; -ENOENT not ours; -EACCES ours, but the MAC does not verify.
 */
int proxy_via_verify(const struct snapshot *s, const struct sip_msg *response,
                     const struct proxy_next_via *next, struct proxy_flow *ret_ingress);

/* The port of sent-by, or its transport's default: backends add and remove that one. */
uint16_t proxy_via_port(const struct sip_via *via);

/* Whether a via-parm is one of ours: sent-by a listener's, with our parameter. For loop detection.
 */
bool proxy_via_is_ours(const struct snapshot *s, const struct sip_via *via);

#endif
