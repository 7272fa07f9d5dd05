/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slices and the classes of characters that RFC 3261 §25.1 builds its grammar from. Knows no
 * header field and no message.
 */
#include "dataplane/sip/slice.h"

#include <errno.h>

#define ALNUM (SIP_CHAR_TOKEN | SIP_CHAR_HOST | SIP_CHAR_VISIBLE | SIP_CHAR_SCHEME)
#define MARK (SIP_CHAR_TOKEN | SIP_CHAR_VISIBLE)
#define STOP (SIP_CHAR_STOP | SIP_CHAR_VISIBLE)

const uint8_t sip_char_table[256] = {
    ['\t'] = SIP_CHAR_LWS,
    ['\n'] = SIP_CHAR_LWS,
    ['\r'] = SIP_CHAR_LWS,
    [' '] = SIP_CHAR_LWS,
    ['!'] = MARK,
    ['"'] = STOP,
    ['#'] = SIP_CHAR_VISIBLE,
    ['$'] = SIP_CHAR_VISIBLE,
    ['%'] = MARK,
    ['&'] = SIP_CHAR_VISIBLE,
    ['\''] = MARK,
    ['('] = SIP_CHAR_VISIBLE,
    [')'] = SIP_CHAR_VISIBLE,
    ['*'] = MARK,
    ['+'] = MARK | SIP_CHAR_SCHEME,
    [','] = STOP,
    ['-'] = ALNUM,
    ['.'] = ALNUM,
    ['/'] = SIP_CHAR_VISIBLE,
    ['0' ... '9'] = ALNUM | SIP_CHAR_DIGIT,
    [':'] = SIP_CHAR_VISIBLE,
    [';'] = STOP,
    ['<'] = STOP,
    ['='] = SIP_CHAR_VISIBLE,
    ['>'] = STOP,
    ['?'] = SIP_CHAR_VISIBLE,
    ['@'] = SIP_CHAR_VISIBLE,
    ['A' ... 'Z'] = ALNUM | SIP_CHAR_ALPHA,
    ['['] = SIP_CHAR_VISIBLE,
    ['\\'] = SIP_CHAR_VISIBLE,
    [']'] = SIP_CHAR_VISIBLE,
    ['^'] = SIP_CHAR_VISIBLE,
    ['_'] = MARK | SIP_CHAR_HOST,
    ['`'] = MARK,
    ['a' ... 'z'] = ALNUM | SIP_CHAR_ALPHA,
    ['{'] = SIP_CHAR_VISIBLE,
    ['|'] = SIP_CHAR_VISIBLE,
    ['}'] = SIP_CHAR_VISIBLE,
    ['~'] = MARK,
    [0x80 ... 0xff] = SIP_CHAR_VISIBLE,
};

const char sip_pairs[100][2] = {
    "00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14",
    "15", "16", "17", "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29",
    "30", "31", "32", "33", "34", "35", "36", "37", "38", "39", "40", "41", "42", "43", "44",
    "45", "46", "47", "48", "49", "50", "51", "52", "53", "54", "55", "56", "57", "58", "59",
    "60", "61", "62", "63", "64", "65", "66", "67", "68", "69", "70", "71", "72", "73", "74",
    "75", "76", "77", "78", "79", "80", "81", "82", "83", "84", "85", "86", "87", "88", "89",
    "90", "91", "92", "93", "94", "95", "96", "97", "98", "99",
};

static inline char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool sip_slice_only(struct sip_slice s, int classes)
{
    for (uint32_t i = 0; i < s.length; i++) {
        if (!sip_char_is(s.at[i], classes))
            return false;
    }
    return s.length > 0;
}

bool sip_slice_equal_nocase(struct sip_slice a, struct sip_slice b)
{
    if (a.length != b.length)
        return false;
    for (uint32_t i = 0; i < a.length; i++) {
        if (a.at[i] != b.at[i] && lower(a.at[i]) != lower(b.at[i]))
            return false;
    }
    return true;
}

struct sip_slice sip_slice_trim(struct sip_slice s)
{
    while (s.length > 0 && sip_char_is(s.at[0], SIP_CHAR_LWS)) {
        s.at++;
        s.length--;
    }
    while (s.length > 0 && sip_char_is(s.at[s.length - 1], SIP_CHAR_LWS))
        s.length--;
    return s;
}

int sip_slice_number(struct sip_slice s, uint64_t max, uint64_t *ret)
{
    uint64_t number = 0;
    bool above = false;

    for (uint32_t i = 0; i < s.length; i++) {
        uint8_t digit = (uint8_t)(s.at[i] - '0');

        if (digit > 9)
            return -EINVAL;
        above = above || __builtin_mul_overflow(number, 10, &number) ||
                __builtin_add_overflow(number, digit, &number) || number > max;
    }
    if (s.length == 0)
        return -EINVAL;
    if (above)
        return -ERANGE;
    *ret = number;
    return 0;
}

static inline uint32_t count_digits(uint32_t number)
{
    uint32_t digits = 1;

    for (; number >= 1000; number /= 1000)
        digits += 3;
    return digits + (number >= 10) + (number >= 100);
}

uint32_t sip_number_print(uint32_t number, char *ret_text)
{
    uint32_t length = count_digits(number), at = length;

    for (; number >= 100; number /= 100) {
        at -= 2;
        memcpy(ret_text + at, sip_pairs[number % 100], 2);
    }
    if (number >= 10)
        memcpy(ret_text, sip_pairs[number], 2);
    else
        ret_text[0] = (char)('0' + number);
    return length;
}
