/* SPDX-License-Identifier: Apache-2.0 */
/* Signed records as text: bytes, base64url, keys. Knows neither tokens nor Vias. */
#include "dataplane/proxy/seal.h"

#include <errno.h>

struct sip_ip proxy_seal_get_ip(struct proxy_seal *seal, bool v4)
{
    struct sip_ip ip = {{0}};
    uint32_t bytes = v4 ? 4 : 16;

    if (bytes > seal->length - seal->at)
        return ip;
    ip = v4 ? sip_ip_from_v4(seal->bytes + seal->at) : sip_ip_from_v6(seal->bytes + seal->at);
    seal->at += bytes;
    return ip;
}

enum { STEP_BYTES = 6, STEP_DIGITS = 8 }; /* of 48 bits */

typedef uint64_t two_steps __attribute__((vector_size(2 * STEP_DIGITS)));
typedef int8_t signed_digits __attribute__((vector_size(2 * STEP_DIGITS)));
typedef uint8_t letters __attribute__((vector_size(2 * STEP_DIGITS)));

/*
 * The digits of twice 48 bits, as text. The bits are halved three times, the first in front, then
 * moved to where their digits are: ABC…Zabc…z0123456789-_.
 */
static inline void print_steps(uint64_t first, uint64_t second, char *ret_text)
{
    two_steps d = {first, second};
    signed_digits v;

    d = d >> 24 | (d & 0xffffff) << 32;
    d = (d >> 12 & 0x00000fff00000fff) | (d & 0x00000fff00000fff) << 16;
    d = (d >> 6 & 0x003f003f003f003f) | (d & 0x003f003f003f003f) << 8;
    v = (signed_digits)d;
    v += 'A' + ((v > 25) & ('a' - 26 - 'A')) - ((v > 51) & ('a' - 26 - '0' + 52)) -
         ((v > 61) & ('0' - 52 - '-' + 62)) + ((v > 62) & ('_' - 63 - '-' + 62));
    memcpy(ret_text, &v, sizeof(v));
}

static inline uint64_t load_step(const uint8_t *at)
{
    uint64_t bits;

    memcpy(&bits, at, sizeof(bits));
    return be64toh(bits) >> 16;
}

uint32_t proxy_seal_print(struct proxy_seal *seal, char *ret_text)
{
    memset(seal->bytes + seal->length, 0, sizeof(uint64_t));
    for (uint32_t at = 0; at < seal->length; at += 2 * STEP_BYTES) {
        print_steps(load_step(seal->bytes + at), load_step(seal->bytes + at + STEP_BYTES),
                    ret_text);
        ret_text += 2 * STEP_DIGITS;
    }
    return (seal->length * 4 + 2) / 3;
}

/* The way back: false when one of sixteen is no digit. */
static inline bool read_steps(const char *text, uint64_t ret[2])
{
    letters c, upper, lower_case, number, dash, line, all;
    uint64_t halves[2];
    two_steps d;

    memcpy(&c, text, sizeof(c));
    upper = (letters)((c >= 'A') & (c <= 'Z'));
    lower_case = (letters)((c >= 'a') & (c <= 'z'));
    number = (letters)((c >= '0') & (c <= '9'));
    dash = (letters)(c == '-');
    line = (letters)(c == '_');
    all = upper | lower_case | number | dash | line;
    d = (two_steps)((upper & (c - 'A')) | (lower_case & (c - 'a' + 26)) |
                    (number & (c - '0' + 52)) | (dash & 62) | (line & 63));
    d = (d & 0x003f003f003f003f) << 6 | (d >> 8 & 0x003f003f003f003f);
    d = (d & 0x00000fff00000fff) << 12 | (d >> 16 & 0x00000fff00000fff);
    d = (d & 0xffffff) << 24 | (d >> 32 & 0xffffff);
    memcpy(ret, &d, sizeof(d));
    memcpy(halves, &all, sizeof(halves));
    return (halves[0] & halves[1]) == UINT64_MAX;
}

static inline void store_step(uint8_t *at, uint64_t bits)
{
    bits = htobe64(bits << 16);
    memcpy(at, &bits, sizeof(bits));
}

/* Fewer digits than sixteen at the end of a text, and as many zeros after them as make sixteen.
 * Where there are sixteen in front of the end those are read, and the first of them shifted out. */
static inline bool read_last(struct sip_slice text, uint32_t left, uint64_t ret[2])
{
    char digits[2 * STEP_DIGITS + 1] = "AAAAAAAAAAAAAAAA"; /* zeros */
    uint64_t steps[2];
    unsigned __int128 bits;

    if (text.length < 2 * STEP_DIGITS) {
        memcpy(digits, text.at, left);
        return read_steps(digits, ret);
    }
    if (!read_steps(text.at + text.length - 2 * STEP_DIGITS, steps))
        return false;
    bits = ((unsigned __int128)steps[0] << 48 | steps[1]) << 6 * (2 * STEP_DIGITS - left);
    ret[0] = (uint64_t)(bits >> 48) & 0xffffffffffff;
    ret[1] = (uint64_t)bits & 0xffffffffffff;
    return true;
}

