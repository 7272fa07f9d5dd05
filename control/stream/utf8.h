/* SPDX-License-Identifier: Apache-2.0 */
/* Whether bytes are UTF-8 (RFC 3629 §4), as they come. */
#ifndef TANDEM_CONTROL_STREAM_UTF8_H
#define TANDEM_CONTROL_STREAM_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A character that has begun. All zero at first, and whenever a character is whole. */
struct utf8 {
    uint8_t left;      /* bytes that it still needs */
    uint8_t low, high; /* what the next one of them may be */
};

/* False when the bytes go on as no UTF-8 does; *utf8 is of no use then. */
bool utf8_take(struct utf8 *utf8, const char *bytes, size_t n);

static inline bool utf8_is_whole(const struct utf8 *utf8)
{
    return utf8->left == 0;
}

#endif
