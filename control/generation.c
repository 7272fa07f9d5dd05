/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers for snapshots: see generation.h.
 */
#include "control/generation.h"

#include <string.h>

#include "control/log.h"

int generation_take(struct state *state, const char *state_file, uint64_t *given, bool must)
{
    if (*given >= state->generation) {
        uint64_t before = state->generation;
        int status;

        state->generation = *given + GENERATION_STEP;
        status = state_save(state, state_file);
        if (status != 0) {
            log_error("%s: %s", state_file, strerror(-status));
            state->generation = before;
            if (!must)
                return status;
        }
    }
    ++*given;
    return 0;
}
