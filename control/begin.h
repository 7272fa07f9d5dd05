/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What control begins with beside the configuration: the cluster's secret, and what it remembers.
 */
#ifndef TANDEM_CONTROL_BEGIN_H
#define TANDEM_CONTROL_BEGIN_H

#include "config/compile.h"
#include "control/state.h"

/* Loads the secret, or makes it. 0, or a negative errno and one line in ret_text[PLAN_TEXT_MAX],
 * which quotes nothing of it. */
int begin_secret(const char *file, struct compile_secret *ret_secret, char *ret_text);

/*
 * The state of before; an empty one when there is none, or when the file is damaged (which is then
 * kept beside it, and logged). NULL and one line in ret_text[PLAN_TEXT_MAX] when it cannot be read.
 */
struct state *begin_state(const char *file, char *ret_text);

#endif
