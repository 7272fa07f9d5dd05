/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes over TCP, or over TLS: a connection for each peer, opened with the first message and kept,
 * opened again with the next one when the other side closed it. A connection that is refused, or that
 * ICMP says cannot be, is a refusal, and so is a handshake of TLS that fails; bytes that are no SIP, or a
 * message without end, are told and end it. It must not know what a probe is, nor whom TLS trusts.
 */
#ifndef TANDEM_CONTROL_HEALTH_PROBE_TCP_H
#define TANDEM_CONTROL_HEALTH_PROBE_TCP_H

#include "control/address.h"
#include "control/health/probe_wire.h"
#include "control/loop.h"

enum {
    PROBE_TCP_MESSAGE_MAX = 16384, /* bytes of an answer; a longer one is none */
    PROBE_TCP_HELD_MAX = 8192,     /* bytes that wait for a connection; more are forgotten */
};

struct probe_tcp;

/* transport: TCP or TLS. NULL: no memory. */
struct probe_tcp *probe_tcp_new(struct loop *loop, enum sip_transport transport,
                                const struct probe_wire *wire);
void probe_tcp_free(struct probe_tcp *tcp);

/* The same as for UDP. From: what is open is closed. Open: -EAGAIN: wire.secure had no TLS. */
void probe_tcp_from(struct probe_tcp *tcp, const struct address_own *own);
int probe_tcp_open(struct probe_tcp *tcp, const struct probe_peer *to, struct sip_addr *ret_from);
int probe_tcp_send(struct probe_tcp *tcp, const struct probe_peer *to, const char *text,
                   size_t length);

/* A message was not answered in time: when nothing at all came since it was sent (microseconds of
 * CLOCK_MONOTONIC), the connection is given up, so that a host that comes back is found without
 * waiting for the kernel's ever rarer retransmissions. */
void probe_tcp_silent(struct probe_tcp *tcp, const struct probe_peer *to, uint64_t sent_us);

/* Closes all connections, or those to all peers but those that were wanted since the last call. */
void probe_tcp_drop_all(struct probe_tcp *tcp);
void probe_tcp_want(struct probe_tcp *tcp, const struct probe_peer *to);
void probe_tcp_drop_unwanted(struct probe_tcp *tcp);

#endif
