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

enum { V4_LENGTH = 96, LENGTHS = 129 };

struct io_fib {
    uint64_t serial;          /* no other fib of this process has it */
    uint8_t lengths[LENGTHS]; /* that occur, the longest first */
    uint32_t n_lengths;
    uint32_t route_mask; /* slots - 1 */
    uint32_t neighbour_mask;
    struct io_fib_route *routes;         /* length 255: empty slot */
    struct io_fib_neighbour *neighbours; /* port 255: empty slot */
    _Atomic uint8_t *used;               /* by neighbour slot; workers set, main clears */
};

enum { EMPTY = 255 };

/* Two multiplications side by side and one behind them. */
static uint32_t hash(const struct sip_ip *ip, uint8_t salt)
{
    uint64_t halves[2], mixed;

    memcpy(halves, ip->bytes, sizeof(halves));
    mixed = (halves[0] + salt) * 0xd6e8feb86659fd93ULL ^ halves[1] * 0x9e3779b97f4a7c15ULL;
    return (uint32_t)((mixed ^ mixed >> 32) * 0xd6e8feb86659fd93ULL >> 32);
}

/* The first `bits` of eight bytes, as they lie in memory. */
static uint64_t mask(uint32_t bits)
{
    return bits == 0 ? 0 : htobe64(UINT64_MAX << (64 - bits));
}

static struct sip_ip masked(const struct sip_ip *ip, uint8_t length)
{
    struct sip_ip result;
    uint64_t halves[2];

    memcpy(halves, ip->bytes, sizeof(halves));
    halves[0] &= mask(length < 64 ? length : 64);
    halves[1] &= mask(length < 64 ? 0 : length - 64u);
    memcpy(result.bytes, halves, sizeof(halves));
    return result;
}

/* The slot that holds the prefix, or the empty one where it belongs. */
static struct io_fib_route *route_slot(const struct io_fib *fib, const struct sip_ip *prefix,
                                       uint8_t length)
{
    uint32_t at = hash(prefix, length) & fib->route_mask;

    while (fib->routes[at].length != EMPTY &&
           (fib->routes[at].length != length || !sip_ip_equal(&fib->routes[at].prefix, prefix)))
        at = (at + 1) & fib->route_mask;
    return &fib->routes[at];
}

static uint32_t neighbour_slot(const struct io_fib *fib, uint8_t port, const struct sip_ip *ip)
{
    uint32_t at = hash(ip, port) & fib->neighbour_mask;

    while (fib->neighbours[at].port != EMPTY &&
           (fib->neighbours[at].port != port || !sip_ip_equal(&fib->neighbours[at].ip, ip)))
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
    static atomic_uint_fast64_t serials;
    struct io_fib *fib = calloc(1, sizeof(*fib));

    if (fib != NULL)
        fib->serial = atomic_fetch_add(&serials, 1) + 1;
    if (fib == NULL || n_routes > UINT32_MAX / 4 || n_neighbours > UINT32_MAX / 4)
        goto out;
    fib->route_mask = slots(n_routes) - 1;
    fib->neighbour_mask = slots(n_neighbours) - 1;
    fib->routes = calloc(fib->route_mask + 1, sizeof(*fib->routes));
    fib->neighbours = calloc(fib->neighbour_mask + 1, sizeof(*fib->neighbours));
    fib->used = calloc(fib->neighbour_mask + 1, sizeof(*fib->used));
    if (fib->routes != NULL && fib->neighbours != NULL && fib->used != NULL)
        return fib;
out:
    io_fib_free(fib);
    return NULL;
}

static void add_route(struct io_fib *fib, const struct io_fib_route *route, bool *ret_occurs)
{
    struct sip_ip prefix;
    struct io_fib_route *slot;

    if (route->length > 128)
        return;
    prefix = masked(&route->prefix, route->length);
    slot = route_slot(fib, &prefix, route->length);
    if (slot->length != EMPTY && slot->metric <= route->metric)
        return;
    *slot = *route;
    slot->prefix = prefix;
    ret_occurs[route->length] = true;
}

struct io_fib *io_fib_new(const struct io_fib_route *routes, uint32_t n_routes,
                          const struct io_fib_neighbour *neighbours, uint32_t n_neighbours)
{
    struct io_fib *fib = allocate(n_routes, n_neighbours);
    bool occurs[LENGTHS] = {false};

    if (fib == NULL)
        return NULL;
    for (uint32_t i = 0; i <= fib->route_mask; i++)
        fib->routes[i].length = EMPTY;
    for (uint32_t i = 0; i <= fib->neighbour_mask; i++)
        fib->neighbours[i].port = EMPTY;
    for (uint32_t i = 0; i < n_routes; i++)
        add_route(fib, &routes[i], occurs);
    for (uint32_t i = 0; i < n_neighbours; i++)
        if (neighbours[i].port != EMPTY)
            fib->neighbours[neighbour_slot(fib, neighbours[i].port, &neighbours[i].ip)] =
                neighbours[i];
    for (int length = LENGTHS - 1; length >= 0; length--)
        if (occurs[length])
            fib->lengths[fib->n_lengths++] = (uint8_t)length;
    return fib;
}

void io_fib_free(struct io_fib *fib)
{
    if (fib == NULL)
        return;
    free(fib->routes);
    free(fib->neighbours);
    free((void *)fib->used);
    free(fib);
}

