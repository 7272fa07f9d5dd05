/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares of new calls: see share.h.
 */
#include "control/share.h"

#include <stdlib.h>

uint32_t *share_entries(const struct snapshot *s)
{
    uint32_t *entries = calloc(s->backends.n + 1u, sizeof(*entries));

    for (uint32_t p = 0; entries != NULL && p < s->pools.n; p++) {
        const struct lb_pool *pool = &snapshot_pools(s)[p];
        const uint16_t *table = (const uint16_t *)snapshot_at(s, s->tables.offset) + pool->table;

        for (uint32_t position = 0; position < pool->table_size; position++) {
            if (table[position] < pool->n_backends) /* others stand for nobody */
                entries[pool->first_backend + table[position]]++;
        }
    }
    return entries;
}
