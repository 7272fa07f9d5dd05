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
    uint32_t word = load32(at) | 0x00202020;
    bool sips = (word | 0x20000000) == WORD32('s', 'i', 'p', 's') && length > 4 && at[4] == ':';

    *ret_scheme = sips ? SIP_SCHEME_SIPS : SIP_SCHEME_SIP;
    return sips ? 5 : word == WORD32('s', 'i', 'p', ':') ? 4 : 0;
}

/* What of a URI follows its user. */
struct uri_host {
    uint32_t length, end; /* of the host; where its port ends, and parameters begin */
    uint32_t port;        /* 0: none */
    uint32_t headers;     /* where the '?' is, or the end */
    bool is_ip;
    struct sip_ip ip;
};

/* host [":" port] up to ret->end. At least four bytes are in front of it. */
static inline bool read_uri_host(const char *at, struct block block, struct uri_host *ret)
{
    uint32_t length = first_bit(~block_in(block, &host_char)), digits = ret->end - length - 1;

    ret->length = length;
    ret->port = 0;
    if (length > ret->end || !read_host(at, block, length, &ret->is_ip, &ret->ip))
        return false;
    if (length == ret->end)
        return true;
    return at[length] == ':' && length + digits >= 4 &&
           read_number(at + ret->end, digits, &ret->port) && ret->port - 1 < UINT16_MAX;
}

/* Host, port, parameters and headers of a URI: at most 63 bytes, none of them one that no URI has.
 */
static inline bool read_uri_end(const char *at, const char *end, struct uri_host *ret)
{
    struct block block = block_load(at, end, end);
    uint32_t length = (uint32_t)(end - at);

    if (length > 63 || first_bit(block_in(block, &uri_end)) != length)
        return false;
    ret->headers = first_bit(block_equal(block, '?') | 1ull << length);
    ret->end = first_bit(block_equal(block, ';') | 1ull << ret->headers);
    return (block_equal(block, '@') & below_bit(ret->headers)) == 0 &&
           read_uri_host(at, block, ret);
}

/*
 * sip or sips, with the first '@' among the first 64 bytes and at most 63 behind it, as long as
 * ours are with a token in them; false when it is another, or bad.
 */
static inline bool parse_uri(struct sip_slice text, struct sip_uri *ret)
{
    const char *end, *host;
    struct sip_slice user = {0};
    struct uri_host h = {0};
    struct block block;
    uint8_t scheme;
    uint32_t from;
    uint64_t ats;

    if (text.length < 5)
        return false;
    from = read_scheme(text.at, text.length, &scheme);
    if (from == 0)
        return false;
    end = text.at + text.length;
    host = text.at + from;
    block = block_load(text.at, end, end);
    ats = block_equal(block, '@') & ~below_bit(from);
    if (ats != 0) {
        uint32_t at = first_bit(ats);
        uint32_t colon = first_bit((block_equal(block, ':') | ats) & ~below_bit(from));

        if (colon == from || (block_in(block, &uri_end) & below_bit(at)) != 0)
            return false;
        user = sip_slice(host, colon - from);
        host = text.at + at + 1;
    } else if (text.length > 64) {
        return false;
    }
    if (!read_uri_end(host, end, &h))
        return false;
    ret->whole = text;
    ret->user = user;
    ret->host = sip_slice(host, h.length);
    ret->params = sip_slice(host + h.end, h.headers - h.end);
    ret->headers = sip_slice(host + h.headers + 1, 0);
    if (host + h.headers < end)
        ret->headers.length = (uint32_t)(end - host) - h.headers - 1;
    ret->port = (uint16_t)h.port;
    ret->scheme = scheme;
    ret->host_is_ip = h.is_ip;
    if (h.is_ip)
        ret->ip = h.ip;
    return true;
}

/* "<" URI ">" at the value's front, the URI of any length. */
static inline bool read_brackets(const struct value *value, struct sip_slice *ret_uri)
{
    const char *at = value->at + 1;
    uint64_t opens, closes = 0;

    while (closes == 0) {
        struct block block;

        if (at >= value->end)
            return false;
        block = value_block(value, at);
        closes = block_equal(block, '>');
        opens = block_equal(block, '<');
        if ((opens & below_bit(first_bit(closes))) != 0)
            return false;
        at += first_bit(closes);
    }
    *ret_uri = sip_slice(value->at + 1, (uint32_t)(at - value->at) - 1);
    return ret_uri->length > 1 && (uint8_t)ret_uri->at[0] > ' ' && (uint8_t)at[-1] > ' ';
}

/* An address in brackets, with parameters; what follows a comma is its `rest`. */
static inline bool parse_nameaddr(struct sip_slice text, struct sip_nameaddr *ret)
{
    struct value value = {.at = text.at};
    struct sip_slice tag, uri, rest = {0};
    const char *params, *end;

    if (text.length == 0 || (uint8_t)text.at[0] <= ' ')
        return false;
    value.end = value.limit = text.at + text.length;
    if (*text.at == '<' ? !read_brackets(&value, &uri) : !read_address(&value, &uri))
        return false;
    params = uri.at + uri.length + 1;
    end = read_params(&value, params, &tag);
    if (end == NULL || !read_rest(&value, end, &rest))
        return false;
    ret->whole = sip_slice(text.at, (uint32_t)(end - text.at));
    ret->rest = rest;
    ret->uri = uri;
    ret->params = sip_slice(params, (uint32_t)(end - params));
    ret->bracketed = true;
    return true;
}

#endif
