/* SPDX-License-Identifier: Apache-2.0 */
/* From configuration, state and secret to a snapshot; its memfd. */
#include "tests/unit/config/sample.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/msg.h"

static void assert_check(const struct snapshot *s)
{
    const char *reason = "";

    if (snapshot_check(s, s->size, &reason) != 0)
        fail_msg("%s", reason);
}

static const struct lb_backend *backend(const struct snapshot *s, const char *pool,
                                        const char *name)
{
    int32_t index = snapshot_backend_by_id(s, sample_id(pool, name));

    assert_true(index >= 0);
    return &snapshot_backends(s)[index];
}

/* How many of a pool's entries name a backend; with NULL, how many name none. */
static uint32_t entries(const struct snapshot *s, uint32_t pool, const struct lb_backend *of)
{
    const struct lb_pool *p = &snapshot_pools(s)[pool];
    const uint16_t *table = (const uint16_t *)snapshot_at(s, s->tables.offset) + p->table;
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->table_size; i++)
        n += of == NULL ? table[i] == 0xffff
                        : table[i] == (uint32_t)(of - snapshot_backends(s)) - p->first_backend;
    return n;
}

static void test_layout(void **state)
{
    struct cfg *cfg = sample_load("good.yaml");
    struct compile_input input = {
        .cfg = cfg, .secret = &sample_secret, .generation = 9, .node_draining = true};
    struct snapshot *s = sample_compile(&input);
    const struct lb_backend *kam1 = backend(s, "proxies", "kam1");
    const struct snapshot_service *calls = &snapshot_services(s)[0];
    const struct lb_text *domains = snapshot_at(s, calls->domains.offset);

    assert_check(s);
    assert_int_equal(s->generation, 9);
    assert_int_equal(s->draining, 1);
    assert_int_equal(s->services.n, 2);
    assert_int_equal(s->listeners.n, 4);
    assert_int_equal(s->pools.n, 3);
    assert_int_equal(s->backends.n, 6);
    assert_int_equal(calls->path, SNAPSHOT_PATH_SUPPORTED);
    assert_int_equal(calls->nat, SNAPSHOT_NAT_ALWAYS);
    assert_int_equal(calls->record_route, 0);
    assert_int_equal(calls->n_proxy_require, 2);
    assert_true(
        sip_slice_equal(snapshot_text(s, calls->proxy_require[1]), sip_slice_of("sec-agree")));
    assert_int_equal(calls->domains.n, 3);
    assert_true(sip_slice_equal(snapshot_text(s, domains[0]), sip_slice_of("example.net")));
    assert_int_equal(snapshot_services(s)[1].pool, 1);
    assert_int_equal(snapshot_services(s)[1].record_route, 1);
    assert_int_equal(kam1->port, 5080);
    assert_int_equal(kam1->n_ports, 2);
    assert_int_equal(kam1->ports[1], 5082);
    assert_int_equal(kam1->weight, 50);
    assert_int_equal(kam1->state, LB_UP);
    assert_int_equal(kam1->transport, SIP_TRANSPORT_UDP);
    assert_int_equal(snapshot_pools(s)[0].keys[SIP_MESSAGE], LB_KEY_HEADER);
    assert_true(sip_slice_equal(snapshot_text(s, snapshot_pools(s)[0].key_header),
                                sip_slice_of("X-Tenant")));
    assert_int_equal(entries(s, 0, NULL), 0);
    assert_int_equal(entries(s, 0, backend(s, "proxies", "kam3")), 0);
    assert_true(entries(s, 0, kam1) > 0);
    free(s);
    cfg_free(cfg);
}

