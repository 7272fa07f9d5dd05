/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lays a configuration and what is known of its backends out as a snapshot: counts first, one
 * block, then each array in turn. It must not know how a snapshot is used.
 */
#include <errno.h>
#include <stdlib.h>

#include "config/compile_build.h"
#include "dataplane/lb/maglev.h"

static uint64_t text_bytes(const struct compile_build *b)
{
    const struct cfg *cfg = b->input->cfg;
    uint64_t bytes = compile_service_texts(cfg);

    for (uint32_t i = 0; i < cfg->n_pools; i++) {
        bytes += strlen(cfg->pools[i].name);
        bytes += cfg->pools[i].key_header == NULL ? 0 : strlen(cfg->pools[i].key_header);
    }
    for (uint32_t i = 0; i < b->n_backends; i++)
        bytes += strlen(b->chosen[i].cfg->name);
    for (uint32_t i = 0; i < b->n_names; i++)
        bytes += strlen(b->names[i].name->host);
    return bytes;
}

/* The table of a pool has room for its configured backends: one that lingers or is down leaves the
 * others' entries where they are. */
static uint32_t table_size(const struct compile_build *b, uint32_t pool)
{
    const struct cfg_pool *from = &b->input->cfg->pools[pool];
    uint32_t n = 0;

    for (uint32_t i = 0; i < from->n_backends; i++)
        n += from->backends[i].lookup == NULL;
    return lb_maglev_size(n);
}

/* Of a table that is probed: at most half full. */
static uint32_t probed_entries(uint32_t n_backends)
{
    uint32_t n = 2;

    while (n / 2 < n_backends)
        n *= 2;
    return n;
}

static uint32_t n_node_addresses(const struct cfg *cfg)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < cfg->n_nodes; i++)
        n += cfg->nodes[i].n_addresses;
    return n;
}

static int by_node(const void *a, const void *b)
{
    return snapshot_node_order(a, b);
}

static void fill_nodes(struct compile_build *b)
{
    const struct cfg *cfg = b->input->cfg;
    struct snapshot_node *nodes = compile_array(b, b->snapshot->nodes);
    uint32_t n = 0;

    for (uint32_t i = 0; i < cfg->n_nodes; i++) {
        const struct cfg_node *from = &cfg->nodes[i];

        for (uint32_t j = 0; j < from->n_addresses; j++, n++) {
            nodes[n].id = snapshot_node_id(sip_slice_of(from->name));
            nodes[n].ip = from->addresses[j];
        }
    }
    qsort(nodes, n, sizeof(*nodes), by_node);
}

/* Makes the block and gives every array its place. Offsets are summed in 64 bits, and kept only
 * when all of them are below SNAPSHOT_SIZE_MAX. */
static int allocate(struct compile_build *b)
{
    const struct cfg *cfg = b->input->cfg;
    struct snapshot head = {.magic = SNAPSHOT_MAGIC, .version = SNAPSHOT_VERSION};
    uint64_t at = compile_align(sizeof(head)), n_entries = 0;

    for (uint32_t i = 0; i < cfg->n_pools; i++)
        n_entries += table_size(b, i);
    compile_place_services(b, &head, &at);
    head.pools = compile_place(&at, cfg->n_pools, sizeof(struct lb_pool));
    head.backends = compile_place(&at, b->n_backends, sizeof(struct lb_backend));
    head.by_address = compile_place(&at, probed_entries(b->n_backends), sizeof(uint32_t));
    head.by_id = compile_place(&at, probed_entries(b->n_backends), sizeof(uint32_t));
    head.tables = compile_place(&at, n_entries, sizeof(uint16_t));
    head.names = compile_place(&at, b->n_names, sizeof(struct snapshot_name));
    head.targets = compile_place(&at, b->n_targets, sizeof(struct snapshot_target));
    head.nodes = compile_place(&at, n_node_addresses(cfg), sizeof(struct snapshot_node));
    head.text = compile_place(&at, text_bytes(b), 1);
    if (at > SNAPSHOT_SIZE_MAX)
        return -E2BIG;
    b->snapshot = calloc(1, at);
    if (b->snapshot == NULL)
        return -ENOMEM;
    head.size = at;
    *b->snapshot = head;
    return 0;
}

static void fill_head(struct compile_build *b)
{
    const struct compile_input *input = b->input;
    struct snapshot *s = b->snapshot;

    s->generation = input->generation;
    s->draining = input->node_draining;
    s->hash_key = b->hash_key;
    s->node_id = snapshot_node_id(sip_slice_of(input->cfg->node));
    if (input->cfg->has_node_address)
        s->node_ip = input->cfg->node_address;
    if (input->live != NULL) {
        s->capture = input->live->capture;
        s->stages = input->live->stages;
    }
    s->branch_key = lb_key_derive(&input->secret->seed, "branch");
    for (int i = 0; i < SNAPSHOT_MAC_KEYS; i++) {
        const struct snapshot_mac_key *mac = &input->secret->mac[i];

        if (!mac->valid)
            continue;
        s->mac[i].id = mac->id;
        s->mac[i].valid = 1;
        s->mac[i].key = lb_key_derive(&mac->key, "mac");
    }
}

