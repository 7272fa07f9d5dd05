/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts in, verdicts out: see outlier.h.
 */
#include "control/health/outlier.h"

#include <stdio.h>
#include <string.h>

static void add(struct outlier_counts *to, const struct outlier_counts *counts)
{
    to->requests += counts->requests;
    to->fresh += counts->fresh;
    to->responses += counts->responses;
    to->finals += counts->finals;
    to->errors += counts->errors;
    to->busy += counts->busy;
    to->unreachable += counts->unreachable;
}

static void subtract(struct outlier_counts *from, const struct outlier_counts *counts)
{
    from->requests -= counts->requests;
    from->fresh -= counts->fresh;
    from->responses -= counts->responses;
    from->finals -= counts->finals;
    from->errors -= counts->errors;
    from->busy -= counts->busy;
    from->unreachable -= counts->unreachable;
}

/* Moves the window to now: the buckets that it leaves are emptied. */
static void slide(struct outlier *o, uint64_t now_ms)
{
    uint64_t bucket = now_ms / OUTLIER_BUCKET_MS;

    for (uint32_t i = 0; o->bucket < bucket && i < OUTLIER_BUCKETS; i++) {
        struct outlier_counts *oldest = &o->buckets[++o->bucket % OUTLIER_BUCKETS];

        subtract(&o->sum, oldest);
        memset(oldest, 0, sizeof(*oldest));
    }
    o->bucket = bucket;
}

/* Forgets all but the ejections. */
static void begin(struct outlier *o, uint64_t now_ms)
{
    struct outlier fresh = {
        .bucket = now_ms / OUTLIER_BUCKET_MS, .ejections = o->ejections, .back_ms = o->back_ms};

    *o = fresh;
}

/* Takes in what was counted in the tick that ends now. */
static void take(struct outlier *o, const struct outlier_counts *counts, uint64_t now_ms)
{
    if (o->in_ms == 0) {
        begin(o, now_ms);
        o->in_ms = now_ms;
    }
    slide(o, now_ms);
    add(&o->buckets[o->bucket % OUTLIER_BUCKETS], counts);
    add(&o->sum, counts);
    if (counts->responses > 0) {
        o->silent_ms = 0;
        o->silent_requests = o->silent_fresh = o->refused = 0;
        return;
    }
    if (o->silent_ms == 0 && counts->requests > 0)
        o->silent_ms = now_ms > OUTLIER_TICK_MS ? now_ms - OUTLIER_TICK_MS : 1;
    o->silent_requests += counts->requests;
    o->silent_fresh += counts->fresh;
    o->refused += counts->unreachable;
}

static bool is_silent(const struct outlier *o, const struct cfg_health *conf, uint64_t now_ms)
{
    uint64_t for_ms = o->silent_ms == 0 ? 0 : now_ms - o->silent_ms;

    if (o->silent_fresh >= conf->eject_floor && o->silent_fresh > 0)
        return for_ms >= OUTLIER_SILENT_MS;
    return o->silent_fresh >= OUTLIER_SILENT_FEW &&
           o->silent_requests >= OUTLIER_SILENT_FEW * conf->eject_floor &&
           for_ms >= OUTLIER_SILENT_FEW_MS;
}

/* a / b below c / d times percent / 100, in whole numbers; b and d above 0. */
static bool below_share(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t percent)
{
    return a * d * 100 < c * b * percent;
}

static bool is_unanswered(const struct outlier_counts *own, const struct outlier_counts *rest,
                          const struct cfg_health *conf)
{
    return own->fresh >= conf->eject_floor && own->requests > 0 && rest->requests > 0 &&
           below_share(own->responses, own->requests, rest->responses, rest->requests,
                       100 - conf->eject_percent);
}

static bool is_failing(const struct outlier_counts *own, const struct outlier_counts *rest,
                       const struct cfg_health *conf)
{
    if (own->finals == 0 || own->finals < conf->eject_floor ||
        (uint64_t)own->errors * 100 < (uint64_t)own->finals * conf->eject_percent)
        return false;
    return rest->finals > 0 &&
           below_share(rest->errors, rest->finals, own->errors, own->finals, 50);
}

static bool is_shedding(const struct outlier_counts *own, const struct outlier_counts *rest,
                        const struct cfg_health *conf)
{
    if (own->busy == 0 || own->busy < conf->eject_floor || !cfg_statuses_have(&conf->busy, 503) ||
        (uint64_t)own->busy * 100 < (uint64_t)own->fresh * conf->eject_percent)
        return false;
    /* It may refuse more than it was given anew: what is in dialogs, too. */
    return rest->fresh > 0 && below_share(rest->busy, rest->fresh, own->busy,
                                          own->fresh > own->busy ? own->fresh : own->busy, 50);
}

