/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running configuration as JSON, defaults filled in. Of secrets it says where they are, no more.
 */
#ifndef TANDEM_CONTROL_SHOW_CONFIG_H
#define TANDEM_CONTROL_SHOW_CONFIG_H

#include <jansson.h>

#include "config/cfg.h"

/* New references. The first: `services:` alone. */
json_t *show_config_services(const struct cfg *cfg);
json_t *show_config(const struct cfg *cfg);

/* What a pool hashes, of enum lb_key_kind, as `key:` says it; `header`: the name of LB_KEY_HEADER. */
json_t *show_config_key(unsigned kind, struct sip_slice header);

#endif
