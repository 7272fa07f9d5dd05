/* SPDX-License-Identifier: Apache-2.0 */
/* Words for numbers: faults, methods, status codes (RFC 3261 §21). Tables only. */
#include "dataplane/sip/msg.h"

static const char *const error_phrases[SIP_ERROR_COUNT] = {
    [SIP_OK] = "OK",
    [SIP_ERR_KEEPALIVE] = "Keep-alive, not a message",
    [SIP_ERR_NOT_SIP] = "Not SIP",
    [SIP_ERR_VERSION] = "SIP version other than 2.0",
    [SIP_ERR_START_LINE] = "Malformed start-line",
    [SIP_ERR_STATUS] = "Status code out of range",
    [SIP_ERR_HEADER] = "Malformed header line",
    [SIP_ERR_HEADER_END] = "Header section without an end",
    [SIP_ERR_TOO_MANY_FIELDS] = "Too many header fields",
    [SIP_ERR_DUPLICATE] = "Several values where one is allowed",
    [SIP_ERR_MISSING] = "Mandatory header field missing",
    [SIP_ERR_VIA] = "Malformed Via",
    [SIP_ERR_CALL_ID] = "Malformed Call-ID",
    [SIP_ERR_CSEQ] = "Malformed CSeq",
    [SIP_ERR_CSEQ_METHOD] = "CSeq with another method",
    [SIP_ERR_FROM] = "Malformed From",
    [SIP_ERR_TO] = "Malformed To",
    [SIP_ERR_MAX_FORWARDS] = "Malformed Max-Forwards",
    [SIP_ERR_CONTENT_LENGTH] = "Malformed Content-Length",
    [SIP_ERR_BODY_SHORT] = "Body shorter than Content-Length",
    [SIP_ERR_CONTACT] = "Malformed Contact",
};

static const char *const method_names[SIP_METHOD_COUNT] = {
    [SIP_METHOD_UNKNOWN] = "unknown",
    [SIP_INVITE] = "INVITE",
    [SIP_ACK] = "ACK",
    [SIP_BYE] = "BYE",
    [SIP_CANCEL] = "CANCEL",
    [SIP_OPTIONS] = "OPTIONS",
    [SIP_REGISTER] = "REGISTER",
    [SIP_PRACK] = "PRACK",
    [SIP_SUBSCRIBE] = "SUBSCRIBE",
    [SIP_NOTIFY] = "NOTIFY",
    [SIP_PUBLISH] = "PUBLISH",
    [SIP_INFO] = "INFO",
    [SIP_REFER] = "REFER",
    [SIP_MESSAGE] = "MESSAGE",
    [SIP_UPDATE] = "UPDATE",
};

static const struct {
    uint16_t status;
    const char *phrase;
} statuses[] = {
    {200, "OK"},
    {400, "Bad Request"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {408, "Request Timeout"},
    {413, "Request Entity Too Large"},
    {416, "Unsupported URI Scheme"},
    {420, "Bad Extension"},
    {430, "Flow Failed"},
    {480, "Temporarily Unavailable"},
    {481, "Call/Transaction Does Not Exist"},
    {482, "Loop Detected"},
    {483, "Too Many Hops"},
    {500, "Server Internal Error"},
    {503, "Service Unavailable"},
    {505, "Version Not Supported"},
    {513, "Message Too Large"},
};

const char *sip_error_phrase(enum sip_error error)
{
    return error < SIP_ERROR_COUNT ? error_phrases[error] : "Unknown fault";
}

const char *sip_method_name(enum sip_method method)
{
    return method_names[method < SIP_METHOD_COUNT ? method : SIP_METHOD_UNKNOWN];
}

/* The method of that name, or unknown when the whole text is another. */
static enum sip_method verified(struct sip_slice text, enum sip_method method)
{
    return sip_slice_equal(text, sip_slice_of(method_names[method])) ? method : SIP_METHOD_UNKNOWN;
}

enum sip_method sip_method_parse(struct sip_slice text)
{
    if (text.length < 3)
        return SIP_METHOD_UNKNOWN;
    switch (text.at[0]) {
    case 'A':
        return verified(text, SIP_ACK);
    case 'B':
        return verified(text, SIP_BYE);
    case 'C':
        return verified(text, SIP_CANCEL);
    case 'I':
        return verified(text, text.at[2] == 'V' ? SIP_INVITE : SIP_INFO);
    case 'M':
        return verified(text, SIP_MESSAGE);
    case 'N':
        return verified(text, SIP_NOTIFY);
    case 'O':
        return verified(text, SIP_OPTIONS);
    case 'P':
        return verified(text, text.at[1] == 'R' ? SIP_PRACK : SIP_PUBLISH);
    case 'R':
        return verified(text, text.at[2] == 'G' ? SIP_REGISTER : SIP_REFER);
    case 'S':
        return verified(text, SIP_SUBSCRIBE);
    case 'U':
        return verified(text, SIP_UPDATE);
    default:
        return SIP_METHOD_UNKNOWN;
    }
}

const char *sip_status_phrase(uint16_t status)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (statuses[i].status == status)
            return statuses[i].phrase;
    }
    return "Unknown Status";
}