/* The best route; NULL: none. An IPv6 default route must not catch IPv4: its bits lie in front. */
static const struct io_fib_route *find_route(const struct io_fib *fib,
                                             const struct sip_ip *destination)
{
    uint8_t shortest = sip_ip_is_v4(destination) ? V4_LENGTH : 0;

    for (uint32_t i = 0; i < fib->n_lengths && fib->lengths[i] >= shortest; i++) {
        struct sip_ip prefix = masked(destination, fib->lengths[i]);
        const struct io_fib_route *route = route_slot(fib, &prefix, fib->lengths[i]);

        if (route->length != EMPTY)
            return route;
    }
    return NULL;
}

/* Read first: the mark is mostly there, and a write would take the line from other workers. */
static void mark(const struct io_fib *fib, uint32_t neighbour)
{
    if (atomic_load_explicit(&fib->used[neighbour], memory_order_relaxed) == 0)
        atomic_store_explicit(&fib->used[neighbour], 1, memory_order_relaxed);
}

/* io_fib_lookup without the mark: *ret_neighbour is the slot that it belongs in, -1 none. */
static enum io_fib_result find(const struct io_fib *fib, const struct sip_ip *destination,
                               struct io_next_hop *ret, int64_t *ret_neighbour)
{
    const struct io_fib_route *route = find_route(fib, destination);
    const struct io_fib_neighbour *neighbour;
    uint32_t slot;

    *ret_neighbour = -1;
    if (route == NULL)
        return IO_FIB_NO_ROUTE;
    memset(ret, 0, sizeof(*ret));
    ret->port = route->port;
    ret->ip = route->on_link ? *destination : route->gateway;
    if (route->broadcast) {
        memset(ret->mac, 0xff, sizeof(ret->mac));
        return IO_FIB_FOUND;
    }
    slot = neighbour_slot(fib, ret->port, &ret->ip);
    neighbour = &fib->neighbours[slot];
    if (neighbour->port == EMPTY)
        return IO_FIB_UNRESOLVED;
    *ret_neighbour = slot;
    if (!neighbour->resolved)
        return IO_FIB_UNRESOLVED;
    memcpy(ret->mac, neighbour->mac, sizeof(ret->mac));
    return IO_FIB_FOUND;
}

enum io_fib_result io_fib_lookup(const struct io_fib *fib, const struct sip_ip *destination,
                                 struct io_next_hop *ret)
{
    int64_t neighbour;
    enum io_fib_result result = find(fib, destination, ret, &neighbour);

    if (neighbour >= 0)
        mark(fib, (uint32_t)neighbour);
    return result;
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

/* ---- What was looked up lately ---- */

/* Multiplicative hashing of the last four bytes: hosts of one network differ there. */
static uint32_t recent_place(const struct sip_ip *destination)
{
    uint32_t last;

    memcpy(&last, destination->bytes + sizeof(destination->bytes) - sizeof(last), sizeof(last));
    return (last * 2654435769u) >> 24;
}

static_assert(IO_FIB_RECENT == 1 << 8, "the high bits of recent_place");

static struct io_fib_way make_way(const struct io_fib *fib, const struct sip_ip *destination)
{
    struct io_fib_way way = {.destination = *destination, .there = true};
    struct io_next_hop hop;
    int64_t neighbour;

    way.result = (uint8_t)find(fib, destination, &hop, &neighbour);
    way.marked = neighbour >= 0;
    way.neighbour = way.marked ? (uint32_t)neighbour : 0;
    if (way.result == IO_FIB_NO_ROUTE)
        return way;
    memcpy(way.hop.mac, hop.mac, sizeof(way.hop.mac));
    way.hop.port = hop.port;
    way.hop.itself = sip_ip_equal(&hop.ip, destination);
    return way;
}

static const struct io_fib_way *remember(const struct io_fib *fib, struct io_fib_recent *recent,
                                         const struct sip_ip *destination)
{
    struct io_fib_way *way = &recent->ways[recent_place(destination)];

    if (recent->serial != fib->serial) {
        memset(recent, 0, sizeof(*recent));
        recent->serial = fib->serial;
    }
    if (!way->there || !sip_ip_equal(&way->destination, destination))
        *way = make_way(fib, destination);
    return way;
}

enum io_fib_result io_fib_reach_recent(const struct io_fib *fib, struct io_fib_recent *recent,
                                       const struct io_fib_target *target, struct io_fib_hop *ret)
{
    const struct io_fib_way *way;
    struct io_fib_way made;

    if (recent != NULL) {
        way = remember(fib, recent, &target->ip);
    } else {
        made = make_way(fib, &target->ip);
        way = &made;
    }
    if (way->marked)
        mark(fib, way->neighbour);
    if (way->result == IO_FIB_NO_ROUTE || (target->neighbour && !way->hop.itself))
        return IO_FIB_NO_ROUTE;
    *ret = way->hop;
    return (enum io_fib_result)way->result;
}

void io_fib_used(struct io_fib *fib,
                 void (*visit)(void *context, uint8_t port, const struct sip_ip *ip), void *context)
{
    for (uint32_t i = 0; i <= fib->neighbour_mask; i++) {
        if (fib->neighbours[i].port == EMPTY ||
            atomic_exchange_explicit(&fib->used[i], 0, memory_order_relaxed) == 0)
            continue;
        visit(context, fib->neighbours[i].port, &fib->neighbours[i].ip);
    }
}
