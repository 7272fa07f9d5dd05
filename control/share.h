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

/*
 * Says in one line which share of its pool's new calls a backend, or some of one pool under one name,
 * have in `now`, and who has it in `then`, a snapshot of the same backends. They must be in both.
 */
void share_preview(const struct snapshot *now, const struct snapshot *then, const char *name,
                   const uint32_t *ids, uint32_t n_ids, char *ret_text, size_t size);

#endif
