/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration in which backends stand for the names that DNS knows: the file's, and behind a
 * pool's own backends the members of its names. A member is called NAME@ADDRESS:PORT, so it is the
 * same backend on every node and whenever it comes back.
 */
#ifndef TANDEM_CONTROL_EXPAND_H
#define TANDEM_CONTROL_EXPAND_H

#include "control/members.h"
#include "control/state.h"

/*
 * Returns a configuration for expand_free, which borrows all but its pools and members from `cfg`; NULL:
 * no memory. A name has the members that `members` (NULL: nobody was asked) knows of; one of which
 * nothing is known, those that it has in `state`, so that neither a start without DNS nor another
 * lookup empties it.
 *
 * Of an answer, those of the lowest priority are members, in families in which a service of the pool
 * listens. The heaviest gets the name's weight (the operator's, where he gave one), the others in
 * proportion, 1 at least. What the rules for the file refuse (two backends at an address, a listener's
 * address…) is left out and logged: the file's backends win, then the names in their order.
 */
struct cfg *expand_new(const struct cfg *cfg, const struct members *members,
                       const struct state *state);
void expand_free(struct cfg *expanded);

/* Says in one line which members came and left between two states; "": none. */
void expand_difference(const struct state *before, const struct state *after, char *ret_text,
                       size_t size);

#endif
