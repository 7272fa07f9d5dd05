/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a probe: how it is written, how its answer is known among others, what that says, and
 * where a message ends in a stream. Pure: no socket, no clock.
 *
 * A probe bears a mark in its branch: 64 bits that nobody can guess, and a number by which whoever
 * sent it finds it again. Its Call-ID is made of them, too. RFC 3261 §11, §17.1.3.
 */
#ifndef TANDEM_CONTROL_HEALTH_PROBE_TEXT_H
#define TANDEM_CONTROL_HEALTH_PROBE_TEXT_H

#include <sys/types.h>

#include "control/health/machine.h"
#include "dataplane/sip/ip.h"
#include "dataplane/sip/msg.h"

enum { PROBE_TEXT_MAX = 1024 };

struct probe_mark {
    uint64_t nonce; /* never 0 */
    uint32_t index;
};

/* Writes a whole OPTIONS, NUL behind. from is where the answer shall come to. Returns its length.
 */
size_t probe_print(enum sip_transport transport, const struct sip_addr *from,
                   const struct sip_addr *to, const struct probe_mark *mark,
                   char ret_text[PROBE_TEXT_MAX]);

/* The mark of a branch; false: it has none. */
bool probe_mark_read(struct sip_slice branch, struct probe_mark *ret);

/* The mark of a probe that is in these bytes, perhaps not whole; false: it is cut off. */
bool probe_mark_find(const char *bytes, size_t length, struct probe_mark *ret);

/* Whether a Call-ID is that of the probe with this mark. */
bool probe_is_call_id(struct sip_slice call_id, const struct probe_mark *mark);

/*
 * Cuts the first message off the beginning of a stream: its length, with *ret its index (header
 * fields only), or that of the line ends before it, with ret->kind SIP_NONE. 0: it is not whole
 * yet. -EBADMSG: this is no SIP. Without Content-Length it has no body. RFC 3261 §18.3, RFC 5626
 * §4.4.1.
 */
ssize_t probe_cut(const char *bytes, size_t length, struct sip_msg *ret);

/* What an answer says: its status, Retry-After, and whether the field that asks for no new calls is
 * there. RFC 3261 §20.33. */
void probe_read(const struct sip_msg *msg, const struct cfg_health *conf, uint32_t latency_us,
                struct machine_answer *ret);

#endif
