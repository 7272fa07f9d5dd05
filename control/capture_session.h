/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One operator's capture: which messages it wants, how many, and a bounded buffer between them and
 * a client that may be slow: what finds no room there is lost, and counted. It must not know how
 * records are read, nor what else is captured.
 */
#ifndef TANDEM_CONTROL_CAPTURE_SESSION_H
#define TANDEM_CONTROL_CAPTURE_SESSION_H

#include "control/loop.h"
#include "control/rings.h"

enum {
    CAPTURE_LOOK_MS = 20,          /* between two looks at the rings */
    CAPTURE_STALL_MS = 60000,      /* a client that takes nothing for so long is left */
};

struct capture_session;

/*
 * A capture for the client at `fd`, which it takes over (not on failure), waiting to begin. call:
 * snapshot_call_hash, or 0: every message; count: received messages, each with what was made of it,
 * 0: until the client ends it. NULL: no memory.
 */
struct capture_session *capture_session_new(struct loop *loop, int fd, uint64_t call,
                                            uint64_t count);
/* Ends the file if it has begun, and sends what the client takes at once. */
void capture_session_free(struct capture_session *session);

/* What is wanted; false: nothing any more. */
bool capture_session_wants(const struct capture_session *session, uint64_t *ret_call);

/* While it waits: tells the client that it begins, or why it does not, which is then all it gets. */
bool capture_session_waits(const struct capture_session *session);
void capture_session_begin(struct capture_session *session);
void capture_session_refuse(struct capture_session *session, const char *reason);

/* The records that follow are of these rings: a section of the file. The one before ends with its
 * statistics; its rings must still be open. */
void capture_session_section(struct capture_session *session, const struct rings *rings);

/* Offers a record; `gap`: others of its ring before it were lost. */
void capture_session_record(struct capture_session *session, uint32_t ring, bool gap,
                            const struct capture_copy *copy, const char *comment);

/* After each look at the rings: sends; ends when the client asked for it, or has its number, and
 * a look was made since. True: nothing is left to do, free it. */
bool capture_session_turn(struct capture_session *session);

#endif