/* Whether one is ill by what it does, and why; the rest of the pool is known by its window. */
static bool is_ill(const struct outlier *o, const struct outlier_counts *rest, bool hears_all,
                   const struct cfg_health *conf, uint64_t now_ms, char *ret_why)
{
    bool settled = now_ms - o->in_ms >= OUTLIER_SETTLE_MS;

    if (rest->responses == 0)
        return false;
    if (hears_all && is_silent(o, conf, now_ms))
        snprintf(ret_why, OUTLIER_WHY_MAX, "%u calls without any answer in %u ms", o->silent_fresh,
                 (unsigned)(now_ms - o->silent_ms));
    else if (hears_all && settled && is_unanswered(&o->sum, rest, conf))
        snprintf(ret_why, OUTLIER_WHY_MAX, "%u answers to %u requests, %u to %u in its pool",
                 o->sum.responses, o->sum.requests, rest->responses, rest->requests);
    else if (settled && is_failing(&o->sum, rest, conf))
        snprintf(ret_why, OUTLIER_WHY_MAX, "%u of its %u final answers were 5xx", o->sum.errors,
                 o->sum.finals);
    else
        return false;
    return true;
}

/* For how long it is out: the next time soon after is six times as long, then for five minutes. */
static uint32_t ejection_ms(struct outlier *o, uint64_t now_ms)
{
    static const uint32_t TIMES_MS[] = {10000, 60000, 300000};
    uint32_t time;

    if (o->ejections > 0 && now_ms > o->back_ms && now_ms - o->back_ms >= OUTLIER_FORGET_MS)
        o->ejections = 0;
    time = TIMES_MS[o->ejections < 2 ? o->ejections : 2];
    o->ejections++;
    o->back_ms = now_ms + time;
    return time;
}

/* What those of a pool that are in did: over the window, and lately. */
struct sums {
    struct outlier_counts window, recent;
    bool hears_all;
};

static struct outlier_counts recent(const struct outlier *o)
{
    struct outlier_counts sum = {0};

    for (uint32_t i = 0; i < OUTLIER_RECENT; i++)
        add(&sum, &o->buckets[(o->bucket - i) % OUTLIER_BUCKETS]);
    return sum;
}

/* Whether it refuses the calls that it is given, and the rest of the pool does not. */
static bool sheds(struct outlier_member *member, const struct sums *all,
                  const struct cfg_health *conf)
{
    struct outlier_counts own = recent(member->outlier), rest = all->recent;

    subtract(&rest, &own);
    if (!is_shedding(&own, &rest, conf))
        return false;
    snprintf(member->why, sizeof(member->why), "answered 503 %u times, to %u calls", own.busy,
             own.fresh);
    return true;
}

static void judge(struct outlier_member *member, const struct sums *all,
                  const struct cfg_health *conf, uint64_t now_ms, bool may_eject)
{
    struct outlier *o = member->outlier;
    struct outlier_counts rest = all->window;
    bool refused = o->refused >= OUTLIER_REFUSED;

    subtract(&rest, &o->sum);
    if (refused && (may_eject || conf->probe != CFG_PROBE_NONE)) {
        snprintf(member->why, sizeof(member->why), "refused %u messages (ICMP unreachable)",
                 o->refused);
        member->verdict = OUTLIER_SUSPECT;
    } else if (may_eject && sheds(member, all, conf)) {
        member->verdict = OUTLIER_SHED;
        member->for_ms = conf->retry_after_ms;
        return;
    } else if (may_eject && is_ill(o, &rest, all->hears_all, conf, now_ms, member->why)) {
        member->verdict = OUTLIER_EJECT;
    } else {
        return;
    }
    if (member->verdict == OUTLIER_EJECT || conf->probe == CFG_PROBE_NONE)
        member->for_ms = ejection_ms(o, now_ms);
}

bool outlier_may_leave(uint64_t n_out, uint32_t n, const struct cfg_health *conf)
{
    return n_out * 100 <= (uint64_t)conf->eject_max_percent * n;
}

void outlier_tick(struct outlier_member *members, uint32_t n, const struct cfg_health *conf,
                  bool hears_all, uint64_t now_ms)
{
    struct sums all = {.hears_all = hears_all};
    uint64_t n_out = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct outlier_counts own;

        members[i].verdict = OUTLIER_NONE;
        if (members[i].out) {
            members[i].outlier->in_ms = 0;
            n_out++;
        } else {
            take(members[i].outlier, &members[i].counts, now_ms);
            own = recent(members[i].outlier);
            add(&all.window, &members[i].outlier->sum);
            add(&all.recent, &own);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        bool may_eject = outlier_may_leave(n_out + 1, n, conf);

        if (members[i].out)
            continue;
        judge(&members[i], &all, conf, now_ms, may_eject);
        if (members[i].for_ms > 0 && members[i].verdict != OUTLIER_NONE)
            n_out++;
    }
}
