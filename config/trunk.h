/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sources:` and `match:` of a service: who may ask, and which pool is asked. From raw values to
 * struct cfg, and what must hold between the rules. It must not know how a message is matched.
 */
#ifndef TANDEM_CONFIG_TRUNK_H
#define TANDEM_CONFIG_TRUNK_H

#include "config/cfg.h"
#include "config/schema.h"
#include "config/snapshot.h"

/* Fills the two keys of a service, which `base` names. Returns 0, or a negative errno with key and
 * reason in *error. */
int trunk_convert(const struct schema_service *raw, struct cfg_service *service, const char *base,
                  struct cfg_error *error);

/*
 * Refuses rules that name no pool of the file or that an earlier one keeps from being reached,
 * more than SNAPSHOT_SERVICE_POOLS_MAX pools in a service, and an address and port that two of
 * them have: a backend is told by its address. The pools' names and the services' own `pool:` are
 * checked already. Returns 0, or -EINVAL with key and reason in *error.
 */
int trunk_check(const struct cfg *cfg, struct cfg_error *error);

/* The index of a pool by name; n_pools when there is none. */
uint32_t trunk_pool_index(const struct cfg *cfg, const char *name);

/*
 * The indices of a service's pools, none twice: its `pool:` first, the others ascending. Returns
 * how many there are, of which at most SNAPSHOT_SERVICE_POOLS_MAX are in ret_pools.
 */
uint32_t trunk_pools(const struct cfg *cfg, const struct cfg_service *service,
                     uint32_t ret_pools[SNAPSHOT_SERVICE_POOLS_MAX]);

#endif
