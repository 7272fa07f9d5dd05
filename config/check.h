/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold between the values of a configuration, each of which is in range by itself. Knows
 * nothing of YAML: it says which key is wrong and why, the loader finds the line.
 */
#ifndef TANDEM_CONFIG_CHECK_H
#define TANDEM_CONFIG_CHECK_H

#include "config/cfg.h"

/* Contradictions within `dataplane:`, and in all the rest together with it. Return 0, or -EINVAL
 * with key and reason in *ret_error. */
int check_dataplane(const struct cfg_dataplane *dataplane, struct cfg_error *ret_error);
int check_services(const struct cfg *cfg, struct cfg_error *ret_error);

/* Fills key (`BASE.NAME`, or the one that is not empty) and reason. Always returns -EINVAL. */
int check_refuse(struct cfg_error *error, const char *base, const char *name, const char *reason,
                 ...) __attribute__((format(printf, 4, 5)));

#endif