/* Those of a pool's backends that take new calls; how many. */
static uint32_t members_of(const struct snapshot *s, const struct lb_pool *pool,
                           struct lb_member *ret_members)
{
    const struct lb_backend *backends = snapshot_backends(s) + pool->first_backend;
    uint32_t n = 0;

    for (uint32_t i = 0; i < pool->n_backends; i++) {
        if (backends[i].state == LB_UP && backends[i].weight > 0)
            ret_members[n++] = (struct lb_member){backends[i].id, backends[i].weight, (uint16_t)i};
    }
    return n;
}

/* The table of a pool in the snapshot before, when these members would make the same; or NULL. */
static const uint16_t *find_table(const struct compile_build *b, const struct lb_pool *pool,
                                  const struct lb_member *members, uint32_t n)
{
    const struct snapshot *before = b->input->before;
    const struct lb_pool *pools = before == NULL ? NULL : snapshot_pools(before), *old = NULL;
    struct lb_member *others;
    bool same;

    for (uint32_t i = 0; before != NULL && old == NULL && i < before->pools.n; i++)
        old = pools[i].id == pool->id ? &pools[i] : NULL;
    if (old == NULL || old->table_size != pool->table_size ||
        memcmp(&before->hash_key, &b->hash_key, sizeof(b->hash_key)) != 0)
        return NULL;
    others = calloc((size_t)old->n_backends + 1, sizeof(*others));
    if (others == NULL)
        return NULL; /* then it is built */
    same = members_of(before, old, others) == n;
    for (uint32_t i = 0; same && i < n; i++)
        same = members[i].id == others[i].id && members[i].weight == others[i].weight &&
               members[i].index == others[i].index;
    free(others);
    return same ? (const uint16_t *)snapshot_at(before, before->tables.offset) + old->table : NULL;
}

/* The table of one pool over those of its backends that take new calls. */
static int fill_table(struct compile_build *b, const struct lb_pool *pool)
{
    uint16_t *table = (uint16_t *)compile_array(b, b->snapshot->tables) + pool->table;
    struct lb_member *members = calloc((size_t)pool->n_backends + 1, sizeof(*members));
    const uint16_t *old;
    uint32_t n;
    int ret = 0;

    if (members == NULL)
        return -ENOMEM;
    n = members_of(b->snapshot, pool, members);
    old = find_table(b, pool, members, n);
    if (old != NULL)
        memcpy(table, old, pool->table_size * sizeof(*table));
    else
        ret = lb_maglev_build(&b->hash_key, members, n, table, pool->table_size);
    free(members);
    return ret;
}

static int fill_pools(struct compile_build *b)
{
    const struct cfg *cfg = b->input->cfg;
    struct lb_pool *pools = compile_array(b, b->snapshot->pools);
    uint32_t first = 0, table = 0;
    int ret = 0;

    for (uint32_t i = 0; ret == 0 && i < cfg->n_pools; i++) {
        const struct cfg_pool *from = &cfg->pools[i];
        struct lb_pool *to = &pools[i];

        to->id = snapshot_pool_id(sip_slice_of(from->name));
        to->first_backend = first;
        to->n_backends = b->n_of_pool[i];
        to->table = table;
        to->table_size = table_size(b, i);
        to->share = (uint8_t)from->share;
        to->large = (uint8_t)from->large;
        memcpy(to->keys, from->keys, sizeof(to->keys));
        to->key_header = compile_text(b, from->key_header);
        to->name = compile_text(b, from->name);
        first += to->n_backends;
        table += to->table_size;
        ret = fill_table(b, to);
    }
    return ret;
}

int compile_snapshot(const struct compile_input *input, struct snapshot **ret_snapshot)
{
    struct compile_build b = {.input = input};
    int ret = compile_choose_backends(&b);

    if (ret == 0)
        ret = compile_choose_names(&b);
    if (ret == 0)
        ret = allocate(&b);
    if (ret == 0) {
        fill_head(&b);
        compile_fill_listeners(&b);
        compile_fill_backends(&b);
        compile_fill_services(&b);
        compile_fill_names(&b);
        fill_nodes(&b);
        ret = fill_pools(&b);
    }
    if (ret == 0)
        *ret_snapshot = b.snapshot;
    else
        free(b.snapshot);
    free(b.chosen);
    free(b.names);
    free(b.n_of_pool);
    return ret;
}
