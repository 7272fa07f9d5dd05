/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the texts of single values.
 */
#include "config/value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const char LETTERS_DIGITS[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

static int number_and_unit(const char *text, const struct unit *units, uint64_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t number;

    if (digits == 0)
        return -EINVAL;
    if (text[digits] == '\0')
        return -ENODATA;
    for (; units->name != NULL && strcmp(units->name, text + digits) != 0; units++)
        ;
    if (units->name == NULL)
        return -EINVAL;
    if (sip_slice_number(sip_slice(text, (uint32_t)digits), UINT64_MAX / units->factor, &number) !=
        0)
        return -ERANGE;
    *ret = number * units->factor;
    return 0;
}

static void print_with_unit(uint64_t number, const struct unit *units,
                            char ret_text[VALUE_UNIT_ROOM])
{
    struct unit unit = {"", 1};

    if (number == 0)
        unit = *units;
    for (; number != 0 && units->name != NULL && number % units->factor == 0; units++)
        unit = *units;
    snprintf(ret_text, VALUE_UNIT_ROOM, "%" PRIu64 "%s", number / unit.factor, unit.name);
}

/* Each unit is a multiple of the one before. */
static const struct unit DURATIONS[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit SIZES[] = {
    {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};

int value_duration(const char *text, uint64_t *ret_ms)
{
    return number_and_unit(text, DURATIONS, ret_ms);
}

int value_size(const char *text, uint64_t *ret_bytes)
{
    return number_and_unit(text, SIZES, ret_bytes);
}

void value_duration_print(uint64_t ms, char ret_text[VALUE_UNIT_ROOM])
{
    print_with_unit(ms, DURATIONS, ret_text);
}

void value_size_print(uint64_t bytes, char ret_text[VALUE_UNIT_ROOM])
{
    print_with_unit(bytes, SIZES, ret_text);
}

static bool is_all(const struct sip_ip *ip, size_t first, uint8_t byte)
{
    for (size_t i = first; i < sizeof(ip->bytes); i++) {
        if (ip->bytes[i] != byte)
            return false;
    }
    return true;
}

int value_ip(const char *text, struct sip_ip *ret)
{
    enum { V4_FIRST = 12 };
    struct sip_ip ip;

    if (sip_ip_parse(sip_slice_of(text), &ip) != 0)
        return -EINVAL;
    if (sip_ip_is_v4(&ip)) {
        uint8_t first = ip.bytes[V4_FIRST];

        if (first == 0 || (first >= 224 && first <= 239) || is_all(&ip, V4_FIRST, 0xff))
            return -EINVAL;
    } else if (ip.bytes[0] == 0xff || is_all(&ip, 0, 0)) {
        return -EINVAL;
    }
    *ret = ip;
    return 0;
}

int value_server(const char *text, uint16_t port, struct sip_addr *ret)
{
    const char *bracket = strchr(text, ']'), *colon = strrchr(text, ':');
    char address[SIP_IP_TEXT_MAX + 1];
    struct sip_addr server = {.port = port};
    size_t length;
    uint64_t number;

    if (bracket != NULL ? colon < bracket : colon != strchr(text, ':'))
        colon = NULL; /* one of the address itself */
    length = colon == NULL ? strlen(text) : (size_t)(colon - text);
    if (length >= sizeof(address))
        return -EINVAL;
    memcpy(address, text, length);
    address[length] = '\0';
    if (value_ip(address, &server.ip) != 0)
        return -EINVAL;
    if (colon != NULL) {
        if (sip_slice_number(sip_slice_of(colon + 1), UINT16_MAX, &number) != 0 || number == 0)
            return -EINVAL;
        server.port = (uint16_t)number;
    }
    *ret = server;
    return 0;
}

int value_prefix(const char *text, struct cfg_prefix *ret)
{
    const char *slash = strchr(text, '/');
    char address[SIP_IP_TEXT_MAX + 1];
    struct cfg_prefix prefix;
    uint64_t length;

    if (slash == NULL || (size_t)(slash - text) >= sizeof(address))
        return -EINVAL;
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    if (value_ip(address, &prefix.ip) != 0 ||
        sip_slice_number(sip_slice_of(slash + 1), sip_ip_is_v4(&prefix.ip) ? 32 : 128, &length) !=
            0 ||
        length == 0)
        return -EINVAL;
    prefix.length = (uint8_t)length;
    *ret = prefix;
    return 0;
}

int value_network(const char *text, struct cfg_prefix *ret)
{
    size_t end = strcspn(text, "/");
    char address[SIP_IP_TEXT_MAX + 1];
    struct cfg_prefix prefix;
    uint64_t length, bits;

    if (end >= sizeof(address))
        return -EINVAL;
    memcpy(address, text, end);
    address[end] = '\0';
    if (address[0] == '[' || sip_ip_parse(sip_slice_of(address), &prefix.ip) != 0)
        return -EINVAL;
    length = bits = sip_ip_is_v4(&prefix.ip) ? 32 : 128;
    if (text[end] == '/' && sip_slice_number(sip_slice_of(text + end + 1), bits, &length) != 0)
        return -EINVAL;
    prefix.length = (uint8_t)length;
    for (uint64_t bit = 128 - bits + length; bit < 128; bit++) {
        if (prefix.ip.bytes[bit / 8] & 0x80 >> bit % 8)
            return -EDOM;
    }
    *ret = prefix;
    return 0;
}

bool value_is_dialled(const char *text)
{
    size_t length;

    text += *text == '+';
    length = strspn(text, "0123456789*#");
    return length > 0 && text[length] == '\0';
}

bool value_prefix_has(const struct cfg_prefix *prefix, const struct sip_ip *ip)
{
    uint32_t bits = prefix->length + (sip_ip_is_v4(&prefix->ip) ? 96u : 0u);
    uint32_t bytes = bits / 8, mask = 0xff00u >> bits % 8;

    if (sip_ip_is_v4(&prefix->ip) != sip_ip_is_v4(ip) ||
        memcmp(prefix->ip.bytes, ip->bytes, bytes) != 0)
        return false;
    return bits % 8 == 0 || ((prefix->ip.bytes[bytes] ^ ip->bytes[bytes]) & mask & 0xff) == 0;
}

bool value_is_name(const char *text)
{
    size_t length =
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    return length > 0 && text[length] == '\0' && strchr("._-", text[0]) == NULL;
}

bool value_is_interface(const char *text)
{
    enum { INTERFACE_MAX = 15 }; /* IFNAMSIZ without its NUL */
    size_t length = strlen(text);

    if (length == 0 || length > INTERFACE_MAX || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        return false;
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text > '~' || *text == '/' || *text == ':' || *text == ',')
            return false;
    }
    return true;
}

bool value_is_token(const char *text)
{
    const char *at = text;

    while (*at != '\0' &&
           (strchr(LETTERS_DIGITS, *at) != NULL || strchr("-.!%*_+`'~", *at) != NULL))
        at++;
    return at > text && *at == '\0';
}

bool value_is_host(const char *text)
{
    size_t length = strlen(text);
    struct sip_ip ip;

    if (sip_ip_parse(sip_slice_of(text), &ip) == 0)
        return true;
    if (length == 0 || length > 253 || strspn(text, "0123456789.") == length)
        return false;
    for (const char *label = text;; label++) {
        size_t n = strcspn(label, ".");

        if (n == 0 || n > 63 || label[0] == '-' || label[n - 1] == '-')
            return false;
        for (size_t i = 0; i < n; i++) {
            if (strchr(LETTERS_DIGITS, label[i]) == NULL && label[i] != '-' && label[i] != '_')
                return false;
        }
        label += n;
        if (*label == '\0')
            return true;
    }
}

bool value_is_host_name(const char *text)
{
    struct sip_ip ip;

    return value_is_host(text) && sip_ip_parse(sip_slice_of(text), &ip) != 0;
}

/* HOST or HOST:PORT, an IPv6 address in brackets. */
static bool is_host_and_port(const char *text)
{
    enum { HOST_MAX = 255 };
    const char *bracket = strrchr(text, ']');
    const char *colon = strchr(bracket == NULL ? text : bracket, ':');
    size_t length = colon == NULL ? strlen(text) : (size_t)(colon - text);
    char host[HOST_MAX + 1];
    uint64_t port;

    if (length > HOST_MAX)
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    return value_is_host(host) &&
           (colon == NULL ||
            (sip_slice_number(sip_slice_of(colon + 1), UINT16_MAX, &port) == 0 && port != 0));
}

bool value_is_origin(const char *text)
{
    static const char separator[] = "://";
    size_t scheme = strcspn(text, ":");

    if (strcmp(text, "null") == 0 || strcmp(text, "file://") == 0)
        return true;
    for (size_t i = 0; i < scheme; i++) {
        if (strchr(LETTERS_DIGITS, text[i]) == NULL && strchr("+-.", text[i]) == NULL)
            return false;
    }
    return scheme > 0 && strncmp(text + scheme, separator, strlen(separator)) == 0 &&
           is_host_and_port(text + scheme + strlen(separator));
}

bool value_is_path(const char *text)
{
    if (*text != '/')
        return false;
    for (; *text != '\0'; text++) {
        if (strchr(LETTERS_DIGITS, *text) == NULL && strchr("/-._~!$&'()*+,;=:@%", *text) == NULL)
            return false;
    }
    return true;
}

void value_lower(char *text)
{
    for (; *text != '\0'; text++)
        *text = (char)(*text >= 'A' && *text <= 'Z' ? *text + 32 : *text);
}
