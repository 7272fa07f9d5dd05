/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call table of the threads: see calls.h.
 */
#include "control/stream/calls.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/lb/slots.h"

enum { TABLE_ALIGN = 128 };

struct calls {
    struct lb_call_table *table;
    struct lb_slots *slots;
    uint32_t n_views; /* alive, by all threads */
    uint32_t n_writers;
    struct lb_call_counts *counts; /* [n_writers] */
    uint64_t *memory;              /* of the counts */
    uint64_t entries, position, done;
    bool sweeping;                         /* slots come free at the end of this lap */
    uint32_t used[CALLS_SLOTS];            /* entries of this lap by slot */
    uint64_t over[LB_COUNTS][CALLS_SLOTS]; /* what ended in a slot before it was its backend's */
};

static bool counts_init(struct calls *calls)
{
    uint64_t *at;

    calls->counts = calloc(calls->n_writers, sizeof(*calls->counts));
    calls->memory = calloc((size_t)calls->n_writers * 2 * LB_COUNTS * CALLS_SLOTS, sizeof(*at));
    at = calls->memory;
    if (calls->counts == NULL || at == NULL)
        return false;
    for (uint32_t writer = 0; writer < calls->n_writers; writer++) {
        calls->counts[writer].n_slots = CALLS_SLOTS;
        for (uint32_t what = 0; what < LB_COUNTS; what++, at += (size_t)2 * CALLS_SLOTS) {
            calls->counts[writer].started[what] = at;
            calls->counts[writer].ended[what] = at + CALLS_SLOTS;
        }
    }
    return true;
}

/* A view that is older than the newest may yet make an entry for a backend that has left since,
 * behind the sweep's back: then no slot comes free by this lap. */
static void lap_begin(struct calls *calls)
{
    calls->done = 0;
    memset(calls->used, 0, sizeof(calls->used));
    calls->sweeping = __atomic_load_n(&calls->n_views, __ATOMIC_ACQUIRE) <= 1;
    if (calls->sweeping)
        lb_slots_sweep_begin(calls->slots);
}

struct calls *calls_new(uint64_t entries, uint32_t n_writers)
{
    struct calls *calls = calloc(1, sizeof(*calls));
    size_t bytes = lb_call_table_bytes(entries);
    void *memory;

    if (calls == NULL)
        return NULL;
    calls->n_writers = n_writers;
    calls->slots = lb_slots_new(CALLS_SLOTS);
    memory = bytes == 0 ? NULL : aligned_alloc(TABLE_ALIGN, bytes);
    if (memory == NULL || calls->slots == NULL || !counts_init(calls)) {
        free(memory);
        calls_free(calls);
        return NULL;
    }
    memset(memory, 0, bytes);
    calls->table = lb_call_table_init(memory, entries);
    calls->entries = lb_call_table_entries(calls->table);
    lap_begin(calls);
    return calls;
}

void calls_free(struct calls *calls)
{
    if (calls == NULL)
        return;
    lb_slots_free(calls->slots);
    free(calls->table);
    free(calls->counts);
    free(calls->memory);
    free(calls);
}

struct lb_call_table *calls_table(struct calls *calls)
{
    return calls->table;
}

struct lb_call_counts *calls_counts(struct calls *calls, uint32_t writer)
{
    return &calls->counts[writer];
}

struct view *calls_view(struct calls *calls, const struct snapshot *snapshot,
                        const struct cfg_streams *limits, struct edges *edges)
{
    return view_new(snapshot, limits, edges, calls->slots, &calls->n_views);
}

static void add_slot(const struct calls *calls, uint32_t slot, uint64_t started[LB_COUNTS],
                     uint64_t ended[LB_COUNTS])
{
    for (uint32_t writer = 0; writer < calls->n_writers; writer++) {
        const struct lb_call_counts *counts = &calls->counts[writer];

        for (uint32_t what = 0; what < LB_COUNTS; what++) {
            started[what] += __atomic_load_n(&counts->started[what][slot], __ATOMIC_RELAXED);
            ended[what] += __atomic_load_n(&counts->ended[what][slot], __ATOMIC_RELAXED);
        }
    }
}

/* Of a free slot all that began is over, and will be another backend's no more. */
static void settle(struct calls *calls)
{
    for (uint32_t slot = 0; slot < CALLS_SLOTS; slot++) {
        uint64_t started[LB_COUNTS] = {0}, ended[LB_COUNTS] = {0};

        if (calls->slots->use[slot] != LB_SLOT_FREE || calls->slots->ids[slot] == 0)
            continue;
        add_slot(calls, slot, started, ended);
        for (uint32_t what = 0; what < LB_COUNTS; what++)
            calls->over[what][slot] = ended[what];
    }
}

void calls_sweep(struct calls *calls, uint32_t now_s)
{
    uint64_t n = (calls->entries + CALLS_SWEEP_SLICES - 1) / CALLS_SWEEP_SLICES;
    uint64_t left = calls->entries - calls->done;

    if (n > left)
        n = left;
    calls->position = lb_call_sweep(calls->table, calls->position, n, now_s, &calls->counts[0],
                                    calls->used, CALLS_SLOTS);
    calls->done += n;
    if (calls->done < calls->entries)
        return;
    if (calls->sweeping) {
        lb_slots_sweep_end(calls->slots, calls->used);
        settle(calls);
    }
    lap_begin(calls);
}

void calls_of(const struct calls *calls, uint16_t slot, uint64_t ret_started[LB_COUNTS],
              uint64_t ret_ended[LB_COUNTS])
{
    memset(ret_started, 0, LB_COUNTS * sizeof(*ret_started));
    memset(ret_ended, 0, LB_COUNTS * sizeof(*ret_ended));
    add_slot(calls, slot, ret_started, ret_ended);
    for (uint32_t what = 0; what < LB_COUNTS; what++) {
        ret_started[what] -= calls->over[what][slot];
        ret_ended[what] -= calls->over[what][slot];
    }
}
