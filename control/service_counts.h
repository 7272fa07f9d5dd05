/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was counted for services: which slot of the counters is whose. A slot's sums are its
 * service's own: the data plane takes out what another one counted there before.
 */
#ifndef TANDEM_CONTROL_SERVICE_COUNTS_H
#define TANDEM_CONTROL_SERVICE_COUNTS_H

#include <stdbool.h>

#include "config/counters.h"
#include "dataplane/sip/slice.h"

struct service_counts;

/* Of counters (NULL: the data plane is absent), which must outlive it. NULL: no memory. */
struct service_counts *service_counts_new(const struct counters_header *counters);
void service_counts_free(struct service_counts *counts);

/* What became of the messages of a service, by name. False, and nothing in ret: it has no slot. */
bool service_counts_of(const struct service_counts *counts, struct sip_slice name,
                       uint64_t ret[COUNTERS_SERVICE_COUNT]);

#endif
