/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fast path, in stages over a burst: receive, classify (classify.c), parse, route, rewrite,
 * transmit. What a message means is proxy/'s; how a frame looks is io/frame's. A datagram in
 * fragments is joined by one worker, its owner (join.c), and is a burst of its own.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_prefetch.h>
#include <rte_random.h>

#include "config/msg.h"
#include "dataplane/stages.h"
#include "dataplane/zone.h"

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
    w->id_step = (uint16_t)io_tx_id_step(shared->n_workers);
    w->ip_id = (uint16_t)(rte_rand() / w->id_step * w->id_step + index);
    w->counters = counters_block(h, 1 + index);
    for (uint32_t what = 0; what < COUNTERS_SLOT_COUNT; what++)
        w->by_slot[what] = counters_slot_block(h, 1 + index, (enum counters_slot)what);
    w->by_service = counters_service_block(h, 1 + index, 0);
    w->call_counts = counters_call_counts(h, 1 + index);
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

/* ---- Parse ---- */

/* Whether this frame may come from a backend. Where both sides share the port, routes are asked for
 * backends' addresses alone. */
static bool is_inside(struct worker *w, uint8_t port, const struct io_frame *frame)
{
    const struct io_port *ports = w->shared->ports;

    return (ports[port].cfg->zone != CFG_ZONE_BOTH ||
            snapshot_is_backend_address(w->current.view->snapshot, &frame->src.ip)) &&
           zone_believes(ports, port, w->current.fib, &w->recent, &frame->src.ip, frame->src_mac);
}

static void parse(struct worker *w, uint8_t port)
{
    uint32_t now_s = atomic_load_explicit(&w->shared->now_s, memory_order_relaxed);

    for (uint32_t i = 0; i < w->n_jobs; i++) {
        struct job *job = &w->jobs[i];
        uint64_t hash;

        sip_msg_index(job->text, job->frame.length, &job->msg);
        job->input.msg = &job->msg;
        job->input.from = (struct proxy_flow){
            .local = job->frame.dst, .peer = job->frame.src, .transport = SIP_TRANSPORT_UDP};
        job->input.inside = is_inside(w, port, &job->frame);
        job->input.now_s = now_s;
        job->input.calls = w->shared->calls;
        job->input.counts = &w->call_counts;
        hash = proxy_call_hash(w->current.view, &job->input);
        if (hash != 0)
            lb_call_prefetch(w->shared->calls, hash);
    }
}

/* ---- Route ---- */

/* Counts a backend's response by its slot. */
static void count_response(struct worker *w, uint16_t slot, uint16_t status)
{
    counters_add(&w->by_slot[COUNTERS_SLOT_RESPONSES][slot], 1);
    if (status < 200)
        return;
    counters_add(&w->by_slot[COUNTERS_SLOT_FINALS][slot], 1);
    if (status == 503)
        counters_add(&w->by_slot[COUNTERS_SLOT_BUSY][slot], 1);
    else if (status / 100 == 5)
        counters_add(&w->by_slot[COUNTERS_SLOT_ERRORS][slot], 1);
}

/* Counts what a backend was sent or sent, by its slot. */
static void count_slot(struct worker *w, const struct job *job)
{
    const uint16_t *slot_of = w->current.view->slot_of;
    const struct proxy_output *output = &job->output;

    if (output->reason == PROXY_FORWARDED_REQUEST && output->backend >= 0) {
        counters_add(&w->by_slot[COUNTERS_SLOT_REQUESTS][slot_of[output->backend]], 1);
        if (output->rule == PROXY_RULE_TABLE)
            counters_add(&w->by_slot[COUNTERS_SLOT_NEW][slot_of[output->backend]], 1);
    } else if (output->reason == PROXY_FORWARDED_RESPONSE && output->sender >= 0) {
        count_response(w, slot_of[output->sender], job->msg.status);
    }
}

/* Counts what became of a message of a service. */
static void count_service(struct worker *w, const struct job *job)
{
    static const enum counters_service what_of[] = {
        [PROXY_FORWARD] = COUNTERS_SERVICE_REQUESTS,
        [PROXY_REPLY] = COUNTERS_SERVICE_REPLIED,
        [PROXY_DROP] = COUNTERS_SERVICE_DROPPED,
        [PROXY_PUNT] = COUNTERS_SERVICE_PUNTED,
    };
    uint16_t slot = w->current.service_slots[job->input.listener];
    uint32_t what = job->output.reason == PROXY_FORWARDED_RESPONSE ? COUNTERS_SERVICE_RESPONSES
                                                                   : what_of[job->output.verdict];

    counters_add(&w->by_service[slot * COUNTERS_SERVICE_WORDS + what], 1);
}

