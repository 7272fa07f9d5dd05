/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No parser: how long it takes to look at every byte of a message for newlines, 64 bytes a step
 * with AVX-512BW, 32 with AVX2. The physical limit that an index is measured against. It finds no
 * facts.
 */
#include <errno.h>
#include <immintrin.h>

#include "perf/parsers/contender.h"

static uint32_t (*count)(const char *text, size_t length);

__attribute__((target("avx512bw,popcnt"))) static uint32_t count_512(const char *text,
                                                                     size_t length)
{
    const __m512i newline = _mm512_set1_epi8('\n');
    uint32_t n = 0;
    size_t i;

    for (i = 0; i + 64 <= length; i += 64)
        n +=
            (uint32_t)_mm_popcnt_u64(_mm512_cmpeq_epi8_mask(_mm512_loadu_si512(text + i), newline));
    if (i < length) {
        __mmask64 rest = ~0ull >> (64 - (length - i));

        n += (uint32_t)_mm_popcnt_u64(
            _mm512_cmpeq_epi8_mask(_mm512_maskz_loadu_epi8(rest, text + i), newline));
    }
    return n;
}

__attribute__((target("avx2,popcnt"))) static uint32_t count_256(const char *text, size_t length)
{
    const __m256i newline = _mm256_set1_epi8('\n');
    uint32_t n = 0;
    size_t i;

    for (i = 0; i + 32 <= length; i += 32) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(text + i));

        n += (uint32_t)_mm_popcnt_u32(
            (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, newline)));
    }
    for (; i < length; i++)
        n += text[i] == '\n';
    return n;
}

int contender_init(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bw"))
        count = count_512;
    else if (__builtin_cpu_supports("avx2"))
        count = count_256;
    return count != NULL ? 0 : -ENOTSUP;
}

bool contender_parse(char *text, size_t length)
{
    return count(text, length) > 0;
}

bool contender_show(char *text, size_t length, struct contender_facts *ret)
{
    (void)text;
    (void)length;
    (void)ret;
    return false;
}
