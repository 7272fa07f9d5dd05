/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-burst EAL… -- FILE.pcap DESTINATION-MAC, then commands on stdin, one a line:
 *
 *   run RATE SECONDS    sends so many of the file's messages a second, in a circle; receives what
 *                       comes back at the same port; then waits for stragglers. Answers one line:
 *                       sent N received N lost N doubled N misrouted N corrupted N other N
 *                       nanoseconds N median-ns N p99-ns N
 *
 * Phones and backends in one: it sends requests as phones do and is where a balancer sends them on
 * to. Each message that is sent bears a number of its own in its branch, by which it is known
 * again: when it was sent, whether it has been here before (doubled), whether its Call-ID went to
 * another backend before (misrouted), whether its body is what it was (corrupted). One lcore does
 * everything.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "perf/burst/file.h"
#include "perf/burst/tally.h"
#include "perf/laps/overwrite.h"

enum {
    BURST = 32,
    MBUFS = 16383,
    CACHE = 256,
    DESCRIPTORS = 1024,
    DATA_ROOM = 3840, /* what AF_XDP's driver takes: an mbuf in a page */
    STRAGGLE_MS = 300,
};

struct burst {
    struct file file;
    struct tally *tally;
    struct rte_mempool *pool;
    struct rte_ether_addr to;
    uint64_t sent; /* since the start: the numbers of messages */
};

static int open_port(struct burst *burst)
{
    struct rte_eth_conf conf = {0};
    int error;

    burst->pool = rte_pktmbuf_pool_create("burst", MBUFS, CACHE, 0, DATA_ROOM, SOCKET_ID_ANY);
    if (burst->pool == NULL || rte_eth_dev_count_avail() != 1)
        return -1;
    error = rte_eth_dev_configure(0, 1, 1, &conf);
    if (error == 0)
        error = rte_eth_rx_queue_setup(0, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL, burst->pool);
    if (error == 0)
        error = rte_eth_tx_queue_setup(0, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL);
    return error == 0 ? rte_eth_dev_start(0) : error;
}

/* The next message, with its number. */
static struct rte_mbuf *make(struct burst *burst, uint64_t number)
{
    const struct file_message *m = &burst->file.messages[number % burst->file.n];
    struct rte_mbuf *mbuf = rte_pktmbuf_alloc(burst->pool);
    char digits[16];
    uint8_t *frame;

    if (mbuf == NULL)
        return NULL;
    frame = (uint8_t *)rte_pktmbuf_append(mbuf, (uint16_t)m->length);
    memcpy(frame, m->frame, m->length);
    memcpy(frame, burst->to.addr_bytes, sizeof(burst->to.addr_bytes));
    snprintf(digits, sizeof(digits), "%08x", (uint32_t)number);
    overwrite(frame, m->branch_at, digits);
    return mbuf;
}

/* Sends up to n; numbers of messages that the driver does not take are used again. */
static void send_burst(struct burst *burst, uint32_t n)
{
    struct rte_mbuf *mbufs[BURST];
    uint32_t made = 0, sent;

    while (made < n && (mbufs[made] = make(burst, burst->sent + made)) != NULL)
        made++;
    for (uint32_t i = 0; i < made; i++)
        tally_send(burst->tally, (uint32_t)(burst->sent + i), rte_rdtsc());
    sent = rte_eth_tx_burst(0, 0, mbufs, (uint16_t)made);
    rte_pktmbuf_free_bulk(mbufs + sent, made - sent);
    burst->sent += sent;
    burst->tally->counts.sent += sent;
}

static uint32_t receive(struct burst *burst)
{
    struct rte_mbuf *mbufs[BURST];
    uint32_t n = rte_eth_rx_burst(0, 0, mbufs, BURST);
    uint64_t now = rte_rdtsc();

    for (uint32_t i = 0; i < n; i++)
        tally_receive(burst->tally, &burst->file, rte_pktmbuf_mtod(mbufs[i], const uint8_t *),
                      mbufs[i]->data_len, now);
    rte_pktmbuf_free_bulk(mbufs, n);
    return n;
}

/* Paced by the clock: what is due is sent, and what could not be sent in time is not made up for.
 */
static uint64_t run(struct burst *burst, double rate, double seconds)
{
    double hz = (double)rte_get_tsc_hz(), gap = hz / rate;
    uint64_t began = rte_rdtsc(), now = began, end = began + (uint64_t)(seconds * hz), stop;
    double due = (double)began;

    while (now < end) {
        uint32_t n = (double)now < due ? 0 : (uint32_t)(((double)now - due) / gap) + 1;

        if (n > BURST) {
            due = (double)now - BURST * gap;
            n = BURST;
        }
        if (n > 0) {
            send_burst(burst, n);
            due += n * gap;
        }
        receive(burst);
        now = rte_rdtsc();
    }
    stop = now + rte_get_tsc_hz() / 1000 * STRAGGLE_MS;
    while (rte_rdtsc() < stop)
        receive(burst);
    return now - began;
}

static void answer(const struct burst *burst, uint64_t cycles)
{
    const struct tally_counts *c = &burst->tally->counts;
    double ns = 1e9 / (double)rte_get_tsc_hz();

    printf(
        "sent %llu received %llu lost %llu doubled %llu misrouted %llu corrupted %llu other %llu "
        "nanoseconds %.0f median-ns %.0f p99-ns %.0f\n",
        (unsigned long long)c->sent, (unsigned long long)c->received,
        (unsigned long long)(c->sent - c->received), (unsigned long long)c->doubled,
        (unsigned long long)c->misrouted, (unsigned long long)c->corrupted,
        (unsigned long long)c->other, (double)cycles * ns,
        (double)tally_quantile(burst->tally, 0.5) * ns,
        (double)tally_quantile(burst->tally, 0.99) * ns);
    fflush(stdout);
}

static void serve(struct burst *burst)
{
    char line[128];
    double rate, seconds;

    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (sscanf(line, "run %lf %lf", &rate, &seconds) != 2 || rate < 1) {
            puts("error no such command");
            fflush(stdout);
            continue;
        }
        tally_clear(burst->tally);
        while (receive(burst) > 0) /* what came late, or from elsewhere */
            continue;
        tally_clear(burst->tally);
        answer(burst, run(burst, rate, seconds));
    }
}

int main(int argc, char **argv)
{
    static struct burst burst;
    int used = rte_eal_init(argc, argv);
    bool good = false;

    if (used < 0 || argc - used != 3 || rte_ether_unformat_addr(argv[used + 2], &burst.to) != 0) {
        fputs("usage: perf-burst EAL… -- FILE.pcap DESTINATION-MAC\n", stderr);
        return 2;
    }
    if (file_load(argv[used + 1], &burst.file)) {
        burst.tally = tally_new(burst.file.n);
        good = burst.tally != NULL && open_port(&burst) == 0;
    }
    if (good)
        serve(&burst);
    else
        fputs("perf-burst: no such file of requests, or no port\n", stderr);
    tally_free(burst.tally);
    file_free(&burst.file);
    rte_eal_cleanup();
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
