/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process may still do after start: main keeps CAP_NET_ADMIN (neighbours, addresses of the
 * TAPs), every other thread nothing, and nobody gains anything by exec. Linux only; knows no thread
 * of DPDK's by name.
 */
#ifndef TANDEM_PRIVILEGES_H
#define TANDEM_PRIVILEGES_H

#include <stddef.h>
#include <sys/types.h>

/* Whom to become. */
struct privileges_user {
    const char *name; /* NULL: stay who we are */
    uid_t uid;
    gid_t gid;
};

/* Finds a user; name NULL: ourselves, or nobody when we are root. 0, or -ENOENT. The name is kept.
 */
int privileges_find_user(const char *name, struct privileges_user *ret);

/* Empties main's bounding set: nobody that it starts from then on has another. Of those who may
 * not (who is not root) it stays; no_new_privs makes it useless in any case. Before EAL. */
void privileges_bound(void);

/*
 * Becomes the user and drops capabilities in every thread there is; threads started later inherit
 * main's (start none). Main calls it once. Returns 0, or a negative errno and what failed.
 */
int privileges_drop(const struct privileges_user *user, char *ret_reason, size_t reason_size);

#endif
