/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What control remembers, at its start.
 */
#ifndef TANDEM_CONTROL_BEGIN_H
#define TANDEM_CONTROL_BEGIN_H

#include "control/state.h"

/*
 * The state of before; an empty one when there is none, or when the file is damaged (which is then
 * kept beside it, and logged). NULL and one line in ret_text[PLAN_TEXT_MAX] when it cannot be read.
 */
struct state *begin_state(const char *file, char *ret_text);

#endif
