/* SPDX-License-Identifier: Apache-2.0 */
/* Several SipHashes on machines whose vectors nobody has measured: one by one. */
#include "dataplane/lb/siphash.h"

void lb_siphash_end_all(struct lb_siphash *const *hashes, uint32_t n, uint64_t *ret)
{
    for (uint32_t i = 0; i < n; i++)
        ret[i] = lb_siphash_end(hashes[i]);
}
