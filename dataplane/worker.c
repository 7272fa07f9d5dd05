/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's life and its loop, in stages over a burst: receive, classify (classify.c), parse,
 * route, rewrite (forward.c), transmit. A datagram in fragments is joined by one worker, its owner
 * (join.c), and is a burst of its own. It must not know how a frame looks, nor what a message says.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_pause.h>
#include <rte_prefetch.h>
#include <rte_random.h>

#include "dataplane/stages.h"

/* Of `idle: adaptive`. A message that comes while a worker sleeps waits SLEEP_NS at most, and what
 * the kernel takes to wake it (5 us here); in that time rings of 1,024 frames do not run over at 10
 * million a second. */
enum {
    PAUSE_AFTER_US = 10,  /* without work: then polling gives the core's other thread room… */
    SLEEP_AFTER_US = 200, /* …and then it is not worth a core */
    SLEEP_NS = 50000,
};

/* What never changes of what each job asks proxy/, and where each port's messages get buffers. */
static void prepare(struct worker *w)
{
    const struct worker_shared *shared = w->shared;

    for (uint32_t i = 0; i < IO_BURST; i++) {
        w->jobs[i].input.msg = &w->jobs[i].msg;
        w->jobs[i].input.calls = shared->calls;
        w->jobs[i].input.counts = &w->call_counts;
    }
    for (uint32_t port = 0; port < shared->n_ports; port++)
        w->pools[port] = (struct io_payload_pools){shared->ports[port].pool,
                                                   io_fragments_pool(shared->fragments)};
}

struct worker *worker_new(struct worker_shared *shared, uint32_t index, bool yields)
{
    size_t size = RTE_CACHE_LINE_ROUNDUP(sizeof(struct worker));
    struct worker *w = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
    const struct counters_header *h = shared->counters;

    if (w == NULL)
        return NULL;
    memset(w, 0, size);
    w->shared = shared;
    w->index = index;
    w->yields = yields;
    w->pause_after = rte_get_tsc_hz() / 1000000 * PAUSE_AFTER_US;
    w->sleep_after = rte_get_tsc_hz() / 1000000 * SLEEP_AFTER_US;
    w->id_step = (uint16_t)io_tx_id_step(shared->n_workers);
    w->ip_id = (uint16_t)(rte_rand() / w->id_step * w->id_step + index);
    w->counters = counters_block(h, 1 + index);
    for (uint32_t what = 0; what < COUNTERS_SLOT_COUNT; what++)
        w->by_slot[what] = counters_slot_block(h, 1 + index, (enum counters_slot)what);
    w->by_service = counters_service_block(h, 1 + index, 0);
    w->call_counts = counters_call_counts(h, 1 + index);
    prepare(w);
    w->tx = io_tx_new(shared->ports, shared->n_ports, index);
    w->reassembly = io_fragments_table(shared->fragments);
    if (w->tx == NULL || w->reassembly == NULL) {
        worker_free(w);
        return NULL;
    }
    return w;
}

void worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    io_reassembly_free(w->reassembly);
    io_tx_free(w->tx);
    free(w);
}

/* ---- Receive ---- */

static uint32_t receive(struct worker *w, uint8_t port, struct rte_mbuf **ret_mbufs)
{
    struct io_queue queue = w->shared->ports[port].queues[w->index];
    uint32_t n = rte_eth_rx_burst(queue.port_id, queue.queue_id, ret_mbufs, IO_BURST);

    for (uint32_t i = 0; i < n; i++)
        rte_prefetch0(rte_pktmbuf_mtod(ret_mbufs[i], const void *));
    return n;
}

/* ---- Transmit ---- */

void worker_send(struct worker *w, uint8_t port, struct rte_mbuf *mbuf, enum io_kind kind)
{
    uint32_t mtu = w->shared->ports[port].mtu;

    if (mbuf->pkt_len > (uint32_t)IO_ETHER_BYTES + IO_MTU6_MIN && kind != IO_KIND_TAP) {
        struct sip_ip to = io_frame_destination(rte_pktmbuf_mtod(mbuf, const uint8_t *));

        if (!sip_ip_is_v4(&to))
            mtu = io_path_mtu_get(w->shared->path_mtu, &to, mtu);
    }
    io_tx_put(w->tx, port, mbuf, kind, mtu);
}

/* Takes what main has for the ports that are ours: the kernel's frames, and held ones. */
static uint32_t take_from_main(struct worker *w)
{
    struct rte_mbuf *mbufs[IO_BURST];
    uint32_t taken = 0;

    for (uint32_t port = w->index; port < w->shared->n_ports; port += w->shared->n_workers) {
        uint32_t n = io_exception_from_main(w->shared->exception, (uint8_t)port, mbufs, IO_BURST);

        for (uint32_t i = 0; i < n; i++)
            worker_send(w, (uint8_t)port, mbufs[i], (enum io_kind)mbufs[i]->hash.usr);
        taken += n;
    }
    return taken;
}

