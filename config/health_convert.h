/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `health:` of a pool, from its raw values. It must not know what is probed.
 */
#ifndef TANDEM_CONFIG_HEALTH_CONVERT_H
#define TANDEM_CONFIG_HEALTH_CONVERT_H

#include "config/cfg.h"
#include "config/schema.h"

/* Fills in a pool's, zeroed before; `base` names the pool. Returns 0; -EINVAL or -ENOMEM with key and
 * reason in *error, when health_done still has to be called. */
int health_convert(const struct schema_health *raw, struct cfg_health *health, const char *base,
                   struct cfg_error *error);
/* Frees what it holds. */
void health_done(struct cfg_health *health);

#endif
