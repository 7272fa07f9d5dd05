/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secret of the cluster as a file, and what a rotation makes of it. One text for all nodes:
 *
 *   seed HEX                          never rotates
 *   next|current|previous ID HEX      a MAC key each; only current must be there
 *   rotated SECONDS                   when current began to sign (the wall clock of who rotated)
 *
 * It must not know what the keys sign, nor when a rotation may be. Control only; waits for the disk.
 */
#ifndef TANDEM_CONFIG_SECRET_H
#define TANDEM_CONFIG_SECRET_H

#include "config/compile.h"

/* As compile_secret_load, but a file that is not there is -ENOENT. */
int secret_read(const char *file, struct compile_secret *ret_secret, uint32_t *ret_line);

/* Writes it beside the file: durable_commit(file) or durable_abandon(file) must follow. 0 or a
 * negative errno. */
int secret_prepare(const struct compile_secret *secret, const char *file);

/*
 * One step further at now_s, a CLOCK_REALTIME second: current becomes previous, next current, and a
 * new key next, whose id is none of those before. Without a next key there is nothing to step to
 * that the other nodes know: then one is added, and that is all. 0, or -EIO: no random numbers.
 */
int secret_rotate(const struct compile_secret *from, uint64_t now_s,
                  struct compile_secret *ret_secret);

/* Whether two are the same key under the same id. Two that are absent are not. */
bool secret_same_key(const struct snapshot_mac_key *a, const struct snapshot_mac_key *b);

#endif
