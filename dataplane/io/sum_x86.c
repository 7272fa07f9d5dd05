/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums on x86-64: word by word, by AVX2, by AVX-512 with VNNI, whichever the CPU has. All of the
 * bytes' pairs together are below 2^31 (65,535 bytes), so that no lane of 32 bits overflows.
 */
#include <immintrin.h>

#include "dataplane/io/sum.h"
#include "dataplane/io/wire.h"

/* Below that the vectors' set-up costs more than they save. */
enum { SHORT_BYTES = 64 };

static bool always(void)
{
    return true;
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}

static bool has_vnni(void)
{
    return __builtin_cpu_supports("avx512vnni") != 0 && __builtin_cpu_supports("avx512bw") != 0;
}

static uint64_t by_words(uint64_t sum, const uint8_t *at, uint32_t length)
{
    return sum_add(sum, at, length);
}

/* Low and high halves of words of 32 bits apart, so that their carries have room. */
__attribute__((target("avx2"))) static uint64_t by_avx2(uint64_t sum, const uint8_t *at,
                                                        uint32_t length)
{
    const __m256i low_half = _mm256_set1_epi32(0xffff);
    __m256i low = _mm256_setzero_si256(), high = low;
    __m128i four;

    for (; length >= 32; at += 32, length -= 32) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)at);

        low = _mm256_add_epi32(low, _mm256_and_si256(bytes, low_half));
        high = _mm256_add_epi32(high, _mm256_srli_epi32(bytes, 16));
    }
    low = _mm256_add_epi32(low, high);
    four = _mm_add_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return sum_add(sum + (uint32_t)_mm_cvtsi128_si32(four), at, length);
}

/* First and second bytes of pairs apart: VNNI multiplies bytes by 1 or 0 and adds four products. */
__attribute__((target("avx512f,avx512bw,avx512vnni"))) static uint64_t
by_vnni(uint64_t sum, const uint8_t *at, uint32_t length)
{
    const __m512i firsts = _mm512_set1_epi32(0x00010001), seconds = _mm512_set1_epi32(0x01000100);
    __m512i first = _mm512_setzero_si512(), second = first;
    __m512i bytes;

    for (; length > 64; at += 64, length -= 64) {
        bytes = _mm512_loadu_si512(at);
        first = _mm512_dpbusd_epi32(first, bytes, firsts);
        second = _mm512_dpbusd_epi32(second, bytes, seconds);
    }
    bytes = _mm512_maskz_loadu_epi8(length == 64 ? ~0ull : (1ull << length) - 1, at);
    first = _mm512_dpbusd_epi32(first, bytes, firsts);
    second = _mm512_dpbusd_epi32(second, bytes, seconds);
    first = _mm512_add_epi32(first, _mm512_slli_epi32(second, 8));
    return sum + (uint32_t)_mm512_reduce_add_epi32(first);
}

uint64_t io_sum_add(uint64_t sum, const uint8_t *at, uint32_t length)
{
    if (length < SHORT_BYTES)
        return sum_add(sum, at, length);
    if (has_vnni())
        return by_vnni(sum, at, length);
    return has_avx2() ? by_avx2(sum, at, length) : by_words(sum, at, length);
}

const struct io_sum_way *io_sum_ways(uint32_t *ret_n)
{
    static const struct io_sum_way ways[] = {
        {"words", by_words, always}, {"avx2", by_avx2, has_avx2}, {"vnni", by_vnni, has_vnni}};

    *ret_n = sizeof(ways) / sizeof(ways[0]);
    return ways;
}
