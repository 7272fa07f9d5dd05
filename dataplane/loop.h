/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main lcore's loop: it sleeps in epoll and does all that workers must not: the TAPs, the
 * kernel's routes and neighbours, held messages, control's socket, the sweep of the call table.
 */
#ifndef TANDEM_LOOP_H
#define TANDEM_LOOP_H

#include "dataplane/endpoint.h"
#include "dataplane/io/kernel.h"
#include "dataplane/worker.h"

struct loop;

struct loop_conf {
    struct worker_shared *shared;
    struct io_kernel *kernel;
    struct memory *counters, *calls, *capture; /* shared with control */
    const char *socket;                        /* of the endpoint */
    uid_t owner;                               /* of that socket */
    gid_t group;
};

/*
 * Opens what the loop waits for, the endpoint with it, and publishes the first fib. SIGTERM and
 * SIGINT must be blocked in all threads by then. NULL, and the reason, on failure.
 */
struct loop *loop_new(const struct loop_conf *conf, char *ret_reason, size_t reason_size);
void loop_free(struct loop *loop);

/* Runs until SIGTERM or SIGINT. Returns 0, or a negative errno: epoll failed, or -ENODEV when a TAP
 * or a device was deleted. */
int loop_run(struct loop *loop);

/* An event, as one line to stderr. Main only. */
__attribute__((format(printf, 1, 2))) void loop_log(const char *format, ...);

#endif
