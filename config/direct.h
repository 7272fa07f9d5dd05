/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `mode:` and `encapsulation:` of a service: what mode direct asks of it, of its pool and of the
 * backends. It must not know how a message is sent.
 */
#ifndef TANDEM_CONFIG_DIRECT_H
#define TANDEM_CONFIG_DIRECT_H

#include "config/cfg.h"
#include "config/document.h"
#include "config/schema.h"

/* Fills in the two keys of a service, which `base` names; refuses those that mean nothing in its
 * mode. Returns 0, or -EINVAL with key and reason in *error. */
int direct_convert(const struct schema_service *raw, const struct document *document,
                   struct cfg_service *service, const char *base, struct cfg_error *error);

/*
 * Refuses, for services of mode direct: transports other than UDP; a pool that is not chosen from
 * by the Call-ID, or that a service of mode proxy has too; backends that cannot be reached by a
 * MAC address, or by a tunnel from node_address. The pools' names are checked already. Returns 0,
 * or -EINVAL with key and reason in *error.
 */
int direct_check(const struct cfg *cfg, struct cfg_error *error);

#endif
