/* SPDX-License-Identifier: Apache-2.0 */
/* Signed records as text: bytes, base64url, keys. Knows neither tokens nor Vias. */
#include "dataplane/proxy/seal.h"

#include <assert.h>
#include <errno.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void proxy_seal_put(struct proxy_seal *seal, uint64_t number, uint32_t bytes)
{
    assert(seal->length + bytes <= PROXY_SEAL_BYTES_MAX);
    for (uint32_t i = bytes; i-- > 0;)
        seal->bytes[seal->length++] = (uint8_t)(number >> (8 * i));
}

void proxy_seal_put_ip(struct proxy_seal *seal, const struct sip_ip *ip)
{
    uint32_t skip = sip_ip_is_v4(ip) ? 12 : 0;

    assert(seal->length + 16 - skip <= PROXY_SEAL_BYTES_MAX);
    memcpy(seal->bytes + seal->length, ip->bytes + skip, 16 - skip);
    seal->length += 16 - skip;
}

uint64_t proxy_seal_get(struct proxy_seal *seal, uint32_t bytes)
{
    uint64_t number = 0;

    if (bytes > seal->length - seal->at)
        return 0;
    for (uint32_t i = 0; i < bytes; i++)
        number = number << 8 | seal->bytes[seal->at++];
    return number;
}

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

uint32_t proxy_seal_print(const struct proxy_seal *seal, char *ret_text)
{
    uint32_t length = 0, bits = 0, held = 0;

    for (uint32_t i = 0; i < seal->length; i++) {
        held = held << 8 | seal->bytes[i];
        for (bits += 8; bits >= 6; bits -= 6)
            ret_text[length++] = digits[held >> (bits - 6) & 63];
    }
    if (bits > 0)
        ret_text[length++] = digits[held << (6 - bits) & 63];
    return length;
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : -1;
}

int proxy_seal_parse(struct sip_slice text, struct proxy_seal *ret)
{
    struct proxy_seal seal = {0};
    uint32_t bits = 0, held = 0;

    if ((uint64_t)text.length * 6 / 8 > PROXY_SEAL_BYTES_MAX)
        return -EINVAL;
    for (uint32_t i = 0; i < text.length; i++) {
        int value = digit_value(text.at[i]);

        if (value < 0)
            return -EINVAL;
        held = held << 6 | (uint32_t)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            seal.bytes[seal.length++] = (uint8_t)(held >> bits);
        }
    }
    /* Left-over bits must be fewer than a digit's, and 0, or two texts would mean one record. */
    if (bits >= 6 || (held & ((1u << bits) - 1)) != 0)
        return -EINVAL;
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

    for (int i = 0; i < 16; i++)
        ret_text[i] = hex[number >> (60 - 4 * i) & 15];
}
