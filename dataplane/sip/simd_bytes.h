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

/* A name that is known, where its length and a letter of it put it; 0 and no text elsewhere. */
struct known {
    char text[15];
    uint8_t id;
};

#define SLOT(length, letter) ((length)*10u + ((letter)&31u))
enum { NAME_LENGTH_MAX = 15, METHOD_LENGTH_MAX = 16 };

/* Header fields by length and last letter, in lower case. */
static const struct known known_fields[SLOT(NAME_LENGTH_MAX, 31) + 1] = {
    [SLOT(3, 'a')] = {"via", SIP_VIA},
    [SLOT(1, 'v')] = {"v", SIP_VIA},
    [SLOT(5, 'e')] = {"route", SIP_ROUTE},
    [SLOT(12, 'e')] = {"record-route", SIP_RECORD_ROUTE},
    [SLOT(7, 'd')] = {"call-id", SIP_CALL_ID},
    [SLOT(1, 'i')] = {"i", SIP_CALL_ID},
    [SLOT(4, 'q')] = {"cseq", SIP_CSEQ},
    [SLOT(4, 'm')] = {"from", SIP_FROM},
    [SLOT(1, 'f')] = {"f", SIP_FROM},
    [SLOT(2, 'o')] = {"to", SIP_TO},
    [SLOT(1, 't')] = {"t", SIP_TO},
    [SLOT(12, 's')] = {"max-forwards", SIP_MAX_FORWARDS},
    [SLOT(14, 'h')] = {"content-length", SIP_CONTENT_LENGTH},
    [SLOT(1, 'l')] = {"l", SIP_CONTENT_LENGTH},
    [SLOT(7, 't')] = {"contact", SIP_CONTACT},
    [SLOT(1, 'm')] = {"m", SIP_CONTACT},
    [SLOT(4, 'h')] = {"path", SIP_PATH},
    [SLOT(9, 'd')] = {"supported", SIP_SUPPORTED},
    [SLOT(1, 'k')] = {"k", SIP_SUPPORTED},
    [SLOT(7, 'e')] = {"require", SIP_REQUIRE},
    [SLOT(13, 'e')] = {"proxy-require", SIP_PROXY_REQUIRE},
    [SLOT(8, 's')] = {"replaces", SIP_REPLACES},
    [SLOT(4, 'n')] = {"join", SIP_JOIN},
    [SLOT(13, 'g')] = {"target-dialog", SIP_TARGET_DIALOG},
    [SLOT(8, 'o')] = {"refer-to", SIP_REFER_TO},
    [SLOT(1, 'r')] = {"r", SIP_REFER_TO},
    [SLOT(11, 'r')] = {"retry-after", SIP_RETRY_AFTER},
    [SLOT(7, 's')] = {"expires", SIP_EXPIRES},
};

/* Methods by length and first letter. */
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

/* The id of what is known at that slot, when the name is it; else 0. No slot's text is as long as
 * sixteen bytes, so the comparison of a longer name fails at the id behind it. */
static inline uint32_t known_id(const struct known *known, __m128i name, uint32_t length)
{
    uint32_t wrong = _bzhi_u32(differences(name, load16(known)), length);

    return known->id & -(uint32_t)(wrong == 0); /* no branch: names come in any order */
}

#endif
