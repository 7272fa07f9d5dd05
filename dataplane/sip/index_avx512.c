/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sip_msg_index on processors with AVX-512BW, VL and VBMI2 (Ice Lake and Zen 4 are the first): 64
 * bytes a step. Without VBMI2's compression AVX2 is about as fast.
 */
#include <immintrin.h>
#include <stdint.h>

struct block {
    __m512i bytes;
};

static inline struct block block_load(const char *at, const char *end, const char *limit)
{
    size_t left = (size_t)(end - at);
    __mmask64 valid = _bzhi_u64(~0ull, left < 64 ? (uint32_t)left : 64);

    return (struct block){_mm512_maskz_loadu_epi8(valid, at)};
}

static inline struct block block_of(const char *a, const char *b, const char *c, const char *d)
{
    __m512i bytes = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)a));

    bytes = _mm512_inserti32x4(bytes, _mm_loadu_si128((const __m128i *)b), 1);
    bytes = _mm512_inserti32x4(bytes, _mm_loadu_si128((const __m128i *)c), 2);
    bytes = _mm512_inserti32x4(bytes, _mm_loadu_si128((const __m128i *)d), 3);
    return (struct block){bytes};
}

static inline struct block block_lower(struct block block)
{
    return (struct block){_mm512_or_si512(block.bytes, _mm512_set1_epi8(' '))};
}

static inline struct block block_keep(struct block block, uint64_t bits)
{
    return (struct block){_mm512_maskz_mov_epi8(bits, block.bytes)};
}

static inline void block_sums(struct block block, uint64_t *ret)
{
    _mm512_storeu_si512(ret, _mm512_sad_epu8(block.bytes, _mm512_setzero_si512()));
}

static inline uint64_t block_same8(struct block a, struct block b)
{
    return _mm512_cmpeq_epi64_mask(a.bytes, b.bytes);
}

static inline uint64_t block_equal(struct block block, char c)
{
    return _mm512_cmpeq_epi8_mask(block.bytes, _mm512_set1_epi8(c));
}

static inline uint64_t block_below(struct block block, char c)
{
    return _mm512_cmplt_epu8_mask(block.bytes, _mm512_set1_epi8(c));
}

/* `low` and `high`: what a byte's low and high four bits stand for; any bit in common counts. */
static inline uint64_t block_match(struct block block, __m128i low, __m128i high)
{
    __m512i halves = _mm512_and_si512(_mm512_srli_epi16(block.bytes, 4), _mm512_set1_epi8(15));
    __m512i columns = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(low), block.bytes);
    __m512i rows = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(high), halves);

    return _mm512_test_epi8_mask(columns, rows);
}

static inline uint32_t append_starts(uint16_t *ret, uint64_t bits, uint32_t past)
{
    static const uint8_t numbers[64] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    uint32_t count = (uint32_t)_mm_popcnt_u64(bits);
    __m512i set = _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(numbers));
    __m512i starts = _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_castsi512_si256(set)),
                                      _mm512_set1_epi16((short)past));

    _mm_storeu_si128((__m128i *)ret, _mm512_castsi512_si128(starts));
    if (count > 8)
        _mm512_storeu_si512(ret, starts);
    return count;
}

#include "dataplane/sip/index_simd.h"

/* Flat: 176 ns a message became 168 (INVITE of 1.1 kB); blocks stay in registers. */
__attribute__((flatten)) enum sip_error sip_index_avx512(const char *buf, size_t size,
                                                         struct sip_msg *ret)
{
    return index_message(buf, size, ret);
}

bool sip_via_avx512(struct sip_slice value, struct sip_via *ret)
{
    return parse_via(value, ret);
}

bool sip_uri_avx512(struct sip_slice text, struct sip_uri *ret)
{
    return parse_uri(text, ret);
}

bool sip_nameaddr_avx512(struct sip_slice text, struct sip_nameaddr *ret)
{
    return parse_nameaddr(text, ret);
}
