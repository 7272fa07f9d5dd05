/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Totals of backends: see totals.h.
 */
#include "control/totals.h"

#include <string.h>

uint32_t totals_slot(const struct counters_header *counters, uint32_t id)
{
    for (uint32_t slot = 0; counters != NULL && slot < counters->n_slots; slot++) {
        if (counters_slot_ids(counters)[slot] == id)
            return slot;
    }
    return LB_NO_SLOT;
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
    bool changed = false;

    if (before == NULL || now == NULL || before->epoch != now->epoch ||
        before->n_slots != now->n_slots)
        return false;
    for (uint32_t i = 0; i < state->n_backends; i++) {
        struct state_backend *b = &state->backends[i];
        uint32_t slot = totals_slot(now, b->id);
        uint64_t base[COUNTERS_SLOT_COUNT];

        if (slot == LB_NO_SLOT || counters_slot_ids(before)[slot] == b->id)
            continue;
        for (int what = 0; what < COUNTERS_SLOT_COUNT; what++)
            base[what] = counters_slot_sum(before, slot, (enum counters_slot)what);
        changed |= base_take(b, base, now->epoch);
    }
    return changed;
}

uint64_t totals_of(const struct state *state, const struct counters_header *counters, uint32_t id,
                   uint32_t slot, enum counters_slot what)
{
    const struct state_backend *b = state_by_id(state, id);
    uint64_t sum = counters_slot_sum(counters, slot, what);

    /* A base greater than the sum is none: the slot began anew. */
    if (b == NULL || b->base_epoch != counters->epoch || b->base[what] > sum)
        return sum;
    return sum - b->base[what];
}
