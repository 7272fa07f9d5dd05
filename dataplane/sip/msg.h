/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of one SIP message: where its parts are, found in one pass over the bytes. It reads
 * the header section once, remembers the fields that routing needs and decodes the scalars that
 * every message must carry. It knows grammar only; what to do about a message is proxy/'s.
 */
#ifndef TANDEM_SIP_MSG_H
#define TANDEM_SIP_MSG_H

#include <stddef.h>

#include "dataplane/sip/slice.h"
#include "dataplane/sip/via.h"

enum sip_kind { SIP_NONE, SIP_REQUEST, SIP_RESPONSE };

enum sip_method {
    SIP_METHOD_UNKNOWN,
    SIP_INVITE,
    SIP_ACK,
    SIP_BYE,
    SIP_CANCEL,
    SIP_OPTIONS,
    SIP_REGISTER,
    SIP_PRACK,
    SIP_SUBSCRIBE,
    SIP_NOTIFY,
    SIP_PUBLISH,
    SIP_INFO,
    SIP_REFER,
    SIP_MESSAGE,
    SIP_UPDATE,
    SIP_METHOD_COUNT,
};

/* Header fields that are remembered; all others are skipped (sip_msg_find_named finds those). */
enum sip_field_id {
    SIP_FIELD_OTHER,
    SIP_VIA,
    SIP_ROUTE,
    SIP_RECORD_ROUTE,
    SIP_CALL_ID,
    SIP_CSEQ,
    SIP_FROM,
    SIP_TO,
    SIP_MAX_FORWARDS,
    SIP_CONTENT_LENGTH,
    SIP_CONTACT,
    SIP_PATH,
    SIP_SUPPORTED,
    SIP_REQUIRE,
    SIP_PROXY_REQUIRE,
    SIP_REPLACES,
    SIP_JOIN,
    SIP_TARGET_DIALOG,
    SIP_REFER_TO,
    SIP_RETRY_AFTER,
    SIP_EXPIRES,
    SIP_FIELD_COUNT,
};

/* What is wrong with a message: the first fault found. sip_error_phrase says it in words. */
enum sip_error {
    SIP_OK,
    SIP_ERR_KEEPALIVE,       /* CRLF, NULs or `jaK` only: not a message (RFC 5626 §4.4.1) */
    SIP_ERR_NOT_SIP,         /* no SIP start-line at all: cannot even be answered */
    SIP_ERR_VERSION,         /* request whose version is SIP/ but not 2.0 → 505 */
    SIP_ERR_START_LINE,      /* malformed start-line of what is otherwise SIP */
    SIP_ERR_STATUS,          /* status code out of 100..699 */
    SIP_ERR_HEADER,          /* a header line without a name, a colon; a bare CR; a NUL
                                that is no quoted-pair's */
    SIP_ERR_HEADER_END,      /* the header section is cut off: see open_end */
    SIP_ERR_TOO_MANY_FIELDS, /* more than SIP_FIELDS_MAX remembered fields */
    SIP_ERR_DUPLICATE,       /* two different values where one is allowed */
    SIP_ERR_MISSING,         /* Via, From, To, Call-ID or CSeq missing */
    SIP_ERR_VIA,             /* top Via does not parse */
    SIP_ERR_CALL_ID,
    SIP_ERR_CSEQ,        /* not a number below 2^31 and a method */
    SIP_ERR_CSEQ_METHOD, /* another method than the start-line's */
    SIP_ERR_FROM,
    SIP_ERR_TO,
    SIP_ERR_MAX_FORWARDS,   /* not 0..255 */
    SIP_ERR_CONTENT_LENGTH, /* not a number, or negative */
    SIP_ERR_BODY_SHORT,     /* datagram ends before Content-Length does (RFC 3261 §18.3) */
    SIP_ERR_CONTACT,        /* a request's first Contact does not parse */
    SIP_ERROR_COUNT,
};

enum {
    SIP_FIELDS_MAX = 120, /* remembered fields a message; Max-Forwards bounds Vias to 70 */
    SIP_MSG_MAX = 65535,  /* bytes: an IP datagram's limit */
};

/* One remembered header field; offsets from the message's first byte. */
struct sip_field {
    uint16_t line;         /* first byte of the name */
    uint16_t value;        /* first byte of the value, leading white space skipped */
    uint16_t value_length; /* trailing white space and CRLF left out; folds are inside */
    uint8_t id;            /* enum sip_field_id */
    uint8_t next;          /* index in fields + 1 of the next field of this id; 0: none */
};

