/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of services: see service_counts.h.
 */
#include "control/service_counts.h"

#include <stdlib.h>

#include "config/snapshot.h"

struct entry {
    uint32_t id, slot;
};

struct service_counts {
    const struct counters_header *counters;
    uint32_t n;
    struct entry entries[]; /* by id */
};

static int by_id(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;

    return (a->id > b->id) - (a->id < b->id);
}

struct service_counts *service_counts_new(const struct counters_header *counters)
{
    uint32_t n_slots = counters == NULL ? 0 : counters->n_services;
    struct service_counts *counts = calloc(1, sizeof(*counts) + n_slots * sizeof(struct entry));

    if (counts == NULL)
        return NULL;
    counts->counters = counters;
    for (uint32_t slot = 0; slot < n_slots; slot++) {
        uint32_t id = counters_service_ids(counters)[slot];

        if (id != 0)
            counts->entries[counts->n++] = (struct entry){id, slot};
    }
    qsort(counts->entries, counts->n, sizeof(counts->entries[0]), by_id);
    return counts;
}

void service_counts_free(struct service_counts *counts)
{
    free(counts);
}

bool service_counts_of(const struct service_counts *counts, struct sip_slice name,
                       uint64_t ret[COUNTERS_SERVICE_COUNT])
{
    const struct entry key = {.id = snapshot_service_id(name)};
    const struct entry *entry =
        bsearch(&key, counts->entries, counts->n, sizeof(counts->entries[0]), by_id);

    if (entry == NULL)
        return false;
    for (int what = 0; what < COUNTERS_SERVICE_COUNT; what++)
        ret[what] =
            counters_service_sum(counts->counters, entry->slot, (enum counters_service)what);
    return true;
}
