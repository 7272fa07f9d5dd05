/* SPDX-License-Identifier: Apache-2.0 */
/* See mirror.h. */
#include "dataplane/io/mirror.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/io/ip_hash.h"
#include "dataplane/io/netlink.h"

enum {
    V4_LENGTH = 96,
    NO_PORT = 255,
    NUD_KNOWN = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP
};

void io_mirror_init(struct io_mirror *mirror, const int *ifindex, uint32_t n_ports)
{
    *mirror = (struct io_mirror){.ifindex = ifindex, .n_ports = n_ports};
}

void io_mirror_done(struct io_mirror *mirror)
{
    free(mirror->routes);
    free(mirror->neighbours);
    free(mirror->states);
    free(mirror->places);
    *mirror = (struct io_mirror){0};
}

void io_mirror_clear_routes(struct io_mirror *mirror)
{
    mirror->n_routes = 0;
}

void io_mirror_clear_neighbours(struct io_mirror *mirror)
{
    mirror->n_neighbours = 0;
    if (mirror->places != NULL)
        memset(mirror->places, 0, 2 * (size_t)mirror->neighbours_size * sizeof(*mirror->places));
}

static uint8_t port_of(const struct io_mirror *mirror, int ifindex)
{
    for (uint32_t i = 0; i < mirror->n_ports; i++)
        if (ifindex != 0 && mirror->ifindex[i] == ifindex)
            return (uint8_t)i;
    return NO_PORT;
}

/* Attributes by type, of any message of this family of protocols. */
static void attributes(const struct nlmsghdr *message, size_t header_bytes,
                       const struct nlattr **ret_attributes, uint16_t max)
{
    const struct nlattr *attribute;

    memset(ret_attributes, 0, ((size_t)max + 1) * sizeof(*ret_attributes));
    mnl_attr_for_each(attribute, message, header_bytes) if (mnl_attr_get_type(attribute) <= max)
        ret_attributes[mnl_attr_get_type(attribute)] = attribute;
}

/* RTA_VIA: a gateway of the other family (RFC 5549), as the family and its bytes. */
static bool via_ip(const struct nlattr *attribute, struct sip_ip *ret_ip)
{
    const struct rtvia *via = mnl_attr_get_payload(attribute);
    uint16_t length = mnl_attr_get_payload_len(attribute);

    if (length == sizeof(*via) + 16 && via->rtvia_family == AF_INET6)
        *ret_ip = sip_ip_from_v6(via->rtvia_addr);
    else if (length == sizeof(*via) + 4 && via->rtvia_family == AF_INET)
        *ret_ip = sip_ip_from_v4(via->rtvia_addr);
    else
        return false;
    return true;
}

/* Output and gateway from a route's own attributes or from those of a next hop. */
static bool read_next_hop(const struct io_mirror *mirror, int family, int ifindex,
                          const struct nlattr *gateway, const struct nlattr *via,
                          struct io_fib_route *ret_route)
{
    ret_route->port = port_of(mirror, ifindex);
    if (ret_route->port == NO_PORT)
        return false;
    ret_route->on_link = gateway == NULL && via == NULL;
    if (gateway != NULL)
        return io_netlink_ip(family, gateway, &ret_route->gateway);
    return via == NULL || via_ip(via, &ret_route->gateway);
}

/* The first next hop of a multipath route that leaves by one of our TAPs. */
static bool read_multipath(const struct io_mirror *mirror, int family,
                           const struct nlattr *multipath, struct io_fib_route *ret_route)
{
    const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
    int left = mnl_attr_get_payload_len(multipath);

    for (; RTNH_OK(hop, left); left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
        const void *payload = RTNH_DATA(hop);
        const struct nlattr *attr, *gateway = NULL, *via = NULL; /* attr: the macro's name */

        mnl_attr_for_each_payload(payload, hop->rtnh_len - sizeof(*hop))
        {
            if (mnl_attr_get_type(attr) == RTA_GATEWAY)
                gateway = attr;
            else if (mnl_attr_get_type(attr) == RTA_VIA)
                via = attr;
        }
        if (read_next_hop(mirror, family, hop->rtnh_ifindex, gateway, via, ret_route))
            return true;
    }
    return false;
}

static uint32_t read_u32(const struct nlattr *attribute, uint32_t otherwise)
{
    if (attribute == NULL || mnl_attr_get_payload_len(attribute) != 4)
        return otherwise;
    return mnl_attr_get_u32(attribute);
}

