/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URIs and name-addrs. Parsing decodes no escapes: %00 stays three characters (RFC 4475
 * §3.1.1.4), and what is compared or hashed is compared as it was written.
 */
#include "dataplane/sip/index.h"

#include <errno.h>

static struct sip_slice front(struct sip_slice s, uint32_t count)
{
    return sip_slice(s.at, count);
}

/* An empty slice may have no address, and adding even 0 to that is undefined. */
static struct sip_slice from(struct sip_slice s, uint32_t offset)
{
    return offset == 0 ? s : sip_slice(s.at + offset, s.length - offset);
}

/* Offset of the first such character, or the length. */
static uint32_t find_char(struct sip_slice s, char c)
{
    const char *found = s.length > 0 ? memchr(s.at, c, s.length) : NULL;

    return found != NULL ? (uint32_t)(found - s.at) : s.length;
}

static enum sip_scheme scheme_of(struct sip_slice name)
{
    if (sip_slice_equal_nocase(name, sip_slice_of("sip")))
        return SIP_SCHEME_SIP;
    if (sip_slice_equal_nocase(name, sip_slice_of("sips")))
        return SIP_SCHEME_SIPS;
    if (sip_slice_equal_nocase(name, sip_slice_of("tel")))
        return SIP_SCHEME_TEL;
    if (sip_slice_equal_nocase(name, sip_slice_of("urn")))
        return SIP_SCHEME_URN;
    return SIP_SCHEME_OTHER;
}

/* host [":" port]: the whole slice. */
static int parse_hostport(struct sip_slice text, struct sip_uri *uri)
{
    uint32_t host =
        text.length > 0 && text.at[0] == '[' ? find_char(text, ']') + 1 : find_char(text, ':');
    uint64_t port;

    int kind;

    if (host > text.length)
        return -EINVAL;
    kind = sip_host_parse(front(text, host), &uri->ip);
    if (kind == -EINVAL)
        return -EINVAL;
    uri->host_is_ip = kind == 0;
    uri->host = front(text, host);
    text = from(text, host);
    if (text.length == 0)
        return 0;
    if (text.at[0] != ':' || sip_slice_number(from(text, 1), UINT16_MAX, &port) != 0 || port == 0)
        return -EINVAL;
    uri->port = (uint16_t)port;
    return 0;
}

/*
 * [userinfo] hostport *(";" parameter) ["?" headers]. '@' is in no parameter unescaped, and ';'
 * and '?' may stand in a user (§19.1.1), so the first '@' ends the user part.
 */
static int parse_sip(struct sip_slice rest, struct sip_uri *uri)
{
    uint32_t at = find_char(rest, '@'), end;

    if (at < rest.length) {
        uri->user = front(rest, find_char(front(rest, at), ':'));
        if (uri->user.length == 0)
            return -EINVAL;
        rest = from(rest, at + 1);
    }
    end = find_char(rest, '?');
    if (end < rest.length) {
        uri->headers = from(rest, end + 1);
        rest = front(rest, end);
    }
    end = find_char(rest, ';');
    if (end < rest.length) {
        uri->params = from(rest, end);
        rest = front(rest, end);
        if (find_char(uri->params, '@') < uri->params.length)
            return -EINVAL;
    }
    return parse_hostport(rest, uri);
}

enum { BLOCK = 16 };

typedef uint8_t block __attribute__((vector_size(BLOCK)));

/* Visible, and neither quote nor bracket: each byte 0xff where one is not. */
static inline block not_uri(const char *at)
{
    block bytes;

    memcpy(&bytes, at, sizeof(bytes));
    return (block)((bytes <= ' ') | (bytes == 0x7f) | (bytes == '<') | (bytes == '>') |
                   (bytes == '"'));
}

/* Nor what ends a user. */
static inline block not_user(const char *at)
{
    block bytes;

    memcpy(&bytes, at, sizeof(bytes));
    return not_uri(at) | (block)((bytes == ':') | (bytes == '@'));
}

/* Whether no byte is wrong. The last block overlaps the one before; a text that is shorter than one
 * is filled up. */
static inline bool has_none(struct sip_slice text, block (*wrong_at)(const char *at))
{
    char copy[BLOCK];
    uint64_t halves[2];
    block wrong;

    if (text.length < BLOCK) {
        memset(copy, 'x', sizeof(copy));
        for (uint32_t i = 0; i < text.length; i++)
            copy[i] = text.at[i];
        text = sip_slice(copy, sizeof(copy));
    }
    wrong = wrong_at(text.at + text.length - BLOCK);
    for (uint32_t i = 0; i + BLOCK < text.length; i += BLOCK)
        wrong |= wrong_at(text.at + i);
    memcpy(halves, &wrong, sizeof(halves));
    return (halves[0] | halves[1]) == 0;
}

/* Whether a URI may have such characters behind its scheme. */
static bool only_uri(struct sip_slice text)
{
    return has_none(text, not_uri);
}

bool sip_uri_is_user(struct sip_slice text)
{
    return text.length > 0 && has_none(text, not_user);
}

