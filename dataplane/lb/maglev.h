/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Maglev table (Eisenbud et al., NSDI 2016 §3.4) with weights: hash → member, even within a
 * percent, and few entries move when a member comes or goes. Built by control, read by workers.
 */
#ifndef TANDEM_LB_MAGLEV_H
#define TANDEM_LB_MAGLEV_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/lb/siphash.h"

enum { LB_MAGLEV_NONE = 0xffff };

struct lb_member {
    uint32_t id;     /* the backend's id: the same on every node and for ever */
    uint32_t weight; /* relative; 0: gets nothing */
    uint16_t index;  /* what the table's entries say for it; < LB_MAGLEV_NONE */
};

/*
 * A prime table size for n members (≤ 83,885): at least 100 entries each, so that shares differ by
 * < 1 %. Few sizes, far apart: a table of another size is another table, and nearly all entries
 * move.
 */
uint32_t lb_maglev_size(uint32_t n_members);

/*
 * Fills table[size] (size prime) with member indices, or LB_MAGLEV_NONE throughout when no member
 * has weight. Depends on key, ids and weights only, not on the members' order. Shares are exact to
 * an entry, and who has weight gets one at least. Allocates scratch; control only. Returns 0,
 * -ENOMEM or -EINVAL (two members with one id, too many members, an index out of range, size not
 * prime or less than n); the table is then untouched.
 */
int lb_maglev_build(const struct lb_key *key, const struct lb_member *members, uint32_t n,
                    uint16_t *ret_table, uint32_t size);

/* The entry for a hash, all of whose 64 bits count. Any thread. */
static inline uint32_t lb_maglev_position(uint64_t hash, uint32_t size)
{
    return (uint32_t)(((unsigned __int128)hash * size) >> 64);
}

#endif