static void test_trunk(void **state)
{
    struct cfg *cfg = sample_load("good.yaml");
    struct compile_input input = {.cfg = cfg, .secret = &sample_secret, .generation = 1};
    struct snapshot *s = sample_compile(&input);
    const struct snapshot_service *trunks = &snapshot_services(s)[1];
    const struct snapshot_prefix *sources = snapshot_at(s, trunks->sources.offset);
    const struct snapshot_match *matches = snapshot_at(s, trunks->matches.offset);
    const uint32_t *pools = snapshot_at(s, trunks->pools.offset);

    assert_check(s);
    assert_int_equal(snapshot_services(s)[0].sources.n + snapshot_services(s)[0].matches.n, 0);
    assert_int_equal(snapshot_services(s)[0].pools.n, 1);
    assert_int_equal(trunks->sources.n, 4);
    assert_int_equal(sources[0].bits, 96 + 24);
    assert_int_equal(sources[0].family, SNAPSHOT_FAMILY_V4);
    assert_int_equal(sources[2].bits, 48);
    assert_int_equal(sources[2].family, SNAPSHOT_FAMILY_V6);
    assert_int_equal(trunks->matches.n, 4);
    assert_int_equal(matches[0].pool, 2);
    assert_true(
        sip_slice_equal(snapshot_text(s, matches[0].domain), sip_slice_of("Tenant.example.net")));
    assert_true(sip_slice_equal(snapshot_text(s, matches[0].dialled), sip_slice_of("+49*#")));
    assert_int_equal(matches[1].source.family, SNAPSHOT_FAMILY_NONE);
    assert_int_equal(matches[1].domain.length, 0);
    assert_int_equal(matches[2].source.family, SNAPSHOT_FAMILY_V6);
    assert_int_equal(matches[2].source.bits, 0);
    /* media-gateways is its own, proxies and spare are its matches'. */
    assert_int_equal(trunks->pools.n, 3);
    assert_int_equal(pools[0], 1);
    assert_int_equal(pools[1], 0);
    assert_int_equal(pools[2], 2);
    free(s);
    cfg_free(cfg);
}

static void test_modes(void **state)
{
    struct cfg *cfg = sample_load("direct.yaml");
    struct compile_input input = {.cfg = cfg, .secret = &sample_secret, .generation = 1};
    struct snapshot *s = sample_compile(&input);
    static const uint8_t modes[] = {SNAPSHOT_MODE_DIRECT, SNAPSHOT_MODE_DIRECT,
                                    SNAPSHOT_MODE_PROXY};
    static const uint8_t tunnels[] = {0, 1, 0};

    assert_check(s);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(snapshot_services(s)[i].mode, modes[i]);
        assert_int_equal(snapshot_services(s)[i].tunnel, tunnels[i]);
    }
    free(s);
    cfg_free(cfg);
}

static void test_live(void **state)
{
    struct cfg *cfg = sample_load("good.yaml");
    struct compile_name turned[5];
    struct compile_live live = {.names = turned, .n_names = 5, .capture = sample_live.capture};
    struct compile_input input = {
        .cfg = cfg, .secret = &sample_secret, .live = &sample_live, .generation = 1};
    struct snapshot *s = sample_compile(&input), *again;
    const struct snapshot_name *found =
        snapshot_find_name(s, sip_slice_of("Carrier.example."), 0, SIP_TRANSPORT_NONE);
    const struct snapshot_target *targets;

    assert_check(s);
    assert_memory_equal(&s->capture, &sample_live.capture, sizeof(s->capture));
    assert_memory_equal(&s->node_ip, &cfg->node_address, sizeof(s->node_ip));
    assert_int_equal(s->names.n, 4);
    assert_int_equal(s->targets.n, 3);
    assert_non_null(found);
    assert_int_equal(found->targets.n, 2);
    targets = snapshot_at(s, found->targets.offset);
    assert_true(sip_addr_equal(&targets[1].addr, &sample_targets[1].addr));
    assert_int_equal(targets[0].weight, 10);
    assert_int_equal(targets[1].priority, 2);
    assert_int_equal(targets[1].transport, SIP_TRANSPORT_UDP);
    /* Another order, and one of them twice. */
    for (int i = 0; i < 4; i++)
        turned[i] = sample_names[3 - i];
    turned[4] = sample_names[0];
    input.live = &live;
    again = sample_compile(&input);
    assert_check(again);
    assert_int_equal(again->size, s->size);
    for (uint32_t i = 0; i < 4; i++) {
        const struct snapshot_name *a = snapshot_at(s, s->names.offset);
        const struct snapshot_name *b = snapshot_at(again, again->names.offset);

        assert_true(a[i].hash == b[i].hash);
        assert_int_equal(a[i].targets.n, b[i].targets.n);
    }
    free(again);
    free(s);
    live.n_names = SNAPSHOT_NAMES_MAX + 1;
    assert_int_equal(compile_snapshot(&input, &s), -E2BIG);
    live.n_names = 1;
    turned[0].n_targets = SNAPSHOT_TARGETS_MAX + 1;
    assert_int_equal(compile_snapshot(&input, &s), -E2BIG);
    cfg_free(cfg);
}

