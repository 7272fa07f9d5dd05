/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is: see media_turn.h.
 */
#include "control/health/media_turn.h"

static bool is_of_use(const struct watch *w)
{
    return w->offered && !w->machine.down && !w->machine.shedding;
}

struct watch *media_turn_next(struct watches *watches, uint32_t live, uint64_t now_ms)
{
    struct watch *next = NULL;

    for (uint32_t i = 0; i < watches->n; i++) {
        struct watch *w = &watches->all[i];

        if (!media_track_is_due(&w->media, now_ms))
            continue;
        if (!is_of_use(w))
            media_track_put_off(&w->media, &w->conf->media, now_ms);
        else if (live < w->conf->media.max &&
                 (next == NULL || w->media.next_ms < next->media.next_ms))
            next = w;
    }
    return next;
}
