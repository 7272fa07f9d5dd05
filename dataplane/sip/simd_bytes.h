/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the vector variants of the index know about bytes: classes of them, words, numbers, names.
 * Included by way of index_simd.h, which says what a block is.
 */
#ifndef TANDEM_SIP_SIMD_BYTES_H
#define TANDEM_SIP_SIMD_BYTES_H

#include <endian.h>

#include "dataplane/sip/index.h"

/* ---- Classes of bytes ---- */

/*
 * A set of ASCII characters: column[j] has bit r when the character in row r (its high four bits)
 * and column j (its low four bits) of the ASCII table is of it. Bytes above 0x7f are of none.
 */
struct class
{
    uint8_t column[16];
};

static const uint8_t row_bit[16] = {1, 2, 4, 8, 16, 32, 64, 128};

#define COLUMN(is, j)                                                        \
    ((is(0x00 + (j)) << 0) | (is(0x10 + (j)) << 1) | (is(0x20 + (j)) << 2) | \
     (is(0x30 + (j)) << 3) | (is(0x40 + (j)) << 4) | (is(0x50 + (j)) << 5) | \
     (is(0x60 + (j)) << 6) | (is(0x70 + (j)) << 7))
#define CLASS(is)                                                                               \
    {                                                                                           \
        {                                                                                       \
            COLUMN(is, 0), COLUMN(is, 1), COLUMN(is, 2), COLUMN(is, 3), COLUMN(is, 4),          \
                COLUMN(is, 5), COLUMN(is, 6), COLUMN(is, 7), COLUMN(is, 8), COLUMN(is, 9),      \
                COLUMN(is, 10), COLUMN(is, 11), COLUMN(is, 12), COLUMN(is, 13), COLUMN(is, 14), \
                COLUMN(is, 15)                                                                  \
        }                                                                                       \
    }

#define IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define IS_ALNUM(c) (IS_DIGIT(c) || (((c) | 32) >= 'a' && ((c) | 32) <= 'z'))
#define IS_TOKEN(c)                                                                       \
    (IS_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '!' || (c) == '%' || (c) == '*' || \
     (c) == '_' || (c) == '+' || (c) == '`' || (c) == '\'' || (c) == '~')
#define IS_HOST(c) (IS_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_')
#define IS_DOTTED(c) (IS_DIGIT(c) || (c) == '.')
#define IS_INVISIBLE(c) ((c) <= ' ' || (c) == 0x7f)
#define ENDS_BARE(c) \
    (IS_INVISIBLE(c) || (c) == ';' || (c) == ',' || (c) == '"' || (c) == '<' || (c) == '>')
#define ENDS_DISPLAY(c) \
    ((c) == 0 || (c) == '\\' || (c) == ';' || (c) == ',' || (c) == '"' || (c) == '<' || (c) == '>')

static const struct class token = CLASS(IS_TOKEN);
static const struct class host_char = CLASS(IS_HOST);
static const struct class dotted = CLASS(IS_DOTTED);       /* digits and '.': of an IPv4 address */
static const struct class invisible = CLASS(IS_INVISIBLE); /* and so what is past a block's end */
static const struct class bare_end = CLASS(ENDS_BARE);     /* of a parameter without quotes */
static const struct class display_end = CLASS(ENDS_DISPLAY);

static inline __m128i load16(const void *at)
{
    return _mm_loadu_si128(at);
}

static inline uint64_t block_in(struct block block, const struct class *class)
{
    return block_match(block, load16(class->column), load16(row_bit));
}

/* ---- Bits and words ---- */

static inline uint32_t first_bit(uint64_t bits) /* 64 when there is none */
{
    return (uint32_t)_tzcnt_u64(bits);
}

static inline uint64_t below_bit(uint32_t n)
{
    return _bzhi_u64(~0ull, n);
}

static inline uint64_t load64(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return le64toh(word);
}

