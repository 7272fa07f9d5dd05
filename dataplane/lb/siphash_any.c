/* SPDX-License-Identifier: Apache-2.0 */
/* Several SipHashes on machines whose vectors nobody has measured: one by one. */
#include "dataplane/lb/siphash_round.h"

void lb_siphash13_lanes(const struct lb_lanes *lanes, uint64_t ret[LB_LANES])
{
    siphash_lane_by_lane(lanes, 0, lanes->n, 1, ret);
}

void lb_siphash24_lanes(const struct lb_lanes *lanes, uint64_t ret[LB_LANES])
{
    siphash_lane_by_lane(lanes, 0, lanes->n, 2, ret);
}
