/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages of messages: parse, route, rewrite, over the jobs that classify or join made. What a
 * message means is proxy/'s; how a frame looks is io/frame's. It must not know how frames are
 * received, nor when they are sent.
 */
#include <string.h>

#include <rte_cycles.h>

#include "config/msg.h"
#include "dataplane/stages.h"
#include "dataplane/zone.h"

enum { FEW_BACKENDS = 64 }; /* about 4 KB of them */

/* ---- Parse ---- */

/* Whether this frame may come from a backend. Where both sides share the port, routes are asked for
 * backends' addresses alone. */
static bool is_inside(struct worker *w, uint8_t port, const struct io_frame *frame)
{
    const struct io_port *ports = w->shared->ports;

    return (ports[port].cfg->zone != CFG_ZONE_BOTH ||
            snapshot_is_backend_address(w->current.view->snapshot, &frame->src.ip)) &&
           zone_believes(ports, port, w->current.fib, &frame->src.ip, frame->src_mac);
}

/* Whether backends are too many for what is known of them to stay in the caches: then it is asked for
 * before it is needed. */
static bool is_far(const struct worker *w)
{
    return w->current.view->snapshot->backends.n > FEW_BACKENDS;
}

static void ask_for_senders(struct worker *w)
{
    for (uint32_t i = 0; i < w->n_jobs && is_far(w); i++)
        snapshot_prefetch_address(w->current.view->snapshot, &w->jobs[i].frame.src.ip);
}

static void ask_for_backends(struct worker *w)
{
    for (uint32_t i = 0; i < w->n_jobs && is_far(w); i++)
        proxy_foresee(w->current.view, &w->jobs[i].input);
}