static inline uint32_t load32(const char *at)
{
    uint32_t word;

    memcpy(&word, at, sizeof(word));
    return le32toh(word);
}

static inline uint16_t load_pair(const char *at)
{
    uint16_t word;

    memcpy(&word, at, sizeof(word));
    return le16toh(word);
}

/* A text as these read it. */
#define CRLF ('\r' | '\n' << 8)
#define WORD32(a, b, c, d) \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define WORD64(a, b, c, d, e, f, g, h) \
    ((uint64_t)WORD32(a, b, c, d) | (uint64_t)WORD32(e, f, g, h) << 32)

/*
 * The number whose 1 to 8 digits end at `end`; eight bytes before that are read. False when there
 * are more or less, or others than digits.
 */
static inline bool read_number(const char *end, uint32_t digits, uint32_t *ret)
{
    const uint64_t zeros = 0x3030303030303030;
    uint32_t others = 64 - 8 * digits;
    uint64_t word;

    if (digits - 1 > 7)
        return false;
    word = load64(end - 8) >> others << others | (zeros & ~(~0ull << others));
    if ((((word + 0x4646464646464646) | (word - zeros)) & 0x8080808080808080) != 0)
        return false;
    word = (word & 0x0f0f0f0f0f0f0f0f) * 2561 >> 8;
    word = (word & 0x00ff00ff00ff00ff) * 6553601 >> 16;
    *ret = (uint32_t)((word & 0x0000ffff0000ffff) * 42949672960001 >> 32);
    return true;
}

/* ---- Names ---- */

/* Header fields by the sum of their names' first eight letters, in lower case: no two share it,
 * which the compiler sees to. */
#define SUM(a, b, c, d, e, f, g, h) (((a) + (b) + (c) + (d) + (e) + (f) + (g) + (h)) & 255)

static const struct {
    char text[16]; /* zeros behind it */
    uint64_t id;
} known_fields[256] = {
    [SUM('v', 'i', 'a', 0, 0, 0, 0, 0)] = {"via", SIP_VIA},
    [SUM('v', 0, 0, 0, 0, 0, 0, 0)] = {"v", SIP_VIA},
    [SUM('r', 'o', 'u', 't', 'e', 0, 0, 0)] = {"route", SIP_ROUTE},
    [SUM('r', 'e', 'c', 'o', 'r', 'd', '-', 'r')] = {"record-route", SIP_RECORD_ROUTE},
    [SUM('c', 'a', 'l', 'l', '-', 'i', 'd', 0)] = {"call-id", SIP_CALL_ID},
    [SUM('i', 0, 0, 0, 0, 0, 0, 0)] = {"i", SIP_CALL_ID},
    [SUM('c', 's', 'e', 'q', 0, 0, 0, 0)] = {"cseq", SIP_CSEQ},
    [SUM('f', 'r', 'o', 'm', 0, 0, 0, 0)] = {"from", SIP_FROM},
    [SUM('f', 0, 0, 0, 0, 0, 0, 0)] = {"f", SIP_FROM},
    [SUM('t', 'o', 0, 0, 0, 0, 0, 0)] = {"to", SIP_TO},
    [SUM('t', 0, 0, 0, 0, 0, 0, 0)] = {"t", SIP_TO},
    [SUM('m', 'a', 'x', '-', 'f', 'o', 'r', 'w')] = {"max-forwards", SIP_MAX_FORWARDS},
    [SUM('c', 'o', 'n', 't', 'e', 'n', 't', '-')] = {"content-length", SIP_CONTENT_LENGTH},
    [SUM('l', 0, 0, 0, 0, 0, 0, 0)] = {"l", SIP_CONTENT_LENGTH},
    [SUM('c', 'o', 'n', 't', 'a', 'c', 't', 0)] = {"contact", SIP_CONTACT},
    [SUM('m', 0, 0, 0, 0, 0, 0, 0)] = {"m", SIP_CONTACT},
    [SUM('p', 'a', 't', 'h', 0, 0, 0, 0)] = {"path", SIP_PATH},
    [SUM('s', 'u', 'p', 'p', 'o', 'r', 't', 'e')] = {"supported", SIP_SUPPORTED},
    [SUM('k', 0, 0, 0, 0, 0, 0, 0)] = {"k", SIP_SUPPORTED},
    [SUM('r', 'e', 'q', 'u', 'i', 'r', 'e', 0)] = {"require", SIP_REQUIRE},
    [SUM('p', 'r', 'o', 'x', 'y', '-', 'r', 'e')] = {"proxy-require", SIP_PROXY_REQUIRE},
    [SUM('r', 'e', 'p', 'l', 'a', 'c', 'e', 's')] = {"replaces", SIP_REPLACES},
    [SUM('j', 'o', 'i', 'n', 0, 0, 0, 0)] = {"join", SIP_JOIN},
    [SUM('t', 'a', 'r', 'g', 'e', 't', '-', 'd')] = {"target-dialog", SIP_TARGET_DIALOG},
    [SUM('r', 'e', 'f', 'e', 'r', '-', 't', 'o')] = {"refer-to", SIP_REFER_TO},
    [SUM('r', 0, 0, 0, 0, 0, 0, 0)] = {"r", SIP_REFER_TO},
    [SUM('r', 'e', 't', 'r', 'y', '-', 'a', 'f')] = {"retry-after", SIP_RETRY_AFTER},
    [SUM('e', 'x', 'p', 'i', 'r', 'e', 's', 0)] = {"expires", SIP_EXPIRES},
};

