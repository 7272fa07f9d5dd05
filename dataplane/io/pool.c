/* SPDX-License-Identifier: Apache-2.0 */
/* See pool.h. */
#include "dataplane/io/pool.h"

#include <errno.h>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_memzone.h>

enum { CACHE = 64, PAGE_BYTES = 4096 };

static void free_zone(struct rte_mempool_memhdr *part, void *zone)
{
    (void)part;
    (void)rte_memzone_free(zone);
}

/* Gives a pool its memory: one piece that begins with a page. */
static int populate(struct rte_mempool *pool)
{
    size_t bytes = (size_t)pool->size * PAGE_BYTES, page_bytes;
    const struct rte_memzone *zone;
    int n;

    if (rte_mempool_calc_obj_size(pool->elt_size, pool->flags, NULL) != PAGE_BYTES)
        return -EINVAL;
    zone = rte_memzone_reserve_aligned(pool->name, bytes, SOCKET_ID_ANY, 0, PAGE_BYTES);
    if (zone == NULL)
        return -rte_errno;
    n = rte_mempool_get_page_size(pool, &page_bytes);
    if (n == 0)
        n = rte_mempool_populate_virt(pool, zone->addr, bytes, page_bytes, free_zone,
                                      (void *)(uintptr_t)zone);
    if (n == (int)pool->size)
        return 0;
    if (n <= 0) /* else the pool has it */
        (void)rte_memzone_free(zone);
    return n < 0 ? n : -EINVAL;
}

/* What rte_pktmbuf_pool_create does, which would give each buffer a cache line more than a page. */
static struct rte_mempool *new_packed(const char *name, uint32_t n, uint32_t data_room)
{
    struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = (uint16_t)data_room};
    struct rte_mempool *pool = rte_mempool_create_empty(
        name, n, (uint32_t)sizeof(struct rte_mbuf) + data_room, CACHE, sizeof(private),
        SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_SPREAD);
    int error;

    if (pool == NULL)
        return NULL;
    error = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
    rte_pktmbuf_pool_init(pool, &private);
    if (error == 0)
        error = populate(pool);
    if (error != 0) {
        rte_mempool_free(pool);
        rte_errno = -error;
        return NULL;
    }
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
    return pool;
}

struct rte_mempool *io_pool_new(const char *name, uint32_t n, uint32_t data_room, bool packed)
{
    return packed ? new_packed(name, n, data_room)
                  : rte_pktmbuf_pool_create(name, n, CACHE, 0, (uint16_t)data_room, SOCKET_ID_ANY);
}
