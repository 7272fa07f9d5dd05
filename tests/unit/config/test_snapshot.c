/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of snapshots and the look-ups: what a good one answers, and that a bad one is either
 * refused or read without leaving its block, which ends at an unreadable page.
 */
#include "tests/unit/config/block.h"

enum { RANDOM_ROUNDS = 20000 };

static uint64_t read_text(const struct snapshot *s, struct lb_text text)
{
    struct sip_slice slice = snapshot_text(s, text);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < slice.length; i++)
        sum += (uint8_t)slice.at[i];
    return sum;
}

static uint64_t read_trunk(const struct snapshot *s, const struct snapshot_service *service)
{
    const struct snapshot_prefix *sources = snapshot_at(s, service->sources.offset);
    const struct snapshot_match *matches = snapshot_at(s, service->matches.offset);
    const uint32_t *pools = snapshot_at(s, service->pools.offset);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < service->sources.n; i++)
        sum += snapshot_prefix_has(&sources[i], &sources[i].ip);
    for (uint32_t i = 0; i < service->matches.n; i++) {
        sum += read_text(s, matches[i].domain) + read_text(s, matches[i].dialled);
        sum += snapshot_prefix_has(&matches[i].source, &matches[i].source.ip);
        sum += snapshot_pools(s)[matches[i].pool].id;
    }
    for (uint32_t i = 0; i < service->pools.n; i++)
        sum += snapshot_pools(s)[pools[i]].id;
    for (uint32_t i = 0; i < s->backends.n; i++) {
        struct sip_addr addr = {snapshot_backends(s)[i].ip, 0};

        sum += (uint64_t)snapshot_find_service_backend(s, service, &addr, true);
    }
    return sum;
}

static uint64_t read_names(const struct snapshot *s)
{
    const struct snapshot_name *names = snapshot_at(s, s->names.offset);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < s->names.n; i++) {
        const struct snapshot_name *name = &names[i];
        const struct snapshot_target *targets = snapshot_at(s, name->targets.offset);

        sum += snapshot_find_name(s, snapshot_text(s, name->host), name->port,
                                  (enum sip_transport)name->transport) == name;
        for (uint32_t j = 0; j < name->targets.n; j++)
            sum += targets[j].addr.port + targets[j].weight;
    }
    return sum + snapshot_captures(s, sip_slice_of("a@b"));
}

/* Reads all that can be reached from a snapshot. */
static uint64_t read_all(const struct snapshot *s)
{
    static const uint64_t hashes[] = {0, 1, UINT64_MAX / 2, UINT64_MAX};
    uint64_t sum = 0;

    for (uint32_t i = 0; i < s->services.n; i++) {
        const struct snapshot_service *service = &snapshot_services(s)[i];
        const struct lb_text *domains = snapshot_at(s, service->domains.offset);

        sum += read_text(s, service->name) + snapshot_pools(s)[service->pool].id;
        for (uint32_t j = 0; j < service->n_proxy_require; j++)
            sum += read_text(s, service->proxy_require[j]);
        for (uint32_t j = 0; j < service->domains.n; j++)
            sum += read_text(s, domains[j]);
        sum += read_trunk(s, service);
    }
    for (uint32_t i = 0; i < s->listeners.n; i++) {
        const struct snapshot_listener *l = &snapshot_listeners(s)[i];

        sum += snapshot_services(s)[l->service].pool;
        sum += (uint64_t)snapshot_find_listener(s, (enum sip_transport)l->transport, &l->addr);
    }
    for (uint32_t i = 0; i < s->pools.n; i++) {
        sum +=
            read_text(s, snapshot_pools(s)[i].name) + read_text(s, snapshot_pools(s)[i].key_header);
        for (size_t h = 0; h < sizeof(hashes) / sizeof(hashes[0]); h++) {
            int32_t found = snapshot_table_lookup(s, i, hashes[h]);

            sum += found < 0 ? 0 : snapshot_backends(s)[found].id;
        }
    }
    for (uint32_t i = 0; i < s->backends.n; i++) {
        const struct lb_backend *b = &snapshot_backends(s)[i];
        struct sip_addr addr = {b->ip, (uint16_t)(b->port + 1)};

        for (uint32_t j = 0; j < b->n_ports; j++)
            sum += b->ports[j];
        sum += read_text(s, b->name) + snapshot_is_backend_address(s, &b->ip);
        sum += (uint64_t)snapshot_backend_by_id(s, b->id);
        sum += (uint64_t)snapshot_find_backend(s, b->pool, &addr, false);
        sum += (uint64_t)snapshot_find_backend(s, b->pool, &addr, true);
        addr.ip.bytes[15] ^= 0x55;
        sum += snapshot_is_backend_address(s, &addr.ip);
    }
    return sum + read_names(s);
}

