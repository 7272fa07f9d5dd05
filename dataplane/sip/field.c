/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Header fields: which one a name is, walking those that the index remembers, lists inside their
 * values. Finds nothing out about what a value means.
 */
#include "dataplane/sip/msg.h"

/* One case for each pair of length and letter that tells names apart; the whole name decides. */
static enum sip_field_id verified(struct sip_slice name, const char *text, enum sip_field_id id)
{
    return sip_slice_equal_nocase(name, sip_slice(text, name.length)) ? id : SIP_FIELD_OTHER;
}

static enum sip_field_id parse_compact(char letter)
{
    switch (letter) {
    case 'v':
        return SIP_VIA;
    case 'i':
        return SIP_CALL_ID;
    case 'f':
        return SIP_FROM;
    case 't':
        return SIP_TO;
    case 'l':
        return SIP_CONTENT_LENGTH;
    case 'm':
        return SIP_CONTACT;
    case 'k':
        return SIP_SUPPORTED;
    case 'r':
        return SIP_REFER_TO;
    default:
        return SIP_FIELD_OTHER;
    }
}

static enum sip_field_id parse_short(struct sip_slice name, char first)
{
    switch (name.length) {
    case 1:
        return parse_compact(first);
    case 2:
        return verified(name, "to", SIP_TO);
    case 3:
        return verified(name, "via", SIP_VIA);
    case 4:
        switch (first) {
        case 'f':
            return verified(name, "from", SIP_FROM);
        case 'c':
            return verified(name, "cseq", SIP_CSEQ);
        case 'p':
            return verified(name, "path", SIP_PATH);
        default:
            return verified(name, "join", SIP_JOIN);
        }
    case 5:
        return verified(name, "route", SIP_ROUTE);
    default:
        return SIP_FIELD_OTHER;
    }
}

enum sip_field_id sip_field_parse(struct sip_slice name)
{
    char first, third;

    if (name.length == 0)
        return SIP_FIELD_OTHER;
    first = (char)(name.at[0] | 0x20);
    if (name.length < 7)
        return parse_short(name, first);
    third = (char)(name.at[2] | 0x20);
    switch (name.length) {
    case 7:
        switch (first) {
        case 'c':
            return third == 'l' ? verified(name, "call-id", SIP_CALL_ID)
                                : verified(name, "contact", SIP_CONTACT);
        case 'e':
            return verified(name, "expires", SIP_EXPIRES);
        default:
            return verified(name, "require", SIP_REQUIRE);
        }
    case 8:
        return third == 'f' ? verified(name, "refer-to", SIP_REFER_TO)
                            : verified(name, "replaces", SIP_REPLACES);
    case 9:
        return verified(name, "supported", SIP_SUPPORTED);
    case 11:
        return verified(name, "retry-after", SIP_RETRY_AFTER);
    case 12:
        return first == 'm' ? verified(name, "max-forwards", SIP_MAX_FORWARDS)
                            : verified(name, "record-route", SIP_RECORD_ROUTE);
    case 13:
        return first == 'p' ? verified(name, "proxy-require", SIP_PROXY_REQUIRE)
                            : verified(name, "target-dialog", SIP_TARGET_DIALOG);
    case 14:
        return verified(name, "content-length", SIP_CONTENT_LENGTH);
    default:
        return SIP_FIELD_OTHER;
    }
}

/* Offset past the line feed that ends the field whose bytes from `at` on are white space only. */
static uint32_t line_end(const struct sip_msg *msg, uint32_t at)
{
    while (at < msg->body) {
        if (msg->buf[at++] == '\n' &&
            (at == msg->body || (msg->buf[at] != ' ' && msg->buf[at] != '\t')))
            break;
    }
    return at;
}

struct sip_slice sip_msg_line(const struct sip_msg *msg, const struct sip_field *field)
{
    uint32_t end = line_end(msg, (uint32_t)field->value + field->value_length);

    return sip_slice(msg->buf + field->line, end - field->line);
}

/* The value of the line when it bears that name; false when it does not. */
static bool line_named(struct sip_slice line, struct sip_slice name, struct sip_slice *ret_value)
{
    uint32_t at = name.length;

    if (line.length <= at || !sip_slice_equal_nocase(sip_slice(line.at, at), name))
        return false;
    while (at < line.length && (line.at[at] == ' ' || line.at[at] == '\t'))
        at++;
    if (at == line.length || line.at[at] != ':')
        return false;
    *ret_value = sip_slice_trim(sip_slice(line.at + at + 1, line.length - at - 1));
    return true;
}

struct sip_slice sip_msg_find_named(const struct sip_msg *msg, struct sip_slice name)
{
    struct sip_slice value = {0};
    uint32_t at = msg->headers;

    while (at < msg->body) {
        uint32_t end = at;

        do {
            const char *lf = memchr(msg->buf + end, '\n', msg->body - end);

            end = lf != NULL ? (uint32_t)(lf - msg->buf) + 1 : msg->body;
        } while (end < msg->body && (msg->buf[end] == ' ' || msg->buf[end] == '\t'));
        if (line_named(sip_slice(msg->buf + at, end - at), name, &value))
            break;
        at = end;
    }
    return value;
}

bool sip_list_next(struct sip_slice *rest, struct sip_slice *ret_element)
{
    bool quoted = false, bracketed = false;
    uint32_t i = 0;

    if (rest->length == 0)
        return false;
    for (; i < rest->length; i++) {
        char c = rest->at[i];

        if (c == '\\' && !bracketed)
            i++;
        else if (c == '"' && !bracketed)
            quoted = !quoted;
        else if (c == '<' && !quoted)
            bracketed = true;
        else if (c == '>' && !quoted)
            bracketed = false;
        else if (c == ',' && !quoted && !bracketed)
            break;
    }
    if (i > rest->length)
        i = rest->length; /* a backslash was the last byte */
    *ret_element = sip_slice_trim(sip_slice(rest->at, i));
    i += i < rest->length;
    *rest = sip_slice(rest->at + i, rest->length - i);
    return true;
}

bool sip_msg_has_token(const struct sip_msg *msg, enum sip_field_id id, struct sip_slice token)
{
    for (const struct sip_field *f = sip_msg_first(msg, id); f != NULL; f = sip_msg_next(msg, f)) {
        struct sip_slice value = sip_msg_value(msg, f);
        const char *at = value.at, *end = at + value.length;

        /* Tokens have no quotes that a comma could be in. */
        while (at < end) {
            const char *comma = memchr(at, ',', (size_t)(end - at));
            struct sip_slice element;

            if (comma == NULL)
                comma = end;
            element = sip_slice_trim(sip_slice(at, (uint32_t)(comma - at)));
            if (sip_slice_equal_nocase(element, token))
                return true;
            at = comma + 1;
        }
    }
    return false;
}
