/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings and TAPs of the exception path. It must not know what a worker does not understand, nor
 * what the kernel answers.
 */
#include "dataplane/io/exception.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_ring.h>

#include "dataplane/io/cut.h"
#include "dataplane/io/frame.h"
#include "dataplane/io/transmit.h"

/* Frames; powers of two. A full ring is a counted drop, so they bound what a flood can hold. */
enum { TO_KERNEL_ROOM = 1024, TO_HOLD_ROOM = 256, TO_CONTROL_ROOM = 256, TO_PORT_ROOM = 512 };

enum { VLAN_BYTES = 4 };

struct io_exception {
    const struct io_port *ports;
    uint32_t n_ports;
    int event_fd;
    uint32_t fragment_id;                   /* main's: of what it cuts */
    int target_at;                          /* where in an mbuf a held one's target is */
    struct rte_ring *to_kernel;             /* workers → main; hash.usr: index of the port */
    struct rte_ring *to_hold;               /* workers → main */
    struct rte_ring *to_control;            /* workers → main */
    struct rte_ring *to_port[IO_PORTS_MAX]; /* main → the port's worker; hash.usr: enum io_kind */
    alignas(RTE_CACHE_LINE_SIZE) atomic_bool asleep;
};

/* A field of every mbuf: the frame itself may have no room for more. */
static const struct rte_mbuf_dynfield TARGET = {
    .name = "tandem_target", .size = sizeof(struct io_fib_target), .align = 1};

static bool make_rings(struct io_exception *e)
{
    char name[RTE_RING_NAMESIZE];

    e->to_kernel = rte_ring_create("to_kernel", TO_KERNEL_ROOM, SOCKET_ID_ANY, RING_F_SC_DEQ);
    e->to_hold = rte_ring_create("to_hold", TO_HOLD_ROOM, SOCKET_ID_ANY, RING_F_SC_DEQ);
    e->to_control = rte_ring_create("to_control", TO_CONTROL_ROOM, SOCKET_ID_ANY, RING_F_SC_DEQ);
    if (e->to_kernel == NULL || e->to_hold == NULL || e->to_control == NULL)
        return false;
    for (uint32_t i = 0; i < e->n_ports; i++) {
        snprintf(name, sizeof(name), "to_port_%u", i);
        e->to_port[i] =
            rte_ring_create(name, TO_PORT_ROOM, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
        if (e->to_port[i] == NULL)
            return false;
    }
    return true;
}

struct io_exception *io_exception_new(const struct io_port *ports, uint32_t n_ports)
{
    struct io_exception *e = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*e));

    if (e == NULL)
        return NULL;
    memset(e, 0, sizeof(*e));
    e->ports = ports;
    e->n_ports = n_ports;
    e->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    e->target_at = rte_mbuf_dynfield_register(&TARGET);
    if (e->event_fd < 0 || e->target_at < 0 || !make_rings(e)) {
        io_exception_free(e);
        return NULL;
    }
    return e;
}

static void ring_free(struct rte_ring *ring)
{
    struct rte_mbuf *mbuf;

    while (ring != NULL && rte_ring_dequeue(ring, (void **)&mbuf) == 0)
        rte_pktmbuf_free(mbuf);
    rte_ring_free(ring);
}

void io_exception_free(struct io_exception *e)
{
    if (e == NULL)
        return;
    for (uint32_t i = 0; i < e->n_ports; i++)
        ring_free(e->to_port[i]);
    ring_free(e->to_control);
    ring_free(e->to_hold);
    ring_free(e->to_kernel);
    if (e->event_fd >= 0)
        close(e->event_fd);
    free(e);
}

uint32_t io_exception_to_kernel(struct io_exception *e, uint8_t port, struct rte_mbuf **mbufs,
                                uint32_t n)
{
    uint32_t queued;

    for (uint32_t i = 0; i < n; i++)
        mbufs[i]->hash.usr = port;
    queued = rte_ring_enqueue_burst(e->to_kernel, (void **)mbufs, n, NULL);
    rte_pktmbuf_free_bulk(mbufs + queued, n - queued);
    return queued;
}

