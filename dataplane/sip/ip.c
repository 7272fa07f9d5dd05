/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses, hosts and transports as text, both ways. Opens no socket and resolves no name;
 * inet_pton and inet_ntop are used for IPv6 text alone.
 */
#include "dataplane/sip/ip.h"

#include <arpa/inet.h>
#include <errno.h>

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static const char *const transport_names[SIP_TRANSPORT_COUNT] = {
    [SIP_TRANSPORT_NONE] = "NONE", [SIP_TRANSPORT_UDP] = "UDP", [SIP_TRANSPORT_TCP] = "TCP",
    [SIP_TRANSPORT_TLS] = "TLS",   [SIP_TRANSPORT_WS] = "WS",   [SIP_TRANSPORT_WSS] = "WSS",
};

bool sip_ip_is_v4(const struct sip_ip *ip)
{
    return memcmp(ip->bytes, v4_mapped, sizeof(v4_mapped)) == 0;
}

bool sip_ip_equal(const struct sip_ip *a, const struct sip_ip *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool sip_addr_equal(const struct sip_addr *a, const struct sip_addr *b)
{
    return a->port == b->port && sip_ip_equal(&a->ip, &b->ip);
}

struct sip_ip sip_ip_from_v4(const uint8_t bytes[4])
{
    struct sip_ip ip;

    memcpy(ip.bytes, v4_mapped, sizeof(v4_mapped));
    memcpy(ip.bytes + sizeof(v4_mapped), bytes, 4);
    return ip;
}

struct sip_ip sip_ip_from_v6(const uint8_t bytes[16])
{
    struct sip_ip ip;

    memcpy(ip.bytes, bytes, sizeof(ip.bytes));
    return ip;
}

const uint8_t *sip_ip_v4_bytes(const struct sip_ip *ip)
{
    return ip->bytes + sizeof(v4_mapped);
}

/* IPv4address = 1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT, each at most 255. */
static int parse_v4(struct sip_slice text, struct sip_ip *ret)
{
    uint8_t bytes[4];
    uint32_t at = 0;

    for (int group = 0; group < 4; group++) {
        uint32_t number = 0, digits = 0;

        if (group > 0 && (at == text.length || text.at[at++] != '.'))
            return -EINVAL;
        while (at < text.length && digits < 3 && sip_char_is(text.at[at], SIP_CHAR_DIGIT)) {
            number = number * 10 + (uint32_t)(text.at[at++] - '0');
            digits++;
        }
        if (digits == 0 || number > 255)
            return -EINVAL;
        bytes[group] = (uint8_t)number;
    }
    if (at != text.length)
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
    if (text.length >= 2 && text.at[0] == '[') {
        if (text.at[text.length - 1] != ']')
            return -EINVAL;
        return parse_v6(sip_slice(text.at + 1, text.length - 2), ret);
    }
    if (text.length >= 2 && memchr(text.at, ':', text.length) != NULL)
        return parse_v6(text, ret);
    return parse_v4(text, ret);
}

bool sip_host_valid(struct sip_slice text)
{
    struct sip_ip ip;
    bool letters = false;

    if (text.length == 0)
        return false;
    if (text.at[0] == '[')
        return sip_ip_parse(text, &ip) == 0;
    if (text.at[0] == '.')
        return false;
    for (uint32_t i = 0; i < text.length; i++) {
        if (!sip_char_is(text.at[i], SIP_CHAR_HOST))
            return false;
        if (text.at[i] == '.' && i > 0 && text.at[i - 1] == '.')
            return false;
        letters |= text.at[i] != '.' && !sip_char_is(text.at[i], SIP_CHAR_DIGIT);
    }
    return letters || parse_v4(text, &ip) == 0;
}

uint32_t sip_ip_print(const struct sip_ip *ip, char *ret_text)
{
    char text[INET6_ADDRSTRLEN];
    uint32_t length = 0;

    if (sip_ip_is_v4(ip)) {
        const uint8_t *bytes = sip_ip_v4_bytes(ip);

        for (int group = 0; group < 4; group++) {
            if (group > 0)
                ret_text[length++] = '.';
            length += sip_number_print(bytes[group], ret_text + length);
        }
        return length;
    }
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
