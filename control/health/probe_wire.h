/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a transport of probes tells whoever sends by it. All but one are called in the loop, never from
 * within a call to the transport.
 */
#ifndef TANDEM_CONTROL_HEALTH_PROBE_WIRE_H
#define TANDEM_CONTROL_HEALTH_PROBE_WIRE_H

#include "control/stream/tls/tls.h"
#include "dataplane/sip/ip.h"
#include "dataplane/sip/msg.h"

/* To whom: of TLS the backend, too, whose connections are its alone. */
struct probe_peer {
    struct sip_addr addr;
    uint32_t id;                      /* 0: whoever is there */
};

struct probe_wire {
    /* A message came, msg until the return. */
    void (*on_message)(void *arg, enum sip_transport transport, const struct sip_addr *from,
                       const struct sip_msg *msg);
    /* Nobody is there, or not who should be: why, a text that is there for ever; bytes: the beginning
     * of the message that was refused, if that is known. */
    void (*on_refused)(void *arg, enum sip_transport transport, const struct probe_peer *to,
                       const char *why, const char *bytes, size_t length);
    /* What came was no answer, and no answer can come any more. */
    void (*on_broken)(void *arg, enum sip_transport transport, const struct probe_peer *to);
    /* The TLS of a new connection to a backend; NULL: there can be none now. Called from within
     * probe_tcp_open. */
    SSL *(*secure)(void *arg, uint32_t id);
    void *arg;
};

#endif