static int32_t backend_index(const struct snapshot *s, const char *pool, const char *name)
{
    return snapshot_backend_by_id(s, sample_id(pool, name));
}

static void test_good(void **state)
{
    const struct snapshot *s = good(state);
    const char *reason = "untouched";

    assert_int_equal(snapshot_check(s, s->size, &reason), 0);
    assert_string_equal(reason, "untouched");
    assert_true(read_all(s) != 0);
}

static void test_find_listener(void **state)
{
    static const struct {
        const char *ip;
        uint16_t port;
        const char *service;
    } cases[] = {
        {"192.0.2.10", 5060, "calls"},   {"192.0.2.10", 5070, "calls"},
        {"2001:db8::10", 5060, "calls"}, {"10.0.0.1", 5060, "trunks"},
        {"192.0.2.10", 5061, NULL},      {"192.0.2.11", 5060, NULL},
        {"2001:db8::10", 5070, NULL},    {"255.255.255.255", 5060, NULL},
    };
    const struct snapshot *s = good(state);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sip_addr addr = sample_addr(cases[i].ip, cases[i].port);
        int32_t found = snapshot_find_listener(s, SIP_TRANSPORT_UDP, &addr);

        assert_int_equal(snapshot_find_listener(s, SIP_TRANSPORT_TCP, &addr), -1);
        if (cases[i].service == NULL) {
            assert_int_equal(found, -1);
            continue;
        }
        assert_true(found >= 0);
        assert_true(sip_addr_equal(&snapshot_listeners(s)[found].addr, &addr));
        assert_true(sip_slice_equal(
            snapshot_text(s, snapshot_services(s)[snapshot_listeners(s)[found].service].name),
            sip_slice_of(cases[i].service)));
    }
}

/* kam1 is 10.0.0.11:5080, also known by 5081 and 5082; kam3 is 10.0.0.11:5090. */
static void test_find_backend(void **state)
{
    static const struct {
        const char *ip;
        uint16_t port;
        bool any_port;
        const char *backend;
    } cases[] = {
        {"10.0.0.11", 5080, false, "kam1"}, {"10.0.0.11", 5082, false, "kam1"},
        {"10.0.0.11", 5090, false, "kam3"}, {"10.0.0.11", 5090, true, "kam3"},
        {"10.0.0.11", 5060, false, NULL},   {"10.0.0.11", 5060, true, "kam1"},
        {"10.0.0.11", 0, false, "kam1"},    {"10.0.0.11", 0, true, "kam1"},
        {"10.0.0.12", 5060, false, "kam2"}, {"10.0.0.12", 1, false, NULL},
        {"fd00::4", 5060, false, "kam4"},   {"fd00::5", 5060, true, NULL},
        {"10.0.0.99", 5060, true, NULL},    {"10.0.0.13", 0, true, NULL},
    };
    const struct snapshot *s = good(state);
    uint32_t pool = snapshot_services(s)[0].pool;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sip_addr addr = sample_addr(cases[i].ip, cases[i].port);
        int32_t expected = cases[i].backend == NULL ? LB_NO_BACKEND
                                                    : backend_index(s, "proxies", cases[i].backend);

        assert_int_equal(snapshot_find_backend(s, pool, &addr, cases[i].any_port), expected);
    }
}