static void parse(struct worker *w, uint8_t port)
{
    uint32_t now_s = atomic_load_explicit(&w->shared->now_s, memory_order_relaxed);
    const struct proxy_input *inputs[IO_BURST];
    struct proxy_prepared *prepared[IO_BURST];

    ask_for_senders(w);
    for (uint32_t i = 0; i < w->n_jobs; i++) {
        struct job *job = &w->jobs[i];

        sip_msg_index(job->text, job->frame.length, &job->msg);
        job->input.from = (struct proxy_flow){
            .local = job->frame.dst, .peer = job->frame.src, .transport = SIP_TRANSPORT_UDP};
        job->input.inside = is_inside(w, port, &job->frame);
        job->input.now_s = now_s;
        job->input.prepared = prepared[i] = &job->prepared;
        inputs[i] = &job->input;
    }
    proxy_prepare(w->current.view, inputs, w->n_jobs, prepared);
    ask_for_backends(w);
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

static void count_verdicts(struct worker *w, const uint32_t *verdicts)
{
    worker_count(w, COUNTER_MESSAGES, w->n_jobs);
    worker_count(w, COUNTER_FORWARDED, verdicts[PROXY_FORWARD]);
    worker_count(w, COUNTER_REPLIED, verdicts[PROXY_REPLY]);
    worker_count(w, COUNTER_DROPPED, verdicts[PROXY_DROP]);
    worker_count(w, COUNTER_PUNTED, verdicts[PROXY_PUNT]);
}

/* All are decided before the first is counted: counters of many backends are cold, and so are asked
 * for side by side. */
static void route(struct worker *w)
{
    uint32_t verdicts[] = {[PROXY_FORWARD] = 0, [PROXY_REPLY] = 0, [PROXY_DROP] = 0, [PROXY_PUNT] = 0};

    for (uint32_t i = 0; i < w->n_jobs; i++)
        proxy_decide(w->current.view, &w->jobs[i].input, &w->jobs[i].output);
    for (uint32_t i = 0; i < w->n_jobs; i++) {
        struct job *job = &w->jobs[i];

        verdicts[job->output.verdict]++;
        worker_count(w, counters_kind(&job->msg), 1);
        worker_count(w, COUNTER_VERDICTS + job->output.reason, 1);
        count_service(w, job);
        count_slot(w, job);
    }
    count_verdicts(w, verdicts);
}

/* ---- Rewrite ---- */

/* The message as it leaves, alone in the job's mbuf, which is NULL when it has no room. */
static void make_message(struct worker *w, struct job *job, uint32_t headers)
{
    const struct io_payload_pools *pools = &w->pools[job->way.port];
    const struct sip_msg *msg = &job->msg;
    struct rte_mbuf *received = job->mbuf;
    int32_t length;

    if (job->output.verdict == PROXY_FORWARD) {
        if (received == NULL)
            job->mbuf = io_payload_copy(pools, headers, &job->output.edit, msg->buf, msg->length);
        else
            job->mbuf = io_payload_edit(received, pools, headers, &job->output.edit, msg->buf,
                                        msg->length);
        return;
    }
    /* A reply quotes the message, so it is printed beside it. */
    length =
        proxy_reply_print(w->current.view, &job->input, &job->output, w->reply, sizeof(w->reply));
    job->mbuf = length < 0 ? NULL : io_payload_new(pools, headers, w->reply, (uint32_t)length);
    rte_pktmbuf_free(received);
}

/* Puts headers in front of a message; a MAC that is unknown yet is 0. */
static void address(struct worker *w, struct job *job)
{
    const struct proxy_flow *to = &job->output.to;
    uint32_t headers = io_frame_headers(&to->peer.ip), length = job->mbuf->data_len;
    uint8_t *bytes = (uint8_t *)rte_pktmbuf_prepend(job->mbuf, (uint16_t)headers);

    io_frame_build(bytes, w->shared->ports[job->way.port].mac, job->way.mac, &to->local, &to->peer,
                   length, worker_ip_id(w));
}

/* Sends a job's frame, or has main hold it until the MAC is known. */
static void send_job(struct worker *w, struct job *job)
{
    uint8_t port = job->way.port;

    if (job->way.result == IO_FIB_FOUND) {
        if (job->way.target.neighbour) /* no router between us: its wire is the path */
            io_tx_put(w->tx, port, job->mbuf, IO_KIND_SIP, w->shared->ports[port].mtu);
        else
            worker_send(w, port, job->mbuf, IO_KIND_SIP);
        return;
    }
    worker_count(w, COUNTER_SIP_HELD, 1);
    if (!io_exception_to_hold(w->shared->exception, job->mbuf, &job->way.target))
        worker_count(w, COUNTER_HELD_DROPPED, 1);
    w->main_has_work = true;
}

/* Gives main a message that control must act on. */
static void punt(struct worker *w, struct job *job, uint8_t port)
{
    const struct msg_punt punt = {
        .magic = MSG_MAGIC,
        .kind = MSG_PUNT,
        .local = job->input.from.local,
        .peer = job->input.from.peer,
        .inside = job->input.inside,
        .length = job->msg.length,
    };
    struct rte_mbuf *packet = io_payload_new(&w->pools[port], sizeof(punt), job->msg.buf, job->msg.length);

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

/* Whether there is a frame of a job's that may leave for where it goes. */
static bool may_leave(const struct job *job)
{
    const struct proxy_flow *to = &job->output.to;
    enum proxy_means means = means_of(job);

    if (job->output.verdict != PROXY_FORWARD && job->output.verdict != PROXY_REPLY)
        return false;
    return means == PROXY_BY_MAC || sip_ip_is_v4(&to->local.ip) == sip_ip_is_v4(&to->peer.ip);
}

/* Where all jobs' frames leave. */
static void find_ways(struct worker *w)
{
    struct io_fib_way *ways[IO_BURST];
    uint32_t n = 0;

    static_assert((int)IO_BURST <= (int)IO_FIB_BURST, "all jobs are one burst");
    for (uint32_t i = 0; i < w->n_jobs; i++) {
        struct job *job = &w->jobs[i];

        job->way.result = IO_FIB_NO_ROUTE;
        if (!may_leave(job))
            continue;
        /* A gateway would go by the datagram's destination, the virtual address, and send it back. */
        job->way.target = (struct io_fib_target){.ip = job->output.to.peer.ip,
                                                 .neighbour = means_of(job) == PROXY_BY_MAC};
        ways[n++] = &job->way;
    }
    if (w->current.fib != NULL)
        io_fib_reach_burst(w->current.fib, ways, n);
}

/* Makes what leaves of a job: a message without its headers yet, or in mode direct the frame.
 * False: nothing does. */
static bool rewrite_job(struct worker *w, struct job *job, uint8_t port)
{
    const struct proxy_output *output = &job->output;

    if (output->verdict == PROXY_DROP) {
        rte_pktmbuf_free(job->mbuf); /* counted by route() */
        return false;
    }
    if (output->verdict == PROXY_PUNT) {
        punt(w, job, port);
        return false;
    }
    if (job->way.result == IO_FIB_NO_ROUTE) {
        worker_drop(w, job->mbuf, COUNTER_SIP_NO_ROUTE);
        return false;
    }
    if (means_of(job) != PROXY_REWRITTEN)
        worker_make_direct(w, job);
    else
        make_message(w, job, io_frame_headers(&output->to.peer.ip));
    if (job->mbuf != NULL)
        return true;
    worker_count(w, COUNTER_SIP_TX_DROP, 1);
    worker_count(w, COUNTER_SIP_TX_DROP_ROOM, 1);
    return false;
}

/* An operator's copies are of a message as it came and, behind it, as it leaves. */
static void rewrite(struct worker *w, uint8_t port)
{
    bool captures = worker_captures(w);
    uint64_t now_ns = captures ? worker_capture_now() : 0;

    find_ways(w);
    for (uint32_t i = 0; i < w->n_jobs; i++) {
        struct job *job = &w->jobs[i];
        bool captured = captures && worker_capture_came(w, job, port, now_ns);

        if (!rewrite_job(w, job, port))
            continue;
        if (means_of(job) == PROXY_REWRITTEN)
            address(w, job);
        if (captured)
            worker_capture_leaves(w, job, now_ns);
        send_job(w, job);
    }
}

void worker_run_jobs(struct worker *w, uint8_t port)
{
    if (w->n_jobs == 0) /* as before the first snapshot */
        return;
    parse(w, port);
    route(w);
    rewrite(w, port);
}

void worker_run_jobs_timed(struct worker *w, uint8_t port, uint64_t *at)
{
    if (w->n_jobs == 0)
        return;
    worker_count(w, COUNTER_STAGE_MESSAGES, w->n_jobs);
    parse(w, port);
    worker_lap(w, COUNTER_STAGE_PARSE, at);
    route(w);
    worker_lap(w, COUNTER_STAGE_ROUTE, at);
    rewrite(w, port);
    worker_lap(w, COUNTER_STAGE_REWRITE, at);
}

