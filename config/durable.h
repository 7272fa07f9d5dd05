/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that is replaced whole: a reader finds the old one or the new one, whatever dies when, and
 * what was committed is there after a loss of power. It does not know what is in it. One writer to
 * a file. Control only; waits for the disk.
 */
#ifndef TANDEM_CONFIG_DURABLE_H
#define TANDEM_CONFIG_DURABLE_H

#include <stddef.h>

/*
 * Writes FILE.new, mode 0600, and syncs it: all that a full disk can refuse. 0 or a negative errno,
 * when nothing is left of it.
 */
int durable_prepare(const char *file, const void *bytes, size_t length);

/* FILE.new becomes FILE, and the directory is synced. 0 or a negative errno; then FILE is the old
 * one, or the new one may be lost with the power. */
int durable_commit(const char *file);

/* Removes FILE.new, if it is there. */
void durable_abandon(const char *file);

/* Syncs the directory that a file is in: a new name is durable only then. 0 or a negative errno. */
int durable_sync_directory_of(const char *file);

#endif
