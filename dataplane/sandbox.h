/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that are left once the process runs: what main, the workers and DPDK's drivers
 * need from then on. It must not know what they are needed for by whom.
 */
#ifndef TANDEM_SANDBOX_H
#define TANDEM_SANDBOX_H

#include <stddef.h>

/*
 * Filters every thread there is, and those to come. What is not on the list fails with EPERM: a
 * driver's rare call gets an error that it handles, rather than all calls of a node their end. What
 * no part of the program can mean (to run another program, to look into one, to load code into the
 * kernel) ends the process. All threads must bear no_new_privs (privileges_drop). Main calls it
 * once, after that. Returns 0, or a negative errno and what failed.
 */
int sandbox_enter(char *ret_reason, size_t reason_size);

#endif
