/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fib.h. Two hash tables with open addressing, never more than half full: routes by masked
 * prefix and length, neighbours by port and address. A look-up tries the lengths that occur, the
 * longest first: a handful in practice. Their keys come from the kernel's tables, so a stranger who
 * chooses destinations cannot make the chains longer.
 */
#include "dataplane/io/fib.h"

#include <assert.h>
#include <endian.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/io/ip_hash.h"

enum { V4_LENGTH = 96, LENGTHS = 129, EMPTY = 255 };

struct route {
    struct io_fib_route told; /* length EMPTY: empty slot */
    uint32_t gateway;         /* its slot among the neighbours, or the empty one where it belongs */
};

/* Half a cache line, so that a look-up reads one. */
struct neighbour {
    struct io_fib_neighbour told; /* port EMPTY: empty slot */
    _Atomic uint8_t used;         /* workers set, main clears */
    uint8_t unused[7];
};

static_assert(sizeof(struct neighbour) == 32, "none lies in two cache lines");

struct length {
    struct sip_ip mask;
    uint8_t length;
};

struct io_fib {
    struct length lengths[LENGTHS]; /* that occur, the longest first */
    uint32_t n_lengths;
    uint32_t route_mask; /* slots - 1 */
    uint32_t neighbour_mask;
    struct route *routes;
    struct neighbour *neighbours;
};

/* The first `bits` of eight bytes, as they lie in memory. */
static uint64_t mask(uint32_t bits)
{
    return bits == 0 ? 0 : htobe64(UINT64_MAX << (64 - bits));
}

static struct sip_ip mask_of(uint8_t length)
{
    const uint64_t halves[2] = {mask(length < 64 ? length : 64), mask(length < 64 ? 0 : length - 64u)};
    struct sip_ip ip;

    memcpy(ip.bytes, halves, sizeof(halves));
    return ip;
}

static struct sip_ip masked(const struct sip_ip *ip, const struct sip_ip *mask)
{
    uint64_t bits[2], masks[2];
    struct sip_ip result;

    memcpy(bits, ip->bytes, sizeof(bits));
    memcpy(masks, mask->bytes, sizeof(masks));
    bits[0] &= masks[0];
    bits[1] &= masks[1];
    memcpy(result.bytes, bits, sizeof(bits));
    return result;
}

/* The slot that holds the prefix, or the empty one where it belongs. */
static struct route *route_slot(const struct io_fib *fib, const struct sip_ip *prefix,
                                uint8_t length)
{
    uint32_t at = io_ip_hash(prefix, length) & fib->route_mask;

    while (fib->routes[at].told.length != EMPTY &&
           (fib->routes[at].told.length != length ||
            !sip_ip_equal(&fib->routes[at].told.prefix, prefix)))
        at = (at + 1) & fib->route_mask;
    return &fib->routes[at];
}

/* Where the search for a neighbour begins. */
static uint32_t neighbour_place(const struct io_fib *fib, uint8_t port, const struct sip_ip *ip)
{
    return io_ip_hash(ip, port) & fib->neighbour_mask;
}

/* The same of neighbours, from there. */
static uint32_t neighbour_slot(const struct io_fib *fib, uint32_t at, uint8_t port,
                               const struct sip_ip *ip)
{
    while (fib->neighbours[at].told.port != EMPTY &&
           (fib->neighbours[at].told.port != port ||
            !sip_ip_equal(&fib->neighbours[at].told.ip, ip)))
        at = (at + 1) & fib->neighbour_mask;
    return at;
}

/* A power of two, at least twice n. */
static uint32_t slots(uint32_t n)
{
    uint32_t size = 4;

    while (size < 2 * (uint64_t)n)
        size *= 2;
    return size;
}

static struct io_fib *allocate(uint32_t n_routes, uint32_t n_neighbours)
{
    struct io_fib *fib = calloc(1, sizeof(*fib));
    size_t bytes;

