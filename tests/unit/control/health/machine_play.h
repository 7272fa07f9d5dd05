/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One backend's observed state, in simulated time: each test says how the backend behaves at which
 * millisecond, the probes are played by the clock, and every change of state is written down.
 */
#ifndef TANDEM_TESTS_UNIT_CONTROL_HEALTH_MACHINE_PLAY_H
#define TANDEM_TESTS_UNIT_CONTROL_HEALTH_MACHINE_PLAY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "control/health/machine.h"

enum { PENDING_MAX = 64, CHANGES_MAX = 64, START = 1000000, ID = 12345 };

enum how { WELL, GONE, FROZEN, REFUSES, SHEDS, SHEDS_MUTE, DRAINS, BROKEN };

struct change {
    uint64_t at_ms; /* since START */
    uint8_t state;
};

struct play {
    struct cfg_health conf;
    struct machine machine;
    enum how (*how)(uint64_t at_ms); /* since START */
    uint64_t thaws_ms;               /* since START: FROZEN ones answer then */
    bool alone;                      /* nobody may be doubted */
    uint32_t latency_ms;
    uint64_t now_ms;
    struct {
        uint64_t sent_ms;
        enum how how;
        bool used;
    } pending[PENDING_MAX];
    uint32_t n_probes;
    struct change changes[CHANGES_MAX];
    uint32_t n_changes;
};

struct cfg_health conf_make(void);
void play_make(struct play *p, enum how (*how)(uint64_t at_ms));
struct machine_answer answer_of(enum how how, uint32_t latency_ms);
void step(struct play *p);

/* Plays until so many milliseconds since START. */
void play(struct play *p, uint64_t until_ms);

/* What it says now; 12:00:00 UTC was at START. Overwritten by the next call. */
const char *reason(const struct play *p);

/* How backends behave. */
enum how always_well(uint64_t at_ms);
enum how gone_at_10s(uint64_t at_ms);
enum how gone_10s_to_20s(uint64_t at_ms);
enum how refuses_at_10s(uint64_t at_ms);
enum how sheds_10s_to_20s(uint64_t at_ms);
enum how drains_10s_to_20s(uint64_t at_ms);

#endif