int proxy_seal_parse(struct sip_slice text, struct proxy_seal *ret)
{
    uint32_t length = text.length / 4 * 3 + text.length % 4 * 6 / 8, at = 0;
    uint32_t left = text.length;
    uint64_t steps[2];

    /* A digit alone is no byte. */
    if (length > PROXY_SEAL_BYTES_MAX || text.length % 4 == 1)
        return -EINVAL;
    for (; left > 0; at += 2 * STEP_BYTES) {
        if (left >= 2 * STEP_DIGITS ? !read_steps(text.at + text.length - left, steps)
                                    : !read_last(text, left, steps))
            return -EINVAL;
        store_step(ret->bytes + at, steps[0]);
        store_step(ret->bytes + at + STEP_BYTES, steps[1]);
        left -= left < 2 * STEP_DIGITS ? left : 2 * STEP_DIGITS;
    }
    /* Bits that are left over must be 0, or two texts would mean one record. */
    if (at > length && ret->bytes[length] != 0)
        return -EINVAL;
    ret->length = length;
    ret->at = 0;
    return 0;
}

const struct snapshot_mac_key *proxy_seal_signing_key(const struct snapshot *s)
{
    return &s->mac[SNAPSHOT_MAC_CURRENT];
}

const struct snapshot_mac_key *proxy_seal_key(const struct snapshot *s, uint8_t id)
{
    for (int i = 0; i < SNAPSHOT_MAC_KEYS; i++) {
        if (s->mac[i].valid && s->mac[i].id == id)
            return &s->mac[i];
    }
    return NULL;
}

bool proxy_seal_mac_equal(uint64_t a, uint64_t b)
{
    return (a ^ b) == 0;
}

/* A byte in each of a word's eight. */
static inline uint64_t eight(uint8_t byte)
{
    return byte * 0x0101010101010101u;
}

/* Eight characters with their letters in lower case; bytes above 0x7f are none. */
static inline uint64_t lower(uint64_t text)
{
    uint64_t low = text & eight(0x7f);
    uint64_t upper = (low + eight(0x80 - 'A')) & ~(low + eight(0x7f - 'Z')) & ~text & eight(0x80);

    return text | upper >> 2;
}

void proxy_seal_add_host(struct lb_siphash *h, struct sip_slice host)
{
    uint64_t text[8];

    lb_siphash_add(h, &host.length, sizeof(host.length));
    while (host.length > 0) {
        uint32_t part = host.length < sizeof(text) ? host.length : (uint32_t)sizeof(text);
        uint32_t last = (part - 1) / 8;

        text[last] = 0;
        memcpy(text, host.at, part);
        for (uint32_t i = 0; i <= last; i++)
            text[i] = lower(text[i]);
        lb_siphash_add(h, text, part);
        host.at += part;
        host.length -= part;
    }
}

uint64_t proxy_seal_hash_host(const struct lb_key *key, struct sip_slice host)
{
    struct lb_siphash h;

    lb_siphash24_init(&h, key);
    lb_siphash_add(&h, "host", 4);
    proxy_seal_add_host(&h, host);
    return lb_siphash_end(&h);
}

uint64_t proxy_seal_hash_text(const struct lb_key *key, struct sip_slice text)
{
    struct lb_siphash h;

    lb_siphash24_init(&h, key);
    lb_siphash_add(&h, "Text", 4);
    lb_siphash_add(&h, text.at, text.length);
    return lb_siphash_end(&h);
}

/* The eight digits of 32 bits, the first in the lowest byte. */
static inline uint64_t hex_of(uint32_t number)
{
    uint64_t d = (uint64_t)(number & 0xffff) << 32 | number >> 16;

    d = (d >> 8 & 0x000000ff000000ff) | (d & 0x000000ff000000ff) << 16;
    d = (d >> 4 & 0x000f000f000f000f) | (d & 0x000f000f000f000f) << 8;
    /* 6 more than 9 leave the lower half. */
    return d + eight('0') + ((d + eight(6)) >> 4 & eight(1)) * ('a' - 10 - '0');
}

void proxy_seal_hex(uint64_t number, char ret_text[16])
{
    uint64_t text[2] = {htole64(hex_of((uint32_t)(number >> 32))),
                        htole64(hex_of((uint32_t)number))};

    memcpy(ret_text, text, sizeof(text));
}

/* What the digits would mean, if they were some. */
static inline uint32_t number_of(uint64_t text)
{
    uint64_t d = ((text & eight(0x0f)) + (text >> 6 & eight(1)) * 9) & eight(0x0f);

    d = (d << 4 | d >> 8) & 0x00ff00ff00ff00ff;
    d = (d << 8 | d >> 16) & 0x0000ffff0000ffff;
    return (uint32_t)(d << 16 | d >> 32);
}

int proxy_seal_read_hex(const char text[16], uint64_t *ret)
{
    uint64_t halves[2];
    uint32_t high, low;

    memcpy(halves, text, sizeof(halves));
    halves[0] = le64toh(halves[0]);
    halves[1] = le64toh(halves[1]);
    high = number_of(halves[0]);
    low = number_of(halves[1]);
    if (hex_of(high) != halves[0] || hex_of(low) != halves[1])
        return -EACCES;
    *ret = (uint64_t)high << 32 | low;
    return 0;
}
