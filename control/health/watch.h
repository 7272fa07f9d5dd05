/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backends that are watched: those of pools with `health:`, lingering ones too, each with what
 * is known of it. Follows what runs by backend ids. It sends nothing and asks for nothing.
 */
#ifndef TANDEM_CONTROL_HEALTH_WATCH_H
#define TANDEM_CONTROL_HEALTH_WATCH_H

#include "config/cfg.h"
#include "config/compile.h"
#include "config/counters.h"
#include "control/health/machine.h"
#include "control/health/media_verdict.h"
#include "control/health/outlier.h"
#include "control/health/tally.h"

struct watch {
    uint32_t id;
    uint32_t pool;                    /* index, of configuration and snapshot */
    const struct cfg_health *conf;    /* the running configuration's */
    struct sip_addr addr;
    bool offered;                     /* an operator lets it have new calls */
    struct machine machine;
    struct outlier outlier;
    struct media_track media;
    struct tally probes;
    int send_error;                   /* errno of its last probe: it could not be sent; 0: it was */
    /* Published last. */
    uint8_t state;                    /* enum lb_state */
    uint16_t weight_permille;
    /* What was counted for its slot when that was read last. */
    uint32_t slot;                    /* LB_NO_SLOT: not known */
    bool counted;                     /* `last` says something */
    uint64_t last[COUNTERS_SLOT_COUNT];
};

/* All zero: empty. */
struct watches {
    struct watch *all;                /* by id ascending */
    uint32_t *by_pool;                /* indices of all, pool after pool */
    uint32_t n;
};

/* What was remembered over a restart, for those that are new. */
struct watch_memory {
    const struct machine_memory *memories;   /* by id ascending */
    uint32_t n;
};

/*
 * Makes it the list of what runs: those that stay keep what is known of them, those that left are
 * forgotten, those that come have what was remembered, or are up. cfg must be what the snapshot was
 * made of, and outlive it until the next call. 0, or -ENOMEM: then it is empty.
 */
int watches_follow(struct watches *watches, const struct cfg *cfg, const struct snapshot *snapshot,
                   const struct watch_memory *memory, uint64_t now_ms, uint64_t wall_ms);
void watches_done(struct watches *watches);

/* Whether an operator's word or what was observed keeps it from new calls. */
bool watch_is_out(const struct watch *watch);

/* Whether one may be taken out on a suspicion, as many of its pool as are out already. */
bool watches_may_leave(const struct watches *watches, const struct watch *watch);

/* NULL: it is not watched. */
struct watch *watches_find(const struct watches *watches, uint32_t id);

#endif
