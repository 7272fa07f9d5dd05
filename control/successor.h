/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program that follows this one in the same process: the file from which control was started,
 * as it is by then. A thread of its own runs it, the only one that may (sandbox.h): it waits for
 * the two questions below and sees nothing that came from outside. It does not know what is handed
 * over.
 */
#ifndef TANDEM_CONTROL_SUCCESSOR_H
#define TANDEM_CONTROL_SUCCESSOR_H

struct successor;

enum { SUCCESSOR_CHECK_MS = 30000 }; /* a check that takes longer has failed */

/* Begins the thread. argv is this program's own (argv[0] and the configuration's file) and stays.
 * Between sandbox_begin and sandbox_enter; lives as long as the process. NULL: no memory. */
struct successor *successor_new(char **argv);

/* The file that it will run. */
const char *successor_path(const struct successor *successor);

/* Runs it with --check and the configuration's file, HANDOVER_VARIABLE being empty; what it says
 * goes to standard error. successor_fd() is readable when that is over, once, and
 * successor_checked() then says how it ended: 0 is good, else one line for a person in *ret_reason,
 * valid until the next. */
void successor_check(struct successor *successor);
int successor_fd(const struct successor *successor);
int successor_checked(struct successor *successor, const char **ret_reason);

/* Replaces this process, with the capabilities and signals that it holds and blocks just now, and
 * the descriptors `told` (handover.h) of. If that file cannot be run any more, this version follows
 * itself. Returns a negative errno: nothing can be run. */
int successor_begin(struct successor *successor, const char *told);

#endif
