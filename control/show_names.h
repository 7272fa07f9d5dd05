/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to `show names`, as JSON: what is known of names, and what became of their messages. */
#ifndef TANDEM_CONTROL_SHOW_NAMES_H
#define TANDEM_CONTROL_SHOW_NAMES_H

#include <jansson.h>

#include "control/names.h"

/* New reference: {"names": […], "waiting": messages, "counters": {…}}; NULL: no memory. */
json_t *show_names(const struct names *names);

#endif