/* False: not a unicast route of the main table that leaves by one of our TAPs. */
static bool read_route(const struct io_mirror *mirror, const struct nlmsghdr *message,
                       struct io_fib_route *ret_route)
{
    const struct rtmsg *header = mnl_nlmsg_get_payload(message);
    const struct nlattr *a[RTA_MAX + 1];
    struct io_fib_route route = {0};
    bool v4;

    if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
        return false;
    v4 = header->rtm_family == AF_INET;
    if ((!v4 && header->rtm_family != AF_INET6) || header->rtm_type != RTN_UNICAST ||
        header->rtm_src_len != 0 || header->rtm_tos != 0 || header->rtm_dst_len > (v4 ? 32 : 128) ||
        (header->rtm_flags & RTM_F_CLONED) != 0)
        return false;
    attributes(message, sizeof(*header), a, RTA_MAX);
    if (read_u32(a[RTA_TABLE], header->rtm_table) != RT_TABLE_MAIN)
        return false;
    if (v4)
        route.prefix = sip_ip_from_v4((const uint8_t[4]){0});
    if (a[RTA_DST] != NULL && !io_netlink_ip(header->rtm_family, a[RTA_DST], &route.prefix))
        return false;
    route.length = (uint8_t)(header->rtm_dst_len + (v4 ? V4_LENGTH : 0));
    route.metric = read_u32(a[RTA_PRIORITY], 0);
    *ret_route = route;
    if (a[RTA_MULTIPATH] != NULL)
        return read_multipath(mirror, header->rtm_family, a[RTA_MULTIPATH], ret_route);
    return read_next_hop(mirror, header->rtm_family, (int)read_u32(a[RTA_OIF], 0), a[RTA_GATEWAY],
                         a[RTA_VIA], ret_route);
}

bool io_mirror_route_concerns(const struct io_mirror *mirror, const struct nlmsghdr *message)
{
    struct io_fib_route route;

    /* A replacement is told by the new route alone; the old one may have been ours. */
    return (message->nlmsg_flags & NLM_F_REPLACE) != 0 || read_route(mirror, message, &route);
}

/* Room for one more element of an array. False: no memory. */
static bool grow(void **array, uint32_t *size, uint32_t n, size_t element_bytes)
{
    uint32_t larger = *size == 0 ? 64 : *size * 2;
    void *moved;

    if (n < *size)
        return true;
    moved = realloc(*array, larger * element_bytes);
    if (moved == NULL)
        return false;
    *array = moved;
    *size = larger;
    return true;
}

int io_mirror_route(struct io_mirror *mirror, const struct nlmsghdr *message)
{
    struct io_fib_route route;

    if (!read_route(mirror, message, &route))
        return 0;
    if (!grow((void **)&mirror->routes, &mirror->routes_size, mirror->n_routes, sizeof(route)))
        return -ENOMEM;
    mirror->routes[mirror->n_routes++] = route;
    return 0;
}

/* ---- Neighbours: an array, and a hash table of their numbers in it ---- */

/* Where the search for a neighbour begins. */
static uint32_t home(const struct io_mirror *mirror, const struct io_fib_neighbour *neighbour)
{
    return io_ip_hash(&neighbour->ip, neighbour->port) & (2 * mirror->neighbours_size - 1);
}

static uint32_t next(const struct io_mirror *mirror, uint32_t place)
{
    return (place + 1) & (2 * mirror->neighbours_size - 1);
}

/* The place that holds a neighbour's number, or the empty one where it belongs. There is one, as at
 * most half of them are taken. */
static uint32_t find(const struct io_mirror *mirror, const struct io_fib_neighbour *neighbour)
{
    uint32_t place = home(mirror, neighbour);

    for (; mirror->places[place] != 0; place = next(mirror, place)) {
        const struct io_fib_neighbour *there = &mirror->neighbours[mirror->places[place] - 1];

        if (there->port == neighbour->port && sip_ip_equal(&there->ip, &neighbour->ip))
            break;
    }
    return place;
}

/* Makes room for one neighbour more. */
static int grow_neighbours(struct io_mirror *mirror)
{
    uint32_t sizes[2] = {mirror->neighbours_size, mirror->neighbours_size};
    uint32_t *places;

    if (mirror->n_neighbours < mirror->neighbours_size)
        return 0;
    /* The arrays have one size: it counts only when all have grown. */
    if (!grow((void **)&mirror->neighbours, &sizes[0], mirror->n_neighbours,
              sizeof(*mirror->neighbours)) ||
        !grow((void **)&mirror->states, &sizes[1], mirror->n_neighbours, sizeof(*mirror->states)))
        return -ENOMEM;
    places = calloc(2 * (size_t)sizes[0], sizeof(*places));
    if (places == NULL)
        return -ENOMEM;
    free(mirror->places);
    mirror->places = places;
    mirror->neighbours_size = sizes[0];
    for (uint32_t i = 0; i < mirror->n_neighbours; i++)
        places[find(mirror, &mirror->neighbours[i])] = i + 1;
    return 0;
}

