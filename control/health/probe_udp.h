/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes over UDP: one socket a family, from the node's own address, so that answers come back to
 * this node and to control, never to the data plane's listeners; ICMP errors are refusals. It must
 * not know what a probe is.
 */
#ifndef TANDEM_CONTROL_HEALTH_PROBE_UDP_H
#define TANDEM_CONTROL_HEALTH_PROBE_UDP_H

#include "control/address.h"
#include "control/health/probe_wire.h"
#include "control/loop.h"

enum {
    PROBE_UDP_BURST = 128,    /* datagrams read before others have their turn */
    PROBE_UDP_ROOM = 1 << 20, /* bytes that the kernel may keep for us */
};

struct probe_udp;

/* NULL: no memory. */
struct probe_udp *probe_udp_new(struct loop *loop, const struct probe_wire *wire);
void probe_udp_free(struct probe_udp *udp);

/* The addresses to send from; of a family without one it is the kernel's choice. What was open is
 * closed. */
void probe_udp_from(struct probe_udp *udp, const struct address_own *own);

/* Where answers from there will come to. 0, or a negative errno: we cannot send. */
int probe_udp_open(struct probe_udp *udp, const struct sip_addr *to, struct sip_addr *ret_from);

/* Sends, after probe_udp_open. 0 also when the kernel knows no way there: nobody answers then. A
 * negative errno: it is we who cannot send, which says nothing about the other side. */
int probe_udp_send(struct probe_udp *udp, const struct sip_addr *to, const char *text,
                   size_t length);

#endif
