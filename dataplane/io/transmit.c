/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bursts towards the devices, and the cutting of messages that are longer than a frame. It must not
 * know who made a frame, or why.
 */
#include "dataplane/io/transmit.h"

#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_random.h>

#include "dataplane/io/cut.h"
#include "dataplane/io/frame.h"

enum {
    TX_ROOM = 2 * IO_BURST,
    TX_ATTEMPTS = 8, /* calls without progress before the rest is dropped */
    VLAN_BYTES = 4,
};

struct io_tx {
    const struct io_port *ports;
    uint32_t n_ports;
    uint32_t worker;
    uint32_t fragment_id, id_step;
    struct io_tx_counts counts;
    struct queue {
        uint32_t n;
        uint32_t of_kind[IO_KINDS]; /* of these */
        struct rte_mbuf *mbufs[TX_ROOM];
        uint8_t kinds[TX_ROOM];
    } waiting[IO_PORTS_MAX];
};

struct io_tx *io_tx_new(const struct io_port *ports, uint32_t n_ports, uint32_t worker)
{
    struct io_tx *tx = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_ROUNDUP(sizeof(*tx)));

    if (tx == NULL)
        return NULL;
    memset(tx, 0, sizeof(*tx));
    tx->ports = ports;
    tx->n_ports = n_ports;
    tx->worker = worker;
    tx->id_step = io_tx_id_step(ports->n_queues);
    tx->fragment_id = (uint32_t)rte_rand() / tx->id_step * tx->id_step + worker;
    return tx;
}

uint32_t io_tx_id_step(uint32_t n_workers)
{
    return rte_align32pow2(n_workers);
}

void io_tx_free(struct io_tx *tx)
{
    if (tx == NULL)
        return;
    for (uint32_t port = 0; port < tx->n_ports; port++)
        rte_pktmbuf_free_bulk(tx->waiting[port].mbufs, tx->waiting[port].n);
    free(tx);
}

/* Offers frames to a device until it took all or refuses. Returns how many it took. */
static uint32_t offer(struct io_queue queue, struct rte_mbuf **mbufs, uint32_t n)
{
    uint32_t done = 0, idle = 0;

    while (done < n && idle < TX_ATTEMPTS) {
        uint16_t sent =
            rte_eth_tx_burst(queue.port_id, queue.queue_id, mbufs + done, (uint16_t)(n - done));

        done += sent;
        if (sent == 0) {
            idle++;
            rte_pause();
        }
    }
    return done;
}

/* Sends a port's frames, and frees those that its device refuses. */
static void flush_port(struct io_tx *tx, uint32_t port)
{
    struct queue *q = &tx->waiting[port];
    uint32_t done = offer(tx->ports[port].queues[tx->worker], q->mbufs, q->n);

    for (uint32_t i = done; i < q->n; i++) {
        tx->counts.refused[q->kinds[i]]++;
        q->of_kind[q->kinds[i]]--;
    }
    for (uint32_t kind = 0; kind < IO_KINDS; kind++) {
        tx->counts.sent[kind] += q->of_kind[kind];
        q->of_kind[kind] = 0;
    }
    if (done < q->n)
        rte_pktmbuf_free_bulk(q->mbufs + done, q->n - done);
    q->n = 0;
}

static void append(struct io_tx *tx, uint8_t port, struct rte_mbuf *mbuf, enum io_kind kind)
{
    struct queue *q = &tx->waiting[port];

    if (q->n == TX_ROOM)
        flush_port(tx, port);
    /* What the receiving driver said is no order to the sending one; whose the memory is, stays. */
    mbuf->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    q->mbufs[q->n] = mbuf;
    q->kinds[q->n] = (uint8_t)kind;
    q->n++;
    q->of_kind[kind]++;
}

/* A message's fragments leave together; the last one stands for all of them in the counts. */
static void put_fragments(struct io_tx *tx, uint8_t port, struct rte_mbuf *mbuf, enum io_kind kind,
                          uint32_t mtu)
{
    struct rte_mbuf *parts[IO_CUT_MAX];
    int n = io_cut(mbuf, tx->ports[port].pool, mtu, tx->fragment_id, parts);

    tx->fragment_id += tx->id_step;
    if (n <= 0) {
        if (n == 0)
            tx->counts.too_long[kind]++;
        else
            tx->counts.no_room[kind]++;
        rte_pktmbuf_free(mbuf);
        return;
    }
    tx->counts.fragmented++;
    for (int i = 0; i < n; i++)
        append(tx, port, parts[i], i + 1 < n ? IO_KIND_PART : kind);
    rte_pktmbuf_free(mbuf);
}

void io_tx_put(struct io_tx *tx, uint8_t port, struct rte_mbuf *mbuf, enum io_kind kind,
               uint32_t mtu)
{
    uint32_t room = IO_ETHER_BYTES + mtu;

    if (kind == IO_KIND_TAP)
        room += VLAN_BYTES; /* of an interface that an operator put on the TAP */
    if (likely(mbuf->pkt_len <= room && mbuf->nb_segs == 1)) {
        append(tx, port, mbuf, kind);
    } else if (kind == IO_KIND_TAP || mbuf->nb_segs != 1) {
        tx->counts.too_long[kind]++;
        rte_pktmbuf_free(mbuf);
    } else {
        put_fragments(tx, port, mbuf, kind, mtu);
    }
}

void io_tx_flush(struct io_tx *tx)
{
    for (uint32_t port = 0; port < tx->n_ports; port++) {
        if (tx->waiting[port].n > 0)
            flush_port(tx, port);
    }
}

struct io_tx_counts io_tx_take_counts(struct io_tx *tx)
{
    struct io_tx_counts counts = tx->counts;

    memset(&tx->counts, 0, sizeof(tx->counts));
    return counts;
}
