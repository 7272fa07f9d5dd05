/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a linger: see linger.h.
 */
#include "control/linger.h"

#include <stdlib.h>
#include <string.h>

#include "control/totals.h"

void linger_done(struct linger *linger)
{
    free(linger->watched);
    memset(linger, 0, sizeof(*linger));
}

static struct linger_watched *find(const struct linger *linger, uint32_t id)
{
    for (uint32_t i = 0; i < linger->n; i++) {
        if (linger->watched[i].id == id)
            return &linger->watched[i];
    }
    return NULL;
}

/* Keeps only what still lingers, and adds what newly does, as seen now. False: no memory. */
static bool follow(struct linger *linger, const struct state *state, uint64_t mono_s)
{
    struct linger_watched *next = calloc(state->n_backends + 1u, sizeof(*next));
    uint32_t n = 0;

    if (next == NULL)
        return false;
    for (uint32_t i = 0; i < state->n_backends; i++) {
        const struct linger_watched *old = find(linger, state->backends[i].id);

        if (!state->backends[i].lingering)
            continue;
        if (old != NULL)
            next[n++] = *old;
        else
            next[n++] = (struct linger_watched){.id = state->backends[i].id, .since_s = mono_s};
    }
    free(linger->watched);
    linger->watched = next;
    linger->n = n;
    return true;
}

/* Brings one up to date and says whether it was idle for long enough. */
static bool is_idle(struct linger_watched *watched, const struct totals *totals,
                    const struct counters_header *counters, uint64_t mono_s)
{
    uint32_t slot = totals_slot(totals, watched->id);
    uint64_t started, ended, messages;

    if (slot == LB_NO_SLOT) { /* no slot, nothing is known */
        watched->since_s = mono_s;
        return false;
    }
    started = totals_of(totals, watched->id, COUNTERS_SLOT_STARTED);
    ended = totals_of(totals, watched->id, COUNTERS_SLOT_ENDED);
    messages = counters_slot_sum(counters, slot, COUNTERS_SLOT_REQUESTS) +
               counters_slot_sum(counters, slot, COUNTERS_SLOT_RESPONSES);
    if (started > ended || messages != watched->messages) {
        watched->messages = messages;
        watched->since_s = mono_s;
        return false;
    }
    return mono_s - watched->since_s >= LINGER_IDLE_S;
}

uint32_t linger_pick(struct linger *linger, const struct state *state, uint64_t linger_ms,
                     const struct counters_header *counters, uint64_t now_s, uint64_t mono_s)
{
    struct totals *totals = totals_new(state, counters);
    uint32_t pick = 0;

    if (totals == NULL || !follow(linger, state, mono_s)) {
        totals_free(totals);
        return 0;
    }
    for (uint32_t i = 0; i < state->n_backends; i++) {
        const struct state_backend *b = &state->backends[i];
        struct linger_watched *watched = b->lingering ? find(linger, b->id) : NULL;

        if (watched == NULL)
            continue;
        if (state_expired(b, linger_ms, now_s))
            pick = b->id;
        else if (counters == NULL || b->epoch == 0 || counters->epoch != b->epoch)
            watched->since_s = mono_s;
        else if (is_idle(watched, totals, counters, mono_s))
            pick = b->id;
    }
    totals_free(totals);
    return pick;
}
