/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame that is too long for where it goes, cut into mbufs of one segment each.
 */
#ifndef TANDEM_IO_CUT_H
#define TANDEM_IO_CUT_H

#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

enum { IO_CUT_MAX = 128 }; /* fragments: 65,535 bytes in the smallest MTU */

/*
 * Cuts the IP packet of a frame into fragments of at most `mtu` bytes (io_frame_fragment), in mbufs
 * of a pool. Returns their number; 0: it cannot be cut; -1: there are too few mbufs. The frame
 * stays the caller's, and whole.
 */
int io_cut(const struct rte_mbuf *mbuf, struct rte_mempool *pool, uint32_t mtu, uint32_t id,
           struct rte_mbuf *ret_parts[IO_CUT_MAX]);

#endif