/* The service `trunks` has all three pools; 10.0.0.11 is in two of them, by different ports. */
static void test_find_service_backend(void **state)
{
    static const struct {
        const char *ip;
        uint16_t port;
        bool any_port;
        uint32_t service;
        const char *pool, *backend;
    } cases[] = {
        {"10.0.0.11", 5060, true, 1, "media-gateways", "kam1"},
        {"10.0.0.11", 5080, true, 1, "proxies", "kam1"},
        {"10.0.0.11", 5082, false, 1, "proxies", "kam1"},
        {"10.0.0.99", 5060, false, 1, "spare", "s1"},
        {"10.0.0.99", 5061, false, 1, NULL, NULL},
        {"10.0.0.99", 5060, true, 0, NULL, NULL},
        {"10.0.0.11", 5060, false, 0, NULL, NULL},
        {"10.0.0.11", 5080, false, 0, "proxies", "kam1"},
    };
    const struct snapshot *s = good(state);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sip_addr addr = sample_addr(cases[i].ip, cases[i].port);
        int32_t expected = cases[i].pool == NULL
                               ? LB_NO_BACKEND
                               : backend_index(s, cases[i].pool, cases[i].backend);

        assert_int_equal(snapshot_find_service_backend(s, &snapshot_services(s)[cases[i].service],
                                                       &addr, cases[i].any_port),
                         expected);
    }
}

static void test_prefix_has(void **state)
{
    static const struct {
        const char *prefix;
        uint8_t bits, family;
        const char *ip;
        bool has;
    } cases[] = {
        {"198.51.100.0", 96 + 24, SNAPSHOT_FAMILY_V4, "198.51.100.255", true},
        {"198.51.100.0", 96 + 24, SNAPSHOT_FAMILY_V4, "198.51.101.0", false},
        {"198.51.100.128", 96 + 25, SNAPSHOT_FAMILY_V4, "198.51.100.128", true},
        {"198.51.100.128", 96 + 25, SNAPSHOT_FAMILY_V4, "198.51.100.127", false},
        {"203.0.113.7", 128, SNAPSHOT_FAMILY_V4, "203.0.113.7", true},
        {"203.0.113.7", 128, SNAPSHOT_FAMILY_V4, "203.0.113.6", false},
        {"0.0.0.0", 96, SNAPSHOT_FAMILY_V4, "255.255.255.255", true},
        {"0.0.0.0", 96, SNAPSHOT_FAMILY_V4, "2001:db8::1", false},
        {"2001:db8::", 33, SNAPSHOT_FAMILY_V6, "2001:db8:7fff::1", true},
        {"2001:db8::", 33, SNAPSHOT_FAMILY_V6, "2001:db8:8000::1", false},
        {"::", 0, SNAPSHOT_FAMILY_V6, "2001:db8::1", true},
        {"::", 0, SNAPSHOT_FAMILY_V6, "192.0.2.1", false},
        {"::", 0, SNAPSHOT_FAMILY_NONE, "192.0.2.1", true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct snapshot_prefix prefix = {.ip = sample_addr(cases[i].prefix, 0).ip,
                                         .bits = cases[i].bits,
                                         .family = cases[i].family};
        struct sip_addr addr = sample_addr(cases[i].ip, 0);

        if (snapshot_prefix_has(&prefix, &addr.ip) != cases[i].has)
            fail_msg("%s/%u and %s", cases[i].prefix, cases[i].bits, cases[i].ip);
    }
}

static void test_other_look_ups(void **state)
{
    const struct snapshot *s = good(state);
    struct sip_addr known = sample_addr("10.0.0.99", 0), unknown = sample_addr("10.0.0.98", 0);
    uint32_t pool = snapshot_services(s)[1].pool;
    int32_t only = backend_index(s, "media-gateways", "kam1");

    assert_true(snapshot_is_backend_address(s, &known.ip));
    assert_false(snapshot_is_backend_address(s, &unknown.ip));
    assert_true(only >= 0);
    assert_true(only != backend_index(s, "proxies", "kam1"));
    assert_int_equal(snapshot_table_lookup(s, pool, 0), only);
    assert_int_equal(snapshot_table_lookup(s, pool, UINT64_MAX), only);
    assert_int_equal(snapshot_backend_by_id(s, 0), LB_NO_BACKEND);
    assert_int_equal(snapshot_backend_by_id(s, UINT32_MAX), LB_NO_BACKEND);
}

static void test_find_name(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
        uint8_t transport;
        bool found;
        uint8_t outcome;
        uint32_t n_targets;
        uint16_t first_port;
    } cases[] = {
        {"carrier.example", 0, 0, true, SNAPSHOT_NAME_FOUND, 2, 5060},
        {"CARRIER.Example", 0, 0, true, SNAPSHOT_NAME_FOUND, 2, 5060},
        {"carrier.example.", 0, 0, true, SNAPSHOT_NAME_FOUND, 2, 5060},
        {"carrier.example..", 0, 0, false, 0, 0, 0},
        {"carrier.example", 5060, 0, false, 0, 0, 0},
        {"carrier.example", 0, SIP_TRANSPORT_UDP, false, 0, 0, 0},
        {"carrier.example", 5061, SIP_TRANSPORT_TLS, true, SNAPSHOT_NAME_FOUND, 1, 5061},
        {"nobody.example", 0, 0, true, SNAPSHOT_NAME_NONE, 0, 0},
        {"silent.example", 5060, 0, true, SNAPSHOT_NAME_FAILED, 0, 0},
        {"carrier.exampl", 0, 0, false, 0, 0, 0},
        {"", 0, 0, false, 0, 0, 0},
        {".", 0, 0, false, 0, 0, 0},
    };
    const struct snapshot *s = good(state);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct snapshot_name *name = snapshot_find_name(
            s, sip_slice_of(cases[i].host), cases[i].port, (enum sip_transport)cases[i].transport);

        if ((name != NULL) != cases[i].found)
            fail_msg("case %zu", i);
        if (name == NULL)
            continue;
        assert_int_equal(name->outcome, cases[i].outcome);
        assert_int_equal(name->targets.n, cases[i].n_targets);
        if (name->targets.n > 0) {
            const struct snapshot_target *first = snapshot_at(s, name->targets.offset);

            assert_int_equal(first->addr.port, cases[i].first_port);
        }
    }
}

