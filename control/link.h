/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to the data plane: connects to its socket and again whenever it is gone, takes its HELLO
 * with the memfds of counters, call table and captured messages, carries offers and answers. It decides nothing about
 * snapshots, and believes nothing that the other process wrote before it is checked.
 */
#ifndef TANDEM_CONTROL_LINK_H
#define TANDEM_CONTROL_LINK_H

#include <stddef.h>

#include "config/counters.h"
#include "config/msg.h"
#include "config/snapshot.h"
#include "control/loop.h"
#include "dataplane/lb/call_table.h"

enum {
    LINK_RETRY_MS = 200,              /* between two tries to connect, for ever */
    LINK_HELLO_MS = 2000,             /* a peer that says nothing for so long is left */
    LINK_BURST = 64,                  /* packets that are received before others have their turn */
    LINK_COUNTERS_MAX = 256 << 20,    /* bytes; a greater memfd is refused */
};

/* All called in the loop, never from within a call to link. */
struct link_conf {
    const char *socket;               /* copied */
    void (*on_hello)(void *arg, const struct msg_hello *hello);
    void (*on_answer)(void *arg, const struct msg_answer *answer);   /* reason is terminated */
    /* A message of punt->length bytes (1 to MSG_TEXT_MAX), valid until this returns; nothing else of
     * it is checked. */
    void (*on_punt)(void *arg, const struct msg_punt *punt, const char *text);
    void (*on_gone)(void *arg);       /* after on_hello only */
    void *arg;
};

struct link;

/* Begins to connect in the loop at once. NULL: no memory, or the path is too long for a socket. */
struct link *link_new(struct loop *loop, const struct link_conf *conf);
void link_free(struct link *link);

/* Leaves a data plane that does not answer: on_gone is called at once, and it is looked for again. */
void link_reset(struct link *link);

/* The data plane's HELLO, or NULL while it is absent. */
const struct msg_hello *link_hello(const struct link *link);

/*
 * Offers a snapshot; on_answer follows, or on_gone. Returns 0, -ENOTCONN, or the errno of the memfd
 * (nothing was sent). A socket that fails is taken as gone, on_gone follows.
 */
int link_offer(struct link *link, const struct snapshot *snapshot);

/*
 * A private copy of the counters, each value read whole, and checked: no later write of the data
 * plane can change it. For free(). NULL: absent, malformed (logged), or no memory.
 */
struct counters_header *link_counters(const struct link *link);

/*
 * What is counted for one slot just now, without a copy of all: for who asks often about known slots.
 * False, and nothing in ret: the data plane is absent, or the slot is not that backend's.
 */
bool link_slot(const struct link *link, uint32_t slot, uint32_t id,
               uint64_t ret[COUNTERS_SLOT_COUNT]);

/*
 * Opens the call table for one question: its header is a private copy, so that the data plane
 * cannot change its bounds after the check. NULL: absent or malformed (logged). Close with
 * link_calls_close.
 */
const struct lb_call_table *link_calls_open(const struct link *link);
void link_calls_close(const struct link *link, const struct lb_call_table *calls);

/*
 * Maps the rings of captured messages (config/capture.h), unchecked and read-only: a mapping of the
 * caller's own (munmap), which stays when the data plane is gone. NULL: absent, or no memory (logged).
 */
void *link_capture_map(const struct link *link, size_t *ret_size);

#endif
