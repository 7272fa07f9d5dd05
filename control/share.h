/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares of new calls, read from the pools' tables of a snapshot.
 */
#ifndef TANDEM_CONTROL_SHARE_H
#define TANDEM_CONTROL_SHARE_H

#include "config/snapshot.h"

/* Entries of each backend in its pool's table, by the snapshot's indices, for free(). NULL: no
 * memory. */
uint32_t *share_entries(const struct snapshot *s);

#endif
