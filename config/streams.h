/* SPDX-License-Identifier: Apache-2.0 */
/* `control: streams:`: the bounds of connections, with their defaults. It must not know who keeps to
 * them. */
#ifndef TANDEM_CONFIG_STREAMS_H
#define TANDEM_CONFIG_STREAMS_H

#include "config/cfg.h"
#include "config/schema.h"

/* Fills the bounds; NULL: all of them are the defaults. Returns 0, or -EINVAL with key and reason in
 * *error. */
int streams_convert(const struct schema_streams *raw, struct cfg_streams *streams,
                    struct cfg_error *error);

#endif
