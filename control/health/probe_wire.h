/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a transport of probes tells whoever sends by it. All are called in the loop, never from
 * within a call to the transport.
 */
#ifndef TANDEM_CONTROL_HEALTH_PROBE_WIRE_H
#define TANDEM_CONTROL_HEALTH_PROBE_WIRE_H

#include "dataplane/sip/ip.h"
#include "dataplane/sip/msg.h"

struct probe_wire {
    /* A message came, msg until the return. */
    void (*on_message)(void *arg, enum sip_transport transport, const struct sip_addr *from,
                       const struct sip_msg *msg);
    /* Nobody is there; bytes: the beginning of the message that was refused, if that is known. */
    void (*on_refused)(void *arg, enum sip_transport transport, const struct sip_addr *to,
                       const char *bytes, size_t length);
    /* What came was no answer, and no answer can come any more. */
    void (*on_broken)(void *arg, enum sip_transport transport, const struct sip_addr *to);
    void *arg;
};

#endif