    if (fib == NULL || n_routes > UINT32_MAX / 4 || n_neighbours > UINT32_MAX / 4)
        goto out;
    fib->route_mask = slots(n_routes) - 1;
    fib->neighbour_mask = slots(n_neighbours) - 1;
    fib->routes = calloc(fib->route_mask + 1, sizeof(*fib->routes));
    bytes = ((size_t)fib->neighbour_mask + 1) * sizeof(*fib->neighbours);
    fib->neighbours = aligned_alloc(2 * sizeof(*fib->neighbours), bytes);
    if (fib->routes != NULL && fib->neighbours != NULL) {
        memset((void *)fib->neighbours, 0, bytes);
        return fib;
    }
out:
    io_fib_free(fib);
    return NULL;
}

static void add_route(struct io_fib *fib, const struct io_fib_route *told, bool *ret_occurs)
{
    struct sip_ip prefix, mask;
    struct route *slot;

    if (told->length > 128)
        return;
    mask = mask_of(told->length);
    prefix = masked(&told->prefix, &mask);
    slot = route_slot(fib, &prefix, told->length);
    if (slot->told.length != EMPTY && slot->told.metric <= told->metric)
        return;
    slot->told = *told;
    slot->told.prefix = prefix;
    ret_occurs[told->length] = true;
}

static void add_routes(struct io_fib *fib, const struct io_fib_route *routes, uint32_t n)
{
    bool occurs[LENGTHS] = {false};

    for (uint32_t i = 0; i <= fib->route_mask; i++)
        fib->routes[i].told.length = EMPTY;
    for (uint32_t i = 0; i < n; i++)
        add_route(fib, &routes[i], occurs);
    for (int length = LENGTHS - 1; length >= 0; length--)
        if (occurs[length])
            fib->lengths[fib->n_lengths++] =
                (struct length){.mask = mask_of((uint8_t)length), .length = (uint8_t)length};
}

static void add_neighbours(struct io_fib *fib, const struct io_fib_neighbour *neighbours,
                           uint32_t n)
{
    for (uint32_t i = 0; i <= fib->neighbour_mask; i++)
        fib->neighbours[i].told.port = EMPTY;
    for (uint32_t i = 0; i < n; i++) {
        const struct io_fib_neighbour *told = &neighbours[i];

        if (told->port != EMPTY)
            fib->neighbours[neighbour_slot(fib, neighbour_place(fib, told->port, &told->ip),
                                           told->port, &told->ip)]
                .told = *told;
    }
}

/* Once all neighbours have their slots. */
static void find_gateways(struct io_fib *fib)
{
    for (uint32_t i = 0; i <= fib->route_mask; i++) {
        struct route *route = &fib->routes[i];
        const struct sip_ip *ip = &route->told.gateway;

        if (route->told.length != EMPTY && !route->told.on_link)
            route->gateway = neighbour_slot(fib, neighbour_place(fib, route->told.port, ip),
                                            route->told.port, ip);
    }
}

struct io_fib *io_fib_new(const struct io_fib_route *routes, uint32_t n_routes,
                          const struct io_fib_neighbour *neighbours, uint32_t n_neighbours)
{
    struct io_fib *fib = allocate(n_routes, n_neighbours);

    if (fib == NULL)
        return NULL;
    add_routes(fib, routes, n_routes);
    add_neighbours(fib, neighbours, n_neighbours);
    find_gateways(fib);
    return fib;
}

void io_fib_free(struct io_fib *fib)
{
    if (fib == NULL)
        return;
    free(fib->routes);
    free((void *)fib->neighbours);
    free(fib);
}

/* The best route; NULL: none. An IPv6 default route must not catch IPv4: its bits lie in front. */
static const struct route *find_route(const struct io_fib *fib, const struct sip_ip *destination)
{
    uint8_t shortest = sip_ip_is_v4(destination) ? V4_LENGTH : 0;

    for (uint32_t i = 0; i < fib->n_lengths && fib->lengths[i].length >= shortest; i++) {
        const struct length *length = &fib->lengths[i];
        struct sip_ip prefix = masked(destination, &length->mask);
        const struct route *route = route_slot(fib, &prefix, length->length);

        if (route->told.length != EMPTY)
            return route;
    }
    return NULL;
}

/* Where a destination's neighbour is to be found, without reading there. */
struct place {
    const struct route *route; /* NULL: none */
    uint32_t neighbour;        /* the search begins here; of no meaning for a broadcast */
};

