/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where main's sweep of the call table stands. It must not know what an entry is.
 */
#include "dataplane/sweep.h"

#include <stdlib.h>
#include <string.h>

struct sweep {
    struct lb_call_table *calls;
    struct publish *publish;
    struct lb_call_counts counts;
    uint64_t entries;
    uint64_t position;             /* where the next slice begins */
    uint64_t done;                 /* entries of this lap */
    uint32_t used[COUNTERS_SLOTS]; /* entries of this lap by slot */
};

struct sweep *sweep_new(struct lb_call_table *calls, struct counters_header *counters,
                        struct publish *publish)
{
    struct sweep *sweep = calloc(1, sizeof(*sweep));

    if (sweep == NULL)
        return NULL;
    sweep->calls = calls;
    sweep->publish = publish;
    sweep->counts = counters_call_counts(counters, 0);
    sweep->entries = lb_call_table_entries(calls);
    publish_sweep_begin(publish);
    return sweep;
}

void sweep_free(struct sweep *sweep)
{
    free(sweep);
}

void sweep_slice(struct sweep *sweep, uint32_t slices, uint32_t now_s)
{
    uint64_t left = sweep->entries - sweep->done;
    uint64_t n = (sweep->entries + slices - 1) / slices;

    if (n > left)
        n = left;
    sweep->position = lb_call_sweep(sweep->calls, sweep->position, n, now_s, &sweep->counts,
                                    sweep->used, COUNTERS_SLOTS);
    sweep->done += n;
    if (sweep->done < sweep->entries)
        return;
    publish_sweep_end(sweep->publish, sweep->used);
    memset(sweep->used, 0, sizeof(sweep->used));
    sweep->done = 0;
    publish_sweep_begin(sweep->publish);
}
