/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus' text form (version 0.0.4), written family by family: HELP and TYPE once, then the
 * samples with their labels escaped. It knows no metric.
 */
#ifndef TANDEM_CONTROL_METRICS_TEXT_H
#define TANDEM_CONTROL_METRICS_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/sip/slice.h"

enum { METRICS_LABELS_MAX = 4 };

struct metrics_label {
    const char *name;
    struct sip_slice value; /* any bytes of UTF-8 */
};

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

/* Of microseconds, told in seconds. */
struct metrics_histogram {
    const uint32_t *bounds_us;        /* [n], ascending */
    uint32_t n;
    const uint64_t *counts;           /* [n + 1]: up to each bound, from the one before on; the rest */
    uint64_t sum_us;
};

struct metrics_text;

/* NULL: no memory. */
struct metrics_text *metrics_text_new(void);

/*
 * Begins a family, whose name and help (literals, help without line ends and backslashes) stay the
 * caller's until the next one. A family without samples leaves no trace.
 */
void metrics_family(struct metrics_text *text, const char *name, enum metrics_type type,
                    const char *help);

/* A sample of the family begun last. */
void metrics_sample(struct metrics_text *text, const struct metrics_label *labels, uint32_t n,
                    uint64_t value);
void metrics_sample_real(struct metrics_text *text, const struct metrics_label *labels, uint32_t n,
                         double value);

/* One of a METRICS_HISTOGRAM: its buckets, sum and count; n at most METRICS_LABELS_MAX. */
void metrics_sample_histogram(struct metrics_text *text, const struct metrics_label *labels,
                              uint32_t n, const struct metrics_histogram *histogram);

/* Ends and frees it. What was written, for free(), and its length; NULL: no memory. */
char *metrics_text_end(struct metrics_text *text, size_t *ret_length);

#endif
