/* SPDX-License-Identifier: Apache-2.0 */
/*
 * via-parm (RFC 3261 §25.1) and the parameter lists that Via shares with URIs and name-addrs.
 * Every step reads forward from a slice that shrinks in front; nothing is read twice.
 */
#include "dataplane/sip/index.h"

#include <errno.h>

static void advance(struct sip_slice *s, uint32_t count)
{
    s->at += count;
    s->length -= count;
}

static void skip_lws(struct sip_slice *s)
{
    while (s->length > 0 && sip_char_is(s->at[0], SIP_CHAR_LWS))
        advance(s, 1);
}

static bool skip_char(struct sip_slice *s, char c)
{
    if (s->length == 0 || s->at[0] != c)
        return false;
    advance(s, 1);
    return true;
}

/* Cuts the longest front of those classes off; may be empty. */
static struct sip_slice take(struct sip_slice *s, int classes)
{
    struct sip_slice taken = sip_slice(s->at, 0);

    while (s->length > 0 && sip_char_is(s->at[0], classes)) {
        advance(s, 1);
        taken.length++;
    }
    return taken;
}

/* Cuts a quoted-string with its quotes off; false when it does not end. */
static bool take_quoted(struct sip_slice *s, struct sip_slice *ret)
{
    for (uint32_t i = 1; i < s->length; i++) {
        if (s->at[i] == '\\') {
            i++;
        } else if (s->at[i] == '"') {
            *ret = sip_slice(s->at, i + 1);
            advance(s, i + 1);
            return true;
        }
    }
    return false;
}

enum { ENDS_VALUE = 1, ENDS_NAME = 2, ENDS_BOTH = ENDS_VALUE | ENDS_NAME };

/* What a bare name or value ends before: bytes that are not visible, or SIP_CHAR_STOP. */
static const uint8_t ends[256] = {
    [0 ... ' '] = ENDS_BOTH, [0x7f] = ENDS_BOTH, [';'] = ENDS_BOTH, [','] = ENDS_BOTH,
    ['"'] = ENDS_BOTH,       ['<'] = ENDS_BOTH,  ['>'] = ENDS_BOTH, ['='] = ENDS_NAME,
};

/* A bare name (up to '=') or value: visible characters other than the ones that end a parameter. */
static inline struct sip_slice take_bare(struct sip_slice *s, int what)
{
    struct sip_slice taken = *s;
    uint32_t length = 0;

    while (length < s->length && (ends[(uint8_t)s->at[length]] & what) == 0)
        length++;
    advance(s, length);
    taken.length = length;
    return taken;
}

int sip_param_next(struct sip_slice *rest, struct sip_param *ret)
{
    struct sip_slice s = *rest, value = {0}, name;
    const char *start, *end;

    skip_lws(&s);
    start = s.at;
    if (!skip_char(&s, ';')) {
        *rest = s;
        return 0;
    }
    skip_lws(&s);
    name = take_bare(&s, ENDS_NAME);
    if (name.length == 0)
        return -EINVAL;
    end = s.at;
    skip_lws(&s);
    if (skip_char(&s, '=')) {
        end = s.at;
        skip_lws(&s);
        if (s.length > 0 && s.at[0] == '"') {
            if (!take_quoted(&s, &value))
                return -EINVAL;
        } else {
            value = take_bare(&s, ENDS_VALUE);
        }
        if (value.length > 0)
            end = s.at; /* blanks behind a '=' without a value are not of the parameter */
        skip_lws(&s);
    }
    *ret = (struct sip_param){sip_slice(start, (uint32_t)(end - start)), name, value};
    *rest = s;
    return 1;
}

/* True, and *rest moved past it, when an empty parameter is in front. */
static bool skip_empty(struct sip_slice *rest)
{
    struct sip_slice s = *rest;

    skip_lws(&s);
    if (!skip_char(&s, ';'))
        return false;
    skip_lws(&s);
    if (s.length > 0 && s.at[0] != ';')
        return false;
    *rest = s;
    return true;
}

bool sip_param_find(struct sip_slice params, struct sip_slice name, struct sip_slice *ret_value,
                    struct sip_slice *ret_param)
{
    struct sip_param param;

    for (;;) {
        while (skip_empty(&params))
            ;
        if (sip_param_next(&params, &param) != 1)
            return false;
        if (sip_slice_equal_nocase(param.name, name))
            break;
    }
    *ret_value = param.value;
    if (ret_param != NULL)
        *ret_param = param.whole;
    return true;
}

