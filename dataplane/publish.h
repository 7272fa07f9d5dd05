/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What workers read and main replaces: the snapshot with its slots, and the fib. Two pointers,
 * swapped by main; RCU tells when no worker reads the old ones any more. A worker is online from
 * publish_online to publish_offline and passes a quiescent state at the end of each loop.
 */
#ifndef TANDEM_PUBLISH_H
#define TANDEM_PUBLISH_H

#include "dataplane/counters.h"
#include "dataplane/heritage.h"
#include "dataplane/io/fib.h"
#include "dataplane/proxy/proxy.h"

struct publish;

/* For n workers. Slots and generation are told in the counters. NULL: no memory. */
struct publish *publish_new(uint32_t n_workers, struct counters_header *counters);

/* When all workers are offline for good. */
void publish_free(struct publish *publish);

/* ---- Workers ---- */

void publish_online(struct publish *publish, uint32_t worker);
void publish_offline(struct publish *publish, uint32_t worker);

/* What the worker may read until its next quiescent state. NULL: no snapshot yet; the fib is NULL
 * only before the first publish_fib. */
struct publish_current {
    const struct proxy_view *view;
    const uint16_t *service_slots; /* [listeners.n] of the view: where each one's service is counted */
    const struct io_fib *fib;
};
struct publish_current publish_read(const struct publish *publish);

void publish_quiescent(struct publish *publish, uint32_t worker);

/* ---- Main ---- */

/*
 * Checks an offered snapshot (seals, size, every offset), gives its backends their slots, and puts
 * it in the place of the old one; returns when every worker uses it, or after a bounded wait. The
 * descriptor stays the caller's. Returns 0, or a negative errno and the reason (a literal); then
 * nothing has changed.
 */
int publish_snapshot(struct publish *publish, int fd, uint64_t size, uint64_t generation,
                     const char **ret_reason);

/*
 * Takes over the calls of the data plane before, which go into `calls` at now_s with the first
 * snapshot, before any worker sees that. False: there is a snapshot already, they are not taken.
 */
bool publish_inherit(struct publish *publish, struct heritage_block *block,
                     struct lb_call_table *calls, uint32_t now_s);

/* Takes over a fib and puts it in the place of the old one, which goes when no worker reads it.
 * False: a worker has not looked up for long, too many old ones wait; this one is freed. */
bool publish_fib(struct publish *publish, struct io_fib *fib);

/* Main's own look at the fib; for io_fib_used it may be changed. */
struct io_fib *publish_main_fib(struct publish *publish);

/* Frees what was replaced and is not read any more. From the timer. */
void publish_reap(struct publish *publish);

/* A lap of the call table's sweep begins; it ended, with used[COUNTERS_SLOTS] entries seen. */
void publish_sweep_begin(struct publish *publish);
void publish_sweep_end(struct publish *publish, const uint32_t *used);

#endif
