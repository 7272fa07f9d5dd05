/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the threads decide by: a snapshot of their own, how its backends map to slots of the call
 * table, certificates and the limits of connections. Immutable; each thread holds a reference and changes to the
 * next one between two messages; who lets go last frees it.
 */
#ifndef TANDEM_STREAM_VIEW_H
#define TANDEM_STREAM_VIEW_H

#include "config/cfg.h"
#include "control/stream/edges.h"
#include "dataplane/proxy/proxy.h"

struct view {
    struct proxy_view proxy; /* has_streams */
    struct cfg_streams limits;
    struct edges *edges; /* NULL only where there are no threads */
    /* Private to view.c. */
    uint32_t references;
    struct snapshot *snapshot;
    uint16_t *slot_of;
    int32_t *backend_of;
    uint32_t *n_alive;
};

struct lb_slots;

/*
 * Of a copy of the snapshot and a reference to the edges, with one reference. Gives slots out of `slots`, which main owns, and
 * counts itself in *n_alive until it is freed. NULL: no memory, or more backends than slots.
 */
struct view *view_new(const struct snapshot *snapshot, const struct cfg_streams *limits,
                      struct edges *edges, struct lb_slots *slots, uint32_t *n_alive);

/* One more reference; one less. Any thread. NULL does nothing. */
struct view *view_keep(struct view *view);
void view_release(struct view *view);

#endif
