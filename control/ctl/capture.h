/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tandemctl's end of a capture: whole pcapng blocks from tandem-control's socket into a file.
 */
#ifndef TANDEM_CONTROL_CTL_CAPTURE_H
#define TANDEM_CONTROL_CTL_CAPTURE_H

#include <stdbool.h>

/* Whether a file cannot be meant: standard output that is a terminal. */
bool capture_is_terminal(const char *file);

/*
 * Writes what comes from the socket, behind the answer's line, into `file` (made anew, mode 0600; "-":
 * standard output) until tandem-control ends it, asked to by the first SIGINT or SIGTERM or not. The
 * file is complete up to its last block in any case. Says on standard error what happened; returns 0,
 * or -1 when the capture did not end as it should.
 */
int capture_run(int fd, const char *file);

#endif
