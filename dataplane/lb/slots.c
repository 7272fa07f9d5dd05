/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives slots to backend ids and takes them back. It knows ids alone, and neither reads the call
 * table nor decides when it is swept.
 */
#include "dataplane/lb/slots.h"

#include <errno.h>
#include <stdlib.h>

struct lb_slots *lb_slots_new(uint32_t n)
{
    struct lb_slots *slots;
    uint32_t places = 2;

    if (n > LB_SLOTS_MAX)
        return NULL;
    while (places < 2 * n)
        places *= 2;
    slots = calloc(1, sizeof *slots);
    if (slots == NULL)
        return NULL;
    slots->n = n;
    slots->index_mask = places - 1;
    slots->ids = calloc((size_t)n + 1, sizeof *slots->ids);
    slots->use = calloc((size_t)n + 1, sizeof *slots->use);
    slots->index = calloc(places, sizeof *slots->index);
    if (slots->ids == NULL || slots->use == NULL || slots->index == NULL) {
        lb_slots_free(slots);
        return NULL;
    }
    return slots;
}

void lb_slots_free(struct lb_slots *slots)
{
    if (slots == NULL)
        return;
    free(slots->index);
    free(slots->use);
    free(slots->ids);
    free(slots);
}

/* Where the index has the id, or the empty place where it belongs. At least half are empty. */
static uint32_t index_place(const struct lb_slots *slots, uint32_t id)
{
    uint32_t place = (id * 2654435769u) >> 15 & slots->index_mask;

    while (slots->index[place] != LB_NO_SLOT && slots->ids[slots->index[place]] != id)
        place = (place + 1) & slots->index_mask;
    return place;
}

/* Indexes the slots that hold an id by it; how many are free. */
static uint32_t index_build(struct lb_slots *slots)
{
    uint32_t n_free = 0;

    for (uint32_t place = 0; place <= slots->index_mask; place++)
        slots->index[place] = LB_NO_SLOT;
    for (uint32_t slot = 0; slot < slots->n; slot++) {
        if (slots->use[slot] == LB_SLOT_FREE)
            n_free++;
        else
            slots->index[index_place(slots, slots->ids[slot])] = (uint16_t)slot;
    }
    return n_free;
}

int lb_slots_assign(struct lb_slots *slots, const uint32_t *ids, uint32_t n_ids,
                    uint16_t *ret_slots)
{
    uint32_t n_free = index_build(slots), n_new = 0, next = 0;

    for (uint32_t i = 0; i < n_ids; i++)
        n_new += slots->index[index_place(slots, ids[i])] == LB_NO_SLOT;
    if (n_new > n_free)
        return -ENOSPC;
    for (uint32_t slot = 0; slot < slots->n; slot++)
        if (slots->use[slot] == LB_SLOT_USED)
            slots->use[slot] = LB_SLOT_RETIRED;
    for (uint32_t i = 0; i < n_ids; i++) {
        uint32_t place = index_place(slots, ids[i]);

        if (slots->index[place] == LB_NO_SLOT) {
            while (slots->use[next] != LB_SLOT_FREE)
                next++;
            slots->ids[next] = ids[i];
            slots->index[place] = (uint16_t)next;
        }
        ret_slots[i] = slots->index[place];
        slots->use[ret_slots[i]] = LB_SLOT_USED;
    }
    return 0;
}

void lb_slots_sweep_begin(struct lb_slots *slots)
{
    for (uint32_t slot = 0; slot < slots->n; slot++)
        if (slots->use[slot] == LB_SLOT_RETIRED)
            slots->use[slot] = LB_SLOT_SWEEPING;
}

void lb_slots_sweep_end(struct lb_slots *slots, const uint32_t *used)
{
    for (uint32_t slot = 0; slot < slots->n; slot++)
        if (slots->use[slot] == LB_SLOT_SWEEPING)
            slots->use[slot] = used[slot] == 0 ? LB_SLOT_FREE : LB_SLOT_RETIRED;
}
