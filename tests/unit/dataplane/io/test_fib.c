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
    static struct io_fib_recent recent;

    assert_non_null(fib);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct io_fib_target target = {.ip = ip(cases[i].destination), .neighbour = true};
        struct io_next_hop hop = {.port = 99};
        struct io_fib_hop short_hop;

        print_message("%s\n", cases[i].destination);
        assert_int_equal(io_fib_reach(fib, &target, &hop), cases[i].neighbour);
        if (cases[i].neighbour == IO_FIB_NO_ROUTE)
            assert_int_equal(hop.port, 99);
        else
            assert_true(sip_ip_equal(&hop.ip, &target.ip));
        assert_int_equal(io_fib_reach_recent(fib, &recent, &target, &short_hop),
                         cases[i].neighbour);
        target.neighbour = false;
        assert_int_equal(io_fib_reach(fib, &target, &hop), cases[i].other);
        assert_int_equal(io_fib_reach_recent(fib, &recent, &target, &short_hop), cases[i].other);
        assert_int_equal(io_fib_reach_recent(fib, NULL, &target, &short_hop), cases[i].other);
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
    struct io_fib_recent *recent = calloc(1, sizeof(*recent));
    struct io_fib *fib;
    uint32_t found = 0;

    assert_non_null(routes);
    assert_non_null(recent);
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
        const struct io_fib_target target = {.ip = destination};
        struct io_next_hop hop;
        struct io_fib_hop again;
        enum io_fib_result result = io_fib_lookup(fib, &destination, &hop);

        assert_int_equal(result, expected == NULL ? IO_FIB_NO_ROUTE : IO_FIB_UNRESOLVED);
        for (int turn = 0; turn < 2; turn++)
            assert_int_equal(io_fib_reach_recent(fib, recent, &target, &again), result);
        if (expected == NULL)
            continue;
        assert_int_equal(hop.port, expected->port);
        assert_int_equal(again.port, hop.port);
        assert_true(again.itself);
        found++;
    }
    assert_in_range(found, LOOKUPS / 10, LOOKUPS - LOOKUPS / 10);
    io_fib_free(fib);
    free(recent);
    free(routes);
}

/* What was looked up in one fib is not believed of another, at whatever address that lies; marks
 * are set for what is remembered, too. */
static void remembers_one_fib(void **state)
{
    const struct io_fib_route routes[] = {route("192.0.2.0", 24, 1, NULL, 0),
                                          route("0.0.0.0", 0, 2, "198.51.100.1", 0)};
    const struct io_fib_neighbour neighbours[] = {neighbour("192.0.2.5", 1, 5),
                                                  neighbour("198.51.100.1", 2, 9)};
    struct io_fib_recent *recent = calloc(1, sizeof(*recent));
    const struct io_fib_target near = {.ip = ip("192.0.2.5")};

    assert_non_null(recent);
    for (int i = 0; i < 50; i++) { /* freed memory is likely to be had again */
        bool both = i % 2 == 0;
        struct io_fib *fib = both ? io_fib_new(routes, 2, neighbours, 2)
                                  : io_fib_new(routes + 1, 1, neighbours + 1, 1);
        struct visits visits = {0};
        struct io_fib_hop hop;

        for (uint32_t turn = 1; turn <= 2; turn++) {
            assert_int_equal(io_fib_reach_recent(fib, recent, &near, &hop), IO_FIB_FOUND);
            assert_int_equal(hop.port, both ? 1 : 2);
            assert_int_equal(hop.itself, both);
            assert_int_equal(hop.mac[5], both ? 5 : 9);
            io_fib_used(fib, visit, &visits);
            assert_int_equal(visits.n, turn);
        }
        io_fib_free(fib);
    }
    free(recent);
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
        cmocka_unit_test(remembers_one_fib),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
