/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What control and the data plane say to each other over the UNIX SOCK_SEQPACKET socket: fixed
 * size, one struct a packet, host order (both ends are one machine). Descriptors travel as
 * SCM_RIGHTS. The data plane listens, control connects; a new connection replaces the old one.
 *
 *   data plane → control   HELLO   once after accept; descriptors: counters, call table, capture
 *   control → data plane   CALLS   descriptor: a sealed memfd with the calls of the data plane before
 *                                  (config/heritage.h); at most once, before the first OFFER
 *   control → data plane   OFFER   descriptor: a sealed memfd with the snapshot
 *   data plane → control   ANSWER  status 0 (ACK) or a negative errno (NACK) and the reason
 *   data plane → control   PUNT    a message of a backend's whose next hop is a name, and its flow
 */
#ifndef TANDEM_CONFIG_MSG_H
#define TANDEM_CONFIG_MSG_H

#include <assert.h>
#include <stdint.h>

#include "dataplane/sip/ip.h"

enum {
    MSG_MAGIC = 0x54444d32,        /* "TDM2": raised with every change */
    MSG_REASON_MAX = 160,
    MSG_FDS_MAX = 3,               /* of one packet */
    MSG_TEXT_MAX = 65535,          /* bytes of a SIP message */
};

enum msg_kind { MSG_HELLO = 1, MSG_OFFER, MSG_ANSWER, MSG_PUNT, MSG_CALLS };

struct msg_hello {
    uint32_t magic;
    uint32_t kind;                 /* MSG_HELLO */
    uint64_t epoch;                /* of the counters: changes with each start of the data plane */
    uint64_t generation;           /* of the snapshot in use; 0: none yet */
    uint64_t counters_size;        /* bytes of the first descriptor */
    uint64_t calls_size;           /* bytes of the second one */
    uint64_t capture_size;         /* bytes of the third one */
    uint32_t pid;
    uint32_t pad;
};

struct msg_offer {
    uint32_t magic;
    uint32_t kind;                 /* MSG_OFFER, or MSG_CALLS: generation 0 */
    uint64_t generation;
    uint64_t size;                 /* bytes of the descriptor's memfd */
};

struct msg_answer {
    uint32_t magic;
    uint32_t kind;                 /* MSG_ANSWER */
    uint64_t generation;           /* of the offer */
    int32_t status;
    char reason[MSG_REASON_MAX];   /* NUL-terminated; empty with status 0 */
    uint32_t pad;
};

/* The message's `length` bytes follow in the same packet. */
struct msg_punt {
    uint32_t magic;
    uint32_t kind;                 /* MSG_PUNT */
    struct sip_addr local;         /* the listener's */
    struct sip_addr peer;          /* who sent it */
    uint32_t inside;               /* 1: its frame may come from a backend, as proxy_input.inside */
    uint32_t length;
};

static_assert(sizeof(struct msg_punt) == 52, "crosses a process");
static_assert(sizeof(struct msg_hello) == 56, "crosses a process");
static_assert(sizeof(struct msg_offer) == 24, "crosses a process");
static_assert(sizeof(struct msg_answer) == 184, "crosses a process");

/* The seals a snapshot must bear, and those of counters and call table, for fcntl(F_GET_SEALS). */
int msg_snapshot_seals(void);
int msg_shared_seals(void);

/*
 * Sends one packet with up to MSG_FDS_MAX descriptors. Returns 0 or a negative errno (-EAGAIN when a
 * non-blocking socket is full).
 */
int msg_send(int socket, const void *packet, uint32_t size, const int *fds, uint32_t n_fds);

/*
 * Receives one packet into `packet` and up to *n_fds descriptors (close-on-exec, the caller's to
 * close) and sets *n_fds. Returns its size; 0: the peer is gone; a negative errno; -EPROTO when it
 * was cut, bore another magic or more descriptors (all are closed then).
 */
int msg_receive(int socket, void *packet, uint32_t size, int *ret_fds, uint32_t *n_fds);

#endif
