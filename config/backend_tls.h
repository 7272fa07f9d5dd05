/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tls:` of a pool: what its backends, reached by TLS, must show, and what they are shown. It names
 * files and opens none.
 */
#ifndef TANDEM_CONFIG_BACKEND_TLS_H
#define TANDEM_CONFIG_BACKEND_TLS_H

#include "config/cfg.h"
#include "config/schema.h"

/*
 * Fills a pool's `tls`, of raw values that may be NULL, after its backends; `base` names the pool;
 * relative names of files are made from the folder of `file`. Returns 0, or a negative errno with
 * key and reason in *error.
 */
int backend_tls_convert(const struct schema_backend_tls *raw, const char *file,
                        struct cfg_pool *pool, const char *base, struct cfg_error *error);

/* Frees what it holds. */
void backend_tls_done(struct cfg_backend_tls *tls);

#endif
