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

/* A byte in each of a word's eight. */
static inline uint64_t eight(uint8_t byte)
{
    return byte * 0x0101010101010101u;
}

/* 1 in each byte that is at least `least`; all are below 64. */
static inline uint64_t at_least(uint64_t bytes, uint8_t least)
{
    return (bytes + eight((uint8_t)(0x80 - least))) >> 7 & eight(1);
}

/*
 * The eight digits of 48 bits, the first in the lowest byte. The bits are halved three times, then
 * moved to where their digits are: ABC…Zabc…z0123456789-_.
 */
static inline uint64_t digits_of(uint64_t bits)
{
    uint64_t d = bits >> 24 | (bits & 0xffffff) << 32;

    d = (d >> 12 & 0x00000fff00000fff) | (d & 0x00000fff00000fff) << 16;
    d = (d >> 6 & 0x003f003f003f003f) | (d & 0x003f003f003f003f) << 8;
    return d + eight('A') + at_least(d, 26) * ('a' - 26 - 'A') -
           at_least(d, 52) * ('a' - 26 - '0' + 52) - at_least(d, 62) * ('0' - 52 - '-' + 62) +
           at_least(d, 63) * ('_' - 63 - '-' + 62);
}

/* What a digit stands for, and 1 more; 0: no digit. */
static const uint8_t values[256] = {
    ['A'] = 1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,         12,         13,
    14,         15, 16, 17, 18, 19, 20, 21, 22, 23, 24,         25,         26,
    ['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37,         38,         39,
    40,         41, 42, 43, 44, 45, 46, 47, 48, 49, 50,         51,         52,
    ['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, ['-'] = 63, ['_'] = 64,
};

uint32_t proxy_seal_print(struct proxy_seal *seal, char *ret_text)
{
    uint32_t length = (seal->length * 4 + 2) / 3;
    uint64_t bits = 0;

    memcpy(seal->bytes + seal->length, &bits, sizeof(bits));
    for (uint32_t at = 0; at < seal->length; at += STEP_BYTES) {
        memcpy(&bits, seal->bytes + at, sizeof(bits));
        bits = htole64(digits_of(be64toh(bits) >> 16));
        memcpy(ret_text, &bits, STEP_DIGITS);
        ret_text += STEP_DIGITS;
    }
    return length;
}

/* The bits of up to eight digits, from the highest on. False: one is none. */
static inline bool read_digits(const char *text, uint32_t n, uint64_t *ret_bits)
{
    uint64_t bits = 0;
    uint32_t wrong = 0;

#pragma GCC unroll 8
    for (uint32_t i = 0; i < n; i++) {
        uint32_t value = values[(uint8_t)text[i]] - 1u;

        wrong |= value;
        bits |= (uint64_t)(value & 63) << (58 - 6 * i);
    }
    *ret_bits = bits;
    return wrong < 64;
}

/* Cuts up to eight digits off. Nearly always there are eight: a number that unrolls. */
static inline bool take_digits(struct sip_slice *text, uint64_t *ret_bits)
{
    bool read;

    if (text->length < STEP_DIGITS) {
        read = read_digits(text->at, text->length, ret_bits);
        text->length = 0;
        return read;
    }
    read = read_digits(text->at, STEP_DIGITS, ret_bits);
    text->at += STEP_DIGITS;
    text->length -= STEP_DIGITS;
    return read;
}

int proxy_seal_parse(struct sip_slice text, struct proxy_seal *ret)
{
    uint32_t length = text.length / 4 * 3 + text.length % 4 * 6 / 8, at = 0;
    struct proxy_seal seal;
    uint64_t bits = 0;

    /* A digit alone is no byte. */
    if (length > PROXY_SEAL_BYTES_MAX || text.length % 4 == 1)
        return -EINVAL;
    for (; text.length > 0; at += STEP_BYTES) {
        uint64_t word;

        if (!take_digits(&text, &bits))
            return -EINVAL;
        word = htobe64(bits);
        memcpy(seal.bytes + at, &word, sizeof(word));
    }
    /* Bits that are left over must be 0, or two texts would mean one record. */
    if (bits << (8 * (length + STEP_BYTES - at)) != 0)
        return -EINVAL;
    seal.length = length;
    seal.at = 0;
    *ret = seal;
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

/* The eight digits of 32 bits, the first in the lowest byte. */
static inline uint64_t hex_of(uint32_t number)
{
    uint64_t d = (uint64_t)(number & 0xffff) << 32 | number >> 16;

    d = (d >> 8 & 0x000000ff000000ff) | (d & 0x000000ff000000ff) << 16;
    d = (d >> 4 & 0x000f000f000f000f) | (d & 0x000f000f000f000f) << 8;
    return d + eight('0') + at_least(d, 10) * ('a' - 10 - '0');
}

void proxy_seal_hex(uint64_t number, char ret_text[16])
{
    uint64_t text[2] = {htole64(hex_of((uint32_t)(number >> 32))),
                        htole64(hex_of((uint32_t)number))};

    memcpy(ret_text, text, sizeof(text));
}
