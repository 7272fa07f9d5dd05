/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-table CONFIG SECRET ROUNDS: builds the table of the configuration's first pool so often.
 * Prints `backends N`, `entries N`, `snapshot BYTES` and a line `ms TIME` for each round (CPU
 * time). Fails when a table is another than the one that control would compile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/lb/maglev.h"
#include "perf/messages/world.h"

static double cpu_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static struct lb_member *members_of(const struct snapshot *s, const struct lb_pool *pool)
{
    struct lb_member *members = calloc(pool->n_backends, sizeof(*members));

    for (uint32_t i = 0; members != NULL && i < pool->n_backends; i++) {
        const struct lb_backend *b = &snapshot_backends(s)[pool->first_backend + i];

        members[i] = (struct lb_member){.id = b->id, .weight = b->weight, .index = (uint16_t)i};
    }
    return members;
}

static bool build(const struct snapshot *s, const struct lb_pool *pool,
                  const struct lb_member *members, uint16_t *table)
{
    const uint16_t *tables = snapshot_at(s, s->tables.offset);
    size_t bytes = pool->table_size * sizeof(*table);
    double began, ended;

    memset(table, 0, bytes);
    began = cpu_ms();
    if (lb_maglev_build(&s->hash_key, members, pool->n_backends, table, pool->table_size) != 0)
        return false;
    ended = cpu_ms();
    printf("ms %.4f\n", ended - began);
    return memcmp(table, tables + pool->table, bytes) == 0;
}

int main(int argc, char **argv)
{
    struct world *world = argc == 4 ? world_new(argv[1], argv[2], 1024) : NULL;
    const struct lb_pool *pool;
    struct lb_member *members;
    uint16_t *table;
    bool good;

    if (world == NULL) {
        fputs("usage: perf-table CONFIG SECRET ROUNDS\n", stderr);
        return 2;
    }
    pool = snapshot_pools(world->snapshot);
    members = members_of(world->snapshot, pool);
    table = calloc(pool->table_size, sizeof(*table));
    good = members != NULL && table != NULL;
    printf("backends %u\nentries %u\nsnapshot %llu\n", pool->n_backends, pool->table_size,
           (unsigned long long)world->snapshot->size);
    for (int round = 0; round < atoi(argv[3]) && good; round++)
        good = build(world->snapshot, pool, members, table);
    if (!good)
        fputs("perf-table: the table is not what control would compile\n", stderr);
    free(table);
    free(members);
    world_free(world);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
