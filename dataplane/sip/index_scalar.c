/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of a message, byte by byte: start-line, one pass over the header section, then the
 * scalars out of the fields it remembered. Faults are noted and passed over, so that a malformed
 * request can be answered; only the first is kept. This is the meaning of sip_msg_index: the
 * vector variants leave to it, piece by piece, whatever is not written in the usual way.
 */
#include "dataplane/sip/index.h"

#include <endian.h>

static const uint64_t LOW_BITS = 0x0101010101010101;
static const uint64_t HIGH_BITS = 0x8080808080808080;
static const uint64_t CSEQ_MAX = 0x7fffffff;           /* RFC 3261 §8.1.1.5: below 2^31 */
static const uint64_t CONTENT_LENGTH_MAX = 0x7fffffff; /* what int32_t holds */

struct line {
    struct sip_slice text; /* without its CRLF; folds inside */
    bool broken;           /* a CR that ends no line is inside, or a NUL without a backslash
                              before it (quoted-pair may hold one: RFC 4475 §3.1.1.2) */
};

static inline uint64_t zero_bytes(uint64_t word)
{
    return (word - LOW_BITS) & ~word & HIGH_BITS;
}

/* The first NUL, CR or LF, eight bytes a step, or `end`. */
static const char *find_break(const char *at, const char *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t word, hits;

        memcpy(&word, at, sizeof(word));
        word = le64toh(word);
        /* A borrow marks only bytes above a true one: the lowest mark is always true. */
        hits = zero_bytes(word) | zero_bytes(word ^ LOW_BITS * '\r') |
               zero_bytes(word ^ LOW_BITS * '\n');
        if (hits != 0)
            return at + __builtin_ctzll(hits) / 8;
    }
    while (at < end && *at != 0 && *at != '\r' && *at != '\n')
        at++;
    return at;
}

/*
 * Reads one line; with `folds`, the lines that continue it too. SIP_LINE_CUT when the bytes end
 * before a line feed: nothing is consumed then.
 */
static enum sip_line_kind read_line(struct sip_scan *scan, bool folds, struct line *ret)
{
    const char *start = scan->at, *at = start;

    ret->broken = false;
    for (;;) {
        const char *lf, *stop = find_break(at, scan->end);

        if (stop == scan->end || (*stop == '\r' && stop + 1 == scan->end))
            return SIP_LINE_CUT;
        lf = *stop == '\r' ? stop + 1 : stop;
        if (*lf != '\n') {
            ret->broken |= *stop == '\r' || stop == start || stop[-1] != '\\';
            at = stop + 1;
            continue;
        }
        at = lf + 1;
        if (stop != start && folds && at < scan->end && (*at == ' ' || *at == '\t'))
            continue;
        ret->text = sip_slice(start, (uint32_t)(stop - start));
        scan->at = at;
        return stop == start ? SIP_LINE_EMPTY : SIP_LINE_FIELD;
    }
}

/* "SIP/" 1*DIGIT "." 1*DIGIT; *ret_2_0 says whether it is 2.0. */
static bool parse_version(struct sip_slice text, bool *ret_2_0)
{
    const char *dot;
    uint32_t major;

    if (text.length < 7 || !sip_slice_equal_nocase(sip_slice(text.at, 4), sip_slice_of("SIP/")))
        return false;
    dot = memchr(text.at, '.', text.length);
    if (dot == NULL)
        return false;
    major = (uint32_t)(dot - text.at) - 4;
    if (!sip_slice_only(sip_slice(text.at + 4, major), SIP_CHAR_DIGIT) ||
        !sip_slice_only(sip_slice(dot + 1, text.length - major - 5), SIP_CHAR_DIGIT))
        return false;
    *ret_2_0 = sip_slice_equal(sip_slice(text.at + 4, text.length - 4), sip_slice_of("2.0"));
    return true;
}

static uint32_t find_space(struct sip_slice s)
{
    const char *space = s.length > 0 ? memchr(s.at, ' ', s.length) : NULL;

    return space != NULL ? (uint32_t)(space - s.at) : s.length;
}

/* Status-Line = SIP-Version SP Status-Code SP Reason-Phrase; the reason may be empty. */
static void parse_status_line(struct sip_msg *msg, struct sip_slice text)
{
    uint32_t space = find_space(text), status_length;
    struct sip_slice rest = sip_slice(text.at + space, text.length - space);
    bool is_2_0 = false;
    uint64_t status;

    if (!parse_version(sip_slice(text.at, space), &is_2_0) || !is_2_0)
        sip_index_fault(msg, SIP_ERR_VERSION);
    if (rest.length > 0)
        rest = sip_slice(rest.at + 1, rest.length - 1);
    status_length = find_space(rest);
    if (status_length == rest.length)
        sip_index_fault(msg, SIP_ERR_START_LINE);
    rest.length = status_length;
    if (rest.length != 3 || sip_slice_number(rest, 699, &status) != 0 || status < 100)
        sip_index_fault(msg, SIP_ERR_STATUS);
    else
        msg->status = (uint16_t)status;
}