static void transmit(struct worker *w)
{
    struct io_tx_counts c;

    io_tx_flush(w->tx);
    c = io_tx_take_counts(w->tx);
    worker_count(w, COUNTER_SIP_TX, c.sent[IO_KIND_SIP]);
    worker_count(w, COUNTER_SIP_TX_FRAGMENTED, c.fragmented);
    worker_count(w, COUNTER_SIP_TX_DROP, c.refused[IO_KIND_SIP] + c.no_room[IO_KIND_SIP]);
    worker_count(w, COUNTER_SIP_TX_DROP_DRIVER, c.refused[IO_KIND_SIP]);
    worker_count(w, COUNTER_SIP_TX_DROP_ROOM, c.no_room[IO_KIND_SIP]);
    worker_count(w, COUNTER_SIP_MTU_DROP, c.too_long[IO_KIND_SIP]);
    worker_count(w, COUNTER_HELD_TX, c.sent[IO_KIND_HELD]);
    worker_count(w, COUNTER_HELD_TX_DROP,
                 c.refused[IO_KIND_HELD] + c.no_room[IO_KIND_HELD] + c.too_long[IO_KIND_HELD]);
    worker_count(w, COUNTER_TAP_TX, c.sent[IO_KIND_TAP]);
    worker_count(w, COUNTER_TAP_TX_DROP,
                 c.refused[IO_KIND_TAP] + c.no_room[IO_KIND_TAP] + c.too_long[IO_KIND_TAP]);
}

/* ---- The loop ---- */

/* Away, a worker reads nothing of main's: it holds up no swap. */
static void leave(struct worker *w, bool sleep)
{
    const struct timespec moment = {.tv_nsec = SLEEP_NS};

    publish_offline(w->shared->publish, w->index);
    if (sleep)
        nanosleep(&moment, NULL);
    else
        sched_yield();
    publish_online(w->shared->publish, w->index);
}

/* The end of a turn without work, `idle` cycles after the last one with some: lets the other worker
 * of this CPU run; sleeps when that is configured. */
static void rest(struct worker *w, uint64_t idle)
{
    bool sleeps = w->shared->sleeps;

    if (sleeps && idle > w->sleep_after)
        leave(w, true);
    else if (w->yields)
        leave(w, false);
    else if (sleeps && idle > w->pause_after)
        rte_pause();
}

/* Ends a turn, which began when the last one ended, and rests after an idle one. What others took
 * of the CPU meanwhile is idle time. */
static void keep_time(struct worker *w, bool busy)
{
    uint64_t now = rte_rdtsc() - w->began;

    if (busy) {
        worker_count(w, COUNTER_BUSY_CYCLES, now - w->counters[COUNTER_CYCLES]);
        w->worked = now;
    } else {
        rest(w, now - w->worked);
        now = rte_rdtsc() - w->began;
    }
    counters_set(&w->counters[COUNTER_CYCLES], now);
}

static uint32_t run_port(struct worker *w, uint8_t port)
{
    struct rte_mbuf *mbufs[IO_BURST];
    uint32_t n = receive(w, port, mbufs);

    if (n == 0)
        return 0;
    worker_classify(w, port, mbufs, n);
    worker_run_jobs(w, port);
    return n;
}

/* The same with the cycles of each stage counted. */
static uint32_t run_port_timed(struct worker *w, uint8_t port)
{
    struct rte_mbuf *mbufs[IO_BURST];
    uint64_t at = rte_rdtsc();
    uint32_t n = receive(w, port, mbufs);

    if (n == 0)
        return 0;
    worker_lap(w, COUNTER_STAGE_RECEIVE, &at);
    worker_classify(w, port, mbufs, n);
    worker_lap(w, COUNTER_STAGE_CLASSIFY, &at);
    worker_run_jobs_timed(w, port, &at);
    return n;
}

static void transmit_timed(struct worker *w)
{
    uint64_t at = rte_rdtsc();

    transmit(w);
    worker_lap(w, COUNTER_STAGE_TRANSMIT, &at);
}

/* Whether an operator wants to know what each stage takes. */
static bool is_timed(const struct worker *w)
{
    return w->current.view != NULL && w->current.view->snapshot->stages;
}

/* Once around all queues that are ours. Whether there was something to do. */
static bool turn(struct worker *w)
{
    struct worker_shared *shared = w->shared;
    bool timed;
    uint32_t n = 0;

    w->main_has_work = false;
    w->current = publish_read(shared->publish);
    w->listener = -1;
    timed = is_timed(w);
    n += take_from_main(w); /* first: what waited for its way is older than what comes now */
    for (uint32_t port = 0; port < shared->n_ports; port++)
        n += timed ? run_port_timed(w, (uint8_t)port) : run_port(w, (uint8_t)port);
    n += worker_join(w);
    if (n > 0 && timed)
        transmit_timed(w);
    else if (n > 0)
        transmit(w);
    if (w->main_has_work)
        io_exception_wake(shared->exception);
    return n > 0;
}

int worker_run(void *worker)
{
    struct worker *w = worker;
    struct worker_shared *shared = w->shared;

    w->began = rte_rdtsc();
    publish_online(shared->publish, w->index);
    while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
        bool busy = turn(w);

        publish_quiescent(shared->publish, w->index);
        /* Who brings the first snapshot may need this CPU, and nothing is forwarded before. */
        if (w->current.view == NULL)
            leave(w, true);
        keep_time(w, busy);
    }
    publish_offline(shared->publish, w->index);
    return 0;
}
