/* SPDX-License-Identifier: Apache-2.0 */
/* Private to siphash_*.c and their test: several SipHashes at once by what x86-64 may have. */
#ifndef TANDEM_LB_SIPHASH_X86_H
#define TANDEM_LB_SIPHASH_X86_H

#include "dataplane/lb/siphash.h"

enum { SIPHASH_AVX2_LANES = 4, SIPHASH_AVX512_LANES = 8 };

/* Ends as many hashes as there are lanes: closed ones (siphash_close), all of the same rounds. */
void siphash_end_avx2(struct lb_siphash *const *h, uint64_t *ret);
void siphash_end_avx512(struct lb_siphash *const *h, uint64_t *ret);

#endif