struct sip_msg {
    const char *buf;
    uint32_t length; /* bytes of the message: header section and body, not what follows */
    uint8_t kind;    /* enum sip_kind; known as soon as the start-line was readable */
    uint8_t error;   /* enum sip_error: the first fault, SIP_OK when there is none */
    uint8_t method;  /* enum sip_method of a request; of CSeq in a response */
    uint8_t n_fields;
    uint16_t status;              /* responses: 100..699 */
    uint16_t headers;             /* offset of the first header field */
    uint16_t body;                /* offset of the first byte after the empty line */
    int16_t max_forwards;         /* -1: absent */
    int32_t content_length;       /* -1: absent */
    uint32_t cseq;                /* sequence number */
    struct sip_slice method_text; /* as in the start-line (requests) or CSeq (responses) */
    struct sip_slice request_uri; /* requests */
    struct sip_slice call_id;
    struct sip_slice from_uri, to_uri; /* without brackets and parameters of the field */
    struct sip_slice from_tag, to_tag; /* length 0: none */
    bool open_end; /* the datagram ended after a whole header line, without the empty
                      line and a body: let through, as proxies in the field do */
    bool via_ok;   /* top_via was parsed (also when a later fault set error) */
    uint8_t first[SIP_FIELD_COUNT];          /* index in fields + 1; 0: none */
    struct sip_via top_via;                  /* all 0 unless via_ok */
    struct sip_field fields[SIP_FIELDS_MAX]; /* n_fields of them */
};

/*
 * Indexes one datagram (`size` bytes at `buf`, which must outlive *ret). Reads nothing beyond
 * buf[size - 1]. Always fills *ret as far as it came, and goes on past a fault as far as it can,
 * so that a malformed request can still be answered (top Via, From, To, Call-ID, CSeq). Returns
 * ret->error. Any thread; no allocation. RFC 3261 §7, §18.3, §25; RFC 4475; RFC 5118.
 *
 * The header section must end within SIP_MSG_MAX bytes; a body may be longer (streams).
 * Bytes after Content-Length are ignored; without Content-Length the body ends with the datagram.
 * Leading CRLFs before the start-line are skipped (§7.5). A bare LF ends a line too, as the
 * parsers of phones and proxies have it. Header names: any case, compact forms, blanks before the
 * colon. A repeated Call-ID, CSeq, From, To, Max-Forwards or Content-Length with the same value
 * is accepted, with another it is SIP_ERR_DUPLICATE.
 */
enum sip_error sip_msg_index(const char *buf, size_t size, struct sip_msg *ret);

/*
 * True when a datagram is STUN's (RFC 8489 §5): two zero bits in front, and the magic cookie where
 * no message of SIP has it. sip_msg_index calls it NOT_SIP, whatever text is in its attributes.
 */
bool sip_msg_is_stun(const char *buf, size_t size);

/* Which field a header name is: any case, long or compact form (RFC 3261 §7.3.3, §20). */
enum sip_field_id sip_field_parse(struct sip_slice name);

/* The first field of an id, or the one after `field`; NULL when there is none (left). */
static inline const struct sip_field *sip_msg_first(const struct sip_msg *msg, enum sip_field_id id)
{
    return msg->first[id] != 0 ? &msg->fields[msg->first[id] - 1] : NULL;
}

static inline const struct sip_field *sip_msg_next(const struct sip_msg *msg,
                                                   const struct sip_field *field)
{
    return field->next != 0 ? &msg->fields[field->next - 1] : NULL;
}

/* The value of a remembered field, and the whole line with its CRLF (folds included). */
static inline struct sip_slice sip_msg_value(const struct sip_msg *msg,
                                             const struct sip_field *field)
{
    return sip_slice(msg->buf + field->value, field->value_length);
}

struct sip_slice sip_msg_line(const struct sip_msg *msg, const struct sip_field *field);

/*
 * The value of the first field with that name (any case, no compact form), for `key: header:NAME`;
 * walks the header section again. Length 0 when there is none.
 */
struct sip_slice sip_msg_find_named(const struct sip_msg *msg, struct sip_slice name);

/* Walks a comma-separated list (Via, Route, Supported…): cuts the first element, trimmed, off
 * *rest. Commas in quotes and angle brackets do not count. False when *rest is used up. */
bool sip_list_next(struct sip_slice *rest, struct sip_slice *ret_element);

/* True when the list-valued fields of that id contain the token (option tags: any case). */
bool sip_msg_has_token(const struct sip_msg *msg, enum sip_field_id id, struct sip_slice token);

const char *sip_error_phrase(enum sip_error error);
const char *sip_method_name(enum sip_method method);
enum sip_method sip_method_parse(struct sip_slice text); /* methods are case-sensitive (§7.1) */
const char *sip_status_phrase(uint16_t status);          /* of the statuses that we send */

#endif
