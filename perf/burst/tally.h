/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of the messages of a burst: counts, and how long they were under way.
 */
#ifndef TANDEM_PERF_TALLY_H
#define TANDEM_PERF_TALLY_H

#include "perf/burst/file.h"

enum {
    TALLY_UNDER_WAY = 1 << 20, /* messages whose numbers are remembered */
    TALLY_BUCKETS = 1 << 16,
    TALLY_BUCKET_CYCLES = 1 << 10,
};

struct tally_counts {
    uint64_t sent;
    uint64_t received; /* once each */
    uint64_t doubled;
    uint64_t misrouted; /* not where this Call-ID went before; of those received */
    uint64_t corrupted; /* another body, or none; of those received */
    uint64_t other;     /* frames that are none of these: replies, ARP */
};

struct tally {
    struct tally_counts counts;
    uint32_t n_messages;
    uint32_t *backend_of; /* [n_messages] IPv4 address that a message went to; 0: none yet */
    uint64_t sent_at[TALLY_UNDER_WAY];
    uint32_t number[TALLY_UNDER_WAY];
    uint8_t waiting[TALLY_UNDER_WAY];
    uint32_t buckets[TALLY_BUCKETS]; /* by latency; the last one also for all above */
};

/* For a file of n messages. NULL: no memory. */
struct tally *tally_new(uint32_t n_messages);
void tally_free(struct tally *tally);

/* Counts and latencies begin anew; where Call-IDs went is kept. */
void tally_clear(struct tally *tally);

void tally_send(struct tally *tally, uint32_t number, uint64_t now);
void tally_receive(struct tally *tally, const struct file *file, const uint8_t *frame,
                   uint32_t length, uint64_t now);

/* The latency in cycles that a share of the messages did not exceed. */
uint64_t tally_quantile(const struct tally *tally, double share);

#endif
