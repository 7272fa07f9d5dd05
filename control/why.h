/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer to `why CALL-ID`: which backend the call with this Call-ID has, and which rule says so.
 * It asks the same functions as the planes, on the same snapshot and the call table of each, and
 * writes nothing.
 */
#ifndef TANDEM_CONTROL_WHY_H
#define TANDEM_CONTROL_WHY_H

#include <jansson.h>

#include "control/reload.h"

struct stream;

/*
 * A list with one object for each pool, or for the one named. New reference. NULL and why in
 * ret_text[PLAN_TEXT_MAX]: no such pool, or no memory. The backend is the one that the plane says
 * which has the call; where both have it (one leg by a stream, one not), the data plane. `stream`
 * may be NULL: there is no table of control's.
 */
json_t *why_answer(const struct reload *reload, struct stream *stream, const char *call_id,
                   const char *pool, char *ret_text);

#endif
