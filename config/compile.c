/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lays a configuration and what is known of its backends out as a snapshot: counts first, one
 * block, then each array in turn. It must not know how a snapshot is used.
 */
#include "config/compile_build.h"

#include <errno.h>
#include <stdlib.h>

#include "config/trunk.h"
#include "dataplane/lb/maglev.h"

enum { ALIGN = 8 }; /* of every array in the block */

static const struct compile_state *find_state(const struct compile_input *input, uint32_t id)
{
    for (uint32_t i = 0; i < input->n_states; i++) {
        if (input->states[i].id == id)
            return &input->states[i];
    }
    return NULL;
}

/* Adds a backend unless one with its id is there: one that lingers may have come back, or linger
 * twice. Those configured have distinct ids, by config/check. */
static void choose(struct build *b, uint32_t pool, const struct cfg_backend *backend,
                   bool lingering)
{
    uint32_t id = snapshot_backend_id(sip_slice_of(b->input->cfg->pools[pool].name),
                                      sip_slice_of(backend->name));

    if (backend->lookup != NULL) /* its members are there by themselves */
        return;
    for (uint32_t i = 0; lingering && i < b->n_backends; i++) {
        if (b->chosen[i].id == id)
            return;
    }
    b->chosen[b->n_backends] = (struct chosen){backend, id, pool, b->n_backends, lingering};
    b->n_backends++;
    b->n_of_pool[pool]++;
}

static int by_place(const void *left, const void *right)
{
    const struct chosen *a = left, *b = right;

    if (a->pool != b->pool)
        return a->pool < b->pool ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

static int choose_backends(struct build *b)
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
    qsort(b->chosen, b->n_backends, sizeof(*b->chosen), by_place);
    for (uint32_t p = 0; p < cfg->n_pools; p++) {
        if (b->n_of_pool[p] > LB_MAGLEV_NONE)
            return -E2BIG;
    }
    return 0;
}

static uint64_t match_text_bytes(const struct cfg_service *service)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < service->n_matches; i++) {
        const struct cfg_match *match = &service->matches[i];

        bytes += match->domain == NULL ? 0 : strlen(match->domain);
        bytes += match->prefix == NULL ? 0 : strlen(match->prefix);
    }
    return bytes;
}

static uint64_t text_bytes(const struct build *b)
{
    const struct cfg *cfg = b->input->cfg;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        const struct cfg_service *service = &cfg->services[i];

        bytes += strlen(service->name);
        for (uint32_t j = 0; j < service->n_domains; j++)
            bytes += strlen(service->domains[j]);
        for (uint32_t j = 0; j < service->n_proxy_require; j++)
            bytes += strlen(service->proxy_require[j]);
        bytes += match_text_bytes(service);
    }
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

/* Gives the next n structs of `bytes` their place at *at. */
static struct snapshot_array place(uint64_t *at, uint64_t n, uint64_t bytes)
{
    struct snapshot_array array = {.offset = (uint32_t)*at, .n = (uint32_t)n};

    *at = (*at + n * bytes + ALIGN - 1) / ALIGN * ALIGN;
    return array;
}

/* The table of a pool has room for its configured backends: one that lingers or is down leaves the
 * others' entries where they are. */
static uint32_t table_size(const struct build *b, uint32_t pool)
{
    const struct cfg_pool *from = &b->input->cfg->pools[pool];
    uint32_t n = 0;

    for (uint32_t i = 0; i < from->n_backends; i++)
        n += from->backends[i].lookup == NULL;
    return lb_maglev_size(n);
}

static uint32_t address_entries(uint32_t n_backends)
{
    uint32_t n = 2;

    while (n / 2 < n_backends)
        n *= 2;
    return n;
}

/* The arrays that each service has a part of, one after another. */
static void place_services(struct build *b, struct snapshot *head, uint64_t *at)
{
    const struct cfg *cfg = b->input->cfg;
    uint64_t n_listeners = 0, n_domains = 0, n_sources = 0, n_matches = 0, n_pools = 0;

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        uint32_t pools[SNAPSHOT_SERVICE_POOLS_MAX];

        n_listeners += cfg->services[i].n_listen;
        n_domains += cfg->services[i].n_domains;
        n_sources += cfg->services[i].n_sources;
        n_matches += cfg->services[i].n_matches;
        n_pools += trunk_pools(cfg, &cfg->services[i], pools);
    }
    head->services = place(at, cfg->n_services, sizeof(struct snapshot_service));
    head->listeners = place(at, n_listeners, sizeof(struct snapshot_listener));
    b->domains_at = place(at, n_domains, sizeof(struct lb_text)).offset;
    b->sources_at = place(at, n_sources, sizeof(struct snapshot_prefix)).offset;
    b->matches_at = place(at, n_matches, sizeof(struct snapshot_match)).offset;
    b->pools_at = place(at, n_pools, sizeof(uint32_t)).offset;
}

