/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of watched backends: see watch.h.
 */
#include "control/health/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/health/memory.h"
#include "dataplane/lb/call_table.h"

static int by_id(const void *left, const void *right)
{
    const struct watch *a = left, *b = right;

    return (a->id > b->id) - (a->id < b->id);
}

struct watch *watches_find(const struct watches *watches, uint32_t id)
{
    const struct watch key = {.id = id};

    return watches->n == 0 ? NULL : bsearch(&key, watches->all, watches->n, sizeof(key), by_id);
}

void watches_done(struct watches *watches)
{
    free(watches->all);
    free(watches->by_pool);
    memset(watches, 0, sizeof(*watches));
}

/* What the configuration and the operator say of it. */
static void describe(struct watch *w, const struct cfg *cfg, const struct lb_backend *b)
{
    w->id = b->id;
    w->pool = b->pool;
    w->conf = &cfg->pools[b->pool].health;
    w->addr = (struct sip_addr){.ip = b->ip, .port = b->port};
    w->offered = b->admin == LB_UP && !b->lingering && b->weight > 0;
}

static void begin(struct watch *w, const struct watch_memory *memory, uint64_t now_ms,
                  uint64_t wall_ms)
{
    const struct machine_memory *known = memory_find(memory->memories, memory->n, w->id);

    w->slot = LB_NO_SLOT;
    w->state = LB_UP;
    w->weight_permille = MACHINE_WEIGHT_FULL;
    if (known != NULL)
        machine_inherit(&w->machine, known, w->conf, now_ms, wall_ms);
    else
        machine_init(&w->machine, w->id, w->conf, now_ms);
}

static bool is_watched(const struct cfg *cfg, const struct lb_backend *b)
{
    return b->pool < cfg->n_pools && cfg->pools[b->pool].has_health;
}

/* When the same are watched as before, brings what is said of them up to date. */
static bool follow_in_place(struct watches *watches, const struct cfg *cfg,
                            const struct snapshot *snapshot)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < snapshot->backends.n; i++) {
        const struct lb_backend *b = &snapshot_backends(snapshot)[i];

        if (!is_watched(cfg, b))
            continue;
        if (watches_find(watches, b->id) == NULL)
            return false;
        n++;
    }
    if (n != watches->n)
        return false;
    for (uint32_t i = 0; i < snapshot->backends.n; i++) {
        const struct lb_backend *b = &snapshot_backends(snapshot)[i];

        if (is_watched(cfg, b))
            describe(watches_find(watches, b->id), cfg, b);
    }
    return true;
}

bool watch_is_out(const struct watch *w)
{
    return !w->offered || w->machine.state != LB_UP;
}

bool watches_may_leave(const struct watches *watches, const struct watch *w)
{
    uint32_t n = 0, n_out = watch_is_out(w) ? 0 : 1;

    for (uint32_t i = 0; i < watches->n; i++) {
        if (watches->all[i].pool != w->pool)
            continue;
        n++;
        n_out += watch_is_out(&watches->all[i]);
    }
    return outlier_may_leave(n_out, n, w->conf);
}

static int by_pool(const void *left, const void *right, void *context)
{
    const struct watch *all = context;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    if (all[a].pool != all[b].pool)
        return all[a].pool < all[b].pool ? -1 : 1;
    return (a > b) - (a < b);
}

static void group(struct watches *watches)
{
    for (uint32_t i = 0; i < watches->n; i++)
        watches->by_pool[i] = i;
    qsort_r(watches->by_pool, watches->n, sizeof(*watches->by_pool), by_pool, watches->all);
}

int watches_follow(struct watches *watches, const struct cfg *cfg, const struct snapshot *snapshot,
                   const struct watch_memory *memory, uint64_t now_ms, uint64_t wall_ms)
{
    struct watches next = {.n = 0};

    if (watches->all != NULL && follow_in_place(watches, cfg, snapshot)) {
        group(watches); /* pools may have changed places */
        return 0;
    }
    next.all = calloc(snapshot->backends.n + 1u, sizeof(*next.all));
    next.by_pool = calloc(snapshot->backends.n + 1u, sizeof(*next.by_pool));
    if (next.all == NULL || next.by_pool == NULL) {
        watches_done(&next);
        watches_done(watches);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < snapshot->backends.n; i++) {
        const struct lb_backend *b = &snapshot_backends(snapshot)[i];
        const struct watch *old;
        struct watch *w;

        if (!is_watched(cfg, b))
            continue;
        w = &next.all[next.n++];
        old = watches_find(watches, b->id);
        if (old != NULL)
            *w = *old;
        describe(w, cfg, b);
        if (old == NULL)
            begin(w, memory, now_ms, wall_ms);
    }
    qsort(next.all, next.n, sizeof(*next.all), by_id);
    watches_done(watches);
    *watches = next;
    group(watches);
    return 0;
}
