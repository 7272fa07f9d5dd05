/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How probes ended: see tally.h.
 */
#include "control/health/tally.h"

const uint32_t tally_bounds_us[TALLY_BOUNDS] = {500,   1000,   2500,   5000,   10000,   25000,
                                                50000, 100000, 250000, 500000, 1000000, 2500000};

void tally_answer(struct tally *tally, uint32_t latency_us)
{
    uint32_t i = 0;

    while (i < TALLY_BOUNDS && latency_us > tally_bounds_us[i])
        i++;
    tally->answered[i]++;
    tally->latency_us += latency_us;
}

uint64_t tally_answers(const struct tally *tally)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i <= TALLY_BOUNDS; i++)
        n += tally->answered[i];
    return n;
}
