/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framing: between messages line ends are passed over; then the end of the header section is looked
 * for, from line feed to line feed, on from where the last look ended; the whole section is indexed
 * once, for Content-Length; then bytes are only counted.
 */
#include "control/stream/frame.h"

#include <assert.h>
#include <string.h>

#include "dataplane/sip/msg.h"

static const struct {
    const char *name;
    uint16_t status;
} reasons[FRAME_REASON_COUNT] = {
    [FRAME_NOT_SIP] = {"not_sip", 0},
    [FRAME_HEADERS_LONG] = {"headers_long", 513},
    [FRAME_HEADERS_MANY] = {"headers_many", 400},
    [FRAME_LENGTH_MISSING] = {"length_missing", 400},
    [FRAME_LENGTH_BAD] = {"length_bad", 400},
    [FRAME_LENGTH_CONTRARY] = {"length_contrary", 400},
    [FRAME_BODY_LONG] = {"body_long", 413},
};

uint16_t frame_reason_status(enum frame_reason reason)
{
    return reasons[reason].status;
}

const char *frame_reason_name(enum frame_reason reason)
{
    return reasons[reason].name;
}

/* What the caller learns. */
struct finding {
    uint32_t length;
    enum frame_reason reason;
};

/* Refuses for a reason that has to do with this header section, or what there is of it. */
static enum frame_result refuse(struct finding *finding, enum frame_reason reason,
                                const struct sip_msg *msg, uint32_t length)
{
    bool answered = msg->kind == SIP_REQUEST && msg->method != SIP_ACK;

    *finding = (struct finding){answered ? length : 0, reason};
    return FRAME_REFUSED;
}

static enum frame_result refuse_noise(struct finding *finding)
{
    *finding = (struct finding){0, FRAME_NOT_SIP};
    return FRAME_REFUSED;
}

static bool begins_crlf(const char *bytes, uint32_t n)
{
    return n >= 2 && bytes[0] == '\r' && bytes[1] == '\n';
}

/* No start-line begins with a control byte (as handshakes of TLS and STUN do), or above ASCII. */
static bool begins_no_line(char c)
{
    return ((uint8_t)c < ' ' && c != '\t') || (uint8_t)c >= 0x7f;
}

/* What stands between two messages. FRAME_MESSAGE: nothing any more. */
static enum frame_result look_between(struct frame *frame, const char *bytes, uint32_t n,
                                      struct finding *finding)
{
    bool crlf = frame->crlf;
    uint32_t nuls = 0;

    if (n == 1 && bytes[0] == '\r')
        return FRAME_MORE;
    frame->crlf = false;
    if (begins_crlf(bytes, n)) {
        bool ping = crlf || begins_crlf(bytes + 2, n - 2);

        finding->length = ping && !crlf ? 4 : 2;
        frame->crlf = !ping;
        return ping ? FRAME_PING : FRAME_SKIP;
    }
    while (nuls < n && bytes[nuls] == '\0')
        nuls++;
    if (nuls > 0 || bytes[0] == '\r' || bytes[0] == '\n') {
        finding->length = nuls > 0 ? nuls : 1;
        return FRAME_SKIP;
    }
    return begins_no_line(bytes[0]) ? refuse_noise(finding) : FRAME_MESSAGE;
}

/*
 * The length of the header section, or 0 when its end is not in these n bytes. A line feed ends
 * every line, for sip_msg_index too; the empty one has it right behind the last line's, or a CR
 * between them. The first byte is neither.
 */
static uint32_t find_end(struct frame *frame, const char *bytes, uint32_t n)
{
    const char *at = bytes + frame->scanned, *end = bytes + n;

    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        if (at[-1] == '\n' || (at[-1] == '\r' && at[-2] == '\n'))
            return (uint32_t)(at + 1 - bytes);
        at++;
        if (frame->line == 0)
            frame->line = (uint32_t)(at - bytes);
    }
    frame->scanned = n;
    return 0;
}

/* What to do when n bytes hold no whole header section; new_line: they hold a start-line that was
 * not looked at before. */
