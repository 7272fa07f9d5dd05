/* SPDX-License-Identifier: Apache-2.0 */
/* What of the kernel's messages reaches the mirror: routes of the main table by our TAPs,
 * multipath, gateways of the other family, neighbours by state, and broken messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/io/mirror.h"

static const int ifindex[2] = {7, 9};
static char buffer[1024] __attribute__((aligned(8)));

static struct sip_ip ip(const char *text)
{
    struct sip_ip result;

    assert_int_equal(sip_ip_parse(sip_slice(text, (uint32_t)strlen(text)), &result), 0);
    return result;
}

static void put_ip(struct nlmsghdr *message, uint16_t type, const char *text)
{
    struct sip_ip address = ip(text);

    if (sip_ip_is_v4(&address))
        mnl_attr_put(message, type, 4, sip_ip_v4_bytes(&address));
    else
        mnl_attr_put(message, type, 16, address.bytes);
}

static struct nlmsghdr *route_message(int family, uint8_t length, uint32_t table, uint8_t type)
{
    struct nlmsghdr *message;
    struct rtmsg *header;

    memset(buffer, 0, sizeof(buffer));
    message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = RTM_NEWROUTE;
    header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->rtm_family = (uint8_t)family;
    header->rtm_dst_len = length;
    header->rtm_table = RT_TABLE_COMPAT;
    header->rtm_type = type;
    mnl_attr_put_u32(message, RTA_TABLE, table);
    return message;
}

static void takes_routes_by_our_taps(void **state)
{
    static const struct {
        const char *prefix; /* NULL: default */
        uint8_t length;
        uint32_t oif;
        const char *gateway;
        uint32_t table;
        uint8_t type;
        bool taken;
    } cases[] = {
        {"10.0.0.0", 8, 7, "192.0.2.1", RT_TABLE_MAIN, RTN_UNICAST, true},
        {NULL, 0, 9, "192.0.2.1", RT_TABLE_MAIN, RTN_UNICAST, true},
        {"2001:db8::", 32, 9, NULL, RT_TABLE_MAIN, RTN_UNICAST, true},
        {"10.0.0.0", 8, 8, "192.0.2.1", RT_TABLE_MAIN, RTN_UNICAST, false},
        {"10.0.0.0", 8, 0, "192.0.2.1", RT_TABLE_MAIN, RTN_UNICAST, false},
        {"192.0.2.10", 32, 7, NULL, RT_TABLE_LOCAL, RTN_LOCAL, false},
        {"192.0.2.255", 32, 7, NULL, RT_TABLE_LOCAL, RTN_BROADCAST, false},
        {"10.0.0.0", 8, 7, NULL, 1234, RTN_UNICAST, false},
        {"10.0.0.0", 33, 7, NULL, RT_TABLE_MAIN, RTN_UNICAST, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool v6 = cases[i].prefix != NULL && strchr(cases[i].prefix, ':') != NULL;
        struct nlmsghdr *message =
            route_message(v6 ? AF_INET6 : AF_INET, cases[i].length, cases[i].table, cases[i].type);
        struct io_mirror mirror;

        print_message("case %zu\n", i);
        io_mirror_init(&mirror, ifindex, 2);
        if (cases[i].prefix != NULL)
            put_ip(message, RTA_DST, cases[i].prefix);
        if (cases[i].gateway != NULL)
            put_ip(message, RTA_GATEWAY, cases[i].gateway);
        mnl_attr_put_u32(message, RTA_OIF, cases[i].oif);
        mnl_attr_put_u32(message, RTA_PRIORITY, 77);
        assert_int_equal(io_mirror_route_concerns(&mirror, message), cases[i].taken);
        assert_int_equal(io_mirror_route(&mirror, message), 0);
        assert_int_equal(mirror.n_routes, cases[i].taken);
        if (cases[i].taken) {
            const struct io_fib_route *route = &mirror.routes[0];
            struct sip_ip gateway = ip(cases[i].gateway != NULL ? cases[i].gateway : "::");

            assert_int_equal(route->length, cases[i].length + (v6 ? 0 : 96));
            assert_int_equal(route->port, cases[i].oif == 9);
            assert_int_equal(route->on_link, cases[i].gateway == NULL);
            assert_int_equal(route->metric, 77);
            assert_true(sip_ip_equal(&route->gateway, &gateway));
            assert_int_equal(sip_ip_is_v4(&route->prefix), !v6);
        }
        io_mirror_done(&mirror);
    }
}

