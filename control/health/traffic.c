/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters into verdicts: see traffic.h.
 */
#include "control/health/traffic.h"

#include <stdlib.h>
#include <string.h>

#include "control/totals.h"

void traffic_done(struct traffic *traffic)
{
    free(traffic->members);
    memset(traffic, 0, sizeof(*traffic));
}

/* Looks for the slots of those whose slot is not known, when it is time again. */
static void find_slots(struct traffic *t, struct watches *watches, const struct reload *reload,
                       uint64_t now_ms)
{
    struct counters_header *counters;
    struct totals *totals;
    bool missing = false;

    for (uint32_t i = 0; i < watches->n && !missing; i++)
        missing = watches->all[i].conf->passive && watches->all[i].slot == LB_NO_SLOT;
    if (!missing || now_ms < t->slots_ms)
        return;
    t->slots_ms = now_ms + TRAFFIC_SLOTS_MS;
    counters = link_counters(reload_link(reload));
    totals = counters == NULL ? NULL : totals_new(reload_state(reload), counters);
    for (uint32_t i = 0; totals != NULL && i < watches->n; i++)
        watches->all[i].slot = totals_slot(totals, watches->all[i].id);
    totals_free(totals);
    free(counters);
}

/* The difference of a counter; one that went back says nothing. */
static uint32_t since(const struct watch *w, const uint64_t *now, enum counters_slot what)
{
    uint64_t difference = now[what] - w->last[what];

    return now[what] < w->last[what] || difference > UINT32_MAX ? 0 : (uint32_t)difference;
}

static void read_counts(struct watch *w, const struct reload *reload, struct outlier_counts *ret)
{
    uint64_t now[COUNTERS_SLOT_COUNT];

    *ret = (struct outlier_counts){0};
    if (w->slot == LB_NO_SLOT || !reload_slot(reload, w->slot, w->id, now)) {
        w->slot = LB_NO_SLOT;
        w->counted = false;
        return;
    }
    if (w->counted)
        *ret = (struct outlier_counts){
            .requests = since(w, now, COUNTERS_SLOT_REQUESTS),
            .fresh = since(w, now, COUNTERS_SLOT_NEW),
            .responses = since(w, now, COUNTERS_SLOT_RESPONSES),
            .finals = since(w, now, COUNTERS_SLOT_FINALS),
            .errors = since(w, now, COUNTERS_SLOT_BUSY) + since(w, now, COUNTERS_SLOT_ERRORS),
            .busy = since(w, now, COUNTERS_SLOT_BUSY),
            .unreachable = since(w, now, COUNTERS_SLOT_UNREACHABLE),
        };
    memcpy(w->last, now, sizeof(w->last));
    w->counted = true;
}

/* One pool: the n watched backends whose indices these are. */
static void judge(struct traffic *t, struct watches *watches, const uint32_t *indices, uint32_t n,
                  const struct reload *reload, uint64_t now_ms,
                  void (*fn)(void *arg, struct watch *watch, const struct outlier_member *verdict),
                  void *arg)
{
    for (uint32_t i = 0; i < n; i++) {
        struct watch *w = &watches->all[indices[i]];
        struct outlier_member *m = &t->members[i];

        memset(m, 0, sizeof(*m));
        m->outlier = &w->outlier;
        m->out = watch_is_out(w);
        read_counts(w, reload, &m->counts);
    }
    outlier_tick(t->members, n, watches->all[indices[0]].conf, reload_cfg(reload)->n_nodes == 0,
                 now_ms);
    for (uint32_t i = 0; i < n; i++) {
        if (t->members[i].verdict != OUTLIER_NONE)
            fn(arg, &watches->all[indices[i]], &t->members[i]);
    }
}

/* Room for the members of the greatest pool there can be. */
static bool reserve(struct traffic *t, uint32_t n)
{
    struct outlier_member *grown;

    if (n <= t->room)
        return true;
    grown = reallocarray(t->members, n, sizeof(*grown));
    if (grown == NULL)
        return false;
    t->members = grown;
    t->room = n;
    return true;
}

void traffic_tick(struct traffic *t, struct watches *watches, const struct reload *reload,
                  uint64_t now_ms,
                  void (*fn)(void *arg, struct watch *watch, const struct outlier_member *verdict),
                  void *arg)
{
    const struct msg_hello *hello = link_hello(reload_link(reload));
    uint32_t first, end;

    if (hello == NULL || !reserve(t, watches->n))
        return;
    if (hello->epoch != t->epoch) { /* another data plane: it counts from 0 */
        for (uint32_t i = 0; i < watches->n; i++)
            watches->all[i].counted = false;
        t->epoch = hello->epoch;
    }
    find_slots(t, watches, reload, now_ms);
    for (first = 0; first < watches->n; first = end) {
        const struct watch *w = &watches->all[watches->by_pool[first]];

        for (end = first + 1; end < watches->n; end++) {
            if (watches->all[watches->by_pool[end]].pool != w->pool)
                break;
        }
        if (w->conf->passive)
            judge(t, watches, watches->by_pool + first, end - first, reload, now_ms, fn, arg);
    }
}