static struct place find_place(const struct io_fib *fib, const struct sip_ip *destination)
{
    struct place place = {.route = find_route(fib, destination)};

    if (place.route != NULL && place.route->told.on_link)
        place.neighbour = neighbour_place(fib, place.route->told.port, destination);
    else if (place.route != NULL)
        place.neighbour = place.route->gateway;
    return place;
}

/* Read first: the mark is mostly there, and a write would take the line from other workers. */
static void mark(struct neighbour *neighbour)
{
    if (atomic_load_explicit(&neighbour->used, memory_order_relaxed) == 0)
        atomic_store_explicit(&neighbour->used, 1, memory_order_relaxed);
}

/* The rest of a look-up; *ret_mac is 0 unless IO_FIB_FOUND. */
static enum io_fib_result reach(const struct io_fib *fib, const struct place *place,
                                const struct sip_ip *ip, uint8_t ret_mac[6])
{
    struct neighbour *neighbour;

    memset(ret_mac, 0, 6);
    if (place->route->told.broadcast) {
        memset(ret_mac, 0xff, 6);
        return IO_FIB_FOUND;
    }
    neighbour =
        &fib->neighbours[neighbour_slot(fib, place->neighbour, place->route->told.port, ip)];
    if (neighbour->told.port == EMPTY)
        return IO_FIB_UNRESOLVED;
    mark(neighbour);
    if (!neighbour->told.resolved)
        return IO_FIB_UNRESOLVED;
    memcpy(ret_mac, neighbour->told.mac, 6);
    return IO_FIB_FOUND;
}

enum io_fib_result io_fib_lookup(const struct io_fib *fib, const struct sip_ip *destination,
                                 struct io_next_hop *ret)
{
    struct place place = find_place(fib, destination);

    if (place.route == NULL)
        return IO_FIB_NO_ROUTE;
    ret->port = place.route->told.port;
    ret->ip = place.route->told.on_link ? *destination : place.route->told.gateway;
    return reach(fib, &place, &ret->ip, ret->mac);
}

enum io_fib_result io_fib_reach(const struct io_fib *fib, const struct io_fib_target *target,
                                struct io_next_hop *ret)
{
    struct io_next_hop hop;
    enum io_fib_result result = io_fib_lookup(fib, &target->ip, &hop);

    if (result == IO_FIB_NO_ROUTE || (target->neighbour && !sip_ip_equal(&hop.ip, &target->ip)))
        return IO_FIB_NO_ROUTE;
    *ret = hop;
    return result;
}

/* A way from its place on. */
static void finish(const struct io_fib *fib, const struct place *place, struct io_fib_way *way)
{
    const struct sip_ip *ip = &way->target.ip;

    way->result = IO_FIB_NO_ROUTE;
    if (place->route == NULL)
        return;
    if (!place->route->told.on_link)
        ip = &place->route->told.gateway;
    if (way->target.neighbour && !sip_ip_equal(ip, &way->target.ip))
        return;
    way->port = place->route->told.port;
    way->result = (uint8_t)reach(fib, place, ip, way->mac);
}

void io_fib_reach_burst(const struct io_fib *fib, struct io_fib_way *const *ways, uint32_t n)
{
    struct place places[IO_FIB_BURST];

    assert(n <= IO_FIB_BURST);
    for (uint32_t i = 0; i < n; i++) {
        places[i] = find_place(fib, &ways[i]->target.ip);
        __builtin_prefetch((const void *)&fib->neighbours[places[i].neighbour]);
    }
    for (uint32_t i = 0; i < n; i++)
        finish(fib, &places[i], ways[i]);
}

void io_fib_used(struct io_fib *fib,
                 void (*visit)(void *context, uint8_t port, const struct sip_ip *ip), void *context)
{
    for (uint32_t i = 0; i <= fib->neighbour_mask; i++) {
        struct neighbour *neighbour = &fib->neighbours[i];

        if (neighbour->told.port == EMPTY ||
            atomic_exchange_explicit(&neighbour->used, 0, memory_order_relaxed) == 0)
            continue;
        visit(context, neighbour->told.port, &neighbour->told.ip);
    }
}