/* A name of 255 bytes, whose hash is made in pieces; host, port and transport all enter it. */
static void test_name_hash(void **state)
{
    const struct lb_key *key = &good(state)->hash_key;
    char name[256], upper[256];
    struct sip_slice lower_case = sip_slice(name, 255), upper_case = sip_slice(upper, 255);
    uint64_t hash;

    for (int i = 0; i < 256; i++) {
        name[i] = (char)(i % 64 == 63 ? '.' : 'a' + i % 26);
        upper[i] = (char)(i % 64 == 63 ? '.' : 'A' + i % 26);
    }
    hash = snapshot_name_hash(key, lower_case, 5060, SIP_TRANSPORT_UDP);
    assert_true(hash == snapshot_name_hash(key, upper_case, 5060, SIP_TRANSPORT_UDP));
    assert_true(hash != snapshot_name_hash(key, lower_case, 5060, SIP_TRANSPORT_TCP));
    assert_true(hash != snapshot_name_hash(key, lower_case, 5061, SIP_TRANSPORT_UDP));
    assert_true(hash != snapshot_name_hash(key, lower_case, 5060 + 256, SIP_TRANSPORT_UDP));
    upper[254] = '_';
    assert_true(hash != snapshot_name_hash(key, upper_case, 5060, SIP_TRANSPORT_UDP));
}

static void test_captures(void **state)
{
    struct snapshot *s = good(state);
    struct sip_slice call = sip_slice_of("Call@phone"), other = sip_slice_of("call@phone");
    struct sip_slice none = sip_slice("", 0);

    assert_true(snapshot_call_hash(&s->hash_key, none) == 0);
    assert_true(snapshot_call_hash(&s->hash_key, call) != snapshot_call_hash(&s->hash_key, other));
    s->capture = (struct snapshot_capture){
        .on = 1, .n_calls = 2, .calls = {0, snapshot_call_hash(&s->hash_key, call)}};
    assert_true(snapshot_captures(s, call));
    assert_false(snapshot_captures(s, other));
    assert_false(snapshot_captures(s, none));
    s->capture.n_calls = 1; /* behind what counts */
    assert_false(snapshot_captures(s, call));
    s->capture.n_calls = 0; /* every message */
    assert_true(snapshot_captures(s, call) && snapshot_captures(s, none));
    s->capture.on = 0;
    assert_false(snapshot_captures(s, call) || snapshot_captures(s, none));
}

