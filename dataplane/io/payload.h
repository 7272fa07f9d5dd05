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

/*
 * Edits the message of `length` bytes at `buf`, which lies in a one-segment mbuf, and leaves
 * `headers` bytes in front. Takes over the mbuf and returns it, or a fresh one of the pool when the
 * message does not fit its own; NULL: it fits neither, or the edit overflowed (the mbuf is freed).
 */
struct rte_mbuf *io_payload_edit(struct rte_mbuf *mbuf, struct rte_mempool *pool, uint32_t headers,
                                 const struct sip_edit *edit, const char *buf, uint32_t length);

/* A fresh mbuf of the pool with a message. NULL: none left, or it does not fit. */
struct rte_mbuf *io_payload_new(struct rte_mempool *pool, uint32_t headers, const char *text,
                                uint32_t length);

#endif
