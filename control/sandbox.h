/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that control may make: what libevent, OpenSSL, c-ares, threads, files that are
 * replaced whole and the name service's modules need. It must not know what they are needed for by
 * whom.
 */
#ifndef TANDEM_CONTROL_SANDBOX_H
#define TANDEM_CONTROL_SANDBOX_H

#include <stddef.h>

/*
 * Filters the calling thread, others there are, and those to come. What is not on the list fails with
 * EPERM, which its caller reports as any other error, and the kernel's log (audit) names the call: a
 * library's rare call shall not end a node's calls. What no part of the program can mean (to run
 * another program, to look into one, to mount, to load code into the kernel) ends the process.
 * After privileges_become. 0, or a negative errno and one line in ret_reason.
 */
int sandbox_enter(char *ret_reason, size_t reason_size);

#endif
