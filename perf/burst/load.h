/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages that a burst generator sends: those of a file of perf-messages, each with a stamp in
 * it, and what the core makes of each and where it sends it.
 */
#ifndef TANDEM_PERF_LOAD_H
#define TANDEM_PERF_LOAD_H

#include "dataplane/io/frame.h"
#include "perf/messages/world.h"

enum load_side { LOAD_OUTSIDE, LOAD_INSIDE, LOAD_SIDES };
enum { LOAD_FRAME_MAX = 1514 };

struct load_message {
    uint8_t side;           /* enum load_side: where it is sent; it must arrive on the other one */
    bool new;               /* a request to whichever backend the balancer chooses */
    uint16_t length, stamp; /* of the frame; the stamp's offset in it */
    uint16_t result_length, result_stamp; /* of the core's message, without headers */
    struct sip_addr to;                   /* where the core sends it */
    char frame[LOAD_FRAME_MAX];
    char result[LOAD_FRAME_MAX];
};

struct load {
    struct load_message *messages;
    uint32_t n, room;
};

/* Whose MAC addresses frames have: the sender's is made up, the other is of the balancer's port. */
struct load_macs {
    uint8_t port[LOAD_SIDES][6];
};

/* All messages of a file. 0, or a negative errno and a line on stderr; free it in any case. */
int load_read(const char *path, struct world *world, const struct load_macs *macs,
              struct load *ret);
void load_free(struct load *load);

#endif
