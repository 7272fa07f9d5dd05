/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIP OPTIONS to backends over UDP, and what became of each: answered, no answer in time, refused
 * by ICMP. One socket a family, from the node's own address, so that answers come back to this node
 * and to control, never to the data plane's listeners. It must not know what an answer means.
 *
 * An answer counts when it bears the probe's own branch and Call-ID, which nobody can guess, and
 * comes from the address that was asked. RFC 3261 §11, §17.1.3.
 */
#ifndef TANDEM_CONTROL_HEALTH_PROBE_H
#define TANDEM_CONTROL_HEALTH_PROBE_H

#include "control/health/machine.h"
#include "control/loop.h"
#include "dataplane/sip/msg.h"

enum {
    PROBE_PENDING_MAX = 1 << 17,      /* probes on their way; one more is refused */
    PROBE_BURST = 128,                /* datagrams read before others have their turn */
    PROBE_ROOM = 1 << 20,             /* bytes that the kernel may keep for us */
};

/* All called in the loop. id and sent_ms are those of probe_send. */
struct prober_conf {
    void (*on_answer)(void *arg, uint32_t id, uint64_t sent_ms, const struct sip_msg *msg,
                      uint32_t latency_us);       /* a final response */
    void (*on_silence)(void *arg, uint32_t id, uint64_t sent_ms);
    void (*on_refusal)(void *arg, uint32_t id, uint64_t sent_ms);
    void *arg;
};

struct prober;

/* NULL: no memory, or no randomness. */
struct prober *prober_new(struct loop *loop, const struct prober_conf *conf);
void prober_free(struct prober *prober);

/* The address that probes leave from, from now on; NULL: the kernel's choice. With another one than
 * before, what is on its way is forgotten: nobody is told. */
void prober_from(struct prober *prober, const struct sip_ip *node);

/* Sends one. 0 also when the kernel knows no way there: nobody answers then. -ENOBUFS: too many are
 * on their way; another negative errno: we cannot send, and nobody will be told anything. */
int prober_send(struct prober *prober, uint32_t id, const struct sip_addr *to, uint32_t timeout_ms);

/* CLOCK_MONOTONIC, the clock of sent_ms. */
uint64_t probe_now_us(void);

/* What an answer says: its status, Retry-After, and whether the field that asks for no new calls is
 * there. RFC 3261 §20.33. */
void probe_read(const struct sip_msg *msg, const struct cfg_health *conf, uint32_t latency_us,
                struct machine_answer *ret);

#endif
