/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How probes of a backend ended, and how long their answers took, for who watches over months. It
 * decides nothing.
 */
#ifndef TANDEM_CONTROL_HEALTH_TALLY_H
#define TANDEM_CONTROL_HEALTH_TALLY_H

#include <stdint.h>

enum { TALLY_BOUNDS = 12 };

/* Upper bounds of latencies in microseconds, ascending. */
extern const uint32_t tally_bounds_us[TALLY_BOUNDS];

struct tally {
    uint64_t answered[TALLY_BOUNDS + 1];   /* by the first bound that is not less; the rest */
    uint64_t latency_us;              /* of all that were answered, the sum */
    uint64_t silent, refused;
};

void tally_answer(struct tally *tally, uint32_t latency_us);

/* All that were answered. */
uint64_t tally_answers(const struct tally *tally);

#endif