/* sent-protocol = protocol-name SLASH protocol-version SLASH transport; nearly always the same. */
static int parse_protocol(struct sip_slice *s, struct sip_via *via)
{
    static const char usual[] = "SIP/2.0/UDP ";
    struct sip_slice name, version;

    skip_lws(s);
    if (s->length > sizeof(usual) - 1 && memcmp(s->at, usual, sizeof(usual) - 1) == 0) {
        via->transport_text = sip_slice(s->at + 8, 3);
        via->transport = SIP_TRANSPORT_UDP;
        advance(s, sizeof(usual) - 2);
        return 0;
    }
    name = take(s, SIP_CHAR_TOKEN);
    skip_lws(s);
    if (!sip_slice_equal_nocase(name, sip_slice_of("SIP")) || !skip_char(s, '/'))
        return -EINVAL;
    skip_lws(s);
    version = take(s, SIP_CHAR_TOKEN);
    skip_lws(s);
    if (!sip_slice_equal(version, sip_slice_of("2.0")) || !skip_char(s, '/'))
        return -EINVAL;
    skip_lws(s);
    via->transport_text = take(s, SIP_CHAR_TOKEN);
    if (via->transport_text.length == 0)
        return -EINVAL;
    via->transport = (uint8_t)sip_transport_parse(via->transport_text);
    return 0;
}

static struct sip_slice take_host(struct sip_slice *s)
{
    const char *close;

    if (s->length > 0 && s->at[0] == '[') {
        close = memchr(s->at, ']', s->length);
        if (close != NULL) {
            struct sip_slice host = sip_slice(s->at, (uint32_t)(close - s->at) + 1);

            advance(s, host.length);
            return host;
        }
    }
    return take(s, SIP_CHAR_HOST);
}

/* LWS sent-by, sent-by = host [COLON port] */
static int parse_sent_by(struct sip_slice *s, struct sip_via *via)
{
    uint64_t port;
    int kind;

    if (s->length == 0 || !sip_char_is(s->at[0], SIP_CHAR_LWS))
        return -EINVAL;
    skip_lws(s);
    via->host = take_host(s);
    kind = sip_host_parse(via->host, &via->host_ip);
    if (kind == -EINVAL)
        return -EINVAL;
    via->host_is_ip = kind == 0;
    skip_lws(s);
    if (!skip_char(s, ':'))
        return 0;
    skip_lws(s);
    if (sip_slice_number(take(s, SIP_CHAR_DIGIT), UINT16_MAX, &port) != 0 || port == 0)
        return -EINVAL;
    via->port = (uint16_t)port;
    skip_lws(s);
    return 0;
}

/* Remembers a parameter that routing needs; -EINVAL when it is there twice. */
static int note_param(const struct sip_param *param, struct sip_via *via)
{
    if (sip_slice_equal_nocase(param->name, sip_slice_of("branch"))) {
        if (via->branch.length > 0 || param->value.length == 0)
            return -EINVAL;
        via->branch = param->value;
    } else if (sip_slice_equal_nocase(param->name, sip_slice_of("received"))) {
        if (via->received_param.length > 0)
            return -EINVAL;
        via->received = param->value;
        via->received_param = param->whole;
        via->received_is_ip = sip_ip_parse(param->value, &via->received_ip) == 0;
    } else if (sip_slice_equal_nocase(param->name, sip_slice_of("rport"))) {
        if (via->rport_param.length > 0)
            return -EINVAL;
        via->rport = param->value;
        via->rport_param = param->whole;
    }
    return 0;
}

static int parse_params(struct sip_slice *s, struct sip_via *via)
{
    struct sip_param param;
    const char *start = s->at, *end = s->at;
    int found;

    while ((found = sip_param_next(s, &param)) == 1) {
        if (note_param(&param, via) != 0)
            return -EINVAL;
        end = param.whole.at + param.whole.length;
    }
    via->params = sip_slice(start, (uint32_t)(end - start));
    return found;
}

int sip_via_scalar(struct sip_slice value, struct sip_via *ret)
{
    struct sip_slice s = sip_slice_trim(value);
    const char *start = s.at, *end;
    struct sip_via via = {0};

    if (parse_protocol(&s, &via) != 0 || parse_sent_by(&s, &via) != 0 ||
        parse_params(&s, &via) != 0)
        return -EINVAL;
    end = s.at;
    if (s.length > 0) {
        if (!skip_char(&s, ','))
            return -EINVAL;
        skip_lws(&s);
        if (s.length == 0 || s.at[0] == ',')
            return -EINVAL;
        via.rest = s;
    }
    via.whole = sip_slice_trim(sip_slice(start, (uint32_t)(end - start)));
    *ret = via;
    return 0;
}
