/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nodes of a cluster tell each other besides SIP, as a datagram between their own ports,
 * signed by the cluster's keys: which phones have come to them, and what is for a phone that left.
 * For who has streams. It does not know who is where.
 */
#ifndef TANDEM_PROXY_CLUSTER_H
#define TANDEM_PROXY_CLUSTER_H

#include "config/snapshot.h"

/* Phones are numbers that are the same on all nodes, never 0. */
enum proxy_cluster_kind {
    PROXY_CLUSTER_CAME = 1, /* phones that have just registered with the sender */
    PROXY_CLUSTER_ASK,      /* which of one part of all phones are with you? */
    PROXY_CLUSTER_HERE,     /* the answer: these */
    PROXY_CLUSTER_SEND,     /* a message as it is for a phone that is with you */
    PROXY_CLUSTER_KINDS,
};

struct proxy_cluster_word {
    enum proxy_cluster_kind kind;
    uint32_t node;         /* the sender's (snapshot_node_id) */
    uint64_t about;        /* of SEND the phone, of ASK the part; else 0 */
    struct sip_slice text; /* of SEND the message; of CAME and HERE phones (proxy_cluster_phone) */
};

/* What is in front of the text. */
enum { PROXY_CLUSTER_HEAD = 28, PROXY_CLUSTER_PHONE = 8 };

/* Writes the head for a word, signed with the current key; its text, not copied, goes behind it. */
void proxy_cluster_print(const struct snapshot *s, const struct proxy_cluster_word *word,
                         char ret_head[PROXY_CLUSTER_HEAD]);

/* Whether a datagram begins as a word does, and no SIP, no keep-alive and no STUN. */
bool proxy_cluster_may_be(const char *bytes, uint32_t n);

/* Reads and verifies one, by the key that it names; the text lies in the bytes. 0; -EACCES: it is
 * none, or does not verify, and *ret is untouched. */
int proxy_cluster_parse(const struct snapshot *s, const char *bytes, uint32_t n,
                        struct proxy_cluster_word *ret);

/* A phone in a text of CAME or HERE: written, and the one at a place (whole ones only; 0: none). */
void proxy_cluster_put_phone(uint64_t phone, char ret[PROXY_CLUSTER_PHONE]);
uint64_t proxy_cluster_phone(struct sip_slice text, uint32_t place);

#endif
