/* SPDX-License-Identifier: Apache-2.0 */
/* In what a forwarded message may differ from the one that came (DESIGN section 3). */
#ifndef TANDEM_TEST_PROXY_DIFFERENCE_H
#define TANDEM_TEST_PROXY_DIFFERENCE_H

#include "dataplane/sip/msg.h"

/*
 * Fails the test, or ends the process, when `out`, which was made of `in`, differs from it in more
 * than the rules say: the top Via, the Route set and the Request-URI by it, Max-Forwards, and for
 * requests our Via, Record-Routes, Path and `Supported: path` in front. All other lines, and the
 * body, are as they were, in their order.
 */
void difference_check(const struct sip_msg *in, const struct sip_msg *out);

#endif