static void test_keys(void **state)
{
    struct cfg *cfg = sample_load("least.yaml");
    struct compile_secret rotated = sample_secret;
    struct compile_input input = {.cfg = cfg, .secret = &sample_secret, .generation = 1};
    struct snapshot *before = sample_compile(&input), *after;

    rotated.mac[SNAPSHOT_MAC_CURRENT].key.k0 ^= 1;
    rotated.mac[SNAPSHOT_MAC_NEXT] = (struct snapshot_mac_key){.id = 8, .valid = 1, .key = {9, 9}};
    input.secret = &rotated;
    after = sample_compile(&input);
    assert_check(after);
    /* A rotation moves no call and breaks no transaction. */
    assert_memory_equal(&before->hash_key, &after->hash_key, sizeof(struct lb_key));
    assert_memory_equal(&before->branch_key, &after->branch_key, sizeof(struct lb_key));
    assert_memory_not_equal(&before->hash_key, &before->branch_key, sizeof(struct lb_key));
    assert_memory_not_equal(&before->hash_key, &sample_secret.seed, sizeof(struct lb_key));
    assert_memory_not_equal(&before->mac[1].key, &after->mac[1].key, sizeof(struct lb_key));
    assert_memory_equal(&before->mac[2], &after->mac[2], sizeof(struct snapshot_mac_key));
    assert_int_equal(before->mac[SNAPSHOT_MAC_NEXT].valid, 0);
    assert_int_equal(after->mac[SNAPSHOT_MAC_NEXT].id, 8);
    free(before);
    free(after);
    cfg_free(cfg);
}

/* admin and health, the worse of them, and who then gets new calls (DESIGN section 3). */
static void test_states(void **state)
{
    static const struct {
        uint8_t admin, health, state;
    } cases[] = {
        {LB_UP, LB_UP, LB_UP},
        {LB_UP, LB_BUSY, LB_BUSY},
        {LB_UP, LB_DOWN, LB_DOWN},
        {LB_DRAINING, LB_UP, LB_DRAINING},
        {LB_DRAINING, LB_BUSY, LB_DRAINING},
        {LB_DRAINING, LB_DOWN, LB_DOWN},
        {LB_DISABLED, LB_UP, LB_DISABLED},
        {LB_DISABLED, LB_DOWN, LB_DISABLED},
    };
    struct cfg *cfg = sample_load("good.yaml");

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct compile_state st = {
            .id = sample_id("proxies", "kam2"), .admin = cases[i].admin, .weight = UINT32_MAX};
        struct compile_health seen = {
            .id = st.id, .health = cases[i].health, .weight_permille = 1000};
        struct compile_live live = {.health = &seen, .n_health = 1};
        struct compile_input input = {.cfg = cfg,
                                      .secret = &sample_secret,
                                      .generation = 1,
                                      .states = &st,
                                      .n_states = 1,
                                      .live = &live};
        struct snapshot *s = sample_compile(&input);
        const struct lb_backend *kam2 = backend(s, "proxies", "kam2");

        assert_check(s);
        assert_int_equal(kam2->admin, cases[i].admin);
        assert_int_equal(kam2->health, cases[i].health);
        assert_int_equal(kam2->state, cases[i].state);
        assert_int_equal(kam2->weight, 100);
        assert_int_equal(entries(s, 0, kam2) > 0, cases[i].state == LB_UP);
        assert_int_equal(entries(s, 0, NULL), 0);
        free(s);
    }
    cfg_free(cfg);
}

static void test_weight_and_none_up(void **state)
{
    struct cfg *cfg = sample_load("good.yaml");
    struct compile_state st[] = {
        {.id = sample_id("proxies", "kam2"), .weight = 0},
        {.id = sample_id("proxies", "kam3"), .weight = 300},
    };
    struct compile_health down = {
        .id = sample_id("media-gateways", "kam1"), .health = LB_DOWN, .weight_permille = 1000};
    struct compile_live live = {.health = &down, .n_health = 1};
    struct compile_input input = {.cfg = cfg,
                                  .secret = &sample_secret,
                                  .generation = 1,
                                  .states = st,
                                  .n_states = 2,
                                  .live = &live};
    struct snapshot *s;

    qsort(st, 2, sizeof(st[0]), compile_by_id);
    s = sample_compile(&input);
    assert_check(s);
    assert_int_equal(entries(s, 0, backend(s, "proxies", "kam2")), 0);
    assert_int_equal(backend(s, "proxies", "kam3")->weight, 300);
    assert_true(entries(s, 0, backend(s, "proxies", "kam3")) >
                entries(s, 0, backend(s, "proxies", "kam1")));
    assert_int_equal(entries(s, 1, NULL), snapshot_pools(s)[1].table_size);
    assert_int_equal(snapshot_table_lookup(s, 1, 12345), LB_NO_BACKEND);
    free(s);
    cfg_free(cfg);
}

