/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragments, whichever worker received them: joined by their owner, and what they complete goes
 * through the stages as if it had been received whole. It must not know how frames are classified.
 */
#include <string.h>

#include "dataplane/stages.h"

/* What was joined and is no message: the kernel's, in one frame, which main cuts again. */
static void joined_to_kernel(struct worker *w, uint8_t port, const struct io_frame *frame)
{
    uint32_t headers = io_frame_headers(&frame->dst.ip);
    struct rte_mbuf *mbuf =
        io_payload_new(&w->pools[port], headers, (const char *)w->datagram + frame->payload, frame->length);

    if (mbuf == NULL) {
        worker_count(w, COUNTER_DROP_FRAME_ROOM, 1);
        return;
    }
    io_frame_build((uint8_t *)rte_pktmbuf_prepend(mbuf, (uint16_t)headers), frame->src_mac,
                   frame->dst_mac, &frame->src, &frame->dst, frame->length, (uint16_t)frame->id);
    worker_give_kernel(w, port, &mbuf, 1);
}

/* A whole datagram of `length` bytes in w->datagram; a fragment of it was in `frame`. */
static void run_joined(struct worker *w, uint8_t port, struct io_frame *frame, uint32_t length)
{
    int32_t listener;

    w->n_jobs = 0;
    worker_count(w, COUNTER_REASSEMBLED, 1);
    if (io_frame_joined(w->datagram, length, frame) != IO_FRAME_UDP) {
        worker_count(w, COUNTER_DROP_FRAME_TRUNCATED, 1);
        return;
    }
    if (!io_frame_udp_good(w->datagram, frame)) {
        worker_count(w, COUNTER_DROP_FRAME_CHECKSUM, 1);
        return;
    }
    /* No snapshot yet is possible here: the worker that gave the pieces may have seen the first one
     * before we did. */
    listener = worker_find_listener(w, &frame->dst);
    if (listener < 0 && worker_is_forged(w, port, frame)) {
        worker_count(w, COUNTER_DROP_FRAME_FORGED, 1);
        return;
    }
    if (listener < 0) {
        joined_to_kernel(w, port, frame);
        return;
    }
    worker_next_job(w)->frame = *frame;
    worker_add_job(w, NULL, w->datagram, listener);
    worker_run_jobs(w, port);
}

static void join(struct worker *w, struct rte_mbuf *mbuf, uint32_t now_s)
{
    const uint8_t *bytes = rte_pktmbuf_mtod(mbuf, const uint8_t *);
    uint8_t port = (uint8_t)mbuf->hash.usr;
    struct io_reassembly_key key = {.port = port};
    struct io_piece piece;
    struct io_frame frame;
    uint32_t length;

    io_frame_parse(bytes, mbuf->data_len, &frame); /* again: it was classed by whoever gave it */
    key.src = frame.src.ip;
    key.dst = frame.dst.ip;
    key.id = frame.id;
    memcpy(key.src_mac, frame.src_mac, sizeof(key.src_mac));
    piece = (struct io_piece){frame.offset, frame.length, frame.more, bytes + frame.payload};
    length = io_reassembly_add(w->reassembly, &key, &piece, now_s, w->datagram);
    rte_pktmbuf_free(mbuf);
    if (length > 0)
        run_joined(w, port, &frame, length);
}

static void count_fragments(struct worker *w)
{
    struct io_reassembly_counts c = io_reassembly_take_counts(w->reassembly);

    worker_count(w, COUNTER_FRAGMENTS_JOINED, c.joined);
    worker_count(w, COUNTER_DROP_FRAGMENT_REPEATED, c.repeated);
    worker_count(w, COUNTER_DROP_FRAGMENT_OVERLAPPED, c.overlapped);
    worker_count(w, COUNTER_DROP_FRAGMENT_INVALID, c.invalid);
    worker_count(w, COUNTER_DROP_FRAGMENT_EXPIRED, c.expired);
    worker_count(w, COUNTER_DROP_FRAGMENT_EVICTED, c.evicted);
    counters_set(&w->counters[COUNTER_FRAGMENTS_WAITING], io_reassembly_waiting(w->reassembly));
}

uint32_t worker_join(struct worker *w)
{
    struct rte_mbuf *mbufs[IO_BURST];
    uint32_t n = io_fragments_take(w->shared->fragments, w->index, mbufs, IO_BURST), now_s;

    if (n == 0 && io_reassembly_waiting(w->reassembly) == 0)
        return 0;
    now_s = atomic_load_explicit(&w->shared->now_s, memory_order_relaxed);
    io_reassembly_expire(w->reassembly, now_s);
    for (uint32_t i = 0; i < n; i++)
        join(w, mbufs[i], now_s);
    count_fragments(w);
    return n;
}
