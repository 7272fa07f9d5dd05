/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The health of all backends whose pool has `health:`. Probes them, has their traffic judged, and
 * puts what is found into the snapshot: live changes, several of them together. What is known of a
 * backend stays over reloads and over a restart of control (health.json in the state directory).
 */
#ifndef TANDEM_CONTROL_HEALTH_HEALTH_H
#define TANDEM_CONTROL_HEALTH_HEALTH_H

#include "control/health/machine.h"
#include "control/health/media_verdict.h"
#include "control/health/tally.h"
#include "control/reload.h"
#include "control/stream/tls/tls.h"

enum {
    HEALTH_TICK_MS = 10,              /* probes that are due are sent together */
    HEALTH_SLEPT_MS = 50,             /* we were so late ourselves: answers may be waiting */
    HEALTH_PAUSE_MS = 100,            /* between two snapshots for the sake of health… */
    HEALTH_WEIGHT_PAUSE_MS = 500,     /* …or when only a slow start went on */
    HEALTH_AGAIN_MS = 1000,           /* after a refusal */
    HEALTH_BLIND_MS = 1000,           /* after the data plane came */
    HEALTH_SAVE_MS = 200,             /* between two writes of the file */
};

struct health;

/* Begins with what was remembered; the data plane must not have been offered anything yet, so that
 * it is offered no other state in between. NULL: no memory. */
struct health *health_new(struct loop *loop, struct reload *reload);
void health_free(struct health *health);

/* Who has the TLS that calls to backends are carried by (NULL: none now): without, those that are
 * probed over TLS are not known. Before the loop runs. */
void health_use_tls(struct health *health, struct tls *(*fn)(void *arg), void *arg);

/* What is known of one backend. */
struct health_view {
    uint8_t state;                    /* enum lb_state: UP, BUSY or DOWN */
    uint32_t since_s;                 /* seconds in that state */
    uint32_t weight_permille;
    uint32_t latency_us;              /* of probes, an average; 0: none was answered yet */
    struct tally probes;              /* since control started */
    bool has_media;                   /* probe calls are configured… */
    struct media_result media;        /* …and what the last one found */
    uint32_t media_age_s;             /* how long ago */
    uint64_t media_calls[MEDIA_WORDS];   /* how many found what */
    char reason[MACHINE_REASON_MAX];  /* one line for a person; "": nothing to say */
};

/* False: it is not watched. */
bool health_of(struct health *health, uint32_t id, struct health_view *ret);

#endif