static void route(struct worker *w)
{
    static const enum counter counter_of[] = {
        [PROXY_FORWARD] = COUNTER_FORWARDED,
        [PROXY_REPLY] = COUNTER_REPLIED,
        [PROXY_DROP] = COUNTER_DROPPED,
        [PROXY_PUNT] = COUNTER_PUNTED,
    };

    for (uint32_t i = 0; i < w->n_jobs; i++) {
        struct job *job = &w->jobs[i];

        proxy_decide(w->current.view, &job->input, &job->output);
        worker_count(w, counters_kind(&job->msg), 1);
        worker_count(w, counter_of[job->output.verdict], 1);
        worker_count(w, COUNTER_VERDICTS + job->output.reason, 1);
        count_service(w, job);
        count_slot(w, job);
    }
}

/* ---- Rewrite ---- */

/* The message as it leaves by a port, alone in the job's mbuf, which is NULL when it has no room.
 */
static void make_message(struct worker *w, struct job *job, uint8_t port, uint32_t headers)
{
    const struct io_payload_pools pools = worker_pools(w, port);
    const struct sip_msg *msg = &job->msg;
    struct rte_mbuf *received = job->mbuf;
    int32_t length;

    if (job->output.verdict == PROXY_FORWARD) {
        if (received == NULL)
            job->mbuf = io_payload_copy(&pools, headers, &job->output.edit, msg->buf, msg->length);
        else
            job->mbuf = io_payload_edit(received, &pools, headers, &job->output.edit, msg->buf,
                                        msg->length);
        return;
    }
    /* A reply quotes the message, so it is printed beside it. */
    length =
        proxy_reply_print(w->current.view, &job->input, &job->output, w->reply, sizeof(w->reply));
    job->mbuf = length < 0 ? NULL : io_payload_new(&pools, headers, w->reply, (uint32_t)length);
    rte_pktmbuf_free(received);
}

/* Sends a frame; what is SIP's is cut where the port, or what is known of an IPv6 path, asks it. */
static void send_frame(struct worker *w, uint8_t port, struct rte_mbuf *mbuf, enum io_kind kind)
{
    uint32_t mtu = w->shared->ports[port].mtu;

    if (mbuf->pkt_len > (uint32_t)IO_ETHER_BYTES + IO_MTU6_MIN && kind != IO_KIND_TAP) {
        struct sip_ip to = io_frame_destination(rte_pktmbuf_mtod(mbuf, const uint8_t *));

        if (!sip_ip_is_v4(&to))
            mtu = io_path_mtu_get(w->shared->path_mtu, &to, mtu);
    }
    io_tx_put(w->tx, port, mbuf, kind, mtu);
}

/* Puts headers in front of a message; a MAC that is unknown yet is 0. */
static void address(struct worker *w, struct job *job, const struct io_next_hop *hop,
                    uint32_t headers)
{
    const struct proxy_flow *to = &job->output.to;
    uint32_t length = job->mbuf->data_len;
    uint8_t *bytes = (uint8_t *)rte_pktmbuf_prepend(job->mbuf, (uint16_t)headers);

    io_frame_build(bytes, w->shared->ports[hop->port].mac, hop->mac, &to->local, &to->peer, length,
                   worker_ip_id(w));
}

/* Sends a job's frame, or has main hold it until the MAC is known. */
static void send_job(struct worker *w, struct job *job)
{
    if (job->found && job->target.neighbour) { /* no router between us: its wire is the path */
        io_tx_put(w->tx, job->out_port, job->mbuf, IO_KIND_SIP,
                  w->shared->ports[job->out_port].mtu);
        return;
    }
    if (job->found) {
        send_frame(w, job->out_port, job->mbuf, IO_KIND_SIP);
        return;
    }
    worker_count(w, COUNTER_SIP_HELD, 1);
    if (!io_exception_to_hold(w->shared->exception, job->mbuf, &job->target))
        worker_count(w, COUNTER_HELD_DROPPED, 1);
    w->main_has_work = true;
}

/* Gives main a message that control must act on. */
static void punt(struct worker *w, struct job *job, uint8_t port)
{
    const struct io_payload_pools pools = worker_pools(w, port);
    const struct msg_punt punt = {
        .magic = MSG_MAGIC,
        .kind = MSG_PUNT,
        .local = job->input.from.local,
        .peer = job->input.from.peer,
        .length = job->msg.length,
    };
    struct rte_mbuf *packet = io_payload_new(&pools, sizeof(punt), job->msg.buf, job->msg.length);

    rte_pktmbuf_free(job->mbuf);
    if (packet == NULL) {
        worker_count(w, COUNTER_PUNT_LOST_ROOM, 1);
        return;
    }
    memcpy(rte_pktmbuf_prepend(packet, sizeof(punt)), &punt, sizeof(punt));
    if (!io_exception_to_control(w->shared->exception, packet))
        worker_count(w, COUNTER_PUNT_LOST_RING, 1);
    w->main_has_work = true;
}

/* How a job's frame leaves; a reply is always ours. */
static enum proxy_means means_of(const struct job *job)
{
    return job->output.verdict == PROXY_FORWARD ? job->output.means : PROXY_REWRITTEN;
}

