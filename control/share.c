/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares of new calls: see share.h.
 */
#include "control/share.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { LISTED_MAX = 8 };

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

/* Positions of a pool's table that change hands. */
struct moves {
    uint32_t *to;  /* by index in the pool: how many of theirs it gets */
    bool *meant;   /* by index in the pool */
    uint32_t mine; /* positions that were theirs */
    uint32_t nobody, others;
};

static void count_moves(const struct snapshot *now, const struct snapshot *then,
                        const struct lb_pool *pool, struct moves *moves)
{
    const uint16_t *from = (const uint16_t *)snapshot_at(now, now->tables.offset) + pool->table;
    const uint16_t *to = (const uint16_t *)snapshot_at(then, then->tables.offset) + pool->table;

    for (uint32_t position = 0; position < pool->table_size; position++) {
        bool mine = from[position] < pool->n_backends && moves->meant[from[position]];

        moves->mine += mine;
        if (from[position] == to[position])
            continue;
        if (!mine)
            moves->others++;
        else if (to[position] < pool->n_backends)
            moves->to[to[position]]++;
        else
            moves->nobody++;
    }
}

static void print_moves(FILE *out, const struct snapshot *s, const struct lb_pool *pool,
                        const struct moves *moves)
{
    const double percent = 100.0 / pool->table_size;
    uint32_t listed = 0, rest = 0, n_rest = 0;

    for (uint32_t i = 0; i < pool->n_backends; i++) {
        struct sip_slice name =
            snapshot_text(s, snapshot_backends(s)[pool->first_backend + i].name);

        if (moves->to[i] == 0)
            continue;
        if (listed < LISTED_MAX) {
            fprintf(out, "%s %.*s %.1f%%", listed++ == 0 ? ", which would go to" : ",",
                    (int)name.length, name.at, moves->to[i] * percent);
        } else {
            rest += moves->to[i];
            n_rest++;
        }
    }
    if (n_rest > 0)
        fprintf(out, ", %u others %.1f%%", n_rest, rest * percent);
    if (moves->nobody > 0)
        fprintf(out, "; %.1f%% would find NO backend (503)", moves->nobody * percent);
    fprintf(out, "; %.1f%% would move between other backends; live dialogs that move: 0",
            moves->others * percent);
}

/* Which backends of a pool are meant. */
static void mark(const struct snapshot *s, const struct lb_pool *pool, const uint32_t *ids,
                 uint32_t n_ids, struct moves *moves)
{
    for (uint32_t i = 0; i < n_ids; i++)
        moves->meant[(uint32_t)snapshot_backend_by_id(s, ids[i]) - pool->first_backend] = true;
}

void share_preview(const struct snapshot *now, const struct snapshot *then, const char *name,
                   const uint32_t *ids, uint32_t n_ids, char *ret_text, size_t size)
{
    int32_t index = snapshot_backend_by_id(now, ids[0]);
    const struct lb_backend *b = &snapshot_backends(now)[index];
    const struct lb_pool *pool = &snapshot_pools(now)[b->pool];
    const struct lb_pool *after = &snapshot_pools(then)[b->pool];
    struct sip_slice pool_name = snapshot_text(now, pool->name);
    struct moves moves = {.to = calloc(pool->n_backends, sizeof(*moves.to)),
                          .meant = calloc(pool->n_backends, sizeof(*moves.meant))};
    FILE *out = fmemopen(ret_text, size, "w");

    assert(pool->table == after->table && pool->table_size == after->table_size &&
           pool->n_backends == after->n_backends);
    if (moves.to != NULL && moves.meant != NULL && out != NULL) {
        mark(now, pool, ids, n_ids, &moves);
        count_moves(now, then, pool, &moves);
        fprintf(out, "%s has %.1f%% of the new calls of pool %.*s", name,
                moves.mine * 100.0 / pool->table_size, (int)pool_name.length, pool_name.at);
        print_moves(out, now, pool, &moves);
    } else {
        snprintf(ret_text, size, "no memory to tell");
    }
    if (out != NULL)
        fclose(out);
    free(moves.to);
    free(moves.meant);
}
