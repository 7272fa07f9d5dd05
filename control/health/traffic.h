/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From both planes' counters to passive verdicts: reads what was counted for each watched backend
 * since the last time, and has its pool judged. It must not know how a verdict is carried out.
 */
#ifndef TANDEM_CONTROL_HEALTH_TRAFFIC_H
#define TANDEM_CONTROL_HEALTH_TRAFFIC_H

#include "control/health/watch.h"
#include "control/reload.h"

enum { TRAFFIC_SLOTS_MS = 1000 };     /* between two searches for slots that are not known */

/* All zero: nothing read yet. */
struct traffic {
    uint64_t epoch;                   /* of the counters read last */
    uint64_t slots_ms;                /* when slots may be searched again */
    struct outlier_member *members;   /* [room] */
    uint32_t room;
};

void traffic_done(struct traffic *traffic);

/* One tick: calls fn for each backend with a verdict. Pools without passive detection have none. */
void traffic_tick(struct traffic *traffic, struct watches *watches, const struct reload *reload,
                  uint64_t now_ms,
                  void (*fn)(void *arg, struct watch *watch, const struct outlier_member *verdict),
                  void *arg);

#endif
