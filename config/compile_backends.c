/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backends of a snapshot: those configured and those that linger, with the operator's word and
 * what was observed. It must not know who observes.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "config/compile_build.h"
#include "config/trunk.h"
#include "dataplane/lb/maglev.h"

static void choose(struct compile_build *b, uint32_t pool, const struct cfg_backend *backend,
                   bool lingering)
{
    uint32_t id = snapshot_backend_id(sip_slice_of(b->input->cfg->pools[pool].name),
                                      sip_slice_of(backend->name));

    if (backend->lookup != NULL) /* its members are there by themselves */
        return;
    b->chosen[b->n_backends] = (struct compile_chosen){backend, id, pool, b->n_backends, lingering};
    b->n_backends++;
}

static int by_id_and_order(const void *left, const void *right)
{
    const struct compile_chosen *a = left, *b = right;

    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

/* Keeps the first of those with one id: one that lingers may have come back, or linger twice. Those
 * configured have distinct ids, by config/check. */
static void keep_first(struct compile_build *b)
{
    uint32_t n = 0;

    qsort(b->chosen, b->n_backends, sizeof(*b->chosen), by_id_and_order);
    for (uint32_t i = 0; i < b->n_backends; i++) {
        if (n > 0 && b->chosen[i].id == b->chosen[n - 1].id)
            continue;
        b->chosen[n++] = b->chosen[i];
        b->n_of_pool[b->chosen[i].pool]++;
    }
    b->n_backends = n;
}

static int by_place(const void *left, const void *right)
{
    const struct compile_chosen *a = left, *b = right;

    if (a->pool != b->pool)
        return a->pool < b->pool ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

int compile_choose_backends(struct compile_build *b)
{
    const struct compile_input *input = b->input;
    const struct cfg *cfg = input->cfg;
    size_t most = input->n_lingering;

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        uint32_t pools[SNAPSHOT_SERVICE_POOLS_MAX];

        if (trunk_pools(cfg, &cfg->services[i], pools) > SNAPSHOT_SERVICE_POOLS_MAX)
            return -E2BIG;
    }
    for (uint32_t p = 0; p < cfg->n_pools; p++)
        most += cfg->pools[p].n_backends;
    b->chosen = calloc(most + 1, sizeof(*b->chosen));
    b->n_of_pool = calloc((size_t)cfg->n_pools + 1, sizeof(*b->n_of_pool));
    if (b->chosen == NULL || b->n_of_pool == NULL)
        return -ENOMEM;
    for (uint32_t p = 0; p < cfg->n_pools; p++) {
        for (uint32_t i = 0; i < cfg->pools[p].n_backends; i++)
            choose(b, p, &cfg->pools[p].backends[i], false);
    }
    for (uint32_t i = 0; i < input->n_lingering; i++) {
        uint32_t pool = trunk_pool_index(cfg, input->lingering[i].pool);

        if (pool < cfg->n_pools)
            choose(b, pool, &input->lingering[i].backend, true);
    }
    keep_first(b);
    qsort(b->chosen, b->n_backends, sizeof(*b->chosen), by_place);
    for (uint32_t p = 0; p < cfg->n_pools; p++) {
        if (b->n_of_pool[p] > LB_MAGLEV_NONE)
            return -E2BIG;
    }
    return 0;
}

int compile_by_id(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

static_assert(offsetof(struct compile_state, id) == 0 && offsetof(struct compile_health, id) == 0,
              "compile_by_id reads the first member");

/* What the operator said of a backend, or what the configuration says. */
static void apply_state(const struct compile_input *input, const struct cfg_backend *cfg,
                        struct lb_backend *backend)
{
    const struct compile_state *said = NULL;

    if (input->n_states > 0)
        said = bsearch(&backend->id, input->states, input->n_states, sizeof(*said), compile_by_id);
    backend->admin = said == NULL ? LB_UP : said->admin;
    backend->weight = said == NULL || said->weight == UINT32_MAX ? cfg->weight : said->weight;
}

/* What was observed of a backend whose admin weight is there. */
static void apply_health(const struct compile_live *live, struct lb_backend *backend)
{
    const struct compile_health *seen = NULL;
    uint64_t weight;

    backend->health = LB_UP;
    if (live != NULL && live->n_health > 0)
        seen = bsearch(&backend->id, live->health, live->n_health, sizeof(*seen), compile_by_id);
    if (seen == NULL)
        return;
    weight = (uint64_t)backend->weight * seen->weight_permille / 1000;
    backend->health = seen->health;
    backend->weight = backend->weight > 0 && weight == 0 ? 1 : (uint32_t)weight;
}

static void fill_backend(struct compile_build *b, const struct compile_chosen *from,
                         struct lb_backend *to)
{
    to->id = from->id;
    to->pool = from->pool;
    to->ip = from->cfg->addr.ip;
    to->port = from->cfg->addr.port;
    to->transport = from->cfg->transport;
    apply_state(b->input, from->cfg, to);
    apply_health(b->input->live, to);
    to->state = to->admin > to->health ? to->admin : to->health;
    to->lingering = from->lingering;
    if (from->lingering && to->state < LB_DRAINING)
        to->state = LB_DRAINING;
    to->n_ports = (uint8_t)(from->cfg->n_ports < LB_PORTS_MAX ? from->cfg->n_ports : LB_PORTS_MAX);
    for (uint32_t i = 0; i < to->n_ports; i++)
        to->ports[i] = from->cfg->ports[i];
    to->name = compile_text(b, from->cfg->name);
}

/* Puts a backend into a table that is probed, from its home on. */
static void put_probed(struct compile_build *b, struct snapshot_array table, uint32_t home,
                       uint32_t backend)
{
    uint32_t *entries = compile_array(b, table), mask = table.n - 1, at = home & mask;

    while (entries[at] != 0)
        at = (at + 1) & mask;
    entries[at] = backend + 1;
}

void compile_fill_backends(struct compile_build *b)
{
    struct lb_backend *backends = compile_array(b, b->snapshot->backends);
    const struct snapshot *s = b->snapshot;

    for (uint32_t i = 0; i < b->n_backends; i++) {
        fill_backend(b, &b->chosen[i], &backends[i]);
        put_probed(b, s->by_address,
                   snapshot_address_home(&s->hash_key, &backends[i].ip, s->by_address.n), i);
        put_probed(b, s->by_id, backends[i].id, i);
    }
}
