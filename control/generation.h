/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generations: each snapshot's number is greater than that of any before, over restarts too. They
 * are reserved in the state's file in steps, so that not each offer waits for a disk.
 */
#ifndef TANDEM_CONTROL_GENERATION_H
#define TANDEM_CONTROL_GENERATION_H

#include "control/state.h"

/* Names alone may take twenty a second. */
enum { GENERATION_STEP = 1024 };

/* A data plane that claims more is not believed: the number must never wrap. */
#define GENERATION_MAX (UINT64_MAX / 2)

/*
 * Takes the generation after *given, the one given away last, and notes it there. Without a disk it
 * is refused with a negative errno (logged), unless it `must` be: a data plane that came back is not
 * left without its snapshot.
 */
int generation_take(struct state *state, const char *state_file, uint64_t *given, bool must);

#endif
