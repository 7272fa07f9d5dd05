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

enum { IS_DIGIT = 64 };

/* What a digit stands for, and IS_DIGIT; 0: no digit. */
static const uint8_t values[256] = {
    ['A'] = 64,  ['B'] = 65,  ['C'] = 66,  ['D'] = 67,  ['E'] = 68,  ['F'] = 69,  ['G'] = 70,
    ['H'] = 71,  ['I'] = 72,  ['J'] = 73,  ['K'] = 74,  ['L'] = 75,  ['M'] = 76,  ['N'] = 77,
    ['O'] = 78,  ['P'] = 79,  ['Q'] = 80,  ['R'] = 81,  ['S'] = 82,  ['T'] = 83,  ['U'] = 84,
    ['V'] = 85,  ['W'] = 86,  ['X'] = 87,  ['Y'] = 88,  ['Z'] = 89,  ['a'] = 90,  ['b'] = 91,
    ['c'] = 92,  ['d'] = 93,  ['e'] = 94,  ['f'] = 95,  ['g'] = 96,  ['h'] = 97,  ['i'] = 98,
    ['j'] = 99,  ['k'] = 100, ['l'] = 101, ['m'] = 102, ['n'] = 103, ['o'] = 104, ['p'] = 105,
    ['q'] = 106, ['r'] = 107, ['s'] = 108, ['t'] = 109, ['u'] = 110, ['v'] = 111, ['w'] = 112,
    ['x'] = 113, ['y'] = 114, ['z'] = 115, ['0'] = 116, ['1'] = 117, ['2'] = 118, ['3'] = 119,
    ['4'] = 120, ['5'] = 121, ['6'] = 122, ['7'] = 123, ['8'] = 124, ['9'] = 125, ['-'] = 126,
    ['_'] = 127,
};

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

/* The bits of up to eight digits, from the highest of 48 on. False: one is none. */
static inline bool read_digits(const char *text, uint32_t n, uint64_t *ret_bits)
{
    uint64_t bits = 0;
    uint32_t all = IS_DIGIT;

#pragma GCC unroll 8
    for (uint32_t i = 0; i < n; i++) {
        uint32_t value = values[(uint8_t)text[i]];

        all &= value;
        bits = bits << 6 | (value ^ IS_DIGIT);
    }
    *ret_bits = bits << 6 * (STEP_DIGITS - n) << 16;
    return all != 0;
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
