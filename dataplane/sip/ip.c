/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses, hosts and transports as text, both ways. Opens no socket and resolves no name;
 * inet_pton and inet_ntop are used for IPv6 text alone.
 */
#include "dataplane/sip/ip.h"

#include <arpa/inet.h>
#include <errno.h>

static const char *const transport_names[SIP_TRANSPORT_COUNT] = {
    [SIP_TRANSPORT_NONE] = "NONE", [SIP_TRANSPORT_UDP] = "UDP", [SIP_TRANSPORT_TCP] = "TCP",
    [SIP_TRANSPORT_TLS] = "TLS",   [SIP_TRANSPORT_WS] = "WS",   [SIP_TRANSPORT_WSS] = "WSS",
};

enum { V4_TEXT_MIN = 7, V4_TEXT_MAX = 15 };

static inline uint32_t digit_at(const char *p)
{
    return (uint8_t)(*p - '0');
}

/* 1*3DIGIT, at most 255, cut off the front of *at, where something that is no digit ends the text.
 * False: there is none. */
static inline bool take_group(const char **at, uint8_t *ret)
{
    const char *p = *at;
    uint32_t first = digit_at(p), number = first, digits = 1;

    if (digit_at(p + 1) < 10) {
        number = number * 10 + digit_at(p + 1);
        digits = 2;
        if (digit_at(p + 2) < 10) {
            number = number * 10 + digit_at(p + 2);
            digits = 3;
        }
    }
    *at = p + digits;
    *ret = (uint8_t)number;
    return first < 10 && number <= 255;
}

/* Copies V4_TEXT_MIN to V4_TEXT_MAX bytes by two halves that overlap. */
static inline void copy_v4(struct sip_slice text, char copy[V4_TEXT_MAX + 1])
{
    if (text.length < 8) {
        memcpy(copy, text.at, 4);
        memcpy(copy + text.length - 4, text.at + text.length - 4, 4);
    } else {
        memcpy(copy, text.at, 8);
        memcpy(copy + text.length - 8, text.at + text.length - 8, 8);
    }
    copy[text.length] = 0;
}

/* IPv4address = 1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT, each at most 255. */
static int parse_v4(struct sip_slice text, struct sip_ip *ret)
{
    char copy[V4_TEXT_MAX + 1];
    const char *at = copy;
    uint8_t bytes[4];

    if (text.length < V4_TEXT_MIN || text.length > V4_TEXT_MAX ||
        !sip_char_is(text.at[0], SIP_CHAR_DIGIT))
        return -EINVAL;
    copy_v4(text, copy);
    if (!take_group(&at, &bytes[0]) || *at++ != '.' || !take_group(&at, &bytes[1]) ||
        *at++ != '.' || !take_group(&at, &bytes[2]) || *at++ != '.' || !take_group(&at, &bytes[3]))
        return -EINVAL;
    if (at != copy + text.length)
        return -EINVAL;
    *ret = sip_ip_from_v4(bytes);
    return 0;
}

static int parse_v6(struct sip_slice text, struct sip_ip *ret)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t bytes[16];

    if (text.length >= sizeof(copy) || memchr(text.at, 0, text.length) != NULL)
        return -EINVAL;
    memcpy(copy, text.at, text.length);
    copy[text.length] = 0;
    if (inet_pton(AF_INET6, copy, bytes) != 1)
        return -EINVAL;
    *ret = sip_ip_from_v6(bytes);
    return 0;
}

int sip_ip_parse(struct sip_slice text, struct sip_ip *ret)
{
    if (parse_v4(text, ret) == 0)
        return 0;
    if (text.length >= 2 && text.at[0] == '[') {
        if (text.at[text.length - 1] != ']')
            return -EINVAL;
        return parse_v6(sip_slice(text.at + 1, text.length - 2), ret);
    }
    if (text.length >= 2 && memchr(text.at, ':', text.length) != NULL)
        return parse_v6(text, ret);
    return -EINVAL;
}

int sip_host_parse(struct sip_slice text, struct sip_ip *ret)
{
    bool letters = false;

    if (parse_v4(text, ret) == 0)
        return 0;
    if (text.length == 0 || text.at[0] == '.')
        return -EINVAL;
    if (text.at[0] == '[')
        return sip_ip_parse(text, ret);
    for (uint32_t i = 0; i < text.length; i++) {
        if (!sip_char_is(text.at[i], SIP_CHAR_HOST))
            return -EINVAL;
        if (text.at[i] == '.' && text.at[i - 1] == '.')
            return -EINVAL;
        letters |= text.at[i] != '.' && !sip_char_is(text.at[i], SIP_CHAR_DIGIT);
    }
    return letters ? -ENOENT : -EINVAL;
}

bool sip_host_valid(struct sip_slice text)
{
    struct sip_ip ip;

    return sip_host_parse(text, &ip) != -EINVAL;
}

/* A number of up to three digits. */
static inline char *put_group(char *to, uint8_t number)
{
    if (number < 10) {
        *to++ = (char)('0' + number);
        return to;
    }
    if (number >= 100)
        *to++ = (char)('0' + number / 100);
    return sip_put(to, sip_pairs[number % 100], 2);
}

static uint32_t print_v4(const uint8_t *bytes, char *ret_text)
{
    char *to = put_group(ret_text, bytes[0]);

    for (int group = 1; group < 4; group++) {
        *to++ = '.';
        to = put_group(to, bytes[group]);
    }
    return (uint32_t)(to - ret_text);
}

uint32_t sip_ip_print(const struct sip_ip *ip, char *ret_text)
{
    char text[INET6_ADDRSTRLEN];
    uint32_t length;

    if (sip_ip_is_v4(ip))
        return print_v4(sip_ip_v4_bytes(ip), ret_text);
    if (inet_ntop(AF_INET6, ip->bytes, text, sizeof(text)) == NULL)
        return 0; /* cannot happen: the buffer holds the longest text */
    length = (uint32_t)strlen(text);
    ret_text[0] = '[';
    memcpy(ret_text + 1, text, length);
    ret_text[length + 1] = ']';
    return length + 2;
}

uint32_t sip_addr_print(const struct sip_addr *addr, char *ret_text)
{
    uint32_t length = sip_ip_print(&addr->ip, ret_text);

    if (addr->port != 0) {
        ret_text[length++] = ':';
        length += sip_number_print(addr->port, ret_text + length);
    }
    return length;
}

const char *sip_transport_name(enum sip_transport transport)
{
    return transport < SIP_TRANSPORT_COUNT ? transport_names[transport] : transport_names[0];
}

enum sip_transport sip_transport_parse(struct sip_slice name)
{
    for (int t = SIP_TRANSPORT_NONE + 1; t < SIP_TRANSPORT_COUNT; t++) {
        if (sip_slice_equal_nocase(name, sip_slice_of(transport_names[t])))
            return (enum sip_transport)t;
    }
    return SIP_TRANSPORT_NONE;
}
