/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings between workers. It must not know how datagrams are joined.
 */
#include "dataplane/io/fragments.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_mbuf.h>
#include <rte_random.h>
#include <rte_ring.h>

#include "dataplane/io/payload.h"
#include "dataplane/io/port.h"

enum {
    RING_ROOM = 512, /* fragments, a power of two: they lie in the ports' buffers */
    /* A worker's table: 1,024 datagrams, 8 MiB of their bytes. */
    TABLE_ENTRIES = 1024,
    TABLE_BLOCKS = 4096,
    /* One in a worker's hands at a time; the rest for those that wait for a MAC address or for
     * main. When none is left, a message is dropped and counted. */
    BUFFERS = 64,
    BUFFERS_A_WORKER = 16,
};

struct io_fragments {
    uint32_t n_workers;
    struct lb_key key; /* so that nobody outside can aim at one worker, or one set of a table */
    struct rte_mempool *pool;
    struct rte_ring *rings[IO_WORKERS_MAX];
};

struct io_fragments *io_fragments_new(uint32_t n_workers)
{
    struct io_fragments *f = calloc(1, sizeof(*f));
    char name[RTE_RING_NAMESIZE];

    if (f == NULL)
        return NULL;
    f->key = (struct lb_key){rte_rand(), rte_rand()};
    f->pool = rte_pktmbuf_pool_create("datagrams", BUFFERS + BUFFERS_A_WORKER * n_workers, 0, 0,
                                      IO_FRAME_MAX, SOCKET_ID_ANY);
    if (f->pool == NULL)
        goto none;
    for (; f->n_workers < n_workers; f->n_workers++) {
        snprintf(name, sizeof(name), "fragments_%u", f->n_workers);
        f->rings[f->n_workers] = rte_ring_create(name, RING_ROOM, SOCKET_ID_ANY, RING_F_SC_DEQ);
        if (f->rings[f->n_workers] == NULL)
            goto none;
    }
    return f;
none:
    io_fragments_free(f);
    return NULL;
}

void io_fragments_free(struct io_fragments *f)
{
    struct rte_mbuf *mbuf;

    if (f == NULL)
        return;
    for (uint32_t i = 0; i < f->n_workers; i++) {
        while (rte_ring_dequeue(f->rings[i], (void **)&mbuf) == 0)
            rte_pktmbuf_free(mbuf);
        rte_ring_free(f->rings[i]);
    }
    rte_mempool_free(f->pool);
    free(f);
}

struct rte_mempool *io_fragments_pool(const struct io_fragments *f)
{
    return f->pool;
}

uint32_t io_fragments_buffers_used(const struct io_fragments *f)
{
    return rte_mempool_in_use_count(f->pool);
}

struct io_reassembly *io_fragments_table(const struct io_fragments *f)
{
    struct lb_key key = lb_key_derive(&f->key, "sets");

    return io_reassembly_new(TABLE_ENTRIES, TABLE_BLOCKS, &key);
}

bool io_fragments_give(struct io_fragments *f, uint8_t port, const struct io_frame *frame,
                       struct rte_mbuf *mbuf)
{
    struct lb_siphash hash;

    /* The protocol is always UDP's. */
    lb_siphash13_init(&hash, &f->key);
    lb_siphash_add(&hash, &frame->src.ip, sizeof(frame->src.ip));
    lb_siphash_add(&hash, &frame->dst.ip, sizeof(frame->dst.ip));
    lb_siphash_add(&hash, &frame->id, sizeof(frame->id));
    mbuf->hash.usr = port;
    if (rte_ring_enqueue(f->rings[lb_siphash_end(&hash) % f->n_workers], mbuf) == 0)
        return true;
    rte_pktmbuf_free(mbuf);
    return false;
}

uint32_t io_fragments_take(struct io_fragments *f, uint32_t worker, struct rte_mbuf **ret_mbufs,
                           uint32_t max)
{
    if (likely(rte_ring_empty(f->rings[worker])))
        return 0;
    return rte_ring_dequeue_burst(f->rings[worker], (void **)ret_mbufs, max, NULL);
}