/* Methods by length and first letter. */
struct known {
    char text[15];
    uint8_t id;
};

#define SLOT(length, letter) ((length)*10u + ((letter)&31u))
enum { METHOD_LENGTH_MAX = 16 };

static const struct known known_methods[SLOT(METHOD_LENGTH_MAX, 31) + 1] = {
    [SLOT(6, 'I')] = {"INVITE", SIP_INVITE},   [SLOT(3, 'A')] = {"ACK", SIP_ACK},
    [SLOT(3, 'B')] = {"BYE", SIP_BYE},         [SLOT(6, 'C')] = {"CANCEL", SIP_CANCEL},
    [SLOT(7, 'O')] = {"OPTIONS", SIP_OPTIONS}, [SLOT(8, 'R')] = {"REGISTER", SIP_REGISTER},
    [SLOT(5, 'P')] = {"PRACK", SIP_PRACK},     [SLOT(9, 'S')] = {"SUBSCRIBE", SIP_SUBSCRIBE},
    [SLOT(6, 'N')] = {"NOTIFY", SIP_NOTIFY},   [SLOT(7, 'P')] = {"PUBLISH", SIP_PUBLISH},
    [SLOT(4, 'I')] = {"INFO", SIP_INFO},       [SLOT(5, 'R')] = {"REFER", SIP_REFER},
    [SLOT(7, 'M')] = {"MESSAGE", SIP_MESSAGE}, [SLOT(6, 'U')] = {"UPDATE", SIP_UPDATE},
};

/* Bit i: the sixteen bytes differ at i. */
static inline uint32_t differences(__m128i a, __m128i b)
{
    return 0xffffu ^ (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, b));
}

/* Whether the name is what is known at its slot. Where nothing is, and for a name of more than 15
 * bytes, it never is: no text is that long, and the id behind it is no character. */
static inline bool is_known(const struct known *known, __m128i name, uint32_t length)
{
    return _bzhi_u32(differences(name, load16(known)), length) == 0;
}

/* The method of that text, SIP_METHOD_UNKNOWN when it is another; at most 16 bytes. */
static inline uint32_t method_id(__m128i text, uint32_t length)
{
    const struct known *known = &known_methods[SLOT(length, (uint32_t)_mm_cvtsi128_si32(text))];

    return is_known(known, text, length) ? known->id : SIP_METHOD_UNKNOWN;
}

#endif
