/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragments on their way to the worker that joins them: whichever queue a piece came by, its
 * datagram has one owner, and the owner's ring is bounded. Also the pool of buffers that hold the
 * longest frame, for messages longer than what the ports receive into.
 */
#ifndef TANDEM_IO_FRAGMENTS_H
#define TANDEM_IO_FRAGMENTS_H

#include "dataplane/io/frame.h"
#include "dataplane/io/reassembly.h"

struct rte_mbuf;
struct rte_mempool;
struct io_fragments;

/* Rings for n workers, and the pool. NULL: no memory. */
struct io_fragments *io_fragments_new(uint32_t n_workers);
void io_fragments_free(struct io_fragments *fragments);

/* Buffers of IO_FRAME_MAX bytes, headroom included. */
struct rte_mempool *io_fragments_pool(const struct io_fragments *fragments);

/* Of them those that are not free. */
uint32_t io_fragments_buffers_used(const struct io_fragments *fragments);

/* A worker's own table, made with the secret that they share. NULL: no memory. */
struct io_reassembly *io_fragments_table(const struct io_fragments *fragments);

/* Gives a frame that was classed FRAGMENT, received by the port of this index, to its owner. Any
 * worker. False: the owner's ring is full; the frame is freed. */
bool io_fragments_give(struct io_fragments *fragments, uint8_t port, const struct io_frame *frame,
                       struct rte_mbuf *mbuf);

/* Up to `max` frames for a worker, by that worker; their port's index is in hash.usr. */
uint32_t io_fragments_take(struct io_fragments *fragments, uint32_t worker,
                           struct rte_mbuf **ret_mbufs, uint32_t max);

#endif
