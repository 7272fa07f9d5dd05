/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data plane's counters as metrics: which family, with which labels, each is told in. It knows
 * them by their names in the memory of counters, as everything in control does.
 */
#ifndef TANDEM_CONTROL_METRICS_COUNTERS_H
#define TANDEM_CONTROL_METRICS_COUNTERS_H

#include <stdbool.h>

#include "config/counters.h"
#include "control/metrics_text.h"

/* Writes all that it knows of. */
void metrics_counters_write(struct metrics_text *text, const struct counters_header *counters);

/* Whether a counter of that name is told, or is the sum of some that are. */
bool metrics_counters_know(const char *counter);

#endif