/* Where a job's frame leaves. False: no route. */
static bool find_way(struct worker *w, struct job *job, struct io_next_hop *ret)
{
    const struct proxy_flow *to = &job->output.to;
    enum proxy_means means = means_of(job);
    enum io_fib_result result;

    /* A peer on a stream is not reached by a datagram: no route until streams have a sender. */
    if (w->current.fib == NULL ||
        (means == PROXY_REWRITTEN && to->transport != SIP_TRANSPORT_UDP) ||
        (means != PROXY_BY_MAC && sip_ip_is_v4(&to->local.ip) != sip_ip_is_v4(&to->peer.ip)))
        return false;
    /* A gateway would go by the datagram's destination, the virtual address, and send it back. */
    job->target = (struct io_fib_target){.ip = to->peer.ip, .neighbour = means == PROXY_BY_MAC};
    result = io_fib_reach(w->current.fib, &w->recent, &job->target, ret);
    job->out_port = ret->port;
    job->found = result == IO_FIB_FOUND;
    return result != IO_FIB_NO_ROUTE;
}

/* Makes the frame that leaves of a job. False: there is none. */
static bool rewrite_job(struct worker *w, struct job *job, uint8_t port)
{
    const struct proxy_output *output = &job->output;
    uint32_t headers = io_frame_headers(&output->to.peer.ip);
    bool direct = means_of(job) != PROXY_REWRITTEN;
    struct io_next_hop hop = {0};

    if (output->verdict == PROXY_DROP) {
        rte_pktmbuf_free(job->mbuf); /* counted by route() */
        return false;
    }
    if (output->verdict == PROXY_PUNT) {
        punt(w, job, port);
        return false;
    }
    if (!find_way(w, job, &hop)) {
        worker_drop(w, job->mbuf, COUNTER_SIP_NO_ROUTE);
        return false;
    }
    if (direct)
        worker_make_direct(w, job, &hop);
    else
        make_message(w, job, hop.port, headers);
    if (job->mbuf == NULL) {
        worker_count(w, COUNTER_SIP_TX_DROP, 1);
        worker_count(w, COUNTER_SIP_TX_DROP_ROOM, 1);
        return false;
    }
    if (!direct)
        address(w, job, &hop, headers);
    return true;
}

static void rewrite(struct worker *w, uint8_t port)
{
    for (uint32_t i = 0; i < w->n_jobs; i++) {
        if (rewrite_job(w, &w->jobs[i], port))
            send_job(w, &w->jobs[i]);
    }
}

/* The same, with copies for an operator: of a message as it came and, behind it, as it leaves. */
static void rewrite_captured(struct worker *w, uint8_t port)
{
    uint64_t now_ns = worker_capture_now();

    for (uint32_t i = 0; i < w->n_jobs; i++) {
        struct job *job = &w->jobs[i];
        bool captured = worker_capture_came(w, job, port, now_ns);

        if (!rewrite_job(w, job, port))
            continue;
        if (captured)
            worker_capture_leaves(w, job, now_ns);
        send_job(w, job);
    }
}

void worker_run_jobs(struct worker *w, uint8_t port)
{
    parse(w, port);
    route(w);
    if (unlikely(worker_captures(w)))
        rewrite_captured(w, port);
    else
        rewrite(w, port);
}

/* ---- Transmit ---- */

/* Takes what main has for the ports that are ours: the kernel's frames, and held ones. */
static uint32_t take_from_main(struct worker *w)
{
    struct rte_mbuf *mbufs[IO_BURST];
    uint32_t taken = 0;

    for (uint32_t port = w->index; port < w->shared->n_ports; port += w->shared->n_workers) {
        uint32_t n = io_exception_from_main(w->shared->exception, (uint8_t)port, mbufs, IO_BURST);

        for (uint32_t i = 0; i < n; i++)
            send_frame(w, (uint8_t)port, mbufs[i], (enum io_kind)mbufs[i]->hash.usr);
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

/* Lets the other worker of this CPU run. Away, it reads nothing: it holds up no swap. */
static void yield(struct worker *w)
{
    publish_offline(w->shared->publish, w->index);
    sched_yield();
    publish_online(w->shared->publish, w->index);
}

/* Ends a turn, which began when the last one ended. What others took of the CPU while we yielded is
 * idle time: only idle turns yield. */
static void keep_time(struct worker *w, bool busy)
{
    uint64_t now = rte_rdtsc() - w->began;

    if (busy)
        worker_count(w, COUNTER_BUSY_CYCLES, now - w->counters[COUNTER_CYCLES]);
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

int worker_run(void *worker)
{
    struct worker *w = worker;
    struct worker_shared *shared = w->shared;

    w->began = rte_rdtsc();
    publish_online(shared->publish, w->index);
    while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
        uint32_t n = 0;

        w->main_has_work = false;
        w->current = publish_read(shared->publish);
        for (uint32_t port = 0; port < shared->n_ports; port++)
            n += run_port(w, (uint8_t)port);
        n += worker_join(w);
        n += take_from_main(w);
        if (n > 0)
            transmit(w);
        if (w->main_has_work)
            io_exception_wake(shared->exception);
        publish_quiescent(shared->publish, w->index);
        if (n == 0 && w->yields)
            yield(w);
        keep_time(w, n > 0);
    }
    publish_offline(shared->publish, w->index);
    return 0;
}
