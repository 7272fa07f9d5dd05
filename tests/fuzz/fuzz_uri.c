/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of URIs, name-addrs, parameters, addresses and numbers: the bytes as each of them.
 * Where libc or a few plain lines do the same, both must agree; what was found must put together
 * what it was found in.
 */
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>

#include "dataplane/sip/msg.h"
#include "dataplane/sip/uri.h"
#include "dataplane/sip/via.h"
#include "tests/fuzz/take.h"

enum { TEXT_MAX = 4096 };

/* inet_pton's word about a text, brackets taken off; as sip_ip has it. */
static bool libc_ip(struct sip_slice text, struct sip_ip *ret)
{
    bool bracketed = text.length > 2 && text.at[0] == '[' && text.at[text.length - 1] == ']';
    char copy[INET6_ADDRSTRLEN + 1];
    uint8_t bytes[16];

    if (bracketed)
        text = sip_slice(text.at + 1, text.length - 2);
    if (text.length >= sizeof(copy) || memchr(text.at, '\0', text.length) != NULL)
        return false;
    memcpy(copy, text.at, text.length);
    copy[text.length] = '\0';
    if (!bracketed && inet_pton(AF_INET, copy, bytes) == 1) {
        *ret = sip_ip_from_v4(bytes);
        return true;
    }
    if (inet_pton(AF_INET6, copy, bytes) != 1)
        return false;
    *ret = sip_ip_from_v6(bytes);
    return true;
}

/* Four groups of one to three digits with a leading zero, which libc refuses and we may not. */
static bool has_leading_zero(struct sip_slice text)
{
    for (uint32_t i = 0; i + 1 < text.length; i++) {
        if (text.at[i] == '0' && isdigit((unsigned char)text.at[i + 1]) &&
            (i == 0 || text.at[i - 1] == '.' || text.at[i - 1] == ':'))
            return true;
    }
    return false;
}

static void fuzz_ip(struct sip_slice text)
{
    struct sip_ip ours, theirs, again;
    char printed[SIP_IP_TEXT_MAX];
    bool libc = libc_ip(text, &theirs), good = sip_ip_parse(text, &ours) == 0;

    must(good == libc || has_leading_zero(text));
    if (!good)
        return;
    must(!libc || sip_ip_equal(&ours, &theirs));
    must(sip_ip_parse(sip_slice(printed, sip_ip_print(&ours, printed)), &again) == 0);
    must(sip_ip_equal(&ours, &again));
    must(sip_host_valid(sip_slice(printed, sip_ip_print(&ours, printed))));
}

/* Whether a host is valid does not depend on its letters' case. */
static void fuzz_host(struct sip_slice text)
{
    static char upper[TEXT_MAX];

    if (text.length > sizeof(upper))
        return;
    for (uint32_t i = 0; i < text.length; i++)
        upper[i] = (char)toupper((unsigned char)text.at[i]);
    must(sip_host_valid(text) == sip_host_valid(sip_slice(upper, text.length)));
    must(!sip_host_valid(text) || text.length > 0);
}

static void fuzz_number(struct sip_slice text)
{
    uint64_t ours = 7, theirs = 0;
    bool digits = text.length > 0, over = false;

    for (uint32_t i = 0; i < text.length; i++) {
        if (!isdigit((unsigned char)text.at[i])) {
            digits = false;
        } else if (!over) {
            theirs = theirs * 10 + (uint64_t)(text.at[i] - '0');
            over = theirs > UINT32_MAX;
        }
    }
    switch (sip_slice_number(text, UINT32_MAX, &ours)) {
    case 0:
        must(digits && !over && ours == theirs);
        break;
    case -ERANGE:
        must(digits && over && ours == 7);
        break;
    default:
        must(!digits && ours == 7);
    }
}

