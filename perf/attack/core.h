/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's entry on plain buffers, timed: what a worker does with a burst between classify and
 * the frame's headers (index, prepare, decide, edit in place or print the reply). It must not know
 * what is in the messages.
 */
#ifndef TANDEM_PERF_CORE_H
#define TANDEM_PERF_CORE_H

#include "perf/messages/world.h"

enum {
    CORE_BURST = 32,
    CORE_BATCH_MAX = 1024,      /* messages */
    CORE_BATCH_BYTES = 4 << 20, /* with the room around them */
    CORE_MESSAGE_MAX = 65507,   /* of UDP over IPv4 */
};

struct core;

/* `world` stays the caller's. NULL: no memory. */
struct core *core_new(struct world *world);
void core_free(struct core *core);

/* Empties the batch. */
void core_clear(struct core *core);

/* Copies a message into the batch, with the room around it that a frame has. False: it is full. */
bool core_add(struct core *core, const struct sip_addr *from, const struct sip_addr *to,
              const char *text, uint32_t length);

/* What became of a batch. */
struct core_outcome {
    uint32_t n;
    uint32_t forwarded;
    uint64_t frame_bytes; /* that came: with Ethernet's, IPv4's and UDP's headers, 60 at least */
    uint64_t cpu_ns;
    enum proxy_reason reason; /* of the last one */
};

/* Runs the messages of the batch through the core, once: they are edited where they lie. */
void core_run(struct core *core, struct core_outcome *ret);

#endif
