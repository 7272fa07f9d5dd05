/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers to `show`, as JSON: what runs, joined with what the data plane counted. It changes
 * nothing. Counts are null while the data plane is absent, never an invented 0.
 */
#ifndef TANDEM_CONTROL_SHOW_H
#define TANDEM_CONTROL_SHOW_H

#include <jansson.h>

#include "control/health/health.h"
#include "control/reload.h"

/*
 * The answer to `show WHAT`: backends, services, stats, calls, config, generation. New reference;
 * NULL: no such thing, or no memory. `stats` reads the counters until two reads agree, at most 5
 * times and about 5 ms.
 */
json_t *show_answer(const struct reload *reload, const char *what);   /* names: show_names.h */

/* `show backends` with what is observed of them too; health may be NULL. */
json_t *show_backends(const struct reload *reload, struct health *health);

/* The words above, for usage texts, ending with NULL. */
extern const char *const show_words[];

/* An address as the configuration writes it: IPv6 without brackets. */
json_t *show_ip(const struct sip_ip *ip);

#endif
