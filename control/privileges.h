/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who control is, and what it may do besides reading its own files: bind ports below 1024, nothing
 * else. Nothing of it is core-dumped or looked into by others of the same user, since it holds keys.
 * It must not know what is done with that.
 */
#ifndef TANDEM_CONTROL_PRIVILEGES_H
#define TANDEM_CONTROL_PRIVILEGES_H

#include "config/cfg.h"

/*
 * Once, before there is a second thread, and before a file but the configuration is read or a socket
 * opened: what a start can do is then what each reload can. Started by root it becomes
 * dataplane.control_user, or else dataplane.user; where neither is named it stays root, without its
 * capabilities. Directories that its state and its socket need are made before, and are the user's.
 * All capabilities go, of all sets, but CAP_NET_BIND_SERVICE if there is one, of effective and
 * permitted; and of the bounding set, so that a successor may have it. 0, or a negative errno and
 * *ret_error.
 */
int privileges_become(const struct cfg *cfg, const char *file, struct cfg_error *ret_error);

/* Whether privileges_become would refuse this for whom the process is; nothing is changed. */
int privileges_check(const struct cfg *cfg, const char *file, struct cfg_error *ret_error);

/* Leaves the calling thread's capability to the program that it runs next. 0, or a negative errno. */
int privileges_bequeath(void);

#endif
