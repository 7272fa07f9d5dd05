/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a message that the data plane gave us: the same decision as there, by the core, and
 * then it is sent, or it turns out which name must be known first. It does not know how names are
 * found.
 */
#ifndef TANDEM_CONTROL_EGRESS_H
#define TANDEM_CONTROL_EGRESS_H

#include "config/msg.h"
#include "config/snapshot.h"
#include "control/sockets.h"
#include "dataplane/proxy/proxy.h"

enum egress_result {
    EGRESS_FORWARDED,
    EGRESS_REPLIED,                   /* to the backend that sent it */
    EGRESS_NAME,                      /* nothing was sent: the name in *ret_name is not known */
    EGRESS_DROPPED_VERDICT,           /* the rules drop it */
    EGRESS_DROPPED_LISTENER,          /* the listener that it came to is gone */
    EGRESS_DROPPED_SENDER,            /* who sent it is no backend any more */
    EGRESS_DROPPED_UNSENT,            /* the kernel refused it */
    EGRESS_RESULTS,
};

struct egress;

/* Sends by `sockets`, which stay the caller's. NULL: no memory. */
struct egress *egress_new(struct sockets *sockets);
void egress_free(struct egress *egress);

/* Decides about a message and sends what comes of it. *ret_name's host lies in `text`. now_s: seconds
 * of a clock that never goes back. */
enum egress_result egress_decide(struct egress *egress, const struct snapshot *snapshot,
                                 const struct msg_punt *punt, const char *text, uint32_t now_s,
                                 struct proxy_name *ret_name);

const char *egress_result_name(enum egress_result result);   /* snake_case, of a counter */

#endif
