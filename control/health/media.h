/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probe calls: short real calls to an echo on a backend, with media, over UDP sockets of their own
 * from the node's address. It says what came of each. It must not know when one is due, nor what the
 * result means for the backend.
 *
 * Whatever happens, the other side is told that the call is over: BYE, or CANCEL before it was
 * accepted; an acceptance that comes too late gets ACK and BYE.
 */
#ifndef TANDEM_CONTROL_HEALTH_MEDIA_H
#define TANDEM_CONTROL_HEALTH_MEDIA_H

#include "control/address.h"
#include "control/health/media_verdict.h"
#include "control/loop.h"
#include "dataplane/sip/ip.h"

enum {
    MEDIA_LINGERING_MAX = 256,        /* calls that are over and still answer what is sent again */
    MEDIA_BURST = 64,                 /* datagrams read before others have their turn */
};

struct media_conf {
    /* In the loop; begun_ms is when the call was placed. Calls may be placed in it. */
    void (*on_result)(void *arg, uint32_t id, uint64_t begun_ms, const struct media_result *result);
    /* A call's place is free again. */
    void (*on_room)(void *arg);
    void *arg;
};

struct media;

/* NULL: no memory. */
struct media *media_new(struct loop *loop, const struct media_conf *conf);
/* Ends the calls that are on, as well as one datagram can. */
void media_free(struct media *media);

/* The addresses that calls come from, from now on; of a family without one it is the kernel's
 * choice. */
void media_from(struct media *media, const struct address_own *own);

/*
 * Places one; health->media.uri must be there, and nothing of it has to stay. 0: on_result will be
 * called; -EBUSY: as many as allowed are on; -EINVAL: the URI gets too long; or why there is no
 * socket, no memory, no randomness.
 */
int media_place(struct media *media, uint32_t id, const struct sip_addr *backend,
                const struct cfg_health *health);

/* How many are on. */
uint32_t media_live(const struct media *media);

#endif