/* Makes the block and gives every array its place. Offsets are summed in 64 bits, and kept only
 * when all of them are below SNAPSHOT_SIZE_MAX. */
static int allocate(struct build *b)
{
    const struct cfg *cfg = b->input->cfg;
    struct snapshot head = {.magic = SNAPSHOT_MAGIC, .version = SNAPSHOT_VERSION};
    uint64_t at = sizeof(head), n_entries = 0;

    for (uint32_t i = 0; i < cfg->n_pools; i++)
        n_entries += table_size(b, i);
    place_services(b, &head, &at);
    head.pools = place(&at, cfg->n_pools, sizeof(struct lb_pool));
    head.backends = place(&at, b->n_backends, sizeof(struct lb_backend));
    head.by_address = place(&at, address_entries(b->n_backends), sizeof(uint32_t));
    head.by_id = place(&at, b->n_backends, sizeof(uint32_t));
    head.tables = place(&at, n_entries, sizeof(uint16_t));
    head.names = place(&at, b->n_names, sizeof(struct snapshot_name));
    head.targets = place(&at, b->n_targets, sizeof(struct snapshot_target));
    head.text = place(&at, text_bytes(b), 1);
    if (at > SNAPSHOT_SIZE_MAX)
        return -E2BIG;
    b->snapshot = calloc(1, at);
    if (b->snapshot == NULL)
        return -ENOMEM;
    head.size = at;
    *b->snapshot = head;
    return 0;
}

struct lb_text compile_text(struct build *b, const char *text)
{
    struct lb_text added = {.offset = b->text_used};

    if (text == NULL)
        return added;
    added.length = (uint32_t)strlen(text);
    memcpy((char *)compile_array(b, b->snapshot->text) + b->text_used, text, added.length);
    b->text_used += added.length;
    return added;
}

static void fill_head(struct build *b)
{
    const struct compile_input *input = b->input;
    struct snapshot *s = b->snapshot;

    s->generation = input->generation;
    s->draining = input->node_draining;
    s->hash_key = b->hash_key;
    if (input->cfg->has_node_address)
        s->node_ip = input->cfg->node_address;
    if (input->live != NULL)
        s->capture = input->live->capture;
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

static struct snapshot_prefix prefix_of(const struct cfg_prefix *from)
{
    bool v4 = sip_ip_is_v4(&from->ip);

    return (struct snapshot_prefix){
        .ip = from->ip,
        .bits = (uint8_t)(from->length + (v4 ? 96 : 0)),
        .family = v4 ? SNAPSHOT_FAMILY_V4 : SNAPSHOT_FAMILY_V6,
    };
}

static void fill_trunk(struct build *b, const struct cfg_service *from, struct snapshot_service *to)
{
    const struct cfg *cfg = b->input->cfg;
    uint32_t pools[SNAPSHOT_SERVICE_POOLS_MAX];
    struct snapshot_prefix *sources;
    struct snapshot_match *matches;

    to->sources = compile_part(&b->sources_at, from->n_sources, sizeof(*sources));
    sources = compile_array(b, to->sources);
    for (uint32_t i = 0; i < from->n_sources; i++)
        sources[i] = prefix_of(&from->sources[i]);
    to->matches = compile_part(&b->matches_at, from->n_matches, sizeof(*matches));
    matches = compile_array(b, to->matches);
    for (uint32_t i = 0; i < from->n_matches; i++) {
        const struct cfg_match *match = &from->matches[i];

        if (match->has_source)
            matches[i].source = prefix_of(&match->source);
        matches[i].domain = compile_text(b, match->domain);
        matches[i].dialled = compile_text(b, match->prefix);
        matches[i].pool = trunk_pool_index(cfg, match->pool);
    }
    to->pools = compile_part(&b->pools_at, trunk_pools(cfg, from, pools), sizeof(*pools));
    memcpy(compile_array(b, to->pools), pools, to->pools.n * sizeof(*pools));
}

static void fill_services(struct build *b)
{
    const struct cfg *cfg = b->input->cfg;
    struct snapshot_service *services = compile_array(b, b->snapshot->services);

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        const struct cfg_service *from = &cfg->services[i];
        struct snapshot_service *to = &services[i];
        struct lb_text *domains;

        to->pool = trunk_pool_index(cfg, from->pool);
        to->name = compile_text(b, from->name);
        to->record_route = from->record_route;
        to->path = from->path;
        to->nat = from->nat;
        to->mode = from->mode;
        to->tunnel = from->tunnel;
        to->n_proxy_require = (uint8_t)from->n_proxy_require;
        for (uint32_t j = 0; j < from->n_proxy_require; j++)
            to->proxy_require[j] = compile_text(b, from->proxy_require[j]);
        to->domains = compile_part(&b->domains_at, from->n_domains, sizeof(*domains));
        domains = compile_array(b, to->domains);
        for (uint32_t j = 0; j < from->n_domains; j++)
            domains[j] = compile_text(b, from->domains[j]);
        fill_trunk(b, from, to);
    }
}

