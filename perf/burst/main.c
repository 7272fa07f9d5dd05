/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-burst CONFIG SECRET FILE.pcap exact|like CPU VDEV OUTSIDE INSIDE OUTSIDE_MAC INSIDE_MAC
 *
 * A burst generator for SIP. Sends the messages of a file of perf-messages, again and again, to a
 * balancer whose ports have these MAC addresses: those of phones by the interface OUTSIDE, those of
 * backends by INSIDE, where it also stands in the receivers' place. Each message is stamped, and
 * what comes back is checked (check.h). VDEV: DPDK's driver and its options, `net_af_packet,…`.
 *
 * Prints `ready N`, and for each line `run SECONDS WINDOW RATE` on stdin one line of words and
 * numbers: at most WINDOW messages are on their way at any time, RATE a second are sent (0: as many
 * as the window lets through).
 */
#include <errno.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf/burst/check.h"
#include "perf/burst/stamp.h"

enum {
    BURST = 64,
    DESCRIPTORS = 1024,
    MBUFS = 16383,
    MBUF_CACHE = 256,
    DATA_ROOM = 3840, /* AF_XDP's driver has one buffer a page */
    SILENCE_MS = 500, /* after so much what is on its way is lost */
    EAL_ARGUMENTS = 13,
    ARGUMENTS = 11,
    TEXT = 256,
};

struct generator {
    struct load load;
    struct check *check;
    struct rte_mempool *pool;
    uint16_t ports[LOAD_SIDES];
    uint32_t next; /* message */
};

/* What a line on stdin asks for. */
struct order {
    double seconds, rate;
    uint32_t window;
};

/* A round on its way. */
struct progress {
    uint64_t begin, end; /* by the time stamp counter */
    uint64_t given_up;   /* messages that are not waited for any more */
    uint64_t last_arrival, waited;
};

/* ---- Devices ---- */

static int start_eal(char **argv)
{
    char lcores[TEXT], vdevs[LOAD_SIDES][TEXT], *rest = strchr(argv[6], ',');
    char *arguments[EAL_ARGUMENTS + 1] = {
        "perf-burst",     "--no-huge",   "--no-shconf", "-m",       "256", "--no-pci",
        "--no-telemetry", "--log-level", "error",       "--lcores", lcores};
    uint32_t n = EAL_ARGUMENTS - LOAD_SIDES;

    snprintf(lcores, sizeof(lcores), "0@%s", argv[5]);
    for (uint32_t side = 0; side < LOAD_SIDES; side++) {
        snprintf(vdevs[side], sizeof(vdevs[side]), "--vdev=%.*s%u,iface=%s%s",
                 (int)strcspn(argv[6], ","), argv[6], side, argv[7 + side],
                 rest != NULL ? rest : "");
        arguments[n++] = vdevs[side];
    }
    return rte_eal_init((int)n, arguments) < 0 ? -rte_errno : 0;
}

static int start_port(struct generator *g, uint16_t port_id)
{
    struct rte_eth_conf conf = {0};
    uint16_t rx = DESCRIPTORS, tx = DESCRIPTORS;
    int error = rte_eth_dev_configure(port_id, 1, 1, &conf);

    if (error == 0)
        error = rte_eth_dev_adjust_nb_rx_tx_desc(port_id, &rx, &tx);
    if (error == 0)
        error = rte_eth_rx_queue_setup(port_id, 0, rx, 0, NULL, g->pool);
    if (error == 0)
        error = rte_eth_tx_queue_setup(port_id, 0, tx, 0, NULL);
    return error == 0 ? rte_eth_dev_start(port_id) : error;
}

static int start_ports(struct generator *g)
{
    int error = 0;

    g->pool = rte_pktmbuf_pool_create("burst", MBUFS, MBUF_CACHE, 0, DATA_ROOM, 0);
    if (g->pool == NULL)
        return -rte_errno;
    for (uint16_t side = 0; side < LOAD_SIDES && error == 0; side++) {
        g->ports[side] = side;
        error = start_port(g, side);
    }
    return error;
}

/* ---- A round ---- */

static uint32_t receive_bursts(struct generator *g, struct progress *progress)
{
    struct rte_mbuf *mbufs[BURST];
    uint32_t all = 0;

    for (uint32_t side = 0; side < LOAD_SIDES; side++) {
        uint16_t n = rte_eth_rx_burst(g->ports[side], 0, mbufs, BURST);
        uint64_t now = rte_rdtsc();

        for (uint16_t i = 0; i < n; i++)
            check_receive(g->check, (enum load_side)side, rte_pktmbuf_mtod(mbufs[i], uint8_t *),
                          mbufs[i]->data_len, now);
        rte_pktmbuf_free_bulk(mbufs, n);
        if (n > 0)
            progress->last_arrival = now;
        all += n;
    }
    return all;
}

static uint64_t in_flight(const struct generator *g, const struct progress *progress)
{
    const struct check_counts *counts = &g->check->counts;
    uint64_t done = counts->received + progress->given_up;

    return counts->sent > done ? counts->sent - done : 0;
}

/* The next message, stamped. NULL: no buffer is free. */
static struct rte_mbuf *make(struct generator *g, uint64_t now)
{
    const struct load_message *message = &g->load.messages[g->next];
    struct rte_mbuf *mbuf = rte_pktmbuf_alloc(g->pool);
    char *bytes;

    if (mbuf == NULL)
        return NULL;
    bytes = rte_pktmbuf_append(mbuf, message->length);
    memcpy(bytes, message->frame, message->length);
    stamp_write(bytes + message->stamp, check_send(g->check, g->next, now));
    return mbuf;
}

