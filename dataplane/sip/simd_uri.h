/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URIs and name-addrs by vector instructions, when they are written in the usual way.
 * Included by way of index_simd.h.
 */
#ifndef TANDEM_SIP_SIMD_URI_H
#define TANDEM_SIP_SIMD_URI_H

#include "dataplane/sip/simd_values.h"
#include "dataplane/sip/uri.h"

#define ENDS_URI(c) (IS_INVISIBLE(c) || (c) == '"' || (c) == '<' || (c) == '>')

static const struct class uri_end = CLASS(ENDS_URI); /* what no URI has */

/* Offset of what is behind "sip:" or "sips:"; 0 for another scheme. Four bytes at least. */
static inline uint32_t read_scheme(const char *at, uint32_t length, uint8_t *ret_scheme)
{
    uint32_t word = load32(at) | 0x20202020;
    bool sips = word == WORD32('s', 'i', 'p', 's') && length > 4 && at[4] == ':';

    *ret_scheme = sips ? SIP_SCHEME_SIPS : SIP_SCHEME_SIP;
    return sips ? 5 : word == WORD32('s', 'i', 'p', ':') ? 4 : 0;
}

/* host [":" port], from byte `from` of the block to byte `end`. */
static inline bool read_hostport(const char *at, struct block block, uint32_t from, uint32_t end,
                                 struct sip_uri *uri)
{
    uint32_t host_end, port;

    if (!read_host(at, block, from, &host_end) || host_end > end)
        return false;
    uri->host = sip_slice(at + from, host_end - from);
    uri->host_is_ip = IS_DIGIT(at[from]) && sip_ip_parse(uri->host, &uri->ip) == 0;
    if (host_end == end)
        return true;
    if (at[host_end] != ':' || end < 8 || !read_number(at + end, end - host_end - 1, &port) ||
        port - 1 >= UINT16_MAX)
        return false;
    uri->port = (uint16_t)port;
    return true;
}

/* sip or sips, of at most 63 bytes; false when it is another, or bad. */
static inline bool parse_uri(struct sip_slice text, struct sip_uri *ret)
{
    struct sip_uri uri = {.whole = text};
    uint32_t length = text.length, host, params, end;
    struct block block;
    uint64_t ats, marks;

    if (length < 5 || length > 63)
        return false;
    block = block_load(text.at, text.at + length, text.at + length);
    host = read_scheme(text.at, length, &uri.scheme);
    if (host == 0 || first_bit(block_in(block, &uri_end)) != length)
        return false;
    ats = block_equal(block, '@') & ~below_bit(host);
    if (ats != 0) {
        uint32_t at = first_bit(ats);
        uint32_t colon = first_bit((block_equal(block, ':') | ats) & ~below_bit(host));

        if (colon == host)
            return false;
        uri.user = sip_slice(text.at + host, colon - host);
        host = at + 1;
    }
    marks = ~below_bit(host);
    end = first_bit((block_equal(block, '?') & marks) | 1ull << length);
    params = first_bit((block_equal(block, ';') & marks) | 1ull << end);
    if (end < length)
        uri.headers = sip_slice(text.at + end + 1, length - end - 1);
    if (params < end)
        uri.params = sip_slice(text.at + params, end - params);
    if ((ats & below_bit(end) & ~below_bit(params)) != 0 ||
        !read_hostport(text.at, block, host, params, &uri))
        return false;
    *ret = uri;
    return true;
}

/* An address in brackets, with parameters; what follows a comma is its `rest`. */
static inline bool parse_nameaddr(struct sip_slice text, struct sip_nameaddr *ret)
{
    struct value value = {.at = text.at};
    struct sip_nameaddr address = {.bracketed = true};
    struct sip_slice tag;
    const char *params, *end;

    if (text.length == 0 || (uint8_t)text.at[0] <= ' ')
        return false;
    value.end = value.limit = text.at + text.length;
    if (!read_address(&value, &address.uri))
        return false;
    params = address.uri.at + address.uri.length + 1;
    end = read_params(&value, params, &tag);
    if (end == NULL || !read_rest(&value, end, &address.rest))
        return false;
    address.whole = sip_slice(text.at, (uint32_t)(end - text.at));
    address.params = sip_slice(params, (uint32_t)(end - params));
    *ret = address;
    return true;
}

#endif
