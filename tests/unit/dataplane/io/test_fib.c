/* SPDX-License-Identifier: Apache-2.0 */
/* The forwarding table: longest prefix, metric, families kept apart, neighbours, marks; and against
 * a plain search over thousands of random routes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/io/fib.h"

static struct sip_ip ip(const char *text)
{
    struct sip_ip result;

    assert_int_equal(sip_ip_parse(sip_slice(text, (uint32_t)strlen(text)), &result), 0);
    return result;
}

/* A route as `ip route` says it; gateway NULL: on link. Length of the family. */
static struct io_fib_route route(const char *prefix, uint8_t length, uint8_t port,
                                 const char *gateway, uint32_t metric)
{
    struct io_fib_route result = {.prefix = ip(prefix),
                                  .length = length,
                                  .port = port,
                                  .on_link = gateway == NULL,
                                  .metric = metric};

    if (sip_ip_is_v4(&result.prefix))
        result.length = (uint8_t)(length + 96);
    if (gateway != NULL)
        result.gateway = ip(gateway);
    return result;
}

static struct io_fib_neighbour neighbour(const char *address, uint8_t port, uint8_t mac)
{
    return (struct io_fib_neighbour){
        .ip = ip(address), .port = port, .resolved = mac != 0, .mac = {2, 0, 0, 0, 0, mac}};
}

static void looks_up(void **state)
{
    const struct io_fib_route routes[] = {
        route("0.0.0.0", 0, 0, "192.0.2.1", 0),
        route("192.0.2.0", 24, 0, NULL, 0),
        route("10.0.0.0", 8, 1, "192.0.2.2", 20),
        route("10.0.0.0", 8, 0, "192.0.2.1", 30),
        route("10.1.0.0", 16, 1, NULL, 0),
        route("10.1.2.3", 32, 0, "192.0.2.3", 0),
        route("10.1.2.128", 25, 1, "2001:db8::7", 0), /* RFC 5549 */
        route("2001:db8::", 64, 1, NULL, 256),
        route("2001:db8:0:1::", 63, 0, "fe80::1", 1024),
    };
    const struct io_fib_neighbour neighbours[] = {
        neighbour("192.0.2.1", 0, 1), neighbour("192.0.2.2", 1, 2), neighbour("192.0.2.2", 0, 9),
        neighbour("192.0.2.3", 0, 0), neighbour("10.1.9.9", 1, 4),  neighbour("2001:db8::7", 1, 5),
        neighbour("fe80::1", 0, 6),
    };
    static const struct {
        const char *destination;
        enum io_fib_result result;
        uint8_t port;
        const char *hop;
        uint8_t mac;
    } cases[] = {
        {"198.51.100.1", IO_FIB_FOUND, 0, "192.0.2.1", 1},
        {"192.0.2.1", IO_FIB_FOUND, 0, "192.0.2.1", 1},
        {"192.0.2.77", IO_FIB_UNRESOLVED, 0, "192.0.2.77", 0},
        {"10.200.0.1", IO_FIB_FOUND, 1, "192.0.2.2", 2}, /* the lower metric */
        {"10.1.9.9", IO_FIB_FOUND, 1, "10.1.9.9", 4},
        {"10.1.2.3", IO_FIB_UNRESOLVED, 0, "192.0.2.3", 0}, /* known, without a MAC */
        {"10.1.2.200", IO_FIB_FOUND, 1, "2001:db8::7", 5},
        {"2001:db8::7", IO_FIB_FOUND, 1, "2001:db8::7", 5},
        {"2001:db8:0:1::5", IO_FIB_FOUND, 0, "fe80::1", 6}, /* host bits of the prefix ignored */
        {"2001:db9::1", IO_FIB_NO_ROUTE, 0, NULL, 0},       /* IPv4's default is not IPv6's */
    };
    struct io_fib *fib = io_fib_new(routes, sizeof(routes) / sizeof(routes[0]), neighbours,
                                    sizeof(neighbours) / sizeof(neighbours[0]));

    assert_non_null(fib);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sip_ip destination = ip(cases[i].destination), hop_ip;
        struct io_next_hop hop;

        print_message("%s\n", cases[i].destination);
        assert_int_equal(io_fib_lookup(fib, &destination, &hop), cases[i].result);
        if (cases[i].result == IO_FIB_NO_ROUTE)
            continue;
        hop_ip = ip(cases[i].hop);
        assert_int_equal(hop.port, cases[i].port);
        assert_true(sip_ip_equal(&hop.ip, &hop_ip));
        if (cases[i].result == IO_FIB_FOUND)
            assert_int_equal(hop.mac[5], cases[i].mac);
    }
    io_fib_free(fib);
    io_fib_free(NULL);
}