static int by_listener(const void *a, const void *b)
{
    return snapshot_listener_order(a, b);
}

static void fill_listeners(struct build *b)
{
    const struct cfg *cfg = b->input->cfg;
    struct snapshot_listener *listeners = compile_array(b, b->snapshot->listeners);
    uint32_t n = 0;

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        for (uint32_t j = 0; j < cfg->services[i].n_listen; j++) {
            const struct cfg_listener *from = &cfg->services[i].listen[j];

            listeners[n].addr = from->addr;
            listeners[n].transport = (uint8_t)from->transport;
            listeners[n++].service = i;
        }
    }
    qsort(listeners, n, sizeof(*listeners), by_listener);
}

static void fill_backend(struct build *b, const struct chosen *from, struct lb_backend *to)
{
    const struct compile_state *state = find_state(b->input, from->id);

    to->id = from->id;
    to->pool = from->pool;
    to->ip = from->cfg->addr.ip;
    to->port = from->cfg->addr.port;
    to->transport = SIP_TRANSPORT_UDP;
    to->admin = state == NULL ? LB_UP : state->admin;
    to->health = state == NULL ? LB_UP : state->health;
    to->weight = state == NULL || state->weight == UINT32_MAX ? from->cfg->weight : state->weight;
    compile_health_apply(b->input->live, to);
    to->state = to->admin > to->health ? to->admin : to->health;
    to->lingering = from->lingering;
    if (from->lingering && to->state < LB_DRAINING)
        to->state = LB_DRAINING;
    to->n_ports = (uint8_t)(from->cfg->n_ports < LB_PORTS_MAX ? from->cfg->n_ports : LB_PORTS_MAX);
    for (uint32_t i = 0; i < to->n_ports; i++)
        to->ports[i] = from->cfg->ports[i];
    to->name = compile_text(b, from->cfg->name);
}

static void fill_backends(struct build *b)
{
    struct lb_backend *backends = compile_array(b, b->snapshot->backends);
    uint32_t *by_address = compile_array(b, b->snapshot->by_address);
    uint32_t mask = b->snapshot->by_address.n - 1;

    for (uint32_t i = 0; i < b->n_backends; i++) {
        uint32_t at;

        fill_backend(b, &b->chosen[i], &backends[i]);
        at = snapshot_address_home(&b->snapshot->hash_key, &backends[i].ip, mask + 1);
        while (by_address[at] != 0)
            at = (at + 1) & mask;
        by_address[at] = i + 1;
    }
}

static int by_id(const void *left, const void *right, void *context)
{
    const struct lb_backend *backends = context;
    uint32_t a = backends[*(const uint32_t *)left].id, b = backends[*(const uint32_t *)right].id;

    return (a > b) - (a < b);
}

static void fill_by_id(struct build *b)
{
    struct lb_backend *backends = compile_array(b, b->snapshot->backends);
    uint32_t *indices = compile_array(b, b->snapshot->by_id);

    for (uint32_t i = 0; i < b->n_backends; i++)
        indices[i] = i;
    qsort_r(indices, b->n_backends, sizeof(*indices), by_id, backends);
}

/* The table of one pool over those of its backends that take new calls. */
static int fill_table(struct build *b, const struct lb_pool *pool)
{
    const struct lb_backend *backends = compile_array(b, b->snapshot->backends);
    uint16_t *tables = compile_array(b, b->snapshot->tables);
    struct lb_member *members = calloc((size_t)pool->n_backends + 1, sizeof(*members));
    uint32_t n = 0;
    int ret;

    if (members == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < pool->n_backends; i++) {
        const struct lb_backend *backend = &backends[pool->first_backend + i];

        if (backend->state == LB_UP && backend->weight > 0)
            members[n++] = (struct lb_member){backend->id, backend->weight, (uint16_t)i};
    }
    ret =
        lb_maglev_build(&b->snapshot->hash_key, members, n, tables + pool->table, pool->table_size);
    free(members);
    return ret;
}

static int fill_pools(struct build *b)
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
    struct build b = {.input = input};
    int ret = choose_backends(&b);

    if (ret == 0)
        ret = compile_names_choose(&b);
    if (ret == 0)
        ret = allocate(&b);
    if (ret == 0) {
        fill_head(&b);
        fill_listeners(&b);
        fill_backends(&b);
        fill_by_id(&b);
        fill_services(&b);
        compile_names_fill(&b);
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
