/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a message that control has: the same decision as in the data plane, by the core,
 * and then it is sent, or it turns out which name must be known first. One for each thread, and one
 * for what the data plane hands over. It does not know how messages come, nor how names are found.
 */
#ifndef TANDEM_STREAM_RELAY_H
#define TANDEM_STREAM_RELAY_H

#include "control/stream/calls.h"
#include "control/stream/counts.h"
#include "control/stream/post.h"

/* A message, as it came. */
struct relay_message {
    struct proxy_flow from;           /* local: the listener's */
    bool inside;                      /* of what came to the data plane: as proxy_input's */
    const char *text;
    uint32_t length;
};

struct relay;

/* Decides with the calls, counting as that writer, and sends by `post`; both stay the caller's.
 * NULL: no memory. */
struct relay *relay_new(struct calls *calls, uint32_t writer, struct post *post);
void relay_free(struct relay *relay);

/* Decides about a message and sends what comes of it. *ret_name's host lies in its text. now_s:
 * seconds of a clock that never goes back. */
enum relay_result relay_decide(struct relay *relay, const struct view *view,
                               const struct relay_message *message, uint32_t now_s,
                               struct proxy_name *ret_name);

/*
 * What was sent to a flow, the message's `from`, and did not get there: to a request the rules get
 * this status, 503 (RFC 3261 §16.9) or 430 (RFC 5626 §5.3), as if the peer had sent it; what became of
 * it in *ret_result. False: it is nothing to be answered.
 */
bool relay_answer_undelivered(struct relay *relay, const struct view *view,
                              const struct relay_message *message, uint16_t status, uint32_t now_s,
                              enum relay_result *ret_result);

/* Answers a request whose stream cannot go on: its header section, and 400, 413 or 513. */
enum relay_result relay_refuse(struct relay *relay, const struct view *view,
                               const struct relay_message *message, uint16_t status);

#endif
