/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIP OPTIONS to backends, over UDP, TCP or TLS, and what became of each: answered, no answer in time,
 * refused. They leave from the node's own address, so that answers come back to this node and to
 * control, never to the data plane's listeners. It must not know what an answer means.
 *
 * An answer counts when it bears the probe's own branch and Call-ID, which nobody can guess, and
 * comes from the address that was asked. What is refused is refused at once: by ICMP, or because no
 * connection can be had, or not one to whom it should be.
 */
#ifndef TANDEM_CONTROL_HEALTH_PROBE_H
#define TANDEM_CONTROL_HEALTH_PROBE_H

#include "control/address.h"
#include "control/loop.h"
#include "control/stream/tls/tls.h"
#include "dataplane/sip/ip.h"
#include "dataplane/sip/msg.h"

enum {
    PROBE_PENDING_MAX = 1 << 17, /* probes on their way; one more is refused */
    PROBE_TICK_MS = 5,           /* timeouts are looked at together, at most so late */
    PROBE_SLEPT_MS = 50,         /* we were so late ourselves: answers may be waiting */
};

/* All called in the loop. id and sent_ms are those of prober_send. */
struct prober_conf {
    void (*on_answer)(void *arg, uint32_t id, uint64_t sent_ms, const struct sip_msg *msg,
                      uint32_t latency_us); /* a final response */
    void (*on_silence)(void *arg, uint32_t id, uint64_t sent_ms);
    /* why: a text that is there for ever */
    void (*on_refusal)(void *arg, uint32_t id, uint64_t sent_ms, const char *why);
    SSL *(*secure)(void *arg, uint32_t id); /* as probe_wire's; NULL: nothing is sent over TLS */
    void *arg;
};

struct prober;

/* NULL: no memory, or no randomness. */
struct prober *prober_new(struct loop *loop, const struct prober_conf *conf);
void prober_free(struct prober *prober);

/* The addresses that probes leave from, from now on; of a family without one it is the kernel's
 * choice. With others than before, what is on its way is forgotten: nobody is told. */
void prober_from(struct prober *prober, const struct address_own *own);

/* Sends one; transport: UDP, TCP or TLS; id: of TLS never 0, and there are connections for each. 0 also when the kernel knows no way there: nobody answers then.
 * -ENOBUFS: too many are on their way; another negative errno: we cannot send, and nobody will be
 * told anything. */
int prober_send(struct prober *prober, uint32_t id, enum sip_transport transport,
                const struct sip_addr *to, uint32_t timeout_ms);

/* What TLS trusts has changed: its connections are closed, as by prober_from. */
void prober_distrust(struct prober *prober);

/* Connections are kept: closes those to all addresses but the ones wanted since the last call. */
void prober_want(struct prober *prober, uint32_t id, enum sip_transport transport,
                 const struct sip_addr *to);
void prober_drop_unwanted(struct prober *prober);

#endif
