/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passive detection: whom of a pool its real traffic shows to be ill, out of counts per tick. Pure:
 * times are parameters, milliseconds of a clock that never goes back. It must not know who counted.
 *
 * Four rules, each only with eject_floor requests or more, and only when the rest of the pool does
 * better at the same time (else it is not this backend's fault, and to take it out would not help):
 *   shedding    in the last one or two seconds as many 503s as that share of what it was given anew,
 *               where 503 is a word for busy: it is out for retry_after, as if a probe had said so
 *   silent      requests since its last response, and that for OUTLIER_SILENT_MS or longer
 *   unanswered  over the window fewer responses for each request than the rest gets, by the share:
 *               it answers some things, not others (OPTIONS or REGISTER, but not INVITE)
 *   failing     over the window at least that share of its final responses are 5xx
 * Who is refused by ICMP is told apart, since one probe can say whether that is so. Where answers come
 * past other nodes, too, that one hears few or none says nothing: who is silent or unanswered stays.
 *
 * Never more than eject_max_percent of a pool are out by it, those that are out anyway included.
 */
#ifndef TANDEM_CONTROL_HEALTH_OUTLIER_H
#define TANDEM_CONTROL_HEALTH_OUTLIER_H

#include "config/health.h"

enum {
    OUTLIER_TICK_MS = 50,             /* how often it is asked */
    OUTLIER_SILENT_MS = 250,          /* with the tick's own length: found within half a second */
    OUTLIER_SILENT_FEW_MS = 2000,     /* for few calls, which their senders repeat */
    OUTLIER_SILENT_FEW = 3,           /* calls */
    OUTLIER_BUCKETS = 10,
    OUTLIER_BUCKET_MS = 1000,         /* the window is ten seconds */
    OUTLIER_RECENT = 2,               /* the newest buckets: they tell who sheds */
    OUTLIER_SETTLE_MS = 3000,         /* in service for so long before its window counts */
    OUTLIER_REFUSED = 3,              /* unreachables since its last response */
    OUTLIER_FORGET_MS = 60000,        /* back for so long: the next ejection is a first one */
    OUTLIER_WHY_MAX = 96,
};

/* Counted for a backend since the tick before. */
struct outlier_counts {
    uint32_t requests;                /* sent to it, retransmissions and ACKs too */
    uint32_t fresh;                   /* of these, those that began something */
    uint32_t responses;               /* from it, provisional ones too */
    uint32_t finals;                  /* of these, 200 and above */
    uint32_t errors;                  /* of these, 5xx */
    uint32_t busy;                    /* of these, 503 */
    uint32_t unreachable;             /* ICMP's */
};

/* What is remembered of one backend; all zero: nothing. */
struct outlier {
    struct outlier_counts buckets[OUTLIER_BUCKETS];
    struct outlier_counts sum;        /* of the buckets */
    uint64_t bucket;                  /* the newest one's number: time / OUTLIER_BUCKET_MS */
    uint64_t in_ms;                   /* in service since; 0: it is not */
    uint64_t silent_ms;               /* begin of the first tick with requests, no response since;
                                         0: none */
    uint32_t silent_requests, silent_fresh;
    uint32_t refused;
    uint32_t ejections;               /* one soon after the other */
    uint64_t back_ms;                 /* when the last one is or was over */
};

enum outlier_verdict { OUTLIER_NONE, OUTLIER_SUSPECT, OUTLIER_SHED, OUTLIER_EJECT };

/* One backend of a pool, for one tick. */
struct outlier_member {
    struct outlier *outlier;
    struct outlier_counts counts;
    bool out;                         /* takes no new calls already, whatever the reason */
    /* Results. */
    uint8_t verdict;                  /* enum outlier_verdict */
    uint32_t for_ms;                  /* how long it is to be out */
    char why[OUTLIER_WHY_MAX];
};

/* Whether n_out of n may be out, for one of them to be taken out on a suspicion. */
bool outlier_may_leave(uint64_t n_out, uint32_t n, const struct cfg_health *conf);

/* Judges the n members of a pool, all of them in the same order of time: ticks of OUTLIER_TICK_MS
 * or longer. One that is out begins anew when it is in again. hears_all: no other node hears answers to
 * what this one sent. */
void outlier_tick(struct outlier_member *members, uint32_t n, const struct cfg_health *conf,
                  bool hears_all, uint64_t now_ms);

#endif
