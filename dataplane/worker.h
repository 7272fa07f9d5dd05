/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: one polling lcore that owns one queue of each port and runs every packet to completion.
 * It never waits, allocates, logs or calls the kernel for a packet.
 */
#ifndef TANDEM_WORKER_H
#define TANDEM_WORKER_H

#include <stdatomic.h>

#include "dataplane/counters.h"
#include "dataplane/io/exception.h"
#include "dataplane/io/fragments.h"
#include "dataplane/io/path_mtu.h"
#include "dataplane/publish.h"

/* What main and all workers share; made by main, and outlives the workers. */
struct worker_shared {
    const struct io_port *ports;
    uint32_t n_ports;
    uint32_t n_workers;
    bool sleeps; /* workers do, for moments, when there is no traffic */
    struct publish *publish;
    struct io_exception *exception;
    struct io_fragments *fragments;
    struct io_path_mtu *path_mtu;
    struct lb_call_table *calls;
    struct counters_header *counters;
    void *capture;     /* rings of copies for control, by config/capture.h; our own memory */
    atomic_uint now_s; /* the call table's seconds, by main's clock */
    atomic_bool control_connected; /* or nobody reads captures */
    atomic_bool stop;              /* main asks workers to return */
};

struct worker;

/* Worker `index` of n. yields: it shares its CPU with another and lets it run when there is nothing
 * to do. NULL: no memory. */
struct worker *worker_new(struct worker_shared *shared, uint32_t index, bool yields);
void worker_free(struct worker *worker);

/* The lcore's function: runs until shared->stop. Takes a struct worker. Returns 0. */
int worker_run(void *worker);

#endif