/* Written down once: another hash would move every dialog whose token names a backend. */
static void test_ids_for_ever(void **state)
{
    assert_int_equal(sample_id("proxies", "kam1"), 0x8945e232);
    assert_int_equal(snapshot_pool_id(sip_slice_of("proxies")), 0x2230d9e6);
    assert_int_equal(sample_id("proxies", "b115245"), sample_id("proxies", "b315158"));
    assert_true(sample_id("ab", "c") != sample_id("a", "bc"));
    assert_true(snapshot_pool_id(sip_slice_of("p56056")) ==
                snapshot_pool_id(sip_slice_of("p121449")));
    assert_true(sample_id("", "") != 0);
}

/* Every 4-byte word in turn, with values that are just wrong and wildly wrong. */
static void test_every_word(void **state)
{
    struct snapshot *s = good(state);
    uint64_t size = s->size, refused = 0, taken = 0;
    uint32_t *words = (uint32_t *)s;
    uint64_t tables_from = s->tables.offset / 4, tables_to = tables_from + s->tables.n / 2;

    for (uint64_t i = 0; i < size / 4; i++) {
        const uint32_t was = words[i];
        const uint32_t values[] = {0xffffffff, was ^ 0x80000000, was + 1,    was - 1,
                                   0,          was ^ 0x010101,   0x7fffffff, (uint32_t)size};
        size_t n = i >= tables_from && i < tables_to ? 2 : sizeof(values) / sizeof(values[0]);

        for (size_t v = 0; v < n; v++) {
            const char *reason = NULL;

            words[i] = values[v];
            if (snapshot_check(s, size, &reason) == 0) {
                read_all(s);
                taken++;
            } else {
                assert_non_null(reason);
                refused++;
            }
        }
        words[i] = was;
    }
    assert_true(refused > 1000);
    assert_true(taken > 0);
}

/* Several words of the head and the structs at once, by a fixed sequence. */
static void test_random_words(void **state)
{
    struct snapshot *s = good(state);
    uint64_t size = s->size;
    uint32_t n_words = s->tables.offset / 4, seed = 88675123;
    uint32_t *words = (uint32_t *)s, *copy = malloc(size);

    assert_non_null(copy);
    memcpy(copy, s, size);
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        const char *reason;

        for (int i = 0; i < 3; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            words[seed % n_words] = copy[(seed >> 8) % n_words];
        }
        if (snapshot_check(s, size, &reason) == 0)
            read_all(s);
        memcpy(s, copy, size);
    }
    free(copy);
}

/* A block cut anywhere, with and without a head that says so. */
static void test_cut(void **state)
{
    const struct snapshot *s = good(state);
    const char *reason;

    for (uint64_t size = 0; size < s->size; size += 8) {
        struct guard cut = guard_new(s, size);

        assert_int_equal(snapshot_check(cut.at, size, &reason), -EINVAL);
        if (size >= sizeof(*s)) {
            ((struct snapshot *)(void *)cut.at)->size = size;
            if (snapshot_check(cut.at, size, &reason) == 0)
                read_all((const struct snapshot *)(const void *)cut.at);
        }
        guard_free(&cut);
    }
    assert_int_equal(snapshot_check((const char *)s + 4, s->size - 4, &reason), -EINVAL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_BLOCK(test_good),         WITH_BLOCK(test_find_listener),
        WITH_BLOCK(test_find_backend), WITH_BLOCK(test_other_look_ups),
        WITH_BLOCK(test_ids_for_ever), WITH_BLOCK(test_every_word),
        WITH_BLOCK(test_random_words), WITH_BLOCK(test_cut),
        WITH_BLOCK(test_find_service_backend),
        WITH_BLOCK(test_prefix_has),   WITH_BLOCK(test_find_name),
        WITH_BLOCK(test_name_hash),    WITH_BLOCK(test_captures),
    };

    if (argc > 1)
        sample_dir = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
