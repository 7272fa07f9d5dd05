/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output that is drawn again and again, on a terminal or into a pipe, until somebody ends it.
 */
#ifndef TANDEM_CONTROL_CTL_SCREEN_H
#define TANDEM_CONTROL_CTL_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

enum screen_kind { SCREEN_LINE, SCREEN_WHOLE };   /* what is drawn: a line, or all of the terminal */

/*
 * Begins: SIGINT and SIGTERM, and on a whole terminal `q`, end it from now on. One at a time.
 * Returns whether standard output is a terminal.
 */
bool screen_begin(enum screen_kind kind);
/* Leaves the terminal as it was. */
void screen_end(void);

/* Draws a text in the place of the one before; into a pipe behind it. A whole screen is cut at the
 * terminal's last row. False: nobody reads any more. */
bool screen_draw(const char *text);

/* Waits until ms have passed since the last time that it returned (or screen_begin), so that what
 * is done between does not add up. True: somebody ended it. */
bool screen_wait(uint32_t ms);

/* CLOCK_MONOTONIC in seconds. */
double screen_now(void);

#endif