/* An event that replaces names only what comes, so it may take one of ours away. */
static void replacement_concerns_us(void **state)
{
    struct nlmsghdr *message = route_message(AF_INET, 0, RT_TABLE_MAIN, RTN_UNICAST);
    struct io_mirror mirror;

    io_mirror_init(&mirror, ifindex, 2);
    mnl_attr_put_u32(message, RTA_OIF, 3);
    assert_false(io_mirror_route_concerns(&mirror, message));
    message->nlmsg_flags = NLM_F_REPLACE;
    assert_true(io_mirror_route_concerns(&mirror, message));
    io_mirror_done(&mirror);
}

static void takes_the_first_hop_of_ours(void **state)
{
    struct nlmsghdr *message = route_message(AF_INET, 0, RT_TABLE_MAIN, RTN_UNICAST);
    struct nlattr *nest = mnl_attr_nest_start(message, RTA_MULTIPATH);
    struct sip_ip second = ip("192.0.2.2");
    struct io_mirror mirror;

    for (uint8_t i = 1; i <= 3; i++) { /* by interfaces 8, 9 and 10 */
        struct rtnexthop *hop = mnl_nlmsg_get_payload_tail(message);
        const uint8_t address[4] = {192, 0, 2, i};

        message->nlmsg_len += sizeof(*hop);
        mnl_attr_put(message, RTA_GATEWAY, 4, address);
        hop->rtnh_len = sizeof(*hop) + 8;
        hop->rtnh_ifindex = 7 + i;
    }
    mnl_attr_nest_end(message, nest);
    io_mirror_init(&mirror, ifindex, 2);
    assert_int_equal(io_mirror_route(&mirror, message), 0);
    assert_int_equal(mirror.n_routes, 1);
    assert_int_equal(mirror.routes[0].port, 1);
    assert_true(sip_ip_equal(&mirror.routes[0].gateway, &second));
    io_mirror_done(&mirror);
}

static void takes_a_gateway_of_the_other_family(void **state)
{
    struct nlmsghdr *message = route_message(AF_INET, 0, RT_TABLE_MAIN, RTN_UNICAST);
    struct sip_ip gateway = ip("fe80::1");
    uint8_t via[18];
    struct io_mirror mirror;
    const uint16_t family = AF_INET6;

    memcpy(via, &family, 2);
    memcpy(via + 2, gateway.bytes, 16);
    mnl_attr_put(message, RTA_VIA, sizeof(via), via);
    mnl_attr_put_u32(message, RTA_OIF, 7);
    io_mirror_init(&mirror, ifindex, 2);
    assert_int_equal(io_mirror_route(&mirror, message), 0);
    assert_int_equal(mirror.n_routes, 1);
    assert_true(sip_ip_equal(&mirror.routes[0].gateway, &gateway));
    assert_false(mirror.routes[0].on_link);
    io_mirror_done(&mirror);
}

static int neighbour_at(struct io_mirror *mirror, uint16_t type, int interface, uint16_t nud,
                        const char *ip_text, uint8_t mac)
{
    const uint8_t address[6] = {2, 0, 0, 0, 0, mac};
    struct nlmsghdr *message;
    struct ndmsg *header;

    memset(buffer, 0, sizeof(buffer));
    message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = type;
    header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->ndm_family = AF_INET;
    header->ndm_ifindex = interface;
    header->ndm_state = nud;
    put_ip(message, NDA_DST, ip_text);
    if (mac != 0)
        mnl_attr_put(message, NDA_LLADDR, sizeof(address), address);
    return io_mirror_neighbour(mirror, message);
}

static int neighbour(struct io_mirror *mirror, uint16_t type, int interface, uint16_t nud,
                     uint8_t mac)
{
    return neighbour_at(mirror, type, interface, nud, "192.0.2.5", mac);
}

static void follows_a_neighbour(void **state)
{
    static const struct {
        uint16_t type;
        int interface;
        uint16_t nud;
        uint8_t mac;
        int changed; /* workers must know */
        uint32_t n;
        bool resolved;
    } steps[] = {
        {RTM_NEWNEIGH, 8, NUD_REACHABLE, 1, 0, 0, false}, /* not ours */
        {RTM_DELNEIGH, 7, NUD_FAILED, 0, 0, 0, false},    /* never heard of */
        {RTM_NEWNEIGH, 7, NUD_INCOMPLETE, 0, 1, 1, false},
        {RTM_NEWNEIGH, 7, NUD_REACHABLE, 1, 1, 1, true},
        {RTM_NEWNEIGH, 7, NUD_STALE, 1, 0, 1, true},
        {RTM_NEWNEIGH, 7, NUD_DELAY, 1, 0, 1, true},
        {RTM_NEWNEIGH, 7, NUD_PROBE, 1, 0, 1, true},
        {RTM_NEWNEIGH, 7, NUD_REACHABLE, 2, 1, 1, true}, /* another MAC */
        {RTM_NEWNEIGH, 9, NUD_PERMANENT, 3, 1, 2, true}, /* the same address elsewhere */
        {RTM_DELNEIGH, 9, NUD_FAILED, 0, 1, 1, true},
        {RTM_NEWNEIGH, 7, NUD_FAILED, 2, 1, 1, false},
        {RTM_DELNEIGH, 7, NUD_FAILED, 0, 1, 0, false},
    };
    struct sip_ip address = ip("192.0.2.5");
    struct io_mirror mirror;

    io_mirror_init(&mirror, ifindex, 2);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        print_message("step %zu\n", i);
        assert_int_equal(
            neighbour(&mirror, steps[i].type, steps[i].interface, steps[i].nud, steps[i].mac),
            steps[i].changed);
        assert_int_equal(mirror.n_neighbours, steps[i].n);
        if (steps[i].n == 1) {
            assert_int_equal(mirror.neighbours[0].resolved, steps[i].resolved);
            if (steps[i].type == RTM_NEWNEIGH)
                assert_int_equal(io_mirror_state(&mirror, 0, &address), steps[i].nud);
        }
    }
    assert_int_equal(io_mirror_state(&mirror, 0, &address), 0);
    io_mirror_done(&mirror);
}