static int append(struct io_mirror *mirror, const struct io_fib_neighbour *neighbour,
                  uint16_t state)
{
    int error = grow_neighbours(mirror);

    if (error != 0)
        return error;
    mirror->places[find(mirror, neighbour)] = mirror->n_neighbours + 1;
    mirror->neighbours[mirror->n_neighbours] = *neighbour;
    mirror->states[mirror->n_neighbours++] = state;
    return 1;
}

/* Empties a place; whoever was pushed beyond it moves up, so that no search ends too early. */
static void empty(struct io_mirror *mirror, uint32_t place)
{
    const uint32_t mask = 2 * mirror->neighbours_size - 1;

    for (uint32_t i = next(mirror, place); mirror->places[i] != 0; i = next(mirror, i)) {
        uint32_t from = home(mirror, &mirror->neighbours[mirror->places[i] - 1]);

        if (((i - from) & mask) < ((i - place) & mask)) /* it belongs behind the place */
            continue;
        mirror->places[place] = mirror->places[i];
        place = i;
    }
    mirror->places[place] = 0;
}

/* The last neighbour takes the number of the one that goes. */
static void forget(struct io_mirror *mirror, uint32_t place)
{
    uint32_t at = mirror->places[place] - 1, last = mirror->n_neighbours - 1;

    empty(mirror, place);
    if (at != last)
        mirror->places[find(mirror, &mirror->neighbours[last])] = at + 1;
    mirror->neighbours[at] = mirror->neighbours[last];
    mirror->states[at] = mirror->states[last];
    mirror->n_neighbours = last;
}

static bool same(const struct io_fib_neighbour *a, const struct io_fib_neighbour *b)
{
    return a->resolved == b->resolved &&
           (!a->resolved || memcmp(a->mac, b->mac, sizeof(a->mac)) == 0);
}

static int set_neighbour(struct io_mirror *mirror, const struct io_fib_neighbour *neighbour,
                         uint16_t state, bool deleted)
{
    uint32_t place = mirror->places == NULL ? 0 : find(mirror, neighbour), at;
    bool known;

    if (mirror->places == NULL || mirror->places[place] == 0)
        return deleted ? 0 : append(mirror, neighbour, state);
    if (deleted) {
        forget(mirror, place);
        return 1;
    }
    at = mirror->places[place] - 1;
    known = same(&mirror->neighbours[at], neighbour);
    mirror->neighbours[at] = *neighbour;
    mirror->states[at] = state;
    return known ? 0 : 1;
}

int io_mirror_neighbour(struct io_mirror *mirror, const struct nlmsghdr *message)
{
    const struct ndmsg *header = mnl_nlmsg_get_payload(message);
    const struct nlattr *a[NDA_MAX + 1];
    struct io_fib_neighbour neighbour = {0};

    if (mnl_nlmsg_get_payload_len(message) < sizeof(*header) ||
        (header->ndm_family != AF_INET && header->ndm_family != AF_INET6) ||
        (header->ndm_flags & NTF_PROXY) != 0)
        return 0;
    neighbour.port = port_of(mirror, header->ndm_ifindex);
    if (neighbour.port == NO_PORT)
        return 0;
    attributes(message, sizeof(*header), a, NDA_MAX);
    if (a[NDA_DST] == NULL || !io_netlink_ip(header->ndm_family, a[NDA_DST], &neighbour.ip))
        return 0;
    if ((header->ndm_state & NUD_KNOWN) != 0 && a[NDA_LLADDR] != NULL &&
        mnl_attr_get_payload_len(a[NDA_LLADDR]) == sizeof(neighbour.mac)) {
        neighbour.resolved = true;
        memcpy(neighbour.mac, mnl_attr_get_payload(a[NDA_LLADDR]), sizeof(neighbour.mac));
    }
    return set_neighbour(mirror, &neighbour, header->ndm_state,
                         message->nlmsg_type == RTM_DELNEIGH);
}

uint16_t io_mirror_state(const struct io_mirror *mirror, uint8_t port, const struct sip_ip *ip)
{
    const struct io_fib_neighbour neighbour = {.ip = *ip, .port = port};
    uint32_t number = mirror->places == NULL ? 0 : mirror->places[find(mirror, &neighbour)];

    return number == 0 ? 0 : mirror->states[number - 1];
}
