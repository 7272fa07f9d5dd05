/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call's messages on the stage, a line each: who sends it, what, on which branch. Their Call-ID
 * is "calls", and who answers goes back on the Vias of what was sent on that branch.
 */
#ifndef TANDEM_TEST_PROXY_MESSAGE_H
#define TANDEM_TEST_PROXY_MESSAGE_H

#include "tests/unit/dataplane/proxy/stage.h"

#define MESSAGE_CALLER "203.0.113.5:5060"

enum { MESSAGE_NOT_KNOWN = -1 };

struct message {
    const char *from;
    const char *start;  /* METHOD, or STATUS METHOD for a response */
    const char *branch; /* the sender's; "k1/1": a backend passes on what was sent on branch 1 */
    bool to_tag;
    int state; /* enum lb_call_state after it, or MESSAGE_NOT_KNOWN */
};

/* Header fields that the next message has beside its own; each ends with \n. */
extern const char *message_fields;
extern const char *message_call_id; /* "calls" */

/* Each is forwarded. */
void message_request(struct stage *stage, const struct message *m);
void message_response(struct stage *stage, const struct message *m);
void message_play(struct stage *stage, const struct message *m, size_t n);

/* A request that we answer instead. */
void message_refused(struct stage *stage, const struct message *m, enum proxy_reason reason);

/* What the table knows of the call. */
struct proxy_why message_ask(struct stage *stage);

/* Empties the call table. */
void message_forget(struct stage *stage);

#endif
