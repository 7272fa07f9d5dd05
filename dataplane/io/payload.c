/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of an mbuf's buffer around a message. It must not know what the message says.
 */
#include "dataplane/io/payload.h"

#include <errno.h>

#include <rte_mbuf.h>

/* Makes `length` bytes at `offset` from the buffer's first byte the mbuf's data. */
static void set_data(struct rte_mbuf *mbuf, uint32_t offset, uint32_t length)
{
    mbuf->data_off = (uint16_t)offset;
    mbuf->data_len = (uint16_t)length;
    mbuf->pkt_len = length;
}

/* A fresh mbuf whose data begins behind the headers and may have `length` bytes. */
static struct rte_mbuf *fresh(const struct io_payload_pools *pools, uint32_t headers,
                              uint32_t length)
{
    uint32_t offset = RTE_PKTMBUF_HEADROOM + headers;
    bool frame = offset + length <= rte_pktmbuf_data_room_size(pools->frames);
    struct rte_mbuf *mbuf;

    if (length > IO_FRAME_MAX - headers)
        return NULL;
    mbuf = rte_pktmbuf_alloc(frame ? pools->frames : pools->datagrams);
    if (mbuf == NULL)
        return NULL;
    /* The longest need all room there is; they are cut, and so need no headroom for a device. */
    set_data(mbuf, frame ? offset : headers, 0);
    return mbuf;
}

struct rte_mbuf *io_payload_copy(const struct io_payload_pools *pools, uint32_t headers,
                                 const struct sip_edit *edit, const char *buf, uint32_t length)
{
    uint32_t grown = length + (uint32_t)sip_edit_growth(edit);
    struct rte_mbuf *mbuf = fresh(pools, headers, grown);
    int32_t copied;

    if (mbuf == NULL)
        return NULL;
    copied = sip_edit_copy(edit, buf, length, rte_pktmbuf_mtod(mbuf, char *), grown);
    if (copied < 0) {
        rte_pktmbuf_free(mbuf);
        return NULL;
    }
    set_data(mbuf, mbuf->data_off, (uint32_t)copied);
    return mbuf;
}

struct rte_mbuf *io_payload_edit(struct rte_mbuf *mbuf, const struct io_payload_pools *pools,
                                 uint32_t headers, const struct sip_edit *edit, const char *buf,
                                 uint32_t length)
{
    char *at = (char *)(uintptr_t)buf;
    uint32_t before = (uint32_t)(at - (char *)mbuf->buf_addr);
    uint32_t after = mbuf->buf_len - before - length;
    uint32_t grown = length + (uint32_t)sip_edit_growth(edit);
    struct rte_mbuf *copy;
    int32_t start, edited = -ENOSPC;

    if (before >= headers && grown <= IO_FRAME_MAX - headers)
        edited = sip_edit_in_place(edit, at, length, before - headers, after, &start);
    if (edited >= 0) {
        set_data(mbuf, (uint32_t)((int32_t)before + start), (uint32_t)edited);
        return mbuf;
    }
    copy = edited == -ENOSPC ? io_payload_copy(pools, headers, edit, buf, length) : NULL;
    rte_pktmbuf_free(mbuf);
    return copy;
}

struct rte_mbuf *io_payload_new(const struct io_payload_pools *pools, uint32_t headers,
                                const char *text, uint32_t length)
{
    struct rte_mbuf *mbuf = fresh(pools, headers, length);

    if (mbuf == NULL)
        return NULL;
    memcpy(rte_pktmbuf_mtod(mbuf, char *), text, length);
    set_data(mbuf, mbuf->data_off, length);
    return mbuf;
}
