/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io/frame's fragments, in mbufs. It must not know where they go.
 */
#include "dataplane/io/cut.h"

#include <rte_mbuf.h>

#include "dataplane/io/frame.h"

int io_cut(const struct rte_mbuf *mbuf, struct rte_mempool *pool, uint32_t mtu, uint32_t id,
           struct rte_mbuf *ret_parts[IO_CUT_MAX])
{
    uint32_t n = 0, room, length = 0;

    if (mtu < IO_MTU_MIN)
        return 0;
    for (;; n++) {
        if (n == IO_CUT_MAX || (ret_parts[n] = rte_pktmbuf_alloc(pool)) == NULL)
            goto none;
        room = rte_pktmbuf_tailroom(ret_parts[n]);
        if (room < IO_ETHER_BYTES + IO_MTU_MIN)
            length = 0;
        else
            length = io_frame_fragment(rte_pktmbuf_mtod(mbuf, const uint8_t *), mbuf->data_len,
                                       RTE_MIN(mtu, room - IO_ETHER_BYTES), id, n,
                                       rte_pktmbuf_mtod(ret_parts[n], uint8_t *));
        if (length == 0)
            break;
        ret_parts[n]->data_len = (uint16_t)length;
        ret_parts[n]->pkt_len = length;
    }
    rte_pktmbuf_free(ret_parts[n]);
    return (int)n;
none:
    rte_pktmbuf_free_bulk(ret_parts, n);
    return -1;
}
