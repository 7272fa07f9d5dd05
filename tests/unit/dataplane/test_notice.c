/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP about packets of ours: who is believed, and which backend is counted. Also path MTUs.
 */
#include <stdio.h>
#include <unistd.h>

#include "config/compile.h"
#include "dataplane/notice.h"
#include "tests/unit/dataplane/io/icmps.h"

enum { WORKERS = 1, PORT_BOTH = 0, PORT_OUTSIDE, PORT_INSIDE, PORTS, NOW_MS = 1000 };

static const char *const CONFIG =
    "node: lb1\n"
    "node_address: 192.0.2.11\n"
    "dataplane:\n"
    "  ports:\n"
    "    - {name: p, driver: af_packet, device: eth0, tap: tap0}\n"
    "services:\n"
    "  - {name: s, pool: p, listen: [{transport: udp, address: 192.0.2.10, port: 5060},\n"
    "                                {transport: udp, address: '2001:db8::10', port: 5060}]}\n"
    "  - {name: t, pool: q, listen: [{transport: udp, address: 192.0.2.10, port: 5070}]}\n"
    "pools:\n"
    "  - name: p\n"
    "    backends:\n"
    "      - {name: near, address: 10.0.0.11, port: 5060, ports: [5090]}\n"
    "      - {name: twin, address: 10.0.0.11, port: 5062}\n"
    "      - {name: far, address: 10.1.0.11, port: 5060}\n"
    "      - {name: six, address: '2001:db8:1::11', port: 5060}\n"
    "      - {name: lost, address: 10.9.0.1, port: 5060}\n"
    "      - {name: odd, address: 10.8.0.1, port: 5060}\n"
    "  - name: q\n"
    "    backends:\n"
    "      - {name: near, address: 10.0.0.11, port: 5060}\n";

/* MAC addresses by their last byte. */
enum { MAC_NEAR = 0x11, MAC_ROUTER = 0xfe, MAC_PHONE = 0x99, MAC_SIX = 0x61, MAC_ODD = 0x81 };

struct stage {
    struct cfg_port cfg[PORTS];
    struct io_port ports[PORTS];
    struct worker_shared shared;
};

static struct snapshot *compile(void)
{
    char path[] = "/tmp/tandem-notice-XXXXXX";
    struct compile_secret secret = {
        .seed = {1, 2}, .mac[SNAPSHOT_MAC_CURRENT] = {.id = 1, .valid = 1, .key = {3, 4}}};
    struct compile_input input = {.secret = &secret, .generation = 5};
    struct snapshot *snapshot = NULL;
    struct cfg_error error;
    struct cfg *cfg;
    FILE *file = fdopen(mkstemp(path), "w");

    assert_non_null(file);
    fputs(CONFIG, file);
    fclose(file);
    cfg = cfg_load(path, &error);
    unlink(path);
    if (cfg == NULL)
        fail_msg("line %u: %s: %s", error.line, error.key, error.reason);
    input.cfg = cfg;
    assert_int_equal(compile_snapshot(&input, &snapshot), 0);
    cfg_free(cfg);
    return snapshot;
}

static void publish(struct stage *stage)
{
    struct snapshot *snapshot = compile();
    const char *reason = NULL;
    int fd = compile_memfd(snapshot);

    assert_true(fd >= 0);
    assert_int_equal(publish_snapshot(stage->shared.publish, fd, snapshot->size, 5, &reason), 0);
    close(fd);
    free(snapshot);
}

/* Phones and near backends are neighbours on the port of both sides; a router leads to the far one.
 */
