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
    uint64_t *values;              /* of each writer [COUNTERS_SLOT_COUNT][CALLS_SLOTS] */
    uint64_t entries, position, done;
    bool sweeping;              /* slots come free at the end of this lap */
    uint32_t used[CALLS_SLOTS]; /* entries of this lap by slot */
    /* What was counted in a slot before it was its backend's. */
    uint64_t base[COUNTERS_SLOT_COUNT][CALLS_SLOTS];
};

/* Where what lb/ counts has its place. */
static const enum counters_slot BEGUN[LB_COUNTS] = {
    [LB_COUNT_CALLS] = COUNTERS_SLOT_STARTED,
    [LB_COUNT_REGISTRATIONS] = COUNTERS_SLOT_REGISTRATIONS_STARTED,
    [LB_COUNT_SUBSCRIPTIONS] = COUNTERS_SLOT_SUBSCRIPTIONS_STARTED};
static const enum counters_slot OVER[LB_COUNTS] = {
    [LB_COUNT_CALLS] = COUNTERS_SLOT_ENDED,
    [LB_COUNT_REGISTRATIONS] = COUNTERS_SLOT_REGISTRATIONS_ENDED,
    [LB_COUNT_SUBSCRIPTIONS] = COUNTERS_SLOT_SUBSCRIPTIONS_ENDED};

static uint64_t *values_of(const struct calls *calls, uint32_t writer, enum counters_slot what)
{
    return calls->values + ((size_t)writer * COUNTERS_SLOT_COUNT + what) * CALLS_SLOTS;
}

static bool counts_init(struct calls *calls)
{
    calls->counts = calloc(calls->n_writers, sizeof(*calls->counts));
    calls->values = calloc((size_t)calls->n_writers * COUNTERS_SLOT_COUNT * CALLS_SLOTS,
                           sizeof(*calls->values));
    if (calls->counts == NULL || calls->values == NULL)
        return false;
    for (uint32_t writer = 0; writer < calls->n_writers; writer++) {
        calls->counts[writer].n_slots = CALLS_SLOTS;
        for (uint32_t what = 0; what < LB_COUNTS; what++) {
            calls->counts[writer].started[what] = values_of(calls, writer, BEGUN[what]);
            calls->counts[writer].ended[what] = values_of(calls, writer, OVER[what]);
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
    free(calls->values);
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

/* Of its one writer. */
static void count(struct calls *calls, uint32_t writer, uint16_t slot, enum counters_slot what)
{
    uint64_t *value = &values_of(calls, writer, what)[slot];

    __atomic_store_n(value, *value + 1, __ATOMIC_RELAXED);
}

void calls_count_request(struct calls *calls, uint32_t writer, uint16_t slot, bool is_new)
{
    count(calls, writer, slot, COUNTERS_SLOT_REQUESTS);
    if (is_new)
        count(calls, writer, slot, COUNTERS_SLOT_NEW);
}

void calls_count_response(struct calls *calls, uint32_t writer, uint16_t slot, uint16_t status)
{
    count(calls, writer, slot, COUNTERS_SLOT_RESPONSES);
    if (status >= 200)
        count(calls, writer, slot, COUNTERS_SLOT_FINALS);
    if (status == 503)
        count(calls, writer, slot, COUNTERS_SLOT_BUSY);
    else if (status / 100 == 5)
        count(calls, writer, slot, COUNTERS_SLOT_ERRORS);
}

static uint64_t sum(const struct calls *calls, uint16_t slot, enum counters_slot what)
{
    uint64_t all = 0;

    for (uint32_t writer = 0; writer < calls->n_writers; writer++)
        all += __atomic_load_n(&values_of(calls, writer, what)[slot], __ATOMIC_RELAXED);
    return all;
}

void calls_add(const struct calls *calls, uint16_t slot, uint64_t ret[COUNTERS_SLOT_COUNT])
{
    for (int what = 0; what < COUNTERS_SLOT_COUNT; what++)
        ret[what] += sum(calls, slot, (enum counters_slot)what) - calls->base[what][slot];
}

/* What was counted in a free slot will be another backend's no more; all that began there is over.
 */
static void settle(struct calls *calls)
{
    for (uint32_t slot = 0; slot < CALLS_SLOTS; slot++) {
        if (calls->slots->use[slot] != LB_SLOT_FREE || calls->slots->ids[slot] == 0)
            continue;
        for (int what = 0; what < COUNTERS_SLOT_COUNT; what++)
            calls->base[what][slot] = sum(calls, (uint16_t)slot, (enum counters_slot)what);
        for (uint32_t what = 0; what < LB_COUNTS; what++)
            calls->base[BEGUN[what]][slot] = calls->base[OVER[what]][slot];
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