/* The length of the scheme in front of a colon and more; 0: there is none. */
static uint32_t read_scheme(struct sip_slice text, uint8_t *ret_scheme)
{
    uint32_t colon;

    if (text.length > 4 && memcmp(text.at, "sip:", 4) == 0) { /* nearly always */
        *ret_scheme = SIP_SCHEME_SIP;
        return 3;
    }
    colon = find_char(text, ':');
    if (colon == 0 || colon + 1 >= text.length || !sip_char_is(text.at[0], SIP_CHAR_ALPHA) ||
        !sip_slice_only(front(text, colon), SIP_CHAR_SCHEME))
        return 0;
    *ret_scheme = (uint8_t)scheme_of(front(text, colon));
    return colon;
}

int sip_uri_scalar(struct sip_slice text, struct sip_uri *ret)
{
    struct sip_uri uri = {.whole = text};
    uint32_t colon = read_scheme(text, &uri.scheme);
    struct sip_slice rest;

    if (colon == 0)
        return -EINVAL;
    rest = from(text, colon + 1);
    if (!only_uri(rest))
        return -EINVAL;
    if (uri.scheme == SIP_SCHEME_SIP || uri.scheme == SIP_SCHEME_SIPS) {
        if (parse_sip(rest, &uri) != 0)
            return -EINVAL;
    } else {
        uint32_t end = uri.scheme == SIP_SCHEME_TEL ? find_char(rest, ';') : rest.length;

        uri.user = front(rest, end);
        uri.params = from(rest, end);
        if (end == 0)
            return -EINVAL;
    }
    *ret = uri;
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint32_t sip_uri_unescape(struct sip_slice text, char *ret_text, uint32_t size)
{
    uint32_t length = 0;

    for (uint32_t i = 0; i < text.length; i++) {
        char c = text.at[i];

        if (c == '%' && text.length - i > 2) {
            int high = hex_value(text.at[i + 1]), low = hex_value(text.at[i + 2]);

            if (high >= 0 && low >= 0) {
                c = (char)(high * 16 + low);
                i += 2;
            }
        }
        if (length < size)
            ret_text[length] = c;
        length++;
    }
    return length;
}

/*
 * Where the display name ends: offset of '<', or of the first ';' or ',' outside quotes, or the
 * length. -EINVAL for quotes that do not end, or for a stray '>'.
 */
static int64_t display_end(struct sip_slice s)
{
    bool quoted = false;

    for (uint32_t i = 0; i < s.length; i++) {
        if (s.at[i] == '\\')
            i++; /* outside quotes too: phones write \"name\" */
        else if (s.at[i] == '"')
            quoted = !quoted;
        else if (!quoted && s.at[i] == '>')
            return -EINVAL;
        else if (!quoted && (s.at[i] == '<' || s.at[i] == ';' || s.at[i] == ','))
            return i;
    }
    return quoted ? -EINVAL : (int64_t)s.length;
}

/* addr-spec without brackets: `*`, or scheme ':' and more, and no white space or quotes. */
static bool bare_valid(struct sip_slice uri)
{
    if (sip_slice_equal(uri, sip_slice_of("*")))
        return true;
    return sip_slice_only(uri, SIP_CHAR_VISIBLE) && find_char(uri, '"') == uri.length &&
           sip_slice_only(front(uri, find_char(uri, ':')), SIP_CHAR_SCHEME) &&
           find_char(uri, ':') + 1 < uri.length;
}

/* Everything up to the parameters; *s is moved past it. */
static int parse_address(struct sip_slice *s, struct sip_nameaddr *ret)
{
    int64_t end = display_end(*s);
    struct sip_slice inside;
    uint32_t close;

    if (end < 0)
        return -EINVAL;
    ret->bracketed = end < (int64_t)s->length && s->at[end] == '<';
    if (!ret->bracketed) {
        ret->uri = sip_slice_trim(front(*s, (uint32_t)end));
        *s = from(*s, (uint32_t)end);
        return bare_valid(ret->uri) ? 0 : -EINVAL;
    }
    inside = from(*s, (uint32_t)end + 1);
    close = find_char(inside, '>');
    ret->uri = sip_slice_trim(front(inside, close));
    if (close == inside.length || ret->uri.length == 0 ||
        find_char(ret->uri, '<') < ret->uri.length)
        return -EINVAL;
    *s = from(inside, close + 1);
    return 0;
}

int sip_nameaddr_scalar(struct sip_slice value, struct sip_nameaddr *ret)
{
    struct sip_slice s = sip_slice_trim(value);
    const char *start = s.at, *params, *end;
    struct sip_nameaddr address = {0};
    struct sip_param param;
    int found;

    if (parse_address(&s, &address) != 0)
        return -EINVAL;
    while (s.length > 0 && sip_char_is(s.at[0], SIP_CHAR_LWS))
        s = from(s, 1);
    params = end = s.at;
    while ((found = sip_param_next(&s, &param)) == 1)
        end = param.whole.at + param.whole.length;
    if (found < 0 || (s.length > 0 && s.at[0] != ','))
        return -EINVAL;
    address.params = sip_slice(params, (uint32_t)(end - params));
    address.whole = sip_slice_trim(sip_slice(start, (uint32_t)(s.at - start)));
    if (s.length > 0) {
        address.rest = sip_slice_trim(from(s, 1));
        if (address.rest.length == 0 || address.rest.at[0] == ',')
            return -EINVAL;
    }
    *ret = address;
    return 0;
}
