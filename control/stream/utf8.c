/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 by its table in RFC 3629 §4: no overlong forms, no surrogates, nothing above U+10FFFF. */
#include "control/stream/utf8.h"

#include <string.h>

static const uint64_t HIGH_BITS = 0x8080808080808080;

/* How many of the first bytes are ASCII, in steps of eight: nearly all of SIP is. */
static size_t skip_ascii(const char *bytes, size_t n)
{
    size_t at = 0;
    uint64_t word;

    for (; n - at >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, bytes + at, sizeof(word));
        if ((word & HIGH_BITS) != 0)
            break;
    }
    return at;
}

static bool begin(struct utf8 *utf8, uint8_t byte)
{
    if (byte < 0xc2 || byte > 0xf4)
        return false;
    utf8->left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    utf8->low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    utf8->high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    return true;
}

bool utf8_take(struct utf8 *utf8, const char *bytes, size_t n)
{
    size_t at = utf8->left == 0 ? skip_ascii(bytes, n) : 0;

    for (; at < n; at++) {
        uint8_t byte = (uint8_t)bytes[at];

        if (utf8->left > 0) {
            if (byte < utf8->low || byte > utf8->high)
                return false;
            *utf8 = (struct utf8){(uint8_t)(utf8->left - 1), 0x80, 0xbf};
        } else if (byte >= 0x80 && !begin(utf8, byte)) {
            return false;
        }
    }
    return true;
}
