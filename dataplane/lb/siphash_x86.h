/* SPDX-License-Identifier: Apache-2.0 */
/* Private to siphash_*.c and their test: several SipHashes at once by what x86-64 may have. */
#ifndef TANDEM_LB_SIPHASH_X86_H
#define TANDEM_LB_SIPHASH_X86_H

#include <stdbool.h>

#include "dataplane/lb/siphash.h"

enum { SIPHASH_AVX2_LANES = 4, SIPHASH_AVX512_LANES = 8 };

/* As many lanes as a vector has, from `first`, of c (1 or 2) rounds a word: ret[first]… Lanes
 * behind the last are not read, but written to. */
typedef void siphash_vector_fn(const struct lb_lanes *lanes, uint32_t first, unsigned c,
                               uint64_t *ret);

siphash_vector_fn siphash_avx2, siphash_avx512;

#endif
