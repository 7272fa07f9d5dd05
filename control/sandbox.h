/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that control may make, in two filters. The inner one, of all threads but one: what
 * libevent, OpenSSL, c-ares, threads, files that are replaced whole and the name service's modules
 * need. The outer one, of that thread, which only waits to run the successor (successor.h), and so of
 * the successor too: all but what nobody here can mean. It must not know what they are needed for by
 * whom.
 */
#ifndef TANDEM_CONTROL_SANDBOX_H
#define TANDEM_CONTROL_SANDBOX_H

#include <stddef.h>

/*
 * The outer filter, for the calling thread and those to come, programs included: once in the life of a
 * process, since a successor has it already. What no part of control can mean (to look into another
 * program, to mount, to load code into the kernel) ends the process. After privileges_become; 0, or a
 * negative errno and one line in ret_reason.
 */
int sandbox_begin(char *ret_reason, size_t reason_size);

/*
 * The inner filter, for the calling thread and those to come, on top. What is not on the list fails with
 * EPERM, which its caller reports as any other error, and the kernel's log (audit) names the call: a
 * library's rare call shall not end a node's calls. To run a program ends the process, too. 0, or a
 * negative errno and one line in ret_reason.
 */
int sandbox_enter(char *ret_reason, size_t reason_size);

#endif
