/* SPDX-License-Identifier: Apache-2.0 */
/* `cluster:`: the other nodes that share the secret, and where they are. It must not know what is
 * sent to them. */
#ifndef TANDEM_CONFIG_CLUSTER_H
#define TANDEM_CONFIG_CLUSTER_H

#include "config/cfg.h"
#include "config/schema.h"

/*
 * Fills in the cluster's nodes (NULL: there are none), of a file whose own node and addresses are
 * read already. Refuses this node itself, a name, id or address that two have, and an address of a
 * family in which this node has none. Returns 0, or a negative errno with key and reason in *error.
 */
int cluster_convert(const struct schema_cluster *raw, struct cfg *cfg, struct cfg_error *error);

#endif
