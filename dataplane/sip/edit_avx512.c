/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sip_edit_in_place on processors with AVX-512BW: what is moved is a few dozen bytes mostly, and no
 * two times as many, so that a branch on how many costs more than moving 64.
 */
#include <immintrin.h>

#include "dataplane/sip/index.h"

static inline __m512i load(const char *at, size_t n)
{
    return _mm512_maskz_loadu_epi8(_bzhi_u64(~0ull, n < 64 ? (uint32_t)n : 64), at);
}

static inline void store(char *at, __m512i bytes, size_t n)
{
    _mm512_mask_storeu_epi8(at, _bzhi_u64(~0ull, n < 64 ? (uint32_t)n : 64), bytes);
}

static inline void edit_ahead(char *to, const char *from, size_t n)
{
    store(to, load(from, n), n);
    for (size_t done = 64; done < n; done += 64)
        store(to + done, load(from + done, n - done), n - done);
}

static inline void edit_back(char *to, const char *from, size_t n)
{
    for (; n > 64; n -= 64)
        _mm512_storeu_si512(to + n - 64, _mm512_loadu_si512(from + n - 64));
    store(to, load(from, n), n);
}

static inline void edit_text(char *to, const char *from, size_t n)
{
    edit_ahead(to, from, n);
}

#include "dataplane/sip/edit_apply.h"

int32_t sip_edit_avx512(const struct sip_edit *edit, char *buf, size_t length, size_t headroom,
                        size_t tailroom, int32_t *ret_start)
{
    return edit_in_place(edit, buf, length, headroom, tailroom, ret_start);
}
