/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values that every message has, by vector instructions: each function decodes one that is
 * written in the usual way, or returns false and has done nothing that matters.
 * Included by way of index_simd.h.
 */
#ifndef TANDEM_SIP_SIMD_VALUES_H
#define TANDEM_SIP_SIMD_VALUES_H

#include "dataplane/sip/simd_bytes.h"

/* ---- Values ---- */

/* A value that is being decoded, and where the bytes that may be read end. */
struct value {
    const char *at;
    const char *end;
    const char *limit;
};

static inline struct block value_block(const struct value *value, const char *at)
{
    return block_load(at, value->end, value->limit);
}

/* The field of that id when there is exactly one. */
static inline bool only_value(const struct sip_scan *scan, enum sip_field_id id, struct value *ret)
{
    const struct sip_msg *msg = scan->msg;
    const struct sip_field *field = sip_msg_first(msg, id);

    if (field == NULL || field->next != 0)
        return false;
    ret->at = msg->buf + field->value;
    ret->end = ret->at + field->value_length;
    ret->limit = scan->end;
    return true;
}

static inline bool decode_call_id(struct sip_scan *scan)
{
    struct value value;
    uint32_t length;

    if (!only_value(scan, SIP_CALL_ID, &value))
        return false;
    length = (uint32_t)(value.end - value.at);
    if (length - 1 > 63 || first_bit(block_in(value_block(&value, value.at), &invisible)) != length)
        return false;
    scan->msg->call_id = sip_slice(value.at, length);
    return true;
}

/* 1*8DIGIT SP Method, a known one */
static inline bool decode_cseq(struct sip_scan *scan)
{
    struct sip_msg *msg = scan->msg;
    struct value value;
    uint32_t digits, number, length, id;

    if (!only_value(scan, SIP_CSEQ, &value) || value.limit - value.at < 32)
        return false;
    digits = _tzcnt_u32(
        (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(load16(value.at), _mm_set1_epi8(' '))));
    if (!read_number(value.at + digits, digits, &number) || value.end - value.at - digits - 1 > 15)
        return false;
    length = (uint32_t)(value.end - value.at) - digits - 1;
    id = method_id(load16(value.at + digits + 1), length);
    if (id == SIP_METHOD_UNKNOWN || (msg->kind == SIP_REQUEST && id != msg->method))
        return false;
    msg->cseq = number;
    if (msg->kind == SIP_RESPONSE) {
        msg->method = (uint8_t)id;
        msg->method_text = sip_slice(value.at + digits + 1, length);
    }
    return true;
}

static inline bool decode_number(struct sip_scan *scan, enum sip_field_id id, uint32_t *ret)
{
    struct value value;

    return only_value(scan, id, &value) &&
           read_number(value.end, (uint32_t)(value.end - value.at), ret);
}

/*
 * What stands in front of the parameters of a From, To or Contact: [ quoted-string / text ] "<" URI
 * ">". Whether there is a quoted-string differs, and nothing branches on it.
 */
static inline bool read_address(const struct value *value, struct sip_slice *ret_uri)
{
    struct block block = value_block(value, value->at);
    uint64_t marks = block_in(block, &display_end), second = _blsr_u64(marks);
    uint64_t quotes = block_equal(block, '"'), opens = block_equal(block, '<'), closes;
    bool quoted = (quotes & _blsi_u64(marks)) != 0;
    uint64_t rest = quoted ? _blsr_u64(second) : marks;
    uint32_t open = first_bit(rest), length;
    const char *uri = value->at + open + 1;

    if ((opens & _blsi_u64(rest)) == 0 || (quoted & ((quotes & _blsi_u64(second)) == 0)))
        return false;
    opens &= ~_blsmsk_u64(rest);
    closes = block_equal(block, '>') & ~below_bit(open);
    length = first_bit(closes) - open - 1;
    if (closes == 0) { /* it ends in the next block */
        block = value_block(value, uri);
        opens = block_equal(block, '<');
        closes = block_equal(block, '>');
        length = first_bit(closes);
    }
    if (closes == 0 || length < 2 || (opens & (_blsi_u64(closes) - 1)) != 0 ||
        (uint8_t)uri[0] <= ' ' || (uint8_t)uri[length - 1] <= ' ')
        return false;
    *ret_uri = sip_slice(uri, length);
    return true;
}

/*
 * Reads the parameter whose ';' is at `at`: name [ "=" ( value / quoted-string without escapes ) ],
 * no blanks. Returns its end, NULL when it is of another kind.
 */
