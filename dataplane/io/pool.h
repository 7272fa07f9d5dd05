/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools of buffers that drivers receive into. They must not know who takes buffers.
 */
#ifndef TANDEM_IO_POOL_H
#define TANDEM_IO_POOL_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mempool;

/*
 * A pool of n mbufs of data_room bytes each, headroom included. NULL: rte_errno says why. Freed by
 * rte_mempool_free.
 *
 * `packed`: for AF_XDP. Its driver takes for granted that buffers lie side by side from the first
 * page on, and gives the kernel that much memory and no more; what is sent from behind it the kernel
 * drops without a word. mempool lays no buffer across two pages, so that holds only when a buffer,
 * with its headers, is a page, and the first one begins one. EINVAL: data_room makes it none.
 */
struct rte_mempool *io_pool_new(const char *name, uint32_t n, uint32_t data_room, bool packed);

#endif