/* A target that must be a neighbour itself is reached by no gateway. */
static void reaches_neighbours(void **state)
{
    const struct io_fib_route routes[] = {
        route("0.0.0.0", 0, 0, "192.0.2.1", 0),
        route("192.0.2.0", 24, 0, NULL, 0),
    };
    const struct io_fib_neighbour neighbours[] = {neighbour("192.0.2.1", 0, 1),
                                                  neighbour("192.0.2.5", 0, 5)};
    static const struct {
        const char *destination;
        enum io_fib_result neighbour, other; /* must it be one, or may it be behind one */
    } cases[] = {
        {"192.0.2.5", IO_FIB_FOUND, IO_FIB_FOUND},
        {"192.0.2.6", IO_FIB_UNRESOLVED, IO_FIB_UNRESOLVED},
        {"192.0.2.1", IO_FIB_FOUND, IO_FIB_FOUND}, /* the gateway is a neighbour, too */
        {"198.51.100.1", IO_FIB_NO_ROUTE, IO_FIB_FOUND},
        {"2001:db8::1", IO_FIB_NO_ROUTE, IO_FIB_NO_ROUTE},
    };
    struct io_fib *fib = io_fib_new(routes, 2, neighbours, 2);

    assert_non_null(fib);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct io_fib_target target = {.ip = ip(cases[i].destination), .neighbour = true};
        struct io_next_hop hop = {.port = 99};
        struct io_fib_way near = {.target = target}, any = {.target.ip = target.ip};
        struct io_fib_way *const ways[] = {&near, &any};

        print_message("%s\n", cases[i].destination);
        assert_int_equal(io_fib_reach(fib, &target, &hop), cases[i].neighbour);
        if (cases[i].neighbour == IO_FIB_NO_ROUTE)
            assert_int_equal(hop.port, 99);
        else
            assert_true(sip_ip_equal(&hop.ip, &target.ip));
        target.neighbour = false;
        assert_int_equal(io_fib_reach(fib, &target, &hop), cases[i].other);
        io_fib_reach_burst(fib, ways, 2);
        assert_int_equal(near.result, cases[i].neighbour);
        assert_int_equal(any.result, cases[i].other);
    }
    io_fib_free(fib);
}

/* A port without exception path has no neighbours to know: all of it is found, by broadcast. */
static void finds_all_behind_a_port_without_tap(void **state)
{
    static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct io_fib_route routes[] = {route("192.0.2.0", 24, 1, NULL, 0),
                                    route("0.0.0.0", 0, 1, "192.0.2.1", 0)};
    struct sip_ip near = ip("192.0.2.7"), far = ip("198.51.100.7"), gateway = ip("192.0.2.1");
    struct io_next_hop hop;
    struct io_fib *fib;

    routes[0].broadcast = routes[1].broadcast = true;
    fib = io_fib_new(routes, 2, NULL, 0);
    assert_non_null(fib);
    assert_int_equal(io_fib_lookup(fib, &near, &hop), IO_FIB_FOUND);
    assert_int_equal(hop.port, 1);
    assert_true(sip_ip_equal(&hop.ip, &near));
    assert_memory_equal(hop.mac, everybody, 6);
    assert_int_equal(io_fib_lookup(fib, &far, &hop), IO_FIB_FOUND);
    assert_true(sip_ip_equal(&hop.ip, &gateway));
    assert_memory_equal(hop.mac, everybody, 6);
    io_fib_free(fib);
}

static void ipv6_default_leaves_ipv4_alone(void **state)
{
    const struct io_fib_route routes[] = {route("2001:db8::", 0, 0, "fe80::1", 1024)};
    struct io_fib *fib = io_fib_new(routes, 1, NULL, 0);
    struct sip_ip v4 = ip("192.0.2.1"), v6 = ip("2001:db8::1");
    struct io_next_hop hop;

    assert_int_equal(io_fib_lookup(fib, &v4, &hop), IO_FIB_NO_ROUTE);
    assert_int_equal(io_fib_lookup(fib, &v6, &hop), IO_FIB_UNRESOLVED);
    io_fib_free(fib);
}