static inline const char *read_param(const struct value *value, const char *at,
                                     uint32_t *ret_name_length)
{
    struct block block = value_block(value, at + 1);
    uint64_t ends = block_in(block, &bare_end);
    uint32_t length = first_bit(ends), name = first_bit(ends | block_equal(block, '=')), quote;

    if (name - 1 > 62)
        return NULL;
    while (ends == 0) { /* a long value */
        ends = block_in(value_block(value, at + 1 + length), &bare_end);
        length += first_bit(ends);
    }
    *ret_name_length = name;
    at += 1 + length;
    if (at == value->end || *at != '"')
        return at;
    block = value_block(value, at + 1);
    quote = first_bit(block_equal(block, '"'));
    if (name + 1 != length || quote == 64 || (block_equal(block, '\\') & below_bit(quote)) != 0)
        return NULL;
    return at + 1 + quote + 1;
}

/* Passes over parameters from `at` on. Returns where they end, NULL when one is of another kind;
 * *ret_tag is the value of the first one named tag, untouched when there is none. */
static inline const char *read_params(const struct value *value, const char *at,
                                      struct sip_slice *ret_tag)
{
    bool found = false;
    uint32_t name;

    while (at < value->end && *at == ';') {
        const char *param = at;

        at = read_param(value, param, &name);
        if (at == NULL)
            return NULL;
        if (name == 3 && !found &&
            (load32(param) | WORD32(0, ' ', ' ', ' ')) == WORD32(';', 't', 'a', 'g')) {
            found = true;
            if (at - param > 4)
                *ret_tag = sip_slice(param + 5, (uint32_t)(at - param - 5));
        }
    }
    return at;
}

/* Reads a tag that is the only parameter, as nearly always, from its ';' to the value's end. */
static inline bool read_only_tag(const struct value *value, const char *at, struct sip_slice *ret)
{
    uint32_t length = (uint32_t)(value->end - at) - 1; /* behind the ';' */

    if (*at != ';' || length - 4 > 60 ||
        (load32(at + 1) | 0x20202020) != WORD32('t', 'a', 'g', '=') ||
        first_bit(block_in(value_block(value, at + 1), &bare_end)) != length)
        return false;
    *ret = sip_slice(at + 5, length - 4);
    return true;
}

/* A From or To: one address and its parameters. */
static inline bool decode_party(const struct sip_scan *scan, enum sip_field_id id,
                                struct sip_slice *ret_uri, struct sip_slice *ret_tag)
{
    struct sip_slice uri, tag = {0};
    struct value value;
    const char *params;

    if (!only_value(scan, id, &value) || !read_address(&value, &uri))
        return false;
    params = uri.at + uri.length + 1;
    if (params < value.end && !read_only_tag(&value, params, &tag) &&
        read_params(&value, params, &tag) != value.end)
        return false;
    *ret_uri = uri;
    *ret_tag = tag;
    return true;
}

/* A request's first Contact: an address with parameters, and then no other. */
static inline bool check_contact(const struct sip_scan *scan)
{
    const struct sip_msg *msg = scan->msg;
    struct sip_slice uri, tag;
    struct value value;

    if (msg->kind == SIP_RESPONSE || msg->first[SIP_CONTACT] == 0)
        return true;
    return only_value(scan, SIP_CONTACT, &value) && read_address(&value, &uri) &&
           read_params(&value, uri.at + uri.length + 1, &tag) == value.end;
}

/* What follows the comma at `at`; nothing, when that is the value's end. */
static inline bool read_rest(const struct value *value, const char *at, struct sip_slice *ret)
{
    if (at == value->end)
        return true;
    if (*at != ',' || value->end - at < 3)
        return false;
    at += 1 + (at[1] == ' ');
    *ret = sip_slice(at, (uint32_t)(value->end - at));
    return (uint8_t)*at > ' ' && *at != ',' && (uint8_t)value->end[-1] > ' ';
}

/* ---- The top Via ---- */

/*
 * The bytes of an IPv4 address whose dots are `dots`, none of them first and no two side by side.
 * Three bytes before it are read.
 */