/*
 * Request-Line = Method SP Request-URI SP SIP-Version, single spaces. `version` is the offset of
 * the last word, which began with SIP/.
 */
static void parse_request_line(struct sip_msg *msg, struct sip_slice text, uint32_t version)
{
    uint32_t method = find_space(text);
    struct sip_slice uri = {0};
    bool is_2_0 = false;

    if (!parse_version(sip_slice(text.at + version, text.length - version), &is_2_0))
        sip_index_fault(msg, SIP_ERR_START_LINE);
    else if (!is_2_0)
        sip_index_fault(msg, SIP_ERR_VERSION);
    if (sip_slice_only(sip_slice(text.at, method), SIP_CHAR_TOKEN)) {
        msg->method_text = sip_slice(text.at, method);
        msg->method = (uint8_t)sip_method_parse(msg->method_text);
    } else {
        sip_index_fault(msg, SIP_ERR_START_LINE);
    }
    if (version > method + 2)
        uri = sip_slice(text.at + method + 1, version - method - 2);
    if (sip_slice_only(uri, SIP_CHAR_VISIBLE))
        msg->request_uri = uri;
    else
        sip_index_fault(msg, SIP_ERR_START_LINE);
}

/* Offset of the last word; white space after it was cut off before. */
static uint32_t last_word(struct sip_slice text)
{
    uint32_t at = text.length;

    while (at > 0 && !sip_char_is(text.at[at - 1], SIP_CHAR_LWS))
        at--;
    return at;
}

static bool begins_sip(struct sip_slice text)
{
    return text.length >= 4 && sip_slice_equal_nocase(sip_slice(text.at, 4), sip_slice_of("SIP/"));
}

/* True when the first line is one of SIP, malformed or not; sets kind. */
static bool parse_start_line(struct sip_msg *msg, const struct line *line)
{
    struct sip_slice text = line->text, trimmed = sip_slice_trim(text);
    uint32_t word = last_word(trimmed);

    if (begins_sip(text)) {
        msg->kind = SIP_RESPONSE;
        parse_status_line(msg, text);
    } else if (word > 0 && begins_sip(sip_slice(trimmed.at + word, trimmed.length - word))) {
        msg->kind = SIP_REQUEST;
        if (trimmed.length != text.length)
            sip_index_fault(msg, SIP_ERR_START_LINE);
        parse_request_line(msg, trimmed, word);
    } else {
        return false;
    }
    if (line->broken)
        sip_index_fault(msg, SIP_ERR_START_LINE);
    return true;
}

/* Only CRLFs, NULs, blanks, or `jaK` between them: what phones send to keep a NAT binding. */
static bool is_keepalive(const char *at, const char *end)
{
    while (at < end && (*at == 0 || sip_char_is(*at, SIP_CHAR_LWS)))
        at++;
    if (end - at >= 3 && memcmp(at, "jaK", 3) == 0)
        at += 3;
    while (at < end && (*at == 0 || sip_char_is(*at, SIP_CHAR_LWS)))
        at++;
    return at == end;
}

bool sip_msg_is_stun(const char *buf, size_t size)
{
    static const uint8_t cookie[] = {0x21, 0x12, 0xa4, 0x42};

    return size >= 8 && ((uint8_t)buf[0] & 0xc0) == 0 &&
           memcmp(buf + 4, cookie, sizeof(cookie)) == 0;
}

static void remember(struct sip_scan *scan, struct sip_field field)
{
    struct sip_msg *msg = scan->msg;

    if (msg->n_fields == SIP_FIELDS_MAX) {
        sip_index_fault(msg, SIP_ERR_TOO_MANY_FIELDS);
        return;
    }
    msg->fields[msg->n_fields++] = field;
}

