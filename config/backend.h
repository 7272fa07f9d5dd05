/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `backends:` of a pool: from raw values to struct cfg, and what must hold between all backends of a
 * file. Where a name leads is not known here: only DNS knows.
 */
#ifndef TANDEM_CONFIG_BACKEND_H
#define TANDEM_CONFIG_BACKEND_H

#include "config/cfg.h"
#include "config/schema.h"

/* Fills a backend, which `base` names. Returns 0, or a negative errno with key and reason in *error. */
int backend_convert(const struct schema_backend *raw, struct cfg_backend *backend, const char *base,
                    struct cfg_error *error);

/*
 * Refuses two backends of one name or id, an address that two of a pool are known by, and one that a
 * service listens on. Names of a file have no address yet. Returns 0, or -EINVAL with key and reason
 * in *error.
 */
int backend_check(const struct cfg *cfg, struct cfg_error *error);

#endif
