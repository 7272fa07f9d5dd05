/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Next hops that are names, laid out in a snapshot: sorted by hash, their targets by preference.
 */
#include <errno.h>
#include <stdlib.h>

#include "config/compile_build.h"

static int by_hash(const void *left, const void *right)
{
    const struct compile_hashed *a = left, *b = right;

    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return (a->name > b->name) - (a->name < b->name);
}

int compile_choose_names(struct compile_build *b)
{
    const struct compile_live *live = b->input->live;
    uint32_t n = live == NULL ? 0 : live->n_names;

    if (n > SNAPSHOT_NAMES_MAX)
        return -E2BIG;
    b->hash_key = lb_key_derive(&b->input->secret->seed, "hash");
    b->names = calloc((size_t)n + 1, sizeof(*b->names));
    if (b->names == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        const struct compile_name *name = &live->names[i];
        struct sip_slice host = sip_slice_of(name->host);

        if (name->n_targets > SNAPSHOT_TARGETS_MAX || host.length > SNAPSHOT_HOST_MAX)
            return -E2BIG;
        b->names[i] = (struct compile_hashed){
            snapshot_name_hash(&b->hash_key, host, name->port, (enum sip_transport)name->transport),
            name};
    }
    qsort(b->names, n, sizeof(*b->names), by_hash);
    for (uint32_t i = 0; i < n; i++) {
        if (b->n_names > 0 && b->names[i].hash == b->names[b->n_names - 1].hash)
            continue;
        b->names[b->n_names++] = b->names[i];
        b->n_targets += b->names[i].name->n_targets;
    }
    return 0;
}

/* Field by field: a struct's padding may hold anything, and equal input gives equal bytes. */
static void fill_target(const struct snapshot_target *from, struct snapshot_target *to)
{
    to->addr.ip = from->addr.ip;
    to->addr.port = from->addr.port;
    to->transport = from->transport;
    to->priority = from->priority;
    to->weight = from->weight;
}

/* Within a priority by address: DNS gives them in another order each time, and who is chosen from
 * them by a hash shall stay. */
static int by_preference(const void *left, const void *right)
{
    const struct snapshot_target *a = left, *b = right;
    int order;

    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    order = memcmp(&a->addr, &b->addr, sizeof(a->addr));
    if (order != 0)
        return order;
    if (a->transport != b->transport)
        return a->transport < b->transport ? -1 : 1;
    return (a->weight > b->weight) - (a->weight < b->weight);
}

void compile_fill_names(struct compile_build *b)
{
    struct snapshot_name *names = compile_array(b, b->snapshot->names);
    uint32_t targets_at = b->snapshot->targets.offset;

    for (uint32_t i = 0; i < b->n_names; i++) {
        const struct compile_name *from = b->names[i].name;
        struct snapshot_target *targets;

        names[i].hash = b->names[i].hash;
        names[i].host = compile_text(b, from->host);
        names[i].port = from->port;
        names[i].transport = from->transport;
        names[i].outcome = from->outcome;
        names[i].targets = compile_part(&targets_at, from->n_targets, sizeof(*targets));
        targets = compile_array(b, names[i].targets);
        for (uint32_t j = 0; j < from->n_targets; j++)
            fill_target(&from->targets[j], &targets[j]);
        qsort(targets, from->n_targets, sizeof(*targets), by_preference);
    }
}
