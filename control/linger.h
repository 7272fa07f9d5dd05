/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a backend that left the configuration may be forgotten: its time is over, or the data plane
 * counted no call and no message of it for a while. No clock: the times are parameters.
 */
#ifndef TANDEM_CONTROL_LINGER_H
#define TANDEM_CONTROL_LINGER_H

#include "config/counters.h"
#include "control/state.h"

enum { LINGER_IDLE_S = 60 };          /* without calls and messages for so long: its calls ended */

struct linger_watched {
    uint32_t id;
    uint64_t messages;                /* requests and responses, at since_s */
    uint64_t since_s;                 /* CLOCK_MONOTONIC second since when nothing was seen */
};

struct linger {
    struct linger_watched *watched;
    uint32_t n;
};

/* Frees what it holds. */
void linger_done(struct linger *linger);

/*
 * Looks at all lingering backends, about once a second. Returns the id of one to forget, 0: none.
 * `counters` may be NULL (the data plane is absent). Counts are believed only for a backend that
 * left within the counters' epoch: after a restart of the data plane calls go on that it has not
 * counted, whose Route sets still name the backend, and only the time ends those.
 */
uint32_t linger_pick(struct linger *linger, const struct state *state, uint64_t linger_ms,
                     const struct counters_header *counters, uint64_t now_s, uint64_t mono_s);

#endif
