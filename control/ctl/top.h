/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `top`: backends by what they do each second, the worst first.
 */
#ifndef TANDEM_CONTROL_CTL_TOP_H
#define TANDEM_CONTROL_CTL_TOP_H

#include <jansson.h>
#include <stdint.h>

/*
 * What happened between two answers of `show backends`, `seconds` apart, as a table for free(): the
 * ill first, then what the operator took out, then the rest; among equals those with more calls.
 * What was not counted in both, or began at 0 between them, is "-". NULL: no memory.
 */
char *top_table(const json_t *before, const json_t *now, double seconds);

/* Draws it each second, `frames` times; 0: until somebody ends it. 0, or -1 after saying why. */
int top_run(const char *socket, uint32_t frames);

#endif
