/* SPDX-License-Identifier: Apache-2.0 */
/* STUN Binding requests (RFC 8489, of which RFC 5389 is the older text) and their answers. */
#include "dataplane/proxy/stun.h"

#include <errno.h>

enum {
    HEADER = 20,   /* type, length, magic cookie, transaction id */
    COOKIE_AT = 4, /* cookie and transaction id stand together, as the XOR of IPv6 wants */
    ATTRIBUTE = 4, /* type and length, before the value */
    V4_VALUE = 8,  /* of XOR-MAPPED-ADDRESS */
    V6_VALUE = 20,
    FINGERPRINT_VALUE = 4,
    ERROR_HEAD = 4, /* of ERROR-CODE, before its phrase */
};

enum type {
    BINDING_REQUEST = 0x0001,
    BINDING_SUCCESS = 0x0101,
    BINDING_ERROR = 0x0111,
};

/* RFC 8489 §18.3; those from OPTIONAL on need not be understood. */
enum attribute_type {
    MAPPED_ADDRESS = 0x0001,
    USERNAME = 0x0006,
    MESSAGE_INTEGRITY = 0x0008,
    ERROR_CODE = 0x0009,
    UNKNOWN_ATTRIBUTES = 0x000a,
    REALM = 0x0014,
    NONCE = 0x0015,
    MESSAGE_INTEGRITY_SHA256 = 0x001c,
    PASSWORD_ALGORITHM = 0x001d,
    USERHASH = 0x001e,
    XOR_MAPPED_ADDRESS = 0x0020,
    OPTIONAL = 0x8000,
    FINGERPRINT = 0x8028,
};

enum { FAMILY_V4 = 1, FAMILY_V6 = 2 };

static const uint32_t FINGERPRINT_XOR = 0x5354554e; /* RFC 8489 §14.7: "STUN" */
static const char PHRASE[] = "Unknown Attribute";

struct attribute {
    uint16_t type;
    uint16_t length; /* of the value, padding left out */
    uint32_t at;     /* offset of the attribute in the datagram */
};

static uint32_t padded(uint32_t length)
{
    return (length + 3) & ~UINT32_C(3);
}

static uint16_t get_16(const char *at)
{
    return (uint16_t)((uint8_t)at[0] << 8 | (uint8_t)at[1]);
}

static uint32_t get_32(const char *at)
{
    return (uint32_t)get_16(at) << 16 | get_16(at + 2);
}

static void put_16(char *at, uint32_t value)
{
    at[0] = (char)(value >> 8);
    at[1] = (char)value;
}

static void put_32(char *at, uint32_t value)
{
    put_16(at, value >> 16);
    put_16(at + 2, value);
}

