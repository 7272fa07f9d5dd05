/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secret and state at the start, with words for a person where they are not as they should be: see
 * begin.h.
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

int begin_secret(const char *file, struct compile_secret *ret_secret, char *ret_text)
{
    uint32_t line = 0;
    int status = compile_secret_load(file, ret_secret, &line);

    if (status == -EINVAL && line == 0)
        snprintf(ret_text, PLAN_TEXT_MAX, "%.500s: seed or current key missing", file);
    else if (status == -EINVAL)
        snprintf(ret_text, PLAN_TEXT_MAX, "%.500s:%u: malformed secret", file, line);
    else if (status == -EPERM)
        snprintf(ret_text, PLAN_TEXT_MAX, "%.500s: others may read or write it: chmod 600", file);
    else if (status == -EISNAM)
        snprintf(ret_text, PLAN_TEXT_MAX, "%.500s: is no regular file", file);
    else if (status != 0)
        snprintf(ret_text, PLAN_TEXT_MAX, "%.500s: %s", file, strerror(-status));
    return status;
}
