/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of each message that was sent: did it arrive once, where it should, and as what it
 * should be? It must not know how frames come and go.
 */
#ifndef TANDEM_PERF_CHECK_H
#define TANDEM_PERF_CHECK_H

#include "perf/burst/load.h"

enum { CHECK_RING = 1 << 18, CHECK_LATENCIES = 4000000, CHECK_LATENCY_NS = 50 };

/* How a message must look that the balancer sent on. */
enum check_mode {
    CHECK_EXACT, /* byte for byte the core's, and to the core's destination */
    CHECK_LIKE,  /* another balancer's: the same method, Call-ID, CSeq, tags, body…; a new request
                    may go to any backend */
};

struct check_counts {
    uint64_t sent, received;
    uint64_t doubled, misrouted, corrupted;
    uint64_t foreign; /* datagrams that are none of ours: answers, above all */
    uint64_t late;    /* of an earlier round */
};

enum { CHECK_TEXT = 256 };

struct check_sent {
    uint64_t tsc;
    uint32_t number, message;
    bool arrived;
};

struct check {
    const struct load *load;
    enum check_mode mode;
    uint32_t next, first; /* number of the next message; of the first one of this round */
    uint64_t tick_hz;
    struct check_counts counts;
    char odd[CHECK_TEXT]; /* the beginning of the last message that was foreign or corrupted */
    struct check_sent ring[CHECK_RING];      /* by number */
    uint32_t latencies[CHECK_LATENCIES + 1]; /* how many took so many times 50 ns; the last: more */
};

/* A round begins: counts are 0. */
void check_begin(struct check *check);

/* The message's number, which is sent at `tsc`. */
uint32_t check_send(struct check *check, uint32_t message, uint64_t tsc);

/* A frame came at `tsc` on a side. */
void check_receive(struct check *check, enum load_side side, const uint8_t *bytes, uint32_t length,
                   uint64_t tsc);

/* The time in which `share` (0 to 1) of those that were received came, in µs. */
double check_latency_us(const struct check *check, double share);

#endif