/* Every shorter length of a good message (netlink's unit is 4 bytes): nothing is made of a part. */
/* Neighbours that come, go and change in any order are what was told last of each. */
static void follows_many_neighbours(void **state)
{
    enum { ADDRESSES = 300, CHANGES = 20000 };
    static uint16_t states[2][ADDRESSES]; /* by port; 0: unknown */
    struct io_mirror mirror;
    uint32_t random = 1, known = 0;

    io_mirror_init(&mirror, ifindex, 2);
    for (int i = 0; i < CHANGES; i++) {
        char text[32];
        uint32_t at, port;
        bool deleted;
        struct sip_ip address;

        random = random * 1664525u + 1013904223u;
        at = (random >> 8) % ADDRESSES;
        port = random >> 30 & 1;
        /* Now they become more, now fewer. */
        deleted = (random >> 20 & 7) < (i / 2000 % 2 == 0 ? 2u : 6u);
        snprintf(text, sizeof(text), "10.0.%u.%u", at / 100, at % 100);
        known += (states[port][at] == 0 && !deleted) - (states[port][at] != 0 && deleted);
        states[port][at] = deleted ? 0 : i % 2 == 0 ? NUD_STALE : NUD_REACHABLE;
        assert_true(neighbour_at(&mirror, deleted ? RTM_DELNEIGH : RTM_NEWNEIGH, ifindex[port],
                                 i % 2 == 0 ? NUD_STALE : NUD_REACHABLE, text, 5) >= 0);
        assert_int_equal(mirror.n_neighbours, known);
        if (i == CHANGES / 2) {
            io_mirror_clear_neighbours(&mirror);
            memset(states, 0, sizeof(states));
            known = 0;
        }
        for (uint32_t j = 0; j < ADDRESSES; j += 7) {
            at = (j + (uint32_t)i) % ADDRESSES;
            snprintf(text, sizeof(text), "10.0.%u.%u", at / 100, at % 100);
            address = ip(text);
            for (uint8_t p = 0; p < 2; p++)
                assert_int_equal(io_mirror_state(&mirror, p, &address), states[p][at]);
        }
    }
    assert_in_range(known, 50, 2 * ADDRESSES - 50);
    io_mirror_done(&mirror);
}

static void survives_cut_messages(void **state)
{
    struct nlmsghdr *message = route_message(AF_INET, 8, RT_TABLE_MAIN, RTN_UNICAST);
    struct io_mirror mirror;
    uint32_t whole;

    put_ip(message, RTA_DST, "10.0.0.0");
    put_ip(message, RTA_GATEWAY, "192.0.2.1");
    mnl_attr_put_u32(message, RTA_OIF, 7);
    whole = message->nlmsg_len;
    io_mirror_init(&mirror, ifindex, 2);
    for (uint32_t length = NLMSG_HDRLEN; length < whole; length += NLMSG_ALIGNTO) {
        message->nlmsg_len = length;
        assert_int_equal(io_mirror_route(&mirror, message), 0);
        assert_int_equal(io_mirror_neighbour(&mirror, message), 0);
    }
    assert_int_equal(mirror.n_routes, 0);
    assert_int_equal(mirror.n_neighbours, 0);
    io_mirror_done(&mirror);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_routes_by_our_taps),
        cmocka_unit_test(replacement_concerns_us),
        cmocka_unit_test(takes_the_first_hop_of_ours),
        cmocka_unit_test(takes_a_gateway_of_the_other_family),
        cmocka_unit_test(follows_a_neighbour),
        cmocka_unit_test(follows_many_neighbours),
        cmocka_unit_test(survives_cut_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