static enum frame_result look_at_part(const struct frame_limits *limits, const char *bytes,
                                      uint32_t n, uint32_t new_line, struct finding *finding)
{
    struct sip_msg msg;
    const char *lf;

    if (new_line > 0) {
        sip_msg_index(bytes, new_line, &msg);
        if (msg.kind == SIP_NONE)
            return refuse_noise(finding);
    }
    if (n < limits->header_max)
        return FRAME_MORE;
    lf = memrchr(bytes, '\n', n);
    n = lf != NULL ? (uint32_t)(lf + 1 - bytes) : 0;
    sip_msg_index(bytes, n, &msg);
    return refuse(finding, FRAME_HEADERS_LONG, &msg, n);
}

/* Whether two fields say that the body is of different lengths (RFC 3261 has none of it). */
static bool is_contrary(const struct sip_msg *msg, const struct sip_field *field)
{
    struct sip_slice value = sip_msg_value(msg, field);

    while ((field = sip_msg_next(msg, field)) != NULL) {
        if (!sip_slice_equal(value, sip_msg_value(msg, field)))
            return true;
    }
    return false;
}

/*
 * Reads a whole header section. Most faults in it are the core's to answer: here only those matter
 * after which the message's end is not known. FRAME_MESSAGE: frame->length is it.
 */
static enum frame_result look_at_headers(struct frame *frame, const struct frame_limits *limits,
                                         const char *bytes, uint32_t end, struct finding *finding)
{
    const struct sip_field *field;
    struct sip_msg msg;
    enum sip_error error = sip_msg_index(bytes, end, &msg);
    bool sound = error == SIP_OK || error == SIP_ERR_BODY_SHORT; /* the body is not counted here */

    if (msg.kind == SIP_NONE)
        return refuse_noise(finding);
    assert(msg.body == end);
    if (msg.n_fields == SIP_FIELDS_MAX && !sound)
        return refuse(finding, FRAME_HEADERS_MANY, &msg, end);
    field = sip_msg_first(&msg, SIP_CONTENT_LENGTH);
    if (field == NULL)
        return refuse(finding, FRAME_LENGTH_MISSING, &msg, end);
    if (is_contrary(&msg, field))
        return refuse(finding, FRAME_LENGTH_CONTRARY, &msg, end);
    if (msg.content_length < 0)
        return refuse(finding, FRAME_LENGTH_BAD, &msg, end);
    if ((uint32_t)msg.content_length > limits->body_max)
        return refuse(finding, FRAME_BODY_LONG, &msg, end);
    frame->length = end + (uint32_t)msg.content_length;
    return FRAME_MESSAGE;
}

static enum frame_result look(struct frame *frame, const struct frame_limits *limits,
                              const char *bytes, uint32_t n, struct finding *finding)
{
    enum frame_result result = FRAME_MESSAGE;

    if (n == 0)
        return FRAME_MORE;
    if (frame->length == 0 && frame->scanned == 0)
        result = look_between(frame, bytes, n, finding);
    if (frame->length == 0 && result == FRAME_MESSAGE) {
        uint32_t line = frame->line, room = n, end;

        if (room > limits->header_max) /* which a reload may have made less than what was seen */
            room = frame->scanned > limits->header_max ? frame->scanned : limits->header_max;
        end = find_end(frame, bytes, room);
        if (end == 0)
            return look_at_part(limits, bytes, room, line == 0 ? frame->line : 0, finding);
        result = look_at_headers(frame, limits, bytes, end, finding);
    }
    if (result != FRAME_MESSAGE)
        return result;
    if (n < frame->length)
        return FRAME_MORE;
    finding->length = frame->length;
    *frame = (struct frame){0};
    return FRAME_MESSAGE;
}

enum frame_result frame_next(struct frame *frame, const struct frame_limits *limits,
                             const char *bytes, uint32_t n, uint32_t *ret_length,
                             enum frame_reason *ret_reason)
{
    struct finding finding;
    enum frame_result result = look(frame, limits, bytes, n, &finding);

    if (result != FRAME_MORE)
        *ret_length = finding.length;
    if (result == FRAME_REFUSED)
        *ret_reason = finding.reason;
    return result;
}
