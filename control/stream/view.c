/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots as the threads see them: see view.h.
 */
#include "control/stream/view.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/lb/slots.h"

static void view_free(struct view *view)
{
    if (view->n_alive != NULL)
        __atomic_sub_fetch(view->n_alive, 1, __ATOMIC_RELEASE);
    edges_release(view->edges);
    free(view->snapshot);
    free(view->slot_of);
    free(view->backend_of);
    free(view);
}

/* False: no memory, or too many backends; the slots are as they were then. */
static bool map_slots(struct view *view, struct lb_slots *slots)
{
    const struct lb_backend *backends = snapshot_backends(view->snapshot);
    uint32_t n = view->snapshot->backends.n;
    uint32_t *ids = calloc((size_t)n + 1, sizeof(*ids));
    bool done = false;

    view->slot_of = calloc((size_t)n + 1, sizeof(*view->slot_of));
    view->backend_of = calloc(slots->n, sizeof(*view->backend_of));
    if (ids == NULL || view->slot_of == NULL || view->backend_of == NULL)
        goto out;
    for (uint32_t i = 0; i < n; i++)
        ids[i] = backends[i].id;
    if (lb_slots_assign(slots, ids, n, view->slot_of) != 0)
        goto out;
    for (uint32_t slot = 0; slot < slots->n; slot++)
        view->backend_of[slot] = LB_NO_BACKEND;
    for (uint32_t i = 0; i < n; i++)
        view->backend_of[view->slot_of[i]] = (int32_t)i;
    done = true;
out:
    free(ids);
    return done;
}

struct view *view_new(const struct snapshot *snapshot, const struct cfg_streams *limits,
                      struct edges *edges, struct lb_slots *slots, uint32_t *n_alive)
{
    struct view *view = calloc(1, sizeof(*view));

    if (view == NULL)
        return NULL;
    view->references = 1;
    view->limits = *limits;
    view->edges = edges_keep(edges);
    view->snapshot = malloc(snapshot->size);
    if (view->snapshot != NULL)
        memcpy(view->snapshot, snapshot, snapshot->size);
    if (view->snapshot == NULL || !map_slots(view, slots)) {
        view_free(view);
        return NULL;
    }
    view->n_alive = n_alive;
    __atomic_add_fetch(n_alive, 1, __ATOMIC_RELAXED);
    view->proxy = (struct proxy_view){.snapshot = view->snapshot,
                                      .slot_of = view->slot_of,
                                      .backend_of = view->backend_of,
                                      .n_slots = slots->n,
                                      .has_streams = true};
    return view;
}

struct view *view_keep(struct view *view)
{
    if (view != NULL)
        __atomic_add_fetch(&view->references, 1, __ATOMIC_RELAXED);
    return view;
}

void view_release(struct view *view)
{
    if (view != NULL && __atomic_sub_fetch(&view->references, 1, __ATOMIC_ACQ_REL) == 0)
        view_free(view);
}