static inline bool read_ipv4(const char *host, uint32_t length, uint64_t dots, struct sip_ip *ret)
{
    const __m128i weights = _mm_set1_epi32(0x010a6400); /* 0, 100, 10, 1 */
    const __m128i last = _mm_setr_epi32(-1, -1, -1, 0 | 4 << 8 | 8 << 16 | 12 << 24);
    const __m128i mapped = _mm_setr_epi32(0, 0, (int)0xffff0000, 0);
    uint32_t a = first_bit(dots), b = first_bit(_blsr_u64(dots));
    uint32_t c = first_bit(_blsr_u64(_blsr_u64(dots)));
    __m128i digits, words, numbers, bad;

    if (_mm_popcnt_u64(dots) != 3)
        return false;
    /* Each group is the end of its word; what is before it there is shifted out. */
    digits = _mm_setr_epi32((int)a, (int)(b - a - 1), (int)(c - b - 1), (int)(length - c - 1));
    words = _mm_setr_epi32((int)load32(host + a - 4), (int)load32(host + b - 4),
                           (int)load32(host + c - 4), (int)load32(host + length - 4));
    words =
        _mm_and_si128(_mm_sub_epi8(words, _mm_set1_epi8('0')),
                      _mm_sllv_epi32(_mm_set1_epi32(-1),
                                     _mm_sub_epi32(_mm_set1_epi32(32), _mm_slli_epi32(digits, 3))));
    numbers = _mm_madd_epi16(_mm_maddubs_epi16(words, weights), _mm_set1_epi16(1));
    bad = _mm_or_si128(_mm_cmpgt_epi32(numbers, _mm_set1_epi32(255)),
                       _mm_or_si128(_mm_cmpgt_epi32(digits, _mm_set1_epi32(3)),
                                    _mm_cmpeq_epi32(digits, _mm_setzero_si128())));
    if (_mm_movemask_epi8(bad) != 0)
        return false;
    /* At once: what is written in parts is slow to be read as a whole. */
    _mm_storeu_si128((__m128i *)ret->bytes, _mm_or_si128(_mm_shuffle_epi8(numbers, last), mapped));
    return true;
}

/*
 * Whether the first `length` bytes of a block, letters, digits, '-', '_' and '.', are a host: no
 * dot is first or behind another, and digits and dots alone are an IPv4 address (sip_host_valid).
 * At least three bytes are in front of it.
 */
static inline bool read_host(const char *host, struct block block, uint32_t length, bool *ret_is_ip,
                             struct sip_ip *ret_ip)
{
    uint64_t inside = below_bit(length), dots = block_equal(block, '.') & inside;

    *ret_is_ip = (block_in(block, &dotted) & inside) == inside;
    if (length == 0 || (dots & (dots << 1 | 1)) != 0)
        return false;
    return !*ret_is_ip || read_ipv4(host, length, dots, ret_ip);
}

/* The value of received=: false when it is no IPv4 address. */
static inline bool read_received(const struct value *value, struct sip_slice text,
                                 struct sip_ip *ret)
{
    bool is_ip;

    return text.length < 64 &&
           read_host(text.at, value_block(value, text.at), text.length, &is_ip, ret) && is_ip;
}

/* host [":" port] at *at, which is moved past it. */
static inline bool read_sent_by(const struct value *value, const char **at, struct sip_via *via)
{
    const char *host = *at;
    struct block block = value_block(value, host);
    uint64_t digits;
    uint32_t length, end, port;

    length = first_bit(~block_in(block, &host_char));
    if (length == 64 || !read_host(host, block, length, &via->host_is_ip, &via->host_ip))
        return false;
    via->host = sip_slice(host, length);
    *at = host + length;
    if (*at == value->end || **at != ':')
        return true;
    digits = block_below(block, '9' + 1) & ~block_below(block, '0');
    end = first_bit(~digits & ~below_bit(length + 1));
    *at = host + end;
    if (!read_number(*at, end - length - 1, &port) || port - 1 >= UINT16_MAX)
        return false;
    via->port = (uint16_t)port;
    return true;
}

/* Notes the parameter that is from `param` to `end`, its name of `length` bytes; false when it is
 * branch, received or rport for the second time, or a branch without a value; or a received that is
 * no IPv4 address. */
