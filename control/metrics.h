/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Prometheus is told: what runs, joined with what the data plane counted, in its text form.
 * Samples that only the data plane could tell are missing while it is absent, never an invented 0.
 * It changes nothing, and does not know how it is asked (metrics_http.h).
 */
#ifndef TANDEM_CONTROL_METRICS_H
#define TANDEM_CONTROL_METRICS_H

#include "control/health/health.h"
#include "control/reload.h"
#include "control/stream/stream.h"

/* What is known when control starts. */
struct metrics_start {
    const struct reload *reload;
    struct health *health;            /* NULL: nobody watches backends */
    const struct stream *stream;      /* NULL: there are no streams */
    const char *version;
    uint64_t start_s; /* CLOCK_REALTIME second when control began */
};

/* All metrics as one text for free(), and its length; NULL: no memory. arg: struct metrics_start.
 */
char *metrics_write(void *arg, size_t *ret_length);

#endif