/* header-name HCOLON header-value; HCOLON = *(SP / HTAB) ":" SWS */
static void read_field(struct sip_scan *scan, const struct line *line)
{
    struct sip_slice text = line->text, name, value;
    enum sip_field_id id;
    uint32_t at = 0;

    if (line->broken)
        sip_index_fault(scan->msg, SIP_ERR_HEADER);
    while (at < text.length && sip_char_is(text.at[at], SIP_CHAR_TOKEN))
        at++;
    name = sip_slice(text.at, at);
    while (at < text.length && (text.at[at] == ' ' || text.at[at] == '\t'))
        at++;
    if (name.length == 0 || at == text.length || text.at[at] != ':') {
        sip_index_fault(scan->msg, SIP_ERR_HEADER);
        return;
    }
    id = sip_field_parse(name);
    if (id == SIP_FIELD_OTHER)
        return;
    value = sip_slice_trim(sip_slice(text.at + at + 1, text.length - at - 1));
    if (value.length == 0)
        value.at = text.at + at + 1;
    remember(scan, (struct sip_field){
                       .line = (uint16_t)(text.at - scan->msg->buf),
                       .value = (uint16_t)(value.at - scan->msg->buf),
                       .value_length = (uint16_t)value.length,
                       .id = (uint8_t)id,
                   });
}

enum sip_line_kind sip_index_line(struct sip_scan *scan)
{
    struct line line;
    enum sip_line_kind kind = read_line(scan, true, &line);

    if (kind == SIP_LINE_FIELD)
        read_field(scan, &line);
    return kind;
}

/* The value of a field that may be there once; repeated with another value it is a fault. */
static bool single(struct sip_msg *msg, enum sip_field_id id, struct sip_slice *ret)
{
    const struct sip_field *field = sip_msg_first(msg, id);

    if (field == NULL)
        return false;
    *ret = sip_msg_value(msg, field);
    while ((field = sip_msg_next(msg, field)) != NULL) {
        if (!sip_slice_equal(*ret, sip_msg_value(msg, field)))
            sip_index_fault(msg, SIP_ERR_DUPLICATE);
    }
    return true;
}

/* Joins the fields of each id. From the last one on, so that each finds the one behind it. */
static void link_fields(struct sip_msg *msg)
{
    for (uint32_t i = msg->n_fields; i > 0; i--) {
        struct sip_field *field = &msg->fields[i - 1];

        field->next = msg->first[field->id];
        msg->first[field->id] = (uint8_t)i;
    }
}

void sip_index_headers_end(struct sip_scan *scan, enum sip_line_kind kind)
{
    struct sip_msg *msg = scan->msg;

    if (kind == SIP_LINE_CUT) {
        msg->open_end = scan->at == scan->end;
        if (!msg->open_end)
            sip_index_fault(msg, SIP_ERR_HEADER_END);
        scan->at = scan->end;
    }
    msg->body = (uint16_t)(scan->at - msg->buf);
    link_fields(msg);
}

void sip_index_via(struct sip_msg *msg)
{
    const struct sip_field *field = sip_msg_first(msg, SIP_VIA);

    msg->via_ok = field != NULL && sip_via_scalar(sip_msg_value(msg, field), &msg->top_via) == 0;
    if (msg->via_ok)
        return;
    memset(&msg->top_via, 0, sizeof(msg->top_via));
    sip_index_fault(msg, field == NULL ? SIP_ERR_MISSING : SIP_ERR_VIA);
}

void sip_index_call_id(struct sip_msg *msg)
{
    struct sip_slice value;

    if (!single(msg, SIP_CALL_ID, &value))
        sip_index_fault(msg, SIP_ERR_MISSING);
    else if (!sip_slice_only(value, SIP_CHAR_VISIBLE))
        sip_index_fault(msg, SIP_ERR_CALL_ID);
    else
        msg->call_id = value;
}

/* CSeq = 1*DIGIT LWS Method */
void sip_index_cseq(struct sip_msg *msg)
{
    struct sip_slice value, method;
    uint32_t digits = 0;
    uint64_t number;

    if (!single(msg, SIP_CSEQ, &value)) {
        sip_index_fault(msg, SIP_ERR_MISSING);
        return;
    }
    while (digits < value.length && sip_char_is(value.at[digits], SIP_CHAR_DIGIT))
        digits++;
    method = sip_slice_trim(sip_slice(value.at + digits, value.length - digits));
    if (sip_slice_number(sip_slice(value.at, digits), CSEQ_MAX, &number) != 0 ||
        !sip_slice_only(method, SIP_CHAR_TOKEN) || method.at == value.at + digits) {
        sip_index_fault(msg, SIP_ERR_CSEQ);
        return;
    }
    msg->cseq = (uint32_t)number;
    if (msg->kind == SIP_RESPONSE) {
        msg->method_text = method;
        msg->method = (uint8_t)sip_method_parse(method);
    } else if (!sip_slice_equal(method, msg->method_text)) {
        sip_index_fault(msg, SIP_ERR_CSEQ_METHOD);
    }
}

static void decode_address(struct sip_msg *msg, enum sip_field_id id, enum sip_error error,
                           struct sip_slice *ret_uri, struct sip_slice *ret_tag)
{
    struct sip_nameaddr address;
    struct sip_slice value;