/* What control observes: the worse of it and the operator's word, and weights in a slow start. */
static void test_health(void **state)
{
    struct cfg *cfg = sample_load("good.yaml");
    struct compile_state st[] = {
        {.id = sample_id("proxies", "kam1"), .weight = UINT32_MAX},
        {.id = sample_id("proxies", "kam2"), .admin = LB_DRAINING, .weight = UINT32_MAX},
        {.id = sample_id("proxies", "kam3"), .weight = 3},
    };
    struct compile_health seen[] = {
        {.id = sample_id("proxies", "kam1"), .health = LB_UP, .weight_permille = 500},
        {.id = sample_id("proxies", "kam2"), .health = LB_BUSY, .weight_permille = 1000},
        {.id = sample_id("proxies", "kam3"), .health = LB_DOWN, .weight_permille = 100},
        {.id = 12345, .health = LB_DOWN, .weight_permille = 1000}, /* nobody's */
    };
    struct compile_live live = {.health = seen, .n_health = 4};
    struct compile_input input = {.cfg = cfg,
                                  .secret = &sample_secret,
                                  .generation = 1,
                                  .states = st,
                                  .n_states = 3,
                                  .live = &live};
    struct snapshot *s;

    qsort(seen, 4, sizeof(seen[0]), compile_by_id);
    qsort(st, 3, sizeof(st[0]), compile_by_id);
    s = sample_compile(&input);
    assert_check(s);
    assert_int_equal(backend(s, "proxies", "kam1")->state, LB_UP);
    assert_int_equal(backend(s, "proxies", "kam1")->weight, 25);
    assert_int_equal(backend(s, "proxies", "kam2")->health, LB_BUSY);
    assert_int_equal(backend(s, "proxies", "kam2")->state, LB_DRAINING);
    assert_int_equal(backend(s, "proxies", "kam2")->weight, 100);
    assert_int_equal(backend(s, "proxies", "kam3")->state, LB_DOWN);
    assert_int_equal(backend(s, "proxies", "kam3")->weight, 1); /* a slow start is never none */
    free(s);
    for (int i = 0; i < 3; i++) {
        if (st[i].id == sample_id("proxies", "kam3"))
            st[i].weight = 0; /* the operator's 0 stays 0 */
    }
    s = sample_compile(&input);
    assert_int_equal(backend(s, "proxies", "kam3")->weight, 0);
    free(s);
    cfg_free(cfg);
}

/* One that left, one that came back, one of a pool that is gone, one twice. */
/* One that left the configuration. */
static struct compile_lingering gone_backend(const char *pool, const char *name, const char *ip)
{
    return (struct compile_lingering){(char *)(uintptr_t)pool,
                                      {.name = (char *)(uintptr_t)name,
                                       .addr = sample_addr(ip, 5060),
                                       .transport = SIP_TRANSPORT_UDP,
                                       .weight = 100}};
}

static void test_lingering(void **state)
{
    struct cfg *cfg = sample_load("good.yaml");
    struct compile_lingering gone[] = {
        gone_backend("proxies", "old", "10.0.0.50"),
        gone_backend("proxies", "kam2", "10.0.0.51"),
        gone_backend("no-pool", "old", "10.0.0.52"),
        gone_backend("proxies", "old", "10.0.0.53"),
        gone_backend("spare", "dead", "10.0.0.54"),
    };
    struct compile_health dead = {
        .id = sample_id("spare", "dead"), .health = LB_DOWN, .weight_permille = 1000};
    struct compile_live live = {.health = &dead, .n_health = 1};
    struct compile_input input = {
        .cfg = cfg, .secret = &sample_secret, .generation = 1, .live = &live};
    struct snapshot *without = sample_compile(&input), *s;
    const struct lb_backend *old;

    input.lingering = gone;
    input.n_lingering = sizeof(gone) / sizeof(gone[0]);
    s = sample_compile(&input);
    assert_check(s);
    assert_int_equal(s->backends.n, 8);
    old = backend(s, "proxies", "old");
    assert_int_equal(old->lingering, 1);
    assert_int_equal(old->state, LB_DRAINING);
    assert_int_equal(old->ip.bytes[15], 50);
    assert_int_equal(old - snapshot_backends(s), 4); /* behind the pool's four */
    assert_int_equal(snapshot_pools(s)[0].n_backends, 5);
    assert_int_equal(snapshot_pools(s)[1].first_backend, 5);
    assert_int_equal(entries(s, 0, old), 0);
    assert_int_equal(backend(s, "proxies", "kam2")->lingering, 0);
    assert_int_equal(backend(s, "proxies", "kam2")->ip.bytes[15], 12);
    assert_int_equal(backend(s, "spare", "dead")->state, LB_DOWN);
    /* Whoever lingers moves nobody. */
    assert_int_equal(without->tables.n, s->tables.n);
    assert_memory_equal(snapshot_at(without, without->tables.offset),
                        snapshot_at(s, s->tables.offset), s->tables.n * sizeof(uint16_t));
    free(without);
    free(s);
    cfg_free(cfg);
}

