/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was counted for a backend, out of what was counted for its slot: a slot that had another
 * backend before keeps that one's totals, which are its new backend's base. Bases are a part of the
 * state, since a restarted control cannot tell them from the counters.
 */
#ifndef TANDEM_CONTROL_TOTALS_H
#define TANDEM_CONTROL_TOTALS_H

#include "config/counters.h"
#include "control/state.h"
#include "dataplane/lb/call_table.h"

/* Slots and backends by id, to look at many of them. */
struct totals;

/* Of a state and counters (NULL: the data plane is absent), which must outlive it. NULL: no memory. */
struct totals *totals_new(const struct state *state, const struct counters_header *counters);
void totals_free(struct totals *totals);

/* The slot of a backend id, or LB_NO_SLOT: it has none. */
uint32_t totals_slot(const struct totals *totals, uint32_t id);

/* What was counted for a backend that has a slot. */
uint64_t totals_of(const struct totals *totals, uint32_t id, enum counters_slot what);

/* Of a backend that has a slot: calls in progress; registrations that it granted and that neither
 * expired nor moved; subscriptions (by SUBSCRIBE, REFER, PUBLISH) heard of in the last two hours.
 */
uint64_t totals_calls(const struct totals *totals, uint32_t id);
uint64_t totals_registrations(const struct totals *totals, uint32_t id);
uint64_t totals_subscriptions(const struct totals *totals, uint32_t id);

/*
 * After the data plane gave slots to a snapshot's backends: those whose slot was not theirs in
 * `before` get its sums in `before` as their base. Nothing counts in a slot that is given away, so
 * it does not matter how long before the offer `before` was read. Returns whether a base changed.
 */
bool totals_rebase(struct state *state, const struct counters_header *before,
                   const struct counters_header *now);

#endif