static int hex(char c)
{
    if (isdigit((unsigned char)c))
        return c - '0';
    return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

static void fuzz_unescape(struct sip_slice text)
{
    static char whole[TEXT_MAX], part[TEXT_MAX];
    uint32_t n = 0, length, room = text.length / 2;

    if (text.length > TEXT_MAX)
        return;
    length = sip_uri_unescape(text, whole, TEXT_MAX);
    for (uint32_t i = 0; i < text.length; n++) {
        bool escape = text.length - i >= 3 && text.at[i] == '%' && hex(text.at[i + 1]) >= 0 &&
                      hex(text.at[i + 2]) >= 0;
        int c = escape ? hex(text.at[i + 1]) * 16 + hex(text.at[i + 2]) : text.at[i];

        must(n < length && whole[n] == (char)c);
        i += escape ? 3 : 1;
    }
    must(n == length);
    part[room] = 'x';
    must(sip_uri_unescape(text, part, room) == length && part[room] == 'x');
    must(memcmp(part, whole, room < length ? room : length) == 0);
}

static void fuzz_params(struct sip_slice params)
{
    struct sip_slice rest = params, value, whole;
    struct sip_param param;

    if (params.length > TEXT_MAX)
        return; /* finding each of many parameters is quadratic by nature */
    while (sip_param_next(&rest, &param) == 1) {
        must(param.name.length > 0 && param.whole.at[0] == ';');
        must_lie_in(param.whole, params);
        must_lie_in(param.name, param.whole);
        must_lie_in(param.value, param.whole);
        must(sip_param_find(params, param.name, &value, &whole));
        must_lie_in(value, whole);
        must_lie_in(whole, params);
        /* The first of that name: this one, or one before it. */
        must(whole.at <= param.whole.at);
    }
}

static void fuzz_uri(struct sip_slice text)
{
    static const char *const names[] = {"", "sip", "sips", "tel", "urn"};
    struct sip_slice all[] = {text, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    struct sip_uri uri, again;

    if (sip_uri_parse(text, &uri) != 0)
        return;
    must(uri.whole.at == text.at && uri.whole.length == text.length);
    must(uri.scheme == SIP_SCHEME_OTHER ||
         sip_slice_equal_nocase(sip_slice(text.at, (uint32_t)strlen(names[uri.scheme])),
                                sip_slice_of(names[uri.scheme])));
    all[1] = uri.user;
    all[2] = uri.host;
    all[3] = uri.params;
    all[4] = uri.headers;
    /* One after another, none over another. */
    for (int i = 1, last = 0; i < 5; i++) {
        must_lie_in(all[i], text);
        if (all[i].length == 0)
            continue;
        must(last == 0 || all[i].at >= all[last].at + all[last].length);
        last = i;
    }
    must(uri.params.length == 0 || uri.params.at[0] == ';');
    must((uri.scheme != SIP_SCHEME_SIP && uri.scheme != SIP_SCHEME_SIPS) ||
         sip_host_valid(uri.host));
    fuzz_params(uri.params);
    /* Nothing that ends a URI in a message may be part of one. */
    for (uint32_t i = 0; i < text.length; i++)
        must(strchr(" \t\r\n<>", text.at[i]) == NULL || text.at[i] == '\0');
    must(sip_uri_parse(text, &again) == 0 && again.port == uri.port);
}

static void fuzz_addresses(struct sip_slice value)
{
    struct sip_nameaddr address;

    while (sip_nameaddr_parse(value, &address) == 0) {
        must(address.uri.length > 0);
        must_lie_in(address.whole, value);
        must_lie_in(address.uri, address.whole);
        must_lie_in(address.params, address.whole);
        must_lie_in(address.rest, value);
        must(address.rest.length < value.length);
        must(address.params.length == 0 ||
             address.params.at >= address.uri.at + address.uri.length);
        must(!address.bracketed || memchr(address.uri.at, '>', address.uri.length) == NULL);
        fuzz_uri(address.uri);
        fuzz_params(address.params);
        value = address.rest;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sip_slice text = sip_slice((const char *)data, (uint32_t)size), element, rest;
    enum sip_transport transport = sip_transport_parse(text);

    must(transport == SIP_TRANSPORT_NONE ||
         sip_slice_equal_nocase(sip_slice_of(sip_transport_name(transport)), text));
    fuzz_ip(text);
    fuzz_host(text);
    fuzz_number(text);
    fuzz_unescape(text);
    fuzz_params(text);
    fuzz_uri(text);
    fuzz_addresses(text);
    rest = text;
    while (sip_list_next(&rest, &element)) {
        must_lie_in(element, text);
        fuzz_uri(element);
    }
    return 0;
}