/* Sends the next n messages, at most a burst. */
static void send_burst(struct generator *g, uint32_t n)
{
    struct rte_mbuf *mbufs[LOAD_SIDES][BURST];
    uint16_t made[LOAD_SIDES] = {0};
    uint64_t now = rte_rdtsc();

    for (uint32_t i = 0; i < n; i++) {
        uint8_t side = g->load.messages[g->next].side;
        struct rte_mbuf *mbuf = make(g, now);

        if (mbuf == NULL)
            break;
        mbufs[side][made[side]++] = mbuf;
        g->next = (g->next + 1) % g->load.n;
    }
    for (uint32_t side = 0; side < LOAD_SIDES; side++) {
        uint16_t sent = 0;

        while (sent < made[side])
            sent += rte_eth_tx_burst(g->ports[side], 0, mbufs[side] + sent, made[side] - sent);
    }
}

/* Messages that may be sent now. Without a rate a burst or nothing: system calls are dear. */
static uint32_t allowed(const struct generator *g, const struct order *order,
                        const struct progress *progress, uint64_t now)
{
    uint64_t on_way = in_flight(g, progress), n = BURST;
    double due;

    if (on_way + BURST > order->window && (order->rate == 0 || on_way >= order->window))
        return 0;
    if (order->rate > 0) {
        due = (double)(now - progress->begin) / (double)g->check->tick_hz * order->rate -
              (double)g->check->counts.sent;
        n = due < 1 ? 0 : due < BURST ? (uint64_t)due : BURST;
        n = n < order->window - on_way ? n : order->window - on_way;
    }
    return (uint32_t)n;
}

/* Messages that were lost would fill the window for ever. */
static void give_up(struct generator *g, struct progress *progress, uint64_t now)
{
    if (now < progress->last_arrival + g->check->tick_hz * SILENCE_MS / 1000)
        return;
    progress->given_up += in_flight(g, progress);
    progress->last_arrival = now;
}

static void drain(struct generator *g, struct progress *progress)
{
    progress->last_arrival = rte_rdtsc();
    while (in_flight(g, progress) > 0) {
        receive_bursts(g, progress);
        give_up(g, progress, rte_rdtsc());
    }
}

static void run(struct generator *g, const struct order *order, struct progress *ret)
{
    uint64_t now = rte_rdtsc(), before = now;

    check_begin(g->check);
    *ret = (struct progress){.begin = now,
                             .end = now + (uint64_t)(order->seconds * (double)g->check->tick_hz),
                             .last_arrival = now};
    for (; now < ret->end; before = now, now = rte_rdtsc()) {
        uint32_t came = receive_bursts(g, ret), n = allowed(g, order, ret, now);

        if (n > 0)
            send_burst(g, n);
        else if (came == 0)
            ret->waited += now - before;
        give_up(g, ret, now);
    }
    ret->end = now;
    drain(g, ret);
}

static void print(const struct generator *g, const struct progress *progress)
{
    const struct check_counts *c = &g->check->counts;
    double ticks = (double)(progress->end - progress->begin);

    printf("done seconds %.6f sent %lu received %lu lost %lu doubled %lu misrouted %lu "
           "corrupted %lu foreign %lu late %lu waited %.4f p50_us %.2f p99_us %.2f\n",
           ticks / (double)g->check->tick_hz, c->sent, c->received, c->sent - c->received,
           c->doubled, c->misrouted, c->corrupted, c->foreign, c->late,
           (double)progress->waited / ticks, check_latency_us(g->check, 0.5),
           check_latency_us(g->check, 0.99));
}

static void serve(struct generator *g)
{
    struct progress progress;
    struct order order;
    char line[TEXT];

    printf("ready %u\n", g->load.n);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (sscanf(line, "run %lf %u %lf", &order.seconds, &order.window, &order.rate) != 3 ||
            order.window < BURST || order.window > CHECK_RING / 2) {
            printf("usage: run SECONDS WINDOW RATE\n");
            continue;
        }
        run(g, &order, &progress);
        print(g, &progress);
        if (g->check->odd[0] != '\0')
            fprintf(stderr, "perf-burst: %s…\n", g->check->odd);
    }
}

static int read_macs(char **argv, struct load_macs *ret)
{
    struct rte_ether_addr mac;

    for (uint32_t side = 0; side < LOAD_SIDES; side++) {
        if (rte_ether_unformat_addr(argv[9 + side], &mac) != 0)
            return -EINVAL;
        memcpy(ret->port[side], mac.addr_bytes, sizeof(ret->port[side]));
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct check check;
    static struct generator g = {.check = &check};
    struct load_macs macs;
    struct world *world;
    int error;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != ARGUMENTS || read_macs(argv, &macs) != 0 ||
        (strcmp(argv[4], "exact") != 0 && strcmp(argv[4], "like") != 0)) {
        fputs("usage: perf-burst CONFIG SECRET FILE.pcap exact|like CPU VDEV OUTSIDE INSIDE "
              "OUTSIDE_MAC INSIDE_MAC\n",
              stderr);
        return 2;
    }
    world = world_new(argv[1], argv[2], 1 << 20);
    if (world == NULL || load_read(argv[3], world, &macs, &g.load) != 0)
        return EXIT_FAILURE;
    world_free(world);
    check.load = &g.load;
    check.mode = strcmp(argv[4], "exact") == 0 ? CHECK_EXACT : CHECK_LIKE;
    check.next = 1; /* 0 is what a fresh ring has */
    error = start_eal(argv);
    if (error == 0)
        error = start_ports(&g);
    if (error != 0) {
        fprintf(stderr, "perf-burst: devices: %s\n", strerror(-error));
        return EXIT_FAILURE;
    }
    check.tick_hz = rte_get_tsc_hz();
    serve(&g);
    load_free(&g.load);
    return EXIT_SUCCESS;
}
