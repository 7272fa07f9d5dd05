/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tells one sent message from all others, in the message itself: the last line of its body, or
 * of its header section when it has none, holds a number as letters and the number's complement.
 * Both together always have the same sum, so that no checksum changes with the number. It must not
 * know what messages are.
 */
#ifndef TANDEM_PERF_STAMP_H
#define TANDEM_PERF_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { STAMP_DIGITS = 8, STAMP_BYTES = 2 * STAMP_DIGITS };

static inline void stamp_write(char *at, uint32_t number)
{
    for (uint32_t i = 0; i < STAMP_DIGITS; i++, number >>= 4) {
        at[i] = (char)('a' + (number & 15));
        at[STAMP_DIGITS + i] = (char)('p' - (number & 15));
    }
}

/* False: no stamp is there. */
static inline bool stamp_read(const char *at, uint32_t *ret_number)
{
    uint32_t number = 0, wrong = 0;

    for (uint32_t i = STAMP_DIGITS; i-- > 0;) {
        uint32_t digit = (uint32_t)(at[i] - 'a');

        wrong |= digit & ~15u;
        wrong |= (uint32_t)(at[STAMP_DIGITS + i] - 'p') + digit;
        number = number << 4 | (digit & 15);
    }
    *ret_number = number;
    return wrong == 0;
}

/* Offset of the stamp in a message of `length` bytes: two or four bytes of line ends follow it.
 * -1: it is too short. */
static inline int32_t stamp_offset(const char *message, uint32_t length)
{
    if (length < STAMP_BYTES + 4)
        return -1;
    return (int32_t)(length - STAMP_BYTES - (message[length - 3] == '\n' ? 4 : 2));
}

#endif
