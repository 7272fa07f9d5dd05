/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sweep of the call table, slice by slice: expires entries, and tells which slots no entry
 * holds any more. Main only.
 */
#ifndef TANDEM_SWEEP_H
#define TANDEM_SWEEP_H

#include "dataplane/publish.h"

struct sweep;

/* NULL: no memory. */
struct sweep *sweep_new(struct lb_call_table *calls, struct counters_header *counters,
                        struct publish *publish);
void sweep_free(struct sweep *sweep);

/* Sweeps 1/slices of the table. */
void sweep_slice(struct sweep *sweep, uint32_t slices, uint32_t now_s);

#endif
