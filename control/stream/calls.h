/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call table of what control decides: one for all threads, by the data plane's code, with slots
 * of its own and counts of each thread's, those of messages to and from backends too. It knows no
 * message.
 */
#ifndef TANDEM_STREAM_CALLS_H
#define TANDEM_STREAM_CALLS_H

#include "config/cfg.h"
#include "config/counters.h"
#include "control/stream/view.h"
#include "dataplane/lb/call_table.h"

enum {
    CALLS_SLOTS = 32768,
    CALLS_SWEEP_SLICES = 64, /* a lap of the sweep takes so many calls of calls_sweep */
};

struct calls;

/* For n writers. NULL: no memory. */
struct calls *calls_new(uint64_t entries, uint32_t n_writers);
/* After the last view. */
void calls_free(struct calls *calls);

struct lb_call_table *calls_table(struct calls *calls);

/* What a writer (0 to n - 1) counts by; its own. */
struct lb_call_counts *calls_counts(struct calls *calls, uint32_t writer);

/* A view with slots of this table; as view_new. Main. */
struct view *calls_view(struct calls *calls, const struct snapshot *snapshot,
                        const struct cfg_streams *limits, struct edges *edges);

/* Expires a slice of what is due; slots of backends that are gone come free. Main, the writer 0. */
void calls_sweep(struct calls *calls, uint32_t now_s);

/* Counts a message to or from a slot's backend, as that writer. */
void calls_count_request(struct calls *calls, uint32_t writer, uint16_t slot, bool is_new);
void calls_count_response(struct calls *calls, uint32_t writer, uint16_t slot, uint16_t status);

/* Adds what all threads counted of a slot's backend. Main. */
void calls_add(const struct calls *calls, uint16_t slot, uint64_t ret[COUNTERS_SLOT_COUNT]);

#endif