static void test_equal_bytes(void **state)
{
    struct cfg *a = sample_load("good.yaml"), *b = sample_load("good.yaml");
    struct compile_input input = {
        .cfg = a, .secret = &sample_secret, .live = &sample_live, .generation = 1};
    struct snapshot *first = sample_compile(&input), *second;

    input.cfg = b;
    second = sample_compile(&input);
    assert_int_equal(first->size, second->size);
    assert_memory_equal(first, second, first->size);
    free(first);
    free(second);
    cfg_free(a);
    cfg_free(b);
}

static void assert_same(const struct compile_input *input, const struct snapshot *before)
{
    struct compile_input with = *input, without = *input;
    struct snapshot *copied, *built;

    with.before = before;
    without.before = NULL;
    copied = sample_compile(&with);
    built = sample_compile(&without);
    assert_check(copied);
    assert_int_equal(copied->size, built->size);
    assert_memory_equal(copied, built, built->size);
    free(copied);
    free(built);
}

/* Marks the tables of a snapshot, so that one can tell what was copied from it. */
static void mark_tables(struct snapshot *s)
{
    memset((char *)s + s->tables.offset, 0, s->tables.n * sizeof(uint16_t));
}

static bool is_marked(const struct snapshot *s, uint32_t pool)
{
    return entries(s, pool, &snapshot_backends(s)[snapshot_pools(s)[pool].first_backend]) ==
           snapshot_pools(s)[pool].table_size;
}

/* Tables that would be the same are copied, others are built: the bytes do not tell. */
static void test_before(void **state)
{
    struct cfg *cfg = sample_load("good.yaml"), *other = sample_load("least.yaml");
    struct compile_secret another = sample_secret;
    struct compile_health busy = {
        .id = sample_id("proxies", "kam1"), .health = LB_UP, .weight_permille = 500};
    struct compile_live live = sample_live;
    struct compile_lingering gone[] = {
        gone_backend("proxies", "old", "10.0.0.50")};
    struct compile_input input = {
        .cfg = cfg, .secret = &sample_secret, .live = &sample_live, .generation = 1};
    struct snapshot *before = sample_compile(&input), *s;

    assert_same(&input, before);
    input.lingering = gone;
    input.n_lingering = 1;
    assert_same(&input, before);
    live.health = &busy;
    live.n_health = 1;
    input.live = &live;
    for (int i = 0; i < 4; i++) {
        busy.health = i == 1 ? LB_BUSY : LB_UP;
        busy.weight_permille = i == 2 ? 999 : i == 3 ? 1000 : 500;
        assert_same(&input, before);
    }
    another.seed.k0 ^= 1;
    input.secret = &another;
    assert_same(&input, before);
    input = (struct compile_input){.cfg = other, .secret = &sample_secret, .generation = 2};
    assert_same(&input, before);

    mark_tables(before);
    busy.weight_permille = 500;
    input = (struct compile_input){
        .cfg = cfg, .secret = &sample_secret, .live = &live, .before = before, .generation = 2};
    s = sample_compile(&input);
    assert_false(is_marked(s, 0)); /* a weight of it changed */
    assert_true(is_marked(s, 1));
    assert_true(is_marked(s, 2));
    free(s);
    free(before);
    cfg_free(cfg);
    cfg_free(other);
}

static void test_memfd(void **state)
{
    struct cfg *cfg = sample_load("good.yaml");
    struct compile_input input = {.cfg = cfg, .secret = &sample_secret, .generation = 1};
    struct snapshot *s = sample_compile(&input);
    int fd = compile_memfd(s);
    struct stat status;
    void *map;

    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GET_SEALS), msg_snapshot_seals());
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_size, s->size);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(ftruncate(fd, 1), -1);
    map = mmap(NULL, s->size, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_true(map != MAP_FAILED);
    assert_memory_equal(map, s, s->size);
    assert_check(map);
    munmap(map, s->size);
    close(fd);
    free(s);
    cfg_free(cfg);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trunk),
        cmocka_unit_test(test_live),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_weight_and_none_up),
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_lingering),
        cmocka_unit_test(test_equal_bytes),
        cmocka_unit_test(test_before),
        cmocka_unit_test(test_memfd),
    };

    if (argc > 1)
        sample_dir = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