    if (!single(msg, id, &value)) {
        sip_index_fault(msg, SIP_ERR_MISSING);
    } else if (sip_nameaddr_scalar(value, &address) != 0 || address.rest.length > 0 ||
               sip_slice_equal(address.uri, sip_slice_of("*"))) {
        sip_index_fault(msg, error);
    } else {
        *ret_uri = address.uri;
        sip_param_find(address.params, sip_slice_of("tag"), ret_tag, NULL);
    }
}

void sip_index_from(struct sip_msg *msg)
{
    decode_address(msg, SIP_FROM, SIP_ERR_FROM, &msg->from_uri, &msg->from_tag);
}

void sip_index_to(struct sip_msg *msg)
{
    decode_address(msg, SIP_TO, SIP_ERR_TO, &msg->to_uri, &msg->to_tag);
}

void sip_index_contact(struct sip_msg *msg)
{
    const struct sip_field *field = sip_msg_first(msg, SIP_CONTACT);
    struct sip_nameaddr address;

    /* No proxy looks into it: a final response is not lost for an odd one. */
    if (msg->kind == SIP_RESPONSE)
        return;
    if (field != NULL && sip_nameaddr_scalar(sip_msg_value(msg, field), &address) != 0)
        sip_index_fault(msg, SIP_ERR_CONTACT);
}

/* A number that may be absent; equal numbers written differently count as different values. */
void sip_index_max_forwards(struct sip_msg *msg)
{
    struct sip_slice value;
    uint64_t number;

    if (!single(msg, SIP_MAX_FORWARDS, &value))
        return;
    if (sip_slice_number(value, SIP_MAX_FORWARDS_MAX, &number) != 0)
        sip_index_fault(msg, SIP_ERR_MAX_FORWARDS);
    else
        msg->max_forwards = (int16_t)number;
}

void sip_index_content_length(struct sip_msg *msg)
{
    struct sip_slice value;
    uint64_t number;

    if (!single(msg, SIP_CONTENT_LENGTH, &value))
        return;
    if (sip_slice_number(value, CONTENT_LENGTH_MAX, &number) != 0)
        sip_index_fault(msg, SIP_ERR_CONTENT_LENGTH);
    else
        msg->content_length = (int32_t)number;
}

/* RFC 3261 §18.3: the body is what Content-Length says, or else all that is left. */
void sip_index_measure(struct sip_msg *msg, size_t size)
{
    size_t left = size - msg->body;

    if (msg->open_end && (left > 0 || msg->content_length > 0))
        sip_index_fault(msg, SIP_ERR_HEADER_END);
    if (msg->content_length >= 0 && (size_t)msg->content_length > left)
        sip_index_fault(msg, SIP_ERR_BODY_SHORT);
    else if (msg->content_length >= 0)
        left = (size_t)msg->content_length;
    msg->length = (uint32_t)(msg->body + left);
}

bool sip_index_start(struct sip_scan *scan, size_t size)
{
    struct sip_msg *msg = scan->msg;
    enum sip_error error = SIP_OK;
    struct line line;

    if (is_keepalive(msg->buf, msg->buf + size))
        error = SIP_ERR_KEEPALIVE;
    while (scan->at < scan->end && (*scan->at == '\r' || *scan->at == '\n'))
        scan->at++;
    if (error == SIP_OK &&
        (sip_msg_is_stun(msg->buf, size) || read_line(scan, false, &line) != SIP_LINE_FIELD ||
         !parse_start_line(msg, &line)))
        error = SIP_ERR_NOT_SIP;
    if (error == SIP_OK)
        return true;
    sip_index_fault(msg, error);
    memset(&msg->top_via, 0, sizeof(msg->top_via));
    return false;
}

enum sip_error sip_index_scalar(const char *buf, size_t size, struct sip_msg *ret)
{
    struct sip_scan scan;
    enum sip_line_kind kind;

    sip_index_begin(&scan, buf, size, ret);
    if (!sip_index_start(&scan, size))
        return (enum sip_error)ret->error;
    ret->headers = (uint16_t)(scan.at - buf);
    while ((kind = sip_index_line(&scan)) == SIP_LINE_FIELD)
        ;
    sip_index_headers_end(&scan, kind);
    sip_index_via(ret);
    sip_index_call_id(ret);
    sip_index_cseq(ret);
    sip_index_from(ret);
    sip_index_to(ret);
    sip_index_max_forwards(ret);
    sip_index_content_length(ret);
    sip_index_contact(ret);
    sip_index_measure(ret, size);
    return (enum sip_error)ret->error;
}