static struct io_fib *fib(void)
{
    const struct io_fib_route routes[] = {
        {.prefix = addr("10.0.0.0", 0).ip, .length = 96 + 24, .port = PORT_BOTH, .on_link = true},
        {.prefix = addr("10.1.0.0", 0).ip,
         .length = 96 + 24,
         .port = PORT_BOTH,
         .gateway = addr("10.0.0.254", 0).ip},
        {.prefix = addr("2001:db8:1::", 0).ip, .length = 64, .port = PORT_BOTH, .on_link = true},
        {.prefix = addr("10.8.0.0", 0).ip,
         .length = 96 + 24,
         .port = PORT_OUTSIDE,
         .on_link = true},
    };
    const struct io_fib_neighbour neighbours[] = {
        {addr("10.0.0.11", 0).ip, PORT_BOTH, true, {2, [5] = MAC_NEAR}},
        {addr("10.0.0.254", 0).ip, PORT_BOTH, true, {2, [5] = MAC_ROUTER}},
        {addr("10.0.0.99", 0).ip, PORT_BOTH, true, {2, [5] = MAC_PHONE}},
        {addr("2001:db8:1::11", 0).ip, PORT_BOTH, true, {2, [5] = MAC_SIX}},
        {addr("10.8.0.1", 0).ip, PORT_OUTSIDE, true, {2, [5] = MAC_ODD}},
    };

    return io_fib_new(routes, 4, neighbours, 5);
}

static void stage_begin(struct stage *stage)
{
    static const enum cfg_zone zones[PORTS] = {CFG_ZONE_BOTH, CFG_ZONE_OUTSIDE, CFG_ZONE_INSIDE};
    const struct lb_key key = {1, 2};
    void *memory = aligned_alloc(64, counters_bytes(WORKERS));

    assert_non_null(memory);
    memset(memory, 0, counters_bytes(WORKERS));
    memset(stage, 0, sizeof(*stage));
    for (uint32_t i = 0; i < PORTS; i++) {
        stage->cfg[i].zone = zones[i];
        stage->ports[i].cfg = &stage->cfg[i];
        stage->ports[i].mtu = 1500;
    }
    stage->shared.ports = stage->ports;
    stage->shared.n_ports = PORTS;
    stage->shared.counters = counters_init(memory, WORKERS, 7, 8, 9);
    stage->shared.publish = publish_new(WORKERS, stage->shared.counters);
    stage->shared.path_mtu = io_path_mtu_new(&key);
    assert_non_null(stage->shared.publish);
    assert_non_null(stage->shared.path_mtu);
}

static void stage_end(struct stage *stage)
{
    io_path_mtu_free(stage->shared.path_mtu);
    publish_free(stage->shared.publish);
    free(stage->shared.counters);
}

/* Whom the message counted, as "p/near q/near": each once. */
static const char *counted(struct stage *stage)
{
    static const char *const names[][2] = {{"p", "near"}, {"p", "twin"}, {"p", "far"}, {"p", "six"},
                                           {"p", "lost"}, {"p", "odd"},  {"q", "near"}};
    const struct proxy_view *view = publish_read(stage->shared.publish).view;
    struct counters_header *h = stage->shared.counters;
    static char text[128];
    uint64_t sum = 0;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        uint32_t id = snapshot_backend_id(sip_slice_of(names[i][0]), sip_slice_of(names[i][1]));
        uint16_t slot = view->slot_of[snapshot_backend_by_id(view->snapshot, id)];
        uint64_t *value = &counters_slot_block(h, 0, COUNTERS_SLOT_UNREACHABLE)[slot];
        size_t length = strlen(text);

        assert_int_equal(counters_slot_sum(h, slot, COUNTERS_SLOT_UNREACHABLE), *value);
        assert_in_range(*value, 0, 1);
        if (*value == 1)
            snprintf(text + length, sizeof(text) - length, "%s%s/%s", length > 0 ? " " : "",
                     names[i][0], names[i][1]);
        *value = 0;
    }
    for (uint32_t slot = 0; slot < h->n_slots; slot++)
        sum += counters_slot_sum(h, slot, COUNTERS_SLOT_UNREACHABLE);
    assert_int_equal(sum, 0);
    return text;
}

/* What is said, of which datagram, in whose frame. */
struct row {
    uint8_t port, mac;
    const char *from, *src;
    uint16_t src_port;
    const char *dst;
    uint16_t dst_port;
    const char *expected;
};

