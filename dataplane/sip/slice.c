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

uint32_t sip_number_print(uint32_t number, char *ret_text)
{
    uint32_t length = 1;

    for (uint64_t above = 10; number >= above; above *= 10)
        length++;
    for (uint32_t at = length; at > 0; number /= 10)
        ret_text[--at] = (char)('0' + number % 10);
    return length;
}
