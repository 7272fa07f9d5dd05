/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots of services: where the messages of each are counted. Snapshots number services anew, a slot
 * stays with its service by name, also while that is away, until all slots were given out. It must
 * not know when workers have left a snapshot. Main only.
 */
#ifndef TANDEM_SERVICES_H
#define TANDEM_SERVICES_H

#include "config/snapshot.h"
#include "dataplane/counters.h"

struct services;

/* Ids and moved counts go into the counters, which must outlive it. NULL: no memory. */
struct services *services_new(struct counters_header *counters);
void services_free(struct services *services);

/* Whether services_assign will find a slot for each service of a checked snapshot; if not, it will
 * after services_reclaim. */
bool services_fit(const struct services *services, const struct snapshot *snapshot);

/* Gives the slots of services that are not in the snapshot assigned last away; what was counted there
 * goes to COUNTERS_SERVICE_GONE. Only while no worker reads an older snapshot than that. */
void services_reclaim(struct services *services);

/* Slots for a snapshot that fits: ret_slots[listeners.n], the slot of each listener's service. */
void services_assign(struct services *services, const struct snapshot *snapshot,
                     uint16_t *ret_slots);

#endif