static bool give(struct rte_ring *ring, struct rte_mbuf *mbuf)
{
    if (rte_ring_enqueue(ring, mbuf) == 0)
        return true;
    rte_pktmbuf_free(mbuf);
    return false;
}

static struct io_fib_target *target_of(const struct io_exception *e, struct rte_mbuf *mbuf)
{
    return RTE_MBUF_DYNFIELD(mbuf, e->target_at, struct io_fib_target *);
}

bool io_exception_to_hold(struct io_exception *e, struct rte_mbuf *mbuf,
                          const struct io_fib_target *target)
{
    *target_of(e, mbuf) = *target;
    return give(e->to_hold, mbuf);
}

bool io_exception_to_control(struct io_exception *e, struct rte_mbuf *mbuf)
{
    return give(e->to_control, mbuf);
}

/* The fence orders the ring's tail before the look at the flag, as main's orders its flag before
 * the look at the rings: one of the two sees the other. */
void io_exception_wake(struct io_exception *e)
{
    const uint64_t one = 1;

    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(&e->asleep, memory_order_relaxed) ||
        !atomic_exchange(&e->asleep, false))
        return;
    if (write(e->event_fd, &one, sizeof(one)) < 0)
        return; /* its counter is full: it is readable already */
}

uint32_t io_exception_from_main(struct io_exception *e, uint8_t port, struct rte_mbuf **ret_mbufs,
                                uint32_t max)
{
    if (likely(rte_ring_empty(e->to_port[port])))
        return 0;
    return rte_ring_dequeue_burst(e->to_port[port], (void **)ret_mbufs, max, NULL);
}

int io_exception_fd(const struct io_exception *e)
{
    return e->event_fd;
}

