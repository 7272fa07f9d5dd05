/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phones that go from one node of the cluster to another: each node tells the others who has come
 * to it, and what it has for a phone that left goes to the node where that is now. Datagrams
 * between the nodes' own ports (dataplane/proxy/cluster.h), each sent once: of one that is lost the
 * next REGISTER makes up for it. What a node missed while it was away it asks for when it starts.
 */
#ifndef TANDEM_STREAM_CLUSTER_H
#define TANDEM_STREAM_CLUSTER_H

#include "control/stream/post.h"

/* Tells the other nodes that a phone has registered here, by the service's own port. Any thread. */
void cluster_tell(struct post *post, const struct snapshot *s, uint32_t service, uint64_t phone);

/* Sends a message that is for a connection of ours to the node where the phone is now that had it.
 * 0; -ENOTCONN: the phone is at no other node, or nobody knows; else as post_send. Any thread. */
int cluster_send(struct post *post, const struct snapshot *s, uint32_t service, uint64_t connection,
                 const char *text, uint32_t length);

/* Asks the other nodes which phones of a part (PHONES_PARTS) are there. Its thread. */
void cluster_ask(struct post *post, const struct snapshot *s, uint32_t part);

/*
 * Takes what came from a peer to one of our own ports, `local`, and may be another node's word.
 * RELAY_HEARD: it is known now; RELAY_FORWARDED: it was a message, and went to its phone;
 * RELAY_DROPPED_UNSENT: it was one, *ret_text, and the phone is not here; RELAY_DROPPED_SENDER: no
 * node said it. Any thread.
 */
enum relay_result cluster_take(struct post *post, const struct snapshot *s,
                               const struct sip_addr *local, const struct sip_addr *peer,
                               struct sip_slice bytes, struct sip_slice *ret_text);

#endif
