/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was observed of backends, as a file: so that a control that was restarted goes on where the
 * one before was. Nothing is lost when there is none: then all are up until they are probed.
 */
#ifndef TANDEM_CONTROL_HEALTH_MEMORY_H
#define TANDEM_CONTROL_HEALTH_MEMORY_H

#include "control/health/machine.h"

enum { MEMORY_FILE_MAX = 16 << 20 };  /* bytes; a greater file is not read */

/* Replaces the file whole. It is not synced: after a loss of power all are probed anew. 0 or a
 * negative errno. */
int memory_save(const char *file, const struct machine_memory *memories, uint32_t n);

/* Reads it, for free(), by id ascending. 0, also when there is no file (*ret NULL); -EBADMSG when it is
 * damaged; another negative errno. */
int memory_load(const char *file, struct machine_memory **ret, uint32_t *ret_n);

/* The one with that id, or NULL. */
const struct machine_memory *memory_find(const struct machine_memory *memories, uint32_t n,
                                         uint32_t id);

#endif
