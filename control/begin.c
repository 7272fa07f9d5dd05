/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state at the start, with words for a person where it is not as it should be: see begin.h.
 */
#include "control/begin.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "control/log.h"
#include "control/plan.h"

struct state *begin_state(const char *file, char *ret_text)
{
    char aside[PATH_MAX + 16], reason[200] = "";
    struct state *state = NULL;
    int status = state_load(file, &state, reason);

    if (status == 0)
        return state;
    if (status != -EBADMSG) {
        snprintf(ret_text, PLAN_TEXT_MAX, "%.500s: %s", file, strerror(-status));
        return NULL;
    }
    /* It is always written whole, so this is a damaged disk or somebody's edit. Calls matter more
     * than what was drained: go on, loudly, and keep the file for a person to look at. */
    snprintf(aside, sizeof(aside), "%s.damaged", file);
    log_error("%s: %s; kept as %s, all backends are taken as enabled", file, reason, aside);
    if (rename(file, aside) != 0)
        log_error("%s: %s", aside, strerror(errno));
    return state_new();
}
