/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which watched backend gets the next probe call. Pure: it places none.
 */
#ifndef TANDEM_CONTROL_HEALTH_MEDIA_TURN_H
#define TANDEM_CONTROL_HEALTH_MEDIA_TURN_H

#include "control/health/watch.h"

/*
 * The one that waits longest, of those whose pool allows another call while so many are live. Those
 * that a call would tell nothing of, or would harm, are put off: an operator keeps new calls away from
 * them, they answer no probe, or they shed. NULL: nobody's turn.
 */
struct watch *media_turn_next(struct watches *watches, uint32_t live, uint64_t now_ms);

#endif