static void say(struct stage *stage, const struct row *row, struct kind kind, uint32_t mtu)
{
    struct sip_addr src = addr(row->src, row->src_port), dst = addr(row->dst, row->dst_port);
    uint8_t datagram[1024], bytes[1600];
    uint32_t length;

    memset(datagram, 'x', sizeof(datagram));
    io_frame_build(datagram, OUR_MAC, PEER_MAC, &src, &dst, 600, 1);
    if (row->src_port == 0)
        datagram[strchr(row->src, ':') == NULL ? 23 : 20] = 4; /* a tunnel's */
    length = build_icmp(bytes, row->from, row->src, kind, datagram + 14, 300, mtu);
    memcpy(bytes + 6, (uint8_t[6]){2, [5] = row->mac}, 6);
    notice_frame(&stage->shared, row->port, bytes, length, NOW_MS);
}

#define US "192.0.2.10", 5060
#define NEAR "10.0.0.11", 5060
#define FAR "10.1.0.11", 5060

static void test_unreachable(void **state)
{
    static const struct row rows[] = {
        /* Both sides on one port: the backend itself, in its own frames. */
        {PORT_BOTH, MAC_NEAR, "10.0.0.11", US, NEAR, "p/near q/near"},
        {PORT_BOTH, MAC_NEAR, "10.0.0.11", US, "10.0.0.11", 5090, "p/near"},
        {PORT_BOTH, MAC_NEAR, "10.0.0.11", US, "10.0.0.11", 5062, "p/twin"},
        {PORT_BOTH, MAC_NEAR, "10.0.0.11", US, "10.0.0.11", 5061, ""},
        {PORT_BOTH, MAC_NEAR, "10.0.0.11", "192.0.2.10", 5070, NEAR, "p/near q/near"},
        {PORT_BOTH, MAC_PHONE, "10.0.0.11", US, NEAR, ""},
        {PORT_BOTH, MAC_ROUTER, "10.0.0.11", US, NEAR, ""},
        /* A router on the way to it, and the far one itself, in the router's frames. */
        {PORT_BOTH, MAC_ROUTER, "10.0.0.254", US, FAR, "p/far"},
        {PORT_BOTH, MAC_ROUTER, "10.1.0.11", US, FAR, "p/far"},
        {PORT_BOTH, MAC_PHONE, "10.0.0.254", US, FAR, ""},
        {PORT_BOTH, MAC_PHONE, "10.1.0.11", US, FAR, ""},
        {PORT_BOTH, MAC_NEAR, "10.1.0.11", US, FAR, ""},
        /* Whoever else is believed about himself, about others is not. */
        {PORT_BOTH, MAC_PHONE, "10.0.0.99", US, NEAR, ""},
        {PORT_BOTH, MAC_ROUTER, "10.0.0.254", US, NEAR, ""},
        {PORT_BOTH, MAC_NEAR, "10.0.0.11", US, FAR, ""},
        {PORT_BOTH, MAC_ROUTER, "10.1.0.77", US, FAR, ""},
        {PORT_BOTH, MAC_ROUTER, "203.0.113.1", US, "10.9.0.1", 5060, ""}, /* no route there */
        {PORT_BOTH, MAC_ROUTER, "10.9.0.1", US, "10.9.0.1", 5060, ""},
        /* IPv6. */
        {PORT_BOTH, MAC_SIX, "2001:db8:1::11", "2001:db8::10", 5060, "2001:db8:1::11", 5060,
         "p/six"},
        {PORT_BOTH, MAC_NEAR, "2001:db8:1::11", "2001:db8::10", 5060, "2001:db8:1::11", 5060, ""},
        {PORT_BOTH, MAC_SIX, "2001:db8:1::12", "2001:db8::10", 5060, "2001:db8:1::11", 5060, ""},
        /* From outside nothing is believed, however it looks. */
        {PORT_OUTSIDE, MAC_NEAR, "10.0.0.11", US, NEAR, ""},
        {PORT_OUTSIDE, MAC_ROUTER, "10.0.0.254", US, FAR, ""},
        {PORT_OUTSIDE, MAC_SIX, "2001:db8:1::11", "2001:db8::10", 5060, "2001:db8:1::11", 5060, ""},
        {PORT_OUTSIDE, MAC_ODD, "10.8.0.1", US, "10.8.0.1", 5060, ""}, /* even if it is true */
        /* From inside everything, of our datagrams to backends. */
        {PORT_INSIDE, MAC_PHONE, "10.0.0.99", US, NEAR, "p/near q/near"},
        {PORT_INSIDE, MAC_PHONE, "203.0.113.1", US, "10.9.0.1", 5060, "p/lost"},
        {PORT_INSIDE, MAC_NEAR, "10.0.0.11", "192.0.2.10", 5061, NEAR, ""},
        {PORT_INSIDE, MAC_NEAR, "10.0.0.11", "192.0.2.11", 5060, NEAR, ""},
        {PORT_INSIDE, MAC_NEAR, "10.0.0.11", US, "10.0.0.12", 5060, ""},
        /* Tunnels, between this node's address and a backend's. */
        {PORT_INSIDE, MAC_NEAR, "10.0.0.11", "192.0.2.11", 0, "10.1.0.11", 0, "p/far"},
        {PORT_INSIDE, MAC_NEAR, "10.0.0.11", "192.0.2.10", 0, "10.1.0.11", 0, ""},
    };
    struct stage stage;

    stage_begin(&stage);
    /* Before there is a snapshot, and while there is no fib. */
    say(&stage, &rows[0], PORT4, 0);
    publish(&stage);
    say(&stage, &rows[0], PORT4, 0);
    assert_string_equal(counted(&stage), "");
    assert_true(publish_fib(stage.shared.publish, fib()));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        say(&stage, &rows[i], strchr(rows[i].src, ':') == NULL ? PORT4 : PORT6, 0);
        if (strcmp(counted(&stage), rows[i].expected) != 0)
            fail_msg("row %zu: expected \"%s\"", i, rows[i].expected);
    }
    stage_end(&stage);
}

