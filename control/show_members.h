/* SPDX-License-Identifier: Apache-2.0 */
/* What DNS says of backends, for `show backends`. */
#ifndef TANDEM_CONTROL_SHOW_MEMBERS_H
#define TANDEM_CONTROL_SHOW_MEMBERS_H

#include <jansson.h>

#include "control/reload.h"

/* The name whose member a backend is and what is known of it; null: it is none. New reference. */
json_t *show_members_dns(const struct reload *reload, const struct lb_backend *backend);

/* Appends a row for each name that has no member, with the reason. */
void show_members_missing(const struct reload *reload, json_t *list);

#endif