/* ITU V.42's CRC-32, four bits a step: only requests with a FINGERPRINT pay for it. */
static uint32_t crc_32(const char *at, uint32_t length)
{
    static const uint32_t steps[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = UINT32_MAX;

    for (uint32_t i = 0; i < length; i++) {
        crc ^= (uint8_t)at[i];
        crc = crc >> 4 ^ steps[crc & 15];
        crc = crc >> 4 ^ steps[crc & 15];
    }
    return ~crc;
}

/* The attribute at *offset, which moves behind it. False at the end and where none fits. */
static bool next_attribute(struct sip_slice datagram, uint32_t *offset, struct attribute *ret)
{
    uint32_t left = datagram.length - *offset;

    if (left < ATTRIBUTE)
        return false;
    ret->at = *offset;
    ret->type = get_16(datagram.at + *offset);
    ret->length = get_16(datagram.at + *offset + 2);
    if (padded(ret->length) > left - ATTRIBUTE)
        return false;
    *offset += ATTRIBUTE + padded(ret->length);
    return true;
}

/* Whether what stands before it is as it was sent; nothing may stand behind it. */
static bool fingerprint_right(struct sip_slice datagram, const struct attribute *fingerprint)
{
    return fingerprint->length == FINGERPRINT_VALUE &&
           fingerprint->at + ATTRIBUTE + FINGERPRINT_VALUE == datagram.length &&
           get_32(datagram.at + fingerprint->at + ATTRIBUTE) ==
               (crc_32(datagram.at, fingerprint->at) ^ FINGERPRINT_XOR);
}

static bool asks(struct sip_slice datagram)
{
    uint32_t offset = HEADER;
    struct attribute attribute;

    if (datagram.length < HEADER || datagram.length > PROXY_STUN_REQUEST_MAX ||
        get_16(datagram.at) != BINDING_REQUEST ||
        get_16(datagram.at + 2) != datagram.length - HEADER)
        return false;
    while (next_attribute(datagram, &offset, &attribute)) {
        if (attribute.type == FINGERPRINT && !fingerprint_right(datagram, &attribute))
            return false;
    }
    return offset == datagram.length;
}

/* Known ones that have no place in a request are read over (RFC 8489 §6.3). */
static bool is_known(uint16_t type)
{
    static const uint16_t known[] = {
        MAPPED_ADDRESS,
        USERNAME,
        MESSAGE_INTEGRITY,
        ERROR_CODE,
        UNKNOWN_ATTRIBUTES,
        REALM,
        NONCE,
        MESSAGE_INTEGRITY_SHA256,
        PASSWORD_ALGORITHM,
        USERHASH,
        XOR_MAPPED_ADDRESS,
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (type == known[i])
            return true;
    }
    return type >= OPTIONAL;
}

/* What the request asks of us: how many unknown types, written to ret_types unless it is NULL. */
static uint32_t read_request(struct sip_slice datagram, char *ret_types, bool *ret_fingerprint)
{
    uint32_t offset = HEADER, n_unknown = 0;
    struct attribute attribute;
    bool sealed = false; /* what follows MESSAGE-INTEGRITY is not looked at (§14.5) */

    *ret_fingerprint = false;
    while (next_attribute(datagram, &offset, &attribute)) {
        if (!sealed && !is_known(attribute.type)) {
            if (ret_types != NULL)
                put_16(ret_types + (size_t)2 * n_unknown, attribute.type);
            n_unknown++;
        }
        sealed |= attribute.type == MESSAGE_INTEGRITY || attribute.type == MESSAGE_INTEGRITY_SHA256;
        *ret_fingerprint |= attribute.type == FINGERPRINT;
    }
    return n_unknown;
}

uint16_t proxy_stun_status(struct sip_slice datagram)
{
    bool fingerprint;

    if (!asks(datagram))
        return 0;
    return read_request(datagram, NULL, &fingerprint) > 0 ? 420 : 200;
}

static char *put_head(char *at, enum attribute_type type, uint32_t length)
{
    put_16(at, type);
    put_16(at + 2, length);
    return at + ATTRIBUTE;
}

/* The peer's port and address, each byte XORed with what stands from the cookie on (§14.2). */
static void put_mapped(char *answer, const struct sip_addr *peer)
{
    bool v4 = sip_ip_is_v4(&peer->ip);
    const uint8_t *bytes = v4 ? sip_ip_v4_bytes(&peer->ip) : peer->ip.bytes;
    uint32_t length = v4 ? V4_VALUE : V6_VALUE;
    char *value = put_head(answer + HEADER, XOR_MAPPED_ADDRESS, length);

    put_16(value, v4 ? FAMILY_V4 : FAMILY_V6);
    put_16(value + 2, peer->port ^ get_16(answer + COOKIE_AT));
    for (uint32_t i = 4; i < length; i++)
        value[i] = (char)(bytes[i - 4] ^ (uint8_t)answer[COOKIE_AT + i - 4]);
}

static void put_unknown(char *answer, struct sip_slice datagram, uint32_t n_unknown)
{
    uint32_t phrase = sizeof(PHRASE) - 1;
    char *value = put_head(answer + HEADER, ERROR_CODE, ERROR_HEAD + phrase);
    bool fingerprint;

    put_32(value, 4 << 8 | 20); /* class and number of 420 */
    memcpy(value + ERROR_HEAD, PHRASE, phrase);
    value = put_head(value + ERROR_HEAD + padded(phrase), UNKNOWN_ATTRIBUTES, 2 * n_unknown);
    read_request(datagram, value, &fingerprint);
}

int32_t proxy_stun_print(struct sip_slice datagram, const struct sip_addr *peer, char *ret_text,
                         size_t size)
{
    bool fingerprint;
    uint32_t n_unknown = read_request(datagram, NULL, &fingerprint);
    uint32_t length = HEADER + ATTRIBUTE;
    uint32_t whole;

    if (n_unknown > 0)
        length += ERROR_HEAD + padded(sizeof(PHRASE) - 1) + ATTRIBUTE + padded(2 * n_unknown);
    else
        length += sip_ip_is_v4(&peer->ip) ? V4_VALUE : V6_VALUE;
    whole = length + (fingerprint ? ATTRIBUTE + FINGERPRINT_VALUE : 0);
    if (whole > size)
        return -ENOSPC;
    memset(ret_text, 0, whole); /* padding */
    put_16(ret_text, n_unknown > 0 ? BINDING_ERROR : BINDING_SUCCESS);
    put_16(ret_text + 2, whole - HEADER);
    memcpy(ret_text + COOKIE_AT, datagram.at + COOKIE_AT, HEADER - COOKIE_AT);
    if (n_unknown > 0)
        put_unknown(ret_text, datagram, n_unknown);
    else
        put_mapped(ret_text, peer);
    if (fingerprint)
        put_32(put_head(ret_text + length, FINGERPRINT, FINGERPRINT_VALUE),
               crc_32(ret_text, length) ^ FINGERPRINT_XOR);
    return (int32_t)whole;
}