/* What the loop counts by itself. */
static void test_no_answer(void **state)
{
    const struct proxy_view *view;
    struct stage stage;

    stage_begin(&stage);
    publish(&stage);
    view = publish_read(stage.shared.publish).view;
    notice_unreachable(
        &stage.shared, view,
        (uint32_t)snapshot_backend_by_id(
            view->snapshot, snapshot_backend_id(sip_slice_of("p"), sip_slice_of("far"))));
    assert_string_equal(counted(&stage), "p/far");
    stage_end(&stage);
}

/* Path MTUs are believed of anybody, but of datagrams of ours alone. */
static void test_too_big(void **state)
{
    static const struct row rows[] = {
        {PORT_OUTSIDE, 1, "2001:db8:ff::1", "2001:db8::10", 5060, "2001:db8:2::1", 5060, ""},
        {PORT_OUTSIDE, 1, "2001:db8:ff::1", "2001:db8::10", 5061, "2001:db8:2::2", 5060, ""},
        {PORT_BOTH, 1, "2001:db8:1::11", "2001:db8::10", 5060, "2001:db8:1::11", 5060, ""},
    };
    static const uint32_t mtus[] = {1300, 1500, 1300};
    struct stage stage;

    stage_begin(&stage);
    publish(&stage);
    assert_true(publish_fib(stage.shared.publish, fib()));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sip_addr to = addr(rows[i].dst, 0);

        say(&stage, &rows[i], TOO_BIG6, 1300);
        assert_int_equal(io_path_mtu_get(stage.shared.path_mtu, &to.ip, 1500), mtus[i]);
        assert_string_equal(counted(&stage), "");
    }
    assert_int_equal(counters_sum(stage.shared.counters, COUNTER_PATH_MTUS), 2);
    stage_end(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_no_answer),
        cmocka_unit_test(test_too_big),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