static inline bool note_param(const struct value *via_value, struct sip_via *via, const char *param,
                              const char *end, uint32_t length)
{
    struct sip_slice whole = sip_slice(param, (uint32_t)(end - param)), value = {0};
    uint64_t name = load64(param + length - 7) | 0x2020202020202020; /* its last eight bytes */

    if (length + 1 < whole.length)
        value = sip_slice(param + length + 2, whole.length - length - 2);
    if (length == 6 && name >> 16 == WORD64('b', 'r', 'a', 'n', 'c', 'h', 0, 0)) {
        if (via->branch.length > 0 || value.length == 0)
            return false;
        via->branch = value;
    } else if (length == 5 && name >> 24 == WORD64('r', 'p', 'o', 'r', 't', 0, 0, 0)) {
        if (via->rport_param.length > 0)
            return false;
        via->rport = value;
        via->rport_param = whole;
    } else if (length == 8 && name == WORD64('r', 'e', 'c', 'e', 'i', 'v', 'e', 'd')) {
        if (via->received_param.length > 0)
            return false;
        via->received = value;
        via->received_param = whole;
        via->received_is_ip = value.length > 0;
        return value.length == 0 || read_received(via_value, value, &via->received_ip);
    }
    return true;
}

/* Reads parameters one by one, however long they are, from `at` on. Returns where they end, NULL
 * when one is of another kind. */
static inline const char *read_long_params(const struct value *value, const char *at,
                                           struct sip_via *via)
{
    uint32_t name;

    while (at < value->end && *at == ';') {
        const char *param = at;

        at = read_param(value, param, &name);
        if (at == NULL || !note_param(value, via, param, at, name))
            return NULL;
    }
    return at;
}

/*
 * Reads parameters from `at` on. Returns where they end, NULL when one is of another kind. As a
 * rule all of them fit a block: then only those that begin with the letter of one that counts are
 * looked at, since how many others there are, and in which order, differs.
 */
static inline const char *read_via_params(const struct value *value, const char *at,
                                          struct sip_via *via)
{
    struct block block = value_block(value, at), lower = block_lower(block);
    uint64_t ends = block_in(block, &bare_end), separators = block_equal(block, ';');
    uint64_t name_ends = ends | block_equal(block, '='), stops = ends ^ separators, names;

    if (stops == 0)
        return read_long_params(value, at, via);
    names = (separators & (_blsi_u64(stops) - 1)) << 1;
    if ((ends & 1) == 0 || (names & name_ends) != 0)
        return NULL;
    for (names &= block_equal(lower, 'b') | block_equal(lower, 'r'); names != 0;
         names = _blsr_u64(names)) {
        uint64_t behind = ~_blsmsk_u64(names);
        uint32_t start = first_bit(names);

        if (!note_param(value, via, at + start - 1, at + first_bit(ends & behind),
                        first_bit(name_ends & behind) - start))
            return NULL;
    }
    return at + first_bit(stops);
}

static inline uint32_t usual_transport(uint32_t text)
{
    return text == WORD32('U', 'D', 'P', ' ')   ? SIP_TRANSPORT_UDP
           : text == WORD32('T', 'C', 'P', ' ') ? SIP_TRANSPORT_TCP
           : text == WORD32('T', 'L', 'S', ' ') ? SIP_TRANSPORT_TLS
                                                : SIP_TRANSPORT_NONE;
}

/* "SIP/2.0/" transport SP sent-by, parameters; what follows a comma is its `rest`. What is in *ret
 * when it is not of that kind means nothing. */
static inline bool read_via(const struct value *value, struct sip_via *ret)
{
    const char *at = value->at + 12, *params;

    memset(ret, 0, sizeof(*ret));
    if (value->end - value->at < 13 ||
        load64(value->at) != WORD64('S', 'I', 'P', '/', '2', '.', '0', '/'))
        return false;
    ret->transport = (uint8_t)usual_transport(load32(value->at + 8));
    if (ret->transport == SIP_TRANSPORT_NONE || !read_sent_by(value, &at, ret))
        return false;
    params = at;
    at = read_via_params(value, at, ret);
    if (at == NULL)
        return false;
    ret->whole = sip_slice(value->at, (uint32_t)(at - value->at));
    ret->params = sip_slice(params, (uint32_t)(at - params));
    ret->transport_text = sip_slice(value->at + 8, 3);
    return read_rest(value, at, &ret->rest);
}

/* The first Via, of a message that may have many. */
static inline bool decode_via(struct sip_scan *scan)
{
    struct sip_msg *msg = scan->msg;
    const struct sip_field *field = sip_msg_first(msg, SIP_VIA);
    struct value value = {.limit = scan->end};

    if (field == NULL)
        return false;
    value.at = msg->buf + field->value;
    value.end = value.at + field->value_length;
    msg->via_ok = read_via(&value, &msg->top_via);
    return msg->via_ok;
}

#endif
