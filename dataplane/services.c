/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots of services: see services.h. Nothing but the counters refers to a slot, so that a retired
 * one may go to another service at once when no worker counts in it any more.
 */
#include "dataplane/services.h"

#include <assert.h>
#include <stdlib.h>

#include "dataplane/lb/slots.h"

static_assert((int)COUNTERS_SERVICE_GONE < (int)LB_NO_SLOT, "16 bits hold a slot");

struct services {
    struct counters_header *counters;
    struct lb_slots *slots;
    uint32_t ids[SNAPSHOT_SERVICES_MAX]; /* of a snapshot's services, while they get their slots */
    uint16_t slot_of[SNAPSHOT_SERVICES_MAX];
    uint32_t none_used[COUNTERS_SERVICES]; /* 0: entries of the call table that hold a slot */
};

struct services *services_new(struct counters_header *counters)
{
    struct services *services = calloc(1, sizeof(*services));

    if (services == NULL)
        return NULL;
    services->counters = counters;
    services->slots = lb_slots_new(COUNTERS_SERVICES);
    if (services->slots == NULL) {
        free(services);
        return NULL;
    }
    return services;
}

void services_free(struct services *services)
{
    if (services != NULL)
        lb_slots_free(services->slots);
    free(services);
}

bool services_fit(const struct services *services, const struct snapshot *snapshot)
{
    uint32_t n_free = 0;

    for (uint32_t slot = 0; slot < COUNTERS_SERVICES; slot++)
        n_free += services->slots->use[slot] == LB_SLOT_FREE;
    return n_free >= snapshot->services.n;
}

/* Takes a slot's counts out of its sums and adds them to those that are gone: in main's block. */
static void move_counts(const struct counters_header *counters, uint32_t slot)
{
    uint64_t *here = counters_service_block(counters, 0, slot);
    uint64_t *gone = counters_service_block(counters, 0, COUNTERS_SERVICE_GONE);

    for (int what = 0; what < COUNTERS_SERVICE_COUNT; what++) {
        uint64_t sum = counters_service_sum(counters, slot, (enum counters_service)what);

        counters_add(&gone[what], sum);
        counters_add(&here[what], -sum);
    }
}

void services_reclaim(struct services *services)
{
    uint32_t *ids = counters_service_ids(services->counters);

    for (uint32_t slot = 0; slot < COUNTERS_SERVICES; slot++) {
        if (services->slots->use[slot] != LB_SLOT_RETIRED)
            continue;
        __atomic_store_n(&ids[slot], 0, __ATOMIC_RELAXED);
        move_counts(services->counters, slot);
    }
    lb_slots_sweep_begin(services->slots);
    lb_slots_sweep_end(services->slots, services->none_used);
}

void services_assign(struct services *services, const struct snapshot *snapshot,
                     uint16_t *ret_slots)
{
    const struct snapshot_service *from = snapshot_services(snapshot);
    uint32_t *ids = counters_service_ids(services->counters);
    uint32_t n = snapshot->services.n;
    int status;

    for (uint32_t i = 0; i < n; i++)
        services->ids[i] = snapshot_service_id(snapshot_text(snapshot, from[i].name));
    status = lb_slots_assign(services->slots, services->ids, n, services->slot_of);
    assert(status == 0); /* services_fit said so */
    (void)status;
    for (uint32_t i = 0; i < n; i++)
        __atomic_store_n(&ids[services->slot_of[i]], services->ids[i], __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < snapshot->listeners.n; i++)
        ret_slots[i] = services->slot_of[snapshot_listeners(snapshot)[i].service];
}
