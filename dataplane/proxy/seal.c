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

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* What a digit stands for, and 1 more; 0: no digit. */
static const uint8_t values[256] = {
    ['A'] = 1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,         12,         13,
    14,         15, 16, 17, 18, 19, 20, 21, 22, 23, 24,         25,         26,
    ['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37,         38,         39,
    40,         41, 42, 43, 44, 45, 46, 47, 48, 49, 50,         51,         52,
    ['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, ['-'] = 63, ['_'] = 64,
};

enum { STEP_BYTES = 6, STEP_DIGITS = 8 }; /* of 48 bits */

uint32_t proxy_seal_print(struct proxy_seal *seal, char *ret_text)
{
    uint32_t length = (seal->length * 4 + 2) / 3;
    uint64_t bits = 0;

    memcpy(seal->bytes + seal->length, &bits, sizeof(bits));
    for (uint32_t at = 0; at < seal->length; at += STEP_BYTES) {
        memcpy(&bits, seal->bytes + at, sizeof(bits));
        bits = be64toh(bits);
        for (uint32_t i = 0; i < STEP_DIGITS; i++, bits <<= 6)
            *ret_text++ = digits[bits >> 58];
    }
    return length;
}

/* Cuts up to eight digits off; their bits from the highest on. False: one is none. */
static inline bool take_digits(struct sip_slice *text, uint64_t *ret_bits)
{
    uint32_t n = text->length < STEP_DIGITS ? text->length : STEP_DIGITS, wrong = 0;
    uint64_t bits = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t value = values[(uint8_t)text->at[i]] - 1u;

        wrong |= value;
        bits |= (uint64_t)(value & 63) << (58 - 6 * i);
    }
    text->at += n;
    text->length -= n;
    *ret_bits = bits;
    return wrong < 64;
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

void proxy_seal_add_host(struct lb_siphash *h, struct sip_slice host)
{
    char lower[64];

    lb_siphash_add(h, &host.length, sizeof(host.length));
    while (host.length > 0) {
        uint32_t part = host.length < sizeof(lower) ? host.length : (uint32_t)sizeof(lower);

        for (uint32_t i = 0; i < part; i++) {
            char c = host.at[i];

            lower[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        }
        lb_siphash_add(h, lower, part);
        host.at += part;
        host.length -= part;
    }
}

void proxy_seal_hex(uint64_t number, char ret_text[16])
{
    static const char hex[] = "0123456789abcdef";

    for (int i = 0; i < 16; i++, number <<= 4)
        ret_text[i] = hex[number >> 60];
}
