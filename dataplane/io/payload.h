/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages in mbufs: edited where they lie when there is room, copied when there is none. What
 * comes out is one segment whose data is the message alone, with room in front for its headers.
 */
#ifndef TANDEM_IO_PAYLOAD_H
#define TANDEM_IO_PAYLOAD_H

#include "dataplane/sip/edit.h"

struct rte_mbuf;
struct rte_mempool;

enum { IO_FRAME_MAX = 65535 }; /* bytes of a frame of any driver: data_len has 16 bits */

/* Where fresh mbufs come from: `frames` while the message fits one of it, else `datagrams`, whose
 * mbufs have IO_FRAME_MAX bytes. */
struct io_payload_pools {
    struct rte_mempool *frames, *datagrams;
};

/*
 * Edits the message of `length` bytes at `buf`, which lies in a one-segment mbuf, and leaves
 * `headers` bytes in front. Takes over the mbuf and returns it, or a fresh one when the message
 * does not fit its own; NULL: it fits none, or the edit overflowed (the mbuf is freed).
 */
struct rte_mbuf *io_payload_edit(struct rte_mbuf *mbuf, const struct io_payload_pools *pools,
                                 uint32_t headers, const struct sip_edit *edit, const char *buf,
                                 uint32_t length);

/* The same of a message that lies elsewhere: always a fresh mbuf. */
struct rte_mbuf *io_payload_copy(const struct io_payload_pools *pools, uint32_t headers,
                                 const struct sip_edit *edit, const char *buf, uint32_t length);

/* A fresh mbuf with a message. NULL: none left, or it does not fit. */
struct rte_mbuf *io_payload_new(const struct io_payload_pools *pools, uint32_t headers,
                                const char *text, uint32_t length);

#endif