bool io_exception_sleep(struct io_exception *e)
{
    atomic_store_explicit(&e->asleep, true, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (rte_ring_empty(e->to_kernel) && rte_ring_empty(e->to_hold) && rte_ring_empty(e->to_control))
        return true;
    atomic_store_explicit(&e->asleep, false, memory_order_relaxed);
    return false;
}

void io_exception_awake(struct io_exception *e)
{
    uint64_t times;

    atomic_store_explicit(&e->asleep, false, memory_order_relaxed);
    if (read(e->event_fd, &times, sizeof(times)) < 0)
        return; /* nobody wrote: something else woke main */
}

static bool write_frame(const struct io_port *port, struct rte_mbuf *mbuf)
{
    mbuf->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    if (rte_eth_tx_burst(port->tap_port_id, 0, &mbuf, 1) == 1)
        return true;
    rte_pktmbuf_free(mbuf);
    return false;
}

/* Takes over a frame; true: the kernel has all of it. */
static bool deliver(struct io_exception *e, struct rte_mbuf *mbuf)
{
    const struct io_port *port = &e->ports[mbuf->hash.usr];
    struct rte_mbuf *parts[IO_CUT_MAX];
    bool good = true;
    int n;

    if (mbuf->pkt_len <= (uint32_t)IO_ETHER_BYTES + VLAN_BYTES + port->mtu)
        return write_frame(port, mbuf);
    n = io_cut(mbuf, port->pool, port->mtu, e->fragment_id++, parts);
    rte_pktmbuf_free(mbuf);
    for (int i = 0; i < n; i++)
        good &= write_frame(port, parts[i]);
    return good && n > 0;
}

void io_exception_deliver(struct io_exception *e, uint32_t max, struct io_exception_counts *counts,
                          void (*see)(void *context, uint8_t port, const uint8_t *bytes,
                                      uint32_t length),
                          void *context)
{
    struct rte_mbuf *mbufs[IO_BURST];
    uint32_t n;

    while (max > 0) {
        n = rte_ring_dequeue_burst(e->to_kernel, (void **)mbufs, RTE_MIN(max, (uint32_t)IO_BURST),
                                   NULL);
        if (n == 0)
            return;
        max -= n;
        for (uint32_t i = 0; i < n; i++) {
            see(context, (uint8_t)mbufs[i]->hash.usr, rte_pktmbuf_mtod(mbufs[i], const uint8_t *),
                mbufs[i]->data_len);
            if (deliver(e, mbufs[i]))
                counts->delivered++;
            else
                counts->write_drop++;
        }
    }
}

/* A frame of the TAP as one segment: the same mbuf where it is one, else a copy in the port's pool.
 * NULL: it does not fit; the frame is then freed. */
static struct rte_mbuf *one_segment(const struct io_port *port, struct rte_mbuf *mbuf)
{
    struct rte_mbuf *copy;
    const void *bytes;
    char *to;

    if (mbuf->nb_segs == 1)
        return mbuf;
    copy = rte_pktmbuf_alloc(port->pool);
    to = copy == NULL ? NULL : rte_pktmbuf_append(copy, (uint16_t)RTE_MIN(mbuf->pkt_len, 0xffffu));
    if (to == NULL) {
        rte_pktmbuf_free(copy);
        copy = NULL;
    } else {
        bytes = rte_pktmbuf_read(mbuf, 0, copy->pkt_len, to);
        if (bytes != to)
            memcpy(to, bytes, copy->pkt_len);
    }
    rte_pktmbuf_free(mbuf);
    return copy;
}

void io_exception_collect(struct io_exception *e, uint8_t port, uint32_t max,
                          struct io_exception_counts *counts)
{
    const struct io_port *p = &e->ports[port];
    struct rte_mbuf *mbufs[IO_BURST];
    uint16_t n;

    if (p->tap_port_id == IO_NO_PORT_ID)
        return;
    while (max > 0) {
        n = rte_eth_rx_burst(p->tap_port_id, 0, mbufs, RTE_MIN(max, (uint32_t)IO_BURST));
        if (n == 0)
            return;
        max -= n;
        for (uint16_t i = 0; i < n; i++) {
            struct rte_mbuf *mbuf = one_segment(p, mbufs[i]);

            counts->read++;
            if (mbuf == NULL) {
                counts->read_drop++;
                continue;
            }
            mbuf->hash.usr = IO_KIND_TAP;
            if (rte_ring_enqueue(e->to_port[port], mbuf) != 0) {
                rte_pktmbuf_free(mbuf);
                counts->ring_full++;
            }
        }
    }
}

void io_exception_hold(struct io_exception *e, struct io_hold *hold, const struct io_fib *fib,
                       uint64_t now_ms, uint32_t max, struct io_exception_counts *counts,
                       void (*resolve)(void *context, uint8_t port, const struct sip_ip *ip),
                       void *context)
{
    struct rte_mbuf *mbuf;

    for (; max > 0 && rte_ring_dequeue(e->to_hold, (void **)&mbuf) == 0; max--) {
        const struct io_fib_target *target = target_of(e, mbuf);
        struct io_next_hop hop;

        switch (io_fib_reach(fib, target, &hop)) {
        case IO_FIB_UNRESOLVED:
            resolve(context, hop.port, &hop.ip);
            if (!io_hold_add(hold, mbuf, target, &hop.ip, now_ms))
                counts->held_dropped++;
            break;
        case IO_FIB_FOUND: /* meanwhile: what was held for it went when this fib came */
            io_frame_set_macs(rte_pktmbuf_mtod(mbuf, uint8_t *), e->ports[hop.port].mac, hop.mac);
            if (io_exception_release(e, hop.port, mbuf))
                counts->held_released++;
            else
                counts->held_dropped++;
            break;
        case IO_FIB_NO_ROUTE:
            rte_pktmbuf_free(mbuf);
            counts->held_dropped++;
            break;
        }
    }
}

bool io_exception_release(struct io_exception *e, uint8_t port, struct rte_mbuf *mbuf)
{
    mbuf->hash.usr = IO_KIND_HELD;
    return give(e->to_port[port], mbuf);
}

void io_exception_punt(struct io_exception *e, uint32_t max, struct io_exception_counts *counts,
                       bool (*send)(void *context, const void *packet, uint32_t size),
                       void *context)
{
    struct rte_mbuf *mbuf;

    for (; max > 0 && rte_ring_dequeue(e->to_control, (void **)&mbuf) == 0; max--) {
        if (send(context, rte_pktmbuf_mtod(mbuf, const void *), mbuf->data_len))
            counts->punt_sent++;
        else
            counts->punt_lost++;
        rte_pktmbuf_free(mbuf);
    }
}
