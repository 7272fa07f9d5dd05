/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots: small numbers for backend ids, so that an entry of the call table names its backend in
 * 16 bits. A slot keeps its id over snapshots and is given to another id only when the id is gone
 * and a whole sweep of the call table, begun after that, found no entry that holds it.
 */
#ifndef TANDEM_LB_SLOTS_H
#define TANDEM_LB_SLOTS_H

#include <stdint.h>

#include "dataplane/lb/call_table.h"

enum lb_slot_use { LB_SLOT_FREE, LB_SLOT_USED, LB_SLOT_RETIRED, LB_SLOT_SWEEPING };

struct lb_slots {
    uint32_t n;          /* slots in all, ≤ LB_SLOTS_MAX */
    uint32_t *ids;       /* [n] backend id */
    uint8_t *use;        /* [n] enum lb_slot_use */
    uint16_t *index;     /* slots by hash of id, or LB_NO_SLOT; scratch of lb_slots_assign */
    uint32_t index_mask; /* its places, a power of two ≥ 2n, minus 1 */
};

/* `n` slots, all free. NULL: no memory, or n > LB_SLOTS_MAX. One owner, one thread. */
struct lb_slots *lb_slots_new(uint32_t n);
void lb_slots_free(struct lb_slots *slots);

/*
 * Gives each of n_ids distinct ids its slot, the one it has or a free one, in ret_slots[n_ids], and
 * retires the slots of all other ids. Returns 0, or -ENOSPC (nothing changed, outputs untouched).
 */
int lb_slots_assign(struct lb_slots *slots, const uint32_t *ids, uint32_t n_ids,
                    uint16_t *ret_slots);

/* A sweep begins: RETIRED → SWEEPING. It ended, used[slot] entries were seen: SWEEPING and 0 →
 * FREE, SWEEPING and more → RETIRED. */
void lb_slots_sweep_begin(struct lb_slots *slots);
void lb_slots_sweep_end(struct lb_slots *slots, const uint32_t *used);

#endif
