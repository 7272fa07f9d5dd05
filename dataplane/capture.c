/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of messages: see capture.h. How a ring is written is config/capture's.
 */
#include "dataplane/capture.h"

#include <stdio.h>
#include <time.h>

#include "dataplane/stages.h"

int capture_make(const struct io_port *ports, uint32_t n_ports, uint32_t n_workers,
                 struct memory *ret)
{
    struct capture_header header = {.magic = CAPTURE_MAGIC,
                                    .n_rings = n_workers,
                                    .n_ports = n_ports,
                                    .ring_bytes = CAPTURE_RING_BYTES};
    int error = memory_new("tandem-capture", capture_layout(&header), false, ret);

    if (error < 0)
        return error;
    *(struct capture_header *)ret->at = header;
    for (uint32_t i = 0; i < n_ports; i++)
        snprintf((char *)ret->at + header.names + (size_t)i * CAPTURE_NAME_MAX, CAPTURE_NAME_MAX,
                 "%s", ports[i].cfg->name);
    return 0;
}

uint64_t worker_capture_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now); /* no system call: vDSO */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint32_t backend_id(const struct snapshot *s, int32_t backend)
{
    return backend < 0 ? 0 : snapshot_backends(s)[backend].id;
}

static struct capture_record describe(const struct worker *w, const struct job *job,
                                      uint64_t now_ns)
{
    const struct snapshot *s = w->current.view->snapshot;

    return (struct capture_record){
        .time_ns = now_ns,
        .from = backend_id(s, job->output.sender),
        .to = job->output.verdict == PROXY_FORWARD ? backend_id(s, job->output.backend) : 0,
        .reason = (uint8_t)job->output.reason,
        .rule = (uint8_t)job->output.rule,
    };
}

/* A datagram that was joined has no headers any more: Ethernet's and IP's are made anew; UDP's are
 * still there. */
static void put_joined(struct worker *w, const struct job *job, const struct capture_record *record)
{
    const struct io_frame *frame = &job->frame;
    uint8_t headers[IO_HEADERS_MAX];
    uint32_t length = io_frame_headers(&frame->dst.ip) - IO_UDP_BYTES;
    uint32_t udp_length = IO_UDP_BYTES + (uint32_t)frame->length;

    io_frame_build_ip(headers, frame->src_mac, frame->dst_mac, &frame->src.ip, &frame->dst.ip,
                      udp_length, (uint16_t)frame->id);
    capture_put(w->shared->capture, w->shared->capture, w->index, record, headers, length,
                w->datagram + frame->udp, udp_length);
}

bool worker_capture_came(struct worker *w, struct job *job, uint8_t port, uint64_t now_ns)
{
    const struct snapshot *s = w->current.view->snapshot;
    struct capture_record record = describe(w, job, now_ns);

    if (!snapshot_captures(s, job->msg.call_id))
        return false;
    job->call = record.call = snapshot_call_hash(&s->hash_key, job->msg.call_id);
    record.port = port;
    if (job->mbuf == NULL)
        put_joined(w, job, &record);
    else
        capture_put(w->shared->capture, w->shared->capture, w->index, &record,
                    rte_pktmbuf_mtod(job->mbuf, const void *), job->mbuf->data_len, NULL, 0);
    return true;
}

void worker_capture_leaves(struct worker *w, const struct job *job, uint64_t now_ns)
{
    struct capture_record record = describe(w, job, now_ns);

    record.call = job->call; /* the text that it was made of is edited by now */
    record.port = job->way.port;
    record.outbound = true;
    capture_put(w->shared->capture, w->shared->capture, w->index, &record,
                rte_pktmbuf_mtod(job->mbuf, const void *), job->mbuf->data_len, NULL, 0);
}
