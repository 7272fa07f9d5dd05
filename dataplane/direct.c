/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mode direct: a message goes to a backend, which holds the virtual address itself, as it came: in
 * a frame to the backend's MAC address, or inside IP. It must not know how the backend was chosen.
 */
#include "dataplane/stages.h"

/* What was received, its IP packet alone and `room` bytes in front. Takes over the mbuf. */
static struct rte_mbuf *packet_received(struct worker *w, struct job *job, uint8_t port,
                                        uint32_t room)
{
    struct rte_mbuf *mbuf = job->mbuf, *copy;

    rte_pktmbuf_adj(mbuf, job->frame.ip); /* a tag of VLAN 0 goes with the Ethernet header */
    rte_pktmbuf_trim(mbuf, (uint16_t)(mbuf->data_len - job->frame.packet));
    if (rte_pktmbuf_headroom(mbuf) >= room && job->frame.packet + room <= IO_FRAME_MAX)
        return mbuf;
    copy = io_payload_new(&w->pools[port], room, rte_pktmbuf_mtod(mbuf, const char *), job->frame.packet);
    rte_pktmbuf_free(mbuf);
    return copy;
}

/* The datagram made anew, from its sender to the listener: it came in pieces, or has to leave so.
 */
static struct rte_mbuf *packet_anew(struct worker *w, struct job *job, uint8_t port, uint32_t room)
{
    static const uint8_t none[6]; /* of the Ethernet header, which goes again */
    const struct io_frame *frame = &job->frame;
    uint32_t headers = io_frame_headers(&frame->dst.ip);
    struct rte_mbuf *mbuf = io_payload_new(&w->pools[port], room + headers, job->text, frame->length);

    rte_pktmbuf_free(job->mbuf);
    if (mbuf == NULL)
        return NULL;
    io_frame_build((uint8_t *)rte_pktmbuf_prepend(mbuf, (uint16_t)headers), none, none, &frame->src,
                   &frame->dst, frame->length, worker_ip_id(w));
    rte_pktmbuf_adj(mbuf, IO_ETHER_BYTES);
    return mbuf;
}

/* Puts the `room` bytes of headers in front of the packet. */
static void wrap(struct worker *w, struct job *job, uint32_t room, const struct io_fib_way *way)
{
    const uint8_t *mac = w->shared->ports[way->port].mac;
    const struct proxy_flow *to = &job->output.to;
    uint32_t length = job->mbuf->data_len;
    uint8_t *bytes = (uint8_t *)rte_pktmbuf_prepend(job->mbuf, (uint16_t)room);

    if (job->output.means == PROXY_BY_TUNNEL)
        io_frame_tunnel(bytes, mac, way->mac, &to->local.ip, &to->peer.ip, length, worker_ip_id(w));
    else
        io_frame_wrap(bytes, mac, way->mac);
}

void worker_make_direct(struct worker *w, struct job *job)
{
    const struct io_fib_way *way = &job->way;
    bool tunnel = job->output.means == PROXY_BY_TUNNEL;
    uint32_t room = tunnel ? io_frame_tunnel_headers(&way->target.ip) : IO_ETHER_BYTES;
    uint16_t mtu = w->shared->ports[way->port].mtu;

    /* What a tunnel makes too long is cut outside, and stays as it is. */
    if (job->mbuf == NULL || (!tunnel && job->frame.packet > mtu))
        job->mbuf = packet_anew(w, job, way->port, room);
    else
        job->mbuf = packet_received(w, job, way->port, room);
    if (job->mbuf != NULL)
        wrap(w, job, room, way);
}
