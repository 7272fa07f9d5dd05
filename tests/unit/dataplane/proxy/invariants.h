/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold of a decision, whatever message came: shared by the fuzzers of proxy/. */
#ifndef TANDEM_TEST_PROXY_INVARIANTS_H
#define TANDEM_TEST_PROXY_INVARIANTS_H

#include "tests/unit/dataplane/proxy/stage.h"

/* Of the decision on stage->msg: fails the test, or ends the process, when something does not. */
void invariants_check(struct stage *stage);

/* Of the same message decided again at once: the same bytes to the same place (RFC 3261 §16.11). */
/* Of a forward by a stream: what is done when that is gone. */
void invariants_check_gone(struct stage *stage);
void invariants_check_again(const struct stage *stage, const struct proxy_output *first);

#endif
