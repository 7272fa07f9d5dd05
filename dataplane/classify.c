/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's first stage: whose is a frame? A message becomes a job, a fragment goes to the
 * worker that owns its datagram, the rest is the kernel's. It must not know what a message says.
 */
#include <string.h>

#include <rte_ether.h>

#include "dataplane/stages.h"
#include "dataplane/zone.h"

enum { VLAN_ID = 0x0fff };

/* Whether any listener of ours has the address: fragments bear no port. They are few. */
static bool listens_on(const struct snapshot *s, const struct sip_ip *ip)
{
    const struct snapshot_listener *listeners = snapshot_listeners(s);

    for (uint32_t i = 0; i < s->listeners.n; i++) {
        if (listeners[i].plane == SNAPSHOT_PLANE_DATA && sip_ip_equal(&listeners[i].addr.ip, ip))
            return true;
    }
    return false;
}

/* A port with a TAP hangs on a wire where frames for other stations may pass. */
static bool is_for_us(const struct io_port *port, const struct io_frame *frame)
{
    return port->tap_port_id == IO_NO_PORT_ID ||
           memcmp(port->mac, frame->dst_mac, sizeof(port->mac)) == 0;
}

static bool checksum_good(const struct rte_mbuf *mbuf, const struct io_frame *frame)
{
    if ((mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
        return true;
    return io_frame_udp_good(rte_pktmbuf_mtod(mbuf, const uint8_t *), frame);
}

/* Control's listeners are not ours: what comes to them is the kernel's, who gives it to control. */
static int32_t find_own_listener(const struct snapshot *s, const struct sip_addr *dst)
{
    int32_t found = snapshot_find_listener(s, SIP_TRANSPORT_UDP, dst);

    return found >= 0 && snapshot_listeners(s)[found].plane == SNAPSHOT_PLANE_DATA ? found : -1;
}

int32_t worker_find_listener(struct worker *w, const struct sip_addr *dst)
{
    if (w->listener >= 0 && sip_addr_equal(&w->listens, dst))
        return w->listener;
    if (w->current.view == NULL)
        return -1;
    w->listens = *dst;
    w->listener = find_own_listener(w->current.view->snapshot, dst);
    return w->listener;
}

static bool is_controls(const struct snapshot *s, const struct sip_addr *dst)
{
    const struct snapshot_listener *listeners = snapshot_listeners(s);

    for (uint32_t i = 0; i < s->listeners.n; i++) {
        if (listeners[i].plane == SNAPSHOT_PLANE_CONTROL &&
            listeners[i].transport == SIP_TRANSPORT_UDP &&
            sip_ip_equal(&listeners[i].addr.ip, &dst->ip) &&
            (dst->port == 0 || listeners[i].addr.port == dst->port))
            return true;
    }
    return false;
}

bool worker_is_forged(const struct worker *w, uint8_t port, const struct io_frame *frame)
{
    const struct snapshot *s = w->current.view == NULL ? NULL : w->current.view->snapshot;

    return s != NULL && is_controls(s, &frame->dst) &&
           snapshot_is_backend_address(s, &frame->src.ip) &&
           !zone_believes(w->shared->ports, port, w->current.fib, &frame->src.ip, frame->src_mac);
}

/* Drops what is forged; true when it is not, and so the kernel's. */
static bool pass_to_kernel(struct worker *w, uint8_t port, struct rte_mbuf *mbuf,
                           const struct io_frame *frame)
{
    if (!worker_is_forged(w, port, frame))
        return true;
    worker_drop(w, mbuf, COUNTER_DROP_FRAME_FORGED);
    return false;
}

void worker_add_job(struct worker *w, struct rte_mbuf *mbuf, const uint8_t *bytes, int32_t listener)
{
    struct job *job = worker_next_job(w);

    w->n_jobs++;
    job->mbuf = mbuf;
    job->text = (const char *)bytes + job->frame.payload;
    job->input.listener = (uint32_t)listener;
}

/* A datagram: a message becomes a job; true when the frame is the kernel's. */
static bool classify_udp(struct worker *w, uint8_t port, struct rte_mbuf *mbuf,
                         const struct io_frame *frame)
{
    int32_t listener = worker_find_listener(w, &frame->dst);

    if (listener < 0)
        return pass_to_kernel(w, port, mbuf, frame);
    if (!is_for_us(&w->shared->ports[port], frame))
        worker_drop(w, mbuf, COUNTER_DROP_FRAME_OTHER_MAC);
    else if (!checksum_good(mbuf, frame))
        worker_drop(w, mbuf, COUNTER_DROP_FRAME_CHECKSUM);
    else
        worker_add_job(w, mbuf, rte_pktmbuf_mtod(mbuf, const uint8_t *), listener);
    return false;
}

/* A piece of a datagram: its owner's, if it is for an address of ours. True: the kernel's. */
static bool classify_fragment(struct worker *w, uint8_t port, struct rte_mbuf *mbuf,
                              const struct io_frame *frame)
{
    if (w->current.view == NULL || !listens_on(w->current.view->snapshot, &frame->dst.ip))
        return pass_to_kernel(w, port, mbuf, frame);
    if (!is_for_us(&w->shared->ports[port], frame)) {
        worker_drop(w, mbuf, COUNTER_DROP_FRAME_OTHER_MAC);
        return false;
    }
    worker_count(w, COUNTER_FRAGMENTS, 1);
    if (!io_fragments_give(w->shared->fragments, port, frame, mbuf))
        worker_count(w, COUNTER_DROP_FRAGMENT_RING_FULL, 1);
    return false;
}

/* One segment with the VLAN tag in its place, which drivers like AF_PACKET's put beside the frame.
 * False: there is no room for that. */
static bool straighten(struct rte_mbuf **mbuf)
{
    if ((*mbuf)->nb_segs != 1 && rte_pktmbuf_linearize(*mbuf) != 0)
        return false;
    if (likely(((*mbuf)->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) == 0) ||
        ((*mbuf)->vlan_tci & VLAN_ID) == 0)
        return true;
    return rte_vlan_insert(mbuf) == 0;
}

/* Disposes of a frame; true when it is the kernel's. */
static bool classify_frame(struct worker *w, uint8_t port, struct rte_mbuf *mbuf)
{
    struct io_frame *frame = &worker_next_job(w)->frame;

    switch (io_frame_parse(rte_pktmbuf_mtod(mbuf, const uint8_t *), mbuf->data_len, frame)) {
    case IO_FRAME_UDP:
        return classify_udp(w, port, mbuf, frame);
    case IO_FRAME_FRAGMENT:
        return classify_fragment(w, port, mbuf, frame);
    case IO_FRAME_TRUNCATED:
        worker_drop(w, mbuf, COUNTER_DROP_FRAME_TRUNCATED);
        return false;
    case IO_FRAME_BAD_CHECKSUM:
        worker_drop(w, mbuf, COUNTER_DROP_FRAME_CHECKSUM);
        return false;
    case IO_FRAME_VLAN:
        worker_count(w, COUNTER_TO_TAP_VLAN, 1);
        return true;
    case IO_FRAME_EXTENDED:
        if (!pass_to_kernel(w, port, mbuf, frame))
            return false;
        worker_count(w, COUNTER_TO_TAP_EXTENDED, 1);
        return true;
    case IO_FRAME_OTHER:
        return true;
    }
    return true;
}

void worker_give_kernel(struct worker *w, uint8_t port, struct rte_mbuf **mbufs, uint32_t n)
{
    uint32_t queued;

    if (w->shared->ports[port].tap_port_id == IO_NO_PORT_ID) {
        worker_count(w, COUNTER_DROP_FRAME_NO_TAP, n);
        rte_pktmbuf_free_bulk(mbufs, n);
        return;
    }
    queued = io_exception_to_kernel(w->shared->exception, port, mbufs, n);
    worker_count(w, COUNTER_TO_TAP, n);
    worker_count(w, COUNTER_TAP_RING_FULL, n - queued);
    w->main_has_work = true;
}

void worker_classify(struct worker *w, uint8_t port, struct rte_mbuf **mbufs, uint32_t n)
{
    struct rte_mbuf *kernels[IO_BURST];
    uint32_t n_kernels = 0;

    w->n_jobs = 0;
    worker_count(w, COUNTER_RX_FRAMES, n);
    for (uint32_t i = 0; i < n; i++) {
        if (!straighten(&mbufs[i]))
            worker_drop(w, mbufs[i], COUNTER_DROP_FRAME_SEGMENTS);
        else if (classify_frame(w, port, mbufs[i]))
            kernels[n_kernels++] = mbufs[i];
    }
    if (n_kernels > 0)
        worker_give_kernel(w, port, kernels, n_kernels);
}