struct visits {
    uint32_t n;
    uint8_t port;
    struct sip_ip ip;
};

static void visit(void *context, uint8_t port, const struct sip_ip *address)
{
    struct visits *visits = context;

    visits->n++;
    visits->port = port;
    visits->ip = *address;
}

static void marks_what_was_used_once(void **state)
{
    const struct io_fib_route routes[] = {route("192.0.2.0", 24, 3, NULL, 0)};
    const struct io_fib_neighbour neighbours[] = {neighbour("192.0.2.5", 3, 5),
                                                  neighbour("192.0.2.6", 3, 6)};
    struct io_fib *fib = io_fib_new(routes, 1, neighbours, 2);
    struct sip_ip used = ip("192.0.2.6");
    struct visits visits = {0};
    struct io_next_hop hop;

    io_fib_used(fib, visit, &visits);
    assert_int_equal(visits.n, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(io_fib_lookup(fib, &used, &hop), IO_FIB_FOUND);
    io_fib_used(fib, visit, &visits);
    assert_int_equal(visits.n, 1);
    assert_int_equal(visits.port, 3);
    assert_true(sip_ip_equal(&visits.ip, &used));
    io_fib_used(fib, visit, &visits);
    assert_int_equal(visits.n, 1);
    io_fib_free(fib);
}

static uint32_t random_state = 12345;

static uint32_t random_number(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

static bool covers(const struct io_fib_route *r, const struct sip_ip *destination)
{
    uint32_t whole = r->length / 8, bits = r->length % 8;

    for (uint32_t i = whole; i-- > 0;) /* from the end: that is where they differ */
        if (r->prefix.bytes[i] != destination->bytes[i])
            return false;
    return bits == 0 || (r->prefix.bytes[whole] ^ destination->bytes[whole]) >> (8 - bits) == 0;
}

/* The definition, in the slowest way. */
static const struct io_fib_route *plain_search(const struct io_fib_route *routes, uint32_t n,
                                               const struct sip_ip *destination)
{
    const struct io_fib_route *best = NULL;

    for (uint32_t i = 0; i < n; i++)
        if (covers(&routes[i], destination) &&
            (best == NULL || routes[i].length > best->length ||
             (routes[i].length == best->length && routes[i].metric < best->metric)))
            best = &routes[i];
    return best;
}

static void agrees_with_a_plain_search(void **state)
{
    enum { ROUTES = 1000, LOOKUPS = 4000 };
    struct io_fib_route *routes = calloc(ROUTES, sizeof(*routes));
    struct io_fib *fib;
    uint32_t found = 0;

    assert_non_null(routes);
    for (uint32_t i = 0; i < ROUTES; i++) {
        /* Few values of each byte, so that prefixes nest. */
        uint8_t bytes[4] = {10, (uint8_t)(random_number() % 8),
                            (uint8_t)(random_number() % 16 * 16), (uint8_t)(random_number() % 256)};

        routes[i] = (struct io_fib_route){.prefix = sip_ip_from_v4(bytes),
                                          .port = i % 16,
                                          .length = (uint8_t)(96 + 16 + random_number() % 17),
                                          .on_link = true,
                                          .metric = i};
    }
    fib = io_fib_new(routes, ROUTES, NULL, 0);
    assert_non_null(fib);
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        uint8_t bytes[4] = {10, (uint8_t)(random_number() % 16), (uint8_t)random_number(),
                            (uint8_t)random_number()};
        struct sip_ip destination = sip_ip_from_v4(bytes);
        const struct io_fib_route *expected = plain_search(routes, ROUTES, &destination);
        struct io_next_hop hop;
        enum io_fib_result result = io_fib_lookup(fib, &destination, &hop);

        assert_int_equal(result, expected == NULL ? IO_FIB_NO_ROUTE : IO_FIB_UNRESOLVED);
        if (expected == NULL)
            continue;
        assert_int_equal(hop.port, expected->port);
        found++;
    }
    assert_in_range(found, LOOKUPS / 10, LOOKUPS - LOOKUPS / 10);
    io_fib_free(fib);
    free(routes);
}

/* Each way of a burst is what it would be alone, among more neighbours than the burst has ways; the
 * marks are set, too. */
static void reaches_a_burst(void **state)
{
    enum { NEIGHBOURS = 1000, BURSTS = 200 };
    const struct io_fib_route routes[] = {
        route("10.0.0.0", 8, 1, NULL, 0), route("10.9.0.0", 16, 2, "10.0.0.7", 0),
        route("10.8.0.0", 16, 3, NULL, 0), /* of nobody's known */
        route("2001:db8::", 32, 1, "10.0.3.200", 0), route("172.16.0.0", 12, 4, "172.16.0.1", 0)};
    struct io_fib_neighbour *neighbours = calloc(NEIGHBOURS, sizeof(*neighbours));
    struct io_fib *fib;

    assert_non_null(neighbours);
    for (uint32_t i = 0; i < NEIGHBOURS; i++) {
        const uint8_t bytes[4] = {10, 0, (uint8_t)(i >> 8), (uint8_t)i};

        neighbours[i] = (struct io_fib_neighbour){.ip = sip_ip_from_v4(bytes),
                                                  .port = i == 7 ? 2 : 1,
                                                  .resolved = i % 3 != 0,
                                                  .mac = {2, 0, 0, 0, bytes[2], bytes[3]}};
    }
    fib = io_fib_new(routes, 5, neighbours, NEIGHBOURS);
    assert_non_null(fib);
    for (uint32_t i = 0; i < BURSTS; i++) {
        struct io_fib_way ways[IO_FIB_BURST], *pointers[IO_FIB_BURST];
        uint32_t n = i % (IO_FIB_BURST + 1);

        for (uint32_t j = 0; j < n; j++) {
            const uint8_t bytes[4] = {random_number() % 8 == 0 ? 172 : 10,
                                      random_number() % 4 == 0 ? 16 - random_number() % 9 : 0,
                                      (uint8_t)(random_number() % 5), (uint8_t)random_number()};

            memset(&ways[j], 0xaa, sizeof(ways[j]));
            ways[j].target = (struct io_fib_target){
                .ip = random_number() % 16 == 0 ? ip("2001:db8::1") : sip_ip_from_v4(bytes),
                .neighbour = random_number() % 2 == 0};
            pointers[j] = &ways[j];
        }
        io_fib_reach_burst(fib, pointers, n);
        for (uint32_t j = 0; j < n; j++) {
            static const uint8_t none[6];
            struct io_next_hop hop;
            enum io_fib_result result = io_fib_reach(fib, &ways[j].target, &hop);

            assert_int_equal(ways[j].result, result);
            if (result == IO_FIB_NO_ROUTE)
                continue;
            assert_int_equal(ways[j].port, hop.port);
            assert_memory_equal(ways[j].mac, result == IO_FIB_FOUND ? hop.mac : none, 6);
        }
    }
    io_fib_free(fib);
    free(neighbours);
}

/* What a burst uses is marked: neighbours, gateways, also those that are not resolved. */
static void a_burst_marks(void **state)
{
    const struct io_fib_route routes[] = {route("192.0.2.0", 24, 1, NULL, 0),
                                          route("0.0.0.0", 0, 2, "198.51.100.1", 0)};
    const struct io_fib_neighbour neighbours[] = {neighbour("192.0.2.5", 1, 5),
                                                  neighbour("198.51.100.1", 2, 9),
                                                  neighbour("192.0.2.9", 1, 3)};
    struct io_fib *fib = io_fib_new(routes, 2, neighbours, 3);

    assert_non_null(fib);
    for (int turn = 0; turn < 2; turn++) {
        struct io_fib_way near = {.target.ip = ip("192.0.2.5")}, far = {.target.ip = ip("8.8.8.8")};
        struct io_fib_way *const ways[] = {&near, &far};
        struct visits visits = {0};

        io_fib_used(fib, visit, &visits);
        assert_int_equal(visits.n, 0);
        io_fib_reach_burst(fib, ways, 2);
        assert_int_equal(near.mac[5], 5);
        assert_int_equal(far.mac[5], 9);
        io_fib_used(fib, visit, &visits);
        assert_int_equal(visits.n, 2);
    }
    io_fib_free(fib);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_up),
        cmocka_unit_test(reaches_neighbours),
        cmocka_unit_test(finds_all_behind_a_port_without_tap),
        cmocka_unit_test(ipv6_default_leaves_ipv4_alone),
        cmocka_unit_test(marks_what_was_used_once),
        cmocka_unit_test(agrees_with_a_plain_search),
        cmocka_unit_test(reaches_a_burst),
        cmocka_unit_test(a_burst_marks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
