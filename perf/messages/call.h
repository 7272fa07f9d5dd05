/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages that phones and backends send during calls and registrations, as they arrive at
 * Tandem. What is Tandem's in them (its Via in responses, its Route in requests within a dialog) is
 * made by the core itself, under the benchmark's configuration and secret, so that every signature
 * verifies; each message is then tried on the core, and must be forwarded.
 */
#ifndef TANDEM_PERF_CALL_H
#define TANDEM_PERF_CALL_H

#include "perf/messages/text.h"
#include "perf/messages/world.h"

enum call_kind {
    CALL_INVITE,
    CALL_RINGING, /* 180 */
    CALL_ANSWER,  /* 200 to INVITE */
    CALL_ACK,
    CALL_BYE,
    CALL_BYE_OK, /* 200 to BYE */
    CALL_REGISTER,
    CALL_REGISTERED, /* 200 to REGISTER */
    CALL_KIND_COUNT,
};

struct call_message {
    struct sip_addr from, to;
    uint8_t kind; /* enum call_kind */
    uint32_t length;
    char bytes[TEXT_MESSAGE_MAX];
};

enum { CALL_MESSAGES = CALL_REGISTER, CALL_REGISTRATION_MESSAGES = 2 };

/*
 * Call number `number`: its messages in the order in which they are sent, ret[CALL_INVITE] to
 * ret[CALL_BYE_OK]. What is random comes from *random, the order of header fields too. 0; -EPROTO
 * when the core would not forward one, with a line on stderr.
 */
int call_make(struct world *world, struct text_random *random, uint32_t number,
              struct call_message ret[CALL_MESSAGES]);

/* The same: a REGISTER and its 200. */
int call_make_registration(struct world *world, struct text_random *random, uint32_t number,
                           struct call_message ret[CALL_REGISTRATION_MESSAGES]);

const char *call_kind_name(enum call_kind kind);

#endif
