/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the data plane hands over is decided here, and what a thread of the streams could not send for
 * want of a name. Names as next hops: messages wait until DNS has answered and the answer is in effect (a snapshot), so that what follows them is the data
 * plane's. Then they are decided anew and sent. It owns what is known of names and for how long.
 *
 * An answer leaves the snapshot when its TTL is over: the next message asks again. The last good one
 * is used a while longer when DNS does not answer then (RFC 8767).
 *
 * received = forwarded + replied + repeated + dropped_… + waiting.
 */
#ifndef TANDEM_CONTROL_NAMES_H
#define TANDEM_CONTROL_NAMES_H

#include "control/reload.h"
#include "control/resolver.h"
#include "control/stream/stream.h"

enum {
    NAMES_MESSAGES_MAX = 256,         /* that wait; one more is dropped */
    NAMES_BYTES_MAX = 4 << 20,        /* of them all */
    NAMES_PAUSE_MS = 50,              /* between two snapshots for the sake of names, … */
    NAMES_REST = 4,                   /* …or so many times what making one takes, if that is more */
    NAMES_SWEEP_MS = 1000,            /* how often those whose time is over are looked for */
    NAMES_PATIENCE_MS = 500,          /* DNS is waited for, where a good answer is there still */
    NAMES_STALE_S = 3600,             /* how long a good answer may be used after its time */
    NAMES_RETRY_S = 30,               /* until DNS is asked again, then */
};

/* Of messages, by what became of them, and of questions. */
struct names_counts {
    uint64_t received, results[RELAY_RESULTS];
    uint64_t repeated;                /* the same message was waiting already */
    uint64_t dropped_full;            /* too many messages or names */
    uint64_t dropped_unasked;         /* DNS could not be asked: too many questions */
    uint64_t dropped_unoffered;       /* the data plane refused the snapshot, or was silent */
    uint64_t questions, found, none, failed;
    uint64_t stale;                   /* answers that were used after their time */
};

/* What is known of one name. */
struct names_entry {
    const char *host;
    uint16_t port;                    /* 0: none in the URI */
    uint8_t transport;                /* NONE: none in the URI */
    bool asking;
    bool answered;                    /* the rest says something */
    uint8_t outcome;                  /* enum snapshot_outcome */
    bool stale;
    bool published;                   /* it is in the newest snapshot */
    uint32_t left_s;                  /* until it leaves that; 0: it left, or is about to */
    const struct snapshot_target *targets;
    uint32_t n_targets;
};

struct names;

/* Takes the messages that the data plane punts and those of the streams from now on. The resolver
 * outlives it and calls nobody back after names_free: its dns is freed before. NULL: no memory. */
struct names *names_new(struct loop *loop, struct reload *reload, struct stream *stream,
                        struct resolver *resolver);
/* What waits is lost. */
void names_free(struct names *names);

const struct names_counts *names_counts(const struct names *names);
uint32_t names_waiting(const struct names *names);   /* messages */

/* Calls fn for every name. */
void names_each(const struct names *names,
                void (*fn)(void *arg, const struct names_entry *entry), void *arg);

#endif
