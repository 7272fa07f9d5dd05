/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Totals of backends: see totals.h.
 */
#include "control/totals.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    uint32_t id, slot;
    const struct state_backend *backend; /* NULL: the state does not know it */
};

struct totals {
    const struct counters_header *counters;
    struct entry *entries; /* by id, then slot */
    uint32_t n;
};

static int by_id(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;

    return a->id != b->id ? (a->id > b->id) - (a->id < b->id)
                          : (a->slot > b->slot) - (a->slot < b->slot);
}

/* The first entry of an id, or NULL. */
static struct entry *find(const struct totals *totals, uint32_t id)
{
    uint32_t low = 0, high = totals->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (totals->entries[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < totals->n && totals->entries[low].id == id ? &totals->entries[low] : NULL;
}

struct totals *totals_new(const struct state *state, const struct counters_header *counters)
{
    uint32_t n_slots = counters == NULL ? 0 : counters->n_slots;
    struct totals *totals = calloc(1, sizeof(*totals));

    if (totals == NULL)
        return NULL;
    totals->counters = counters;
    totals->entries = calloc(n_slots + 1u, sizeof(*totals->entries));
    if (totals->entries == NULL) {
        free(totals);
        return NULL;
    }
    for (uint32_t slot = 0; slot < n_slots; slot++) {
        uint32_t id = counters_slot_ids(counters)[slot];

        if (id != 0)
            totals->entries[totals->n++] = (struct entry){.id = id, .slot = slot};
    }
    qsort(totals->entries, totals->n, sizeof(*totals->entries), by_id);
    for (uint32_t i = 0; i < state->n_backends; i++) {
        struct entry *entry = find(totals, state->backends[i].id);

        if (entry != NULL)
            entry->backend = &state->backends[i];
    }
    return totals;
}

void totals_free(struct totals *totals)
{
    if (totals != NULL)
        free(totals->entries);
    free(totals);
}

uint32_t totals_slot(const struct totals *totals, uint32_t id)
{
    const struct entry *entry = find(totals, id);

    return entry == NULL ? LB_NO_SLOT : entry->slot;
}

/* Gives a backend its base, or none where nothing was counted. Whether that is a change. */
static bool base_take(struct state_backend *b, const uint64_t base[COUNTERS_SLOT_COUNT],
                      uint64_t epoch)
{
    bool any = false, had = b->base_epoch == epoch;

    for (int what = 0; what < COUNTERS_SLOT_COUNT; what++)
        any |= base[what] != 0;
    b->base_epoch = any ? epoch : 0;
    memcpy(b->base, base, sizeof(b->base));
    return any || had;
}

bool totals_rebase(struct state *state, const struct counters_header *before,
                   const struct counters_header *now)
{
    struct totals *totals;
    bool changed = false;

    if (before == NULL || now == NULL || before->epoch != now->epoch ||
        before->n_slots != now->n_slots)
        return false;
    totals = totals_new(state, now);
    for (uint32_t i = 0; totals != NULL && i < state->n_backends; i++) {
        struct state_backend *b = &state->backends[i];
        uint32_t slot = totals_slot(totals, b->id);
        uint64_t base[COUNTERS_SLOT_COUNT];

        if (slot == LB_NO_SLOT || counters_slot_ids(before)[slot] == b->id)
            continue;
        for (int what = 0; what < COUNTERS_SLOT_COUNT; what++)
            base[what] = counters_slot_sum(before, slot, (enum counters_slot)what);
        changed |= base_take(b, base, now->epoch);
    }
    totals_free(totals);
    return changed;
}

uint64_t totals_of(const struct totals *totals, uint32_t id, enum counters_slot what)
{
    const struct entry *entry = find(totals, id);
    const struct state_backend *b = entry->backend;
    uint64_t sum = counters_slot_sum(totals->counters, entry->slot, what);

    /* A base greater than the sum is none: the slot began anew. */
    if (b == NULL || b->base_epoch != totals->counters->epoch || b->base[what] > sum)
        return sum;
    return sum - b->base[what];
}

static uint64_t in_progress(const struct totals *totals, uint32_t id, enum counters_slot begun,
                            enum counters_slot over)
{
    uint64_t started = totals_of(totals, id, begun), ended = totals_of(totals, id, over);

    /* The two are read apart, so clamp at 0. What was before the base is over: its difference is
     * what was miscounted. */
    return started > ended ? started - ended : 0;
}

uint64_t totals_calls(const struct totals *totals, uint32_t id)
{
    return in_progress(totals, id, COUNTERS_SLOT_STARTED, COUNTERS_SLOT_ENDED);
}

uint64_t totals_registrations(const struct totals *totals, uint32_t id)
{
    return in_progress(totals, id, COUNTERS_SLOT_REGISTRATIONS_STARTED,
                       COUNTERS_SLOT_REGISTRATIONS_ENDED);
}

uint64_t totals_subscriptions(const struct totals *totals, uint32_t id)
{
    return in_progress(totals, id, COUNTERS_SLOT_SUBSCRIPTIONS_STARTED,
                       COUNTERS_SLOT_SUBSCRIPTIONS_ENDED);
}
