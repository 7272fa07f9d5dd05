/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health between sockets on loopback in the place of backends and a data plane that only speaks.
 */
#ifndef TANDEM_TESTS_UNIT_CONTROL_HEALTH_HEALTH_SCENE_H
#define TANDEM_TESTS_UNIT_CONTROL_HEALTH_HEALTH_SCENE_H

#include "tests/unit/control/fake.h"

#include "control/health/health.h"
#include "control/health/probe.h"

enum { BACKENDS = 4, TEXT_MAX = 2048, SLOT_FIRST = 2 };

#define HEALTH                                                                              \
    "{interval: 100ms, fast_interval: 50ms, timeout: 150ms, slow_start: 2s, drain_header: " \
    "X-Drain}"

/* A backend of ours: what it answers. */
struct backend {
    char name[8];
    uint32_t id;
    int fd; /* -1: its port is closed */
    uint16_t port;
    const char *status; /* NULL: nothing */
    const char *more;   /* header lines */
    struct loop_event *reading;
    uint32_t n_probes;
};

struct scene {
    struct fake fake;
    struct reload *reload;
    struct health *health;
    struct backend backends[BACKENDS];
    struct loop_event *alarm;
    uint32_t ready;
};

void open_backend(struct scene *s, struct backend *b);
void close_backend(struct backend *b);

/* The first n backends in pool p, with `health:`, or without when that is NULL. */
void configure(struct scene *s, uint32_t n, const char *health);

void start_control(struct scene *s);
void stop_control(struct scene *s);
void scene_make(struct scene *s, const char *health);
void scene_done(struct scene *s);
void run(struct scene *s, uint32_t ms);
const struct lb_backend *offered(const struct scene *s, uint32_t i);

/* Until the data plane is offered a backend in that state; returns how long it took in ms. */
uint64_t until_state(struct scene *s, uint32_t i, uint8_t state);

struct health_view view(struct scene *s, uint32_t i);

/* The probes' time just after the data plane came counts for nothing. */
void see(struct scene *s);

#endif
