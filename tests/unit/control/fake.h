/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end for control's tests: a data plane that only speaks (real SEQPACKET socket, real
 * sealed memfds), a configuration file in a directory of its own, and a loop to drive both.
 */
#ifndef TANDEM_TESTS_CONTROL_FAKE_H
#define TANDEM_TESTS_CONTROL_FAKE_H

#include <limits.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

#include "config/capture.h"
#include "control/reload.h"

enum { FAKE_SLOTS = 16, FAKE_SERVICES = 3, FAKE_WORKERS = 2, FAKE_COUNTERS = 4, FAKE_CALLS = 1024, FAKE_RING = 1 << 16 };

struct fake {
    char dir[64];
    char config[128], socket[128], state[128];
    struct loop *loop;
    struct members *members;              /* of fake_reload; NULL: nobody is asked */
    /* The peer. */
    int listen_fd, fd, counters_fd, calls_fd, capture_fd;
    struct loop_event *accepting, *reading;
    struct counters_header *counters;     /* writable */
    void *calls;                          /* writable */
    size_t calls_size;
    struct capture_header *capture;       /* writable */
    struct msg_hello hello;               /* what it says next */
    int hello_fds;                        /* how many descriptors go with it: 3 */
    int32_t answer;                       /* status of its answers; 1: none */
    const char *reason;
    uint32_t give_slot, give_id;          /* before its next answer: this slot gets this id; 0: none */
    /* What came. */
    uint32_t n_connections, n_offers, n_ends;
    uint32_t n_calls, inherited_id;       /* blocks of former calls; the id of the last slot there */
    uint64_t generation;                  /* of the last offer */
    struct snapshot *offered;             /* a copy of it, checked */
};

/* A directory, a configuration with these backends (`{name: …}` items) in pool p, and a loop. */
void fake_setup(struct fake *fake, const char *backends);
void fake_teardown(struct fake *fake);

/* Writes the configuration again; `more` is added to `dataplane:`. */
void fake_configure(struct fake *fake, const char *backends, const char *more);

/* The peer begins to listen; or stops, and closes what is connected. */
void fake_start(struct fake *fake);
void fake_stop(struct fake *fake);

/* Drives the loop until *value is at least `least`; fails the test after 5 s. */
void fake_until(struct fake *fake, const uint32_t *value, uint32_t least);

/* A reload with the configuration, counting calls of on_ready in *ready. */
struct reload *fake_reload(struct fake *fake, uint32_t *ready);

/* The state of a backend in the last offered snapshot: -1: not in it. */
int fake_state_of(const struct fake *fake, const char *backend);

/* Outcomes of changes, as `done` of reload_ask wants it: arg is one of these. */
struct fake_outcome {
    uint32_t n;
    enum reload_status status;
    uint64_t generation;
    char text[512];
};
void fake_done(void *arg, const struct reload_outcome *outcome);

/* Asks and waits for the outcome. */
struct fake_outcome fake_ask(struct fake *fake, struct reload *reload, enum plan_kind kind,
                             const char *backend, uint32_t value);

#endif
