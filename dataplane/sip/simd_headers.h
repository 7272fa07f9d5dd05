/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header section by vector instructions: where its lines begin, which header fields they are,
 * the start-line. What a value means is simd_values.h's. Included by way of index_simd.h.
 */
#ifndef TANDEM_SIP_SIMD_HEADERS_H
#define TANDEM_SIP_SIMD_HEADERS_H

#include "dataplane/sip/simd_bytes.h"

/* ---- Lines ---- */

enum { WINDOW_BLOCKS = 32, WINDOW = WINDOW_BLOCKS * 64 };

/* Where lines begin, one after the other; the last one's end is not known. */
struct lines {
    uint32_t n;
    uint16_t start[1 + WINDOW_BLOCKS * 22 + BLOCK_STARTS]; /* a pair and what parts it: 3 bytes;
                                                              4 past the last one are set */
};

/* Control characters that stand in pairs, as CR and LF do. */
struct pairs {
    uint64_t control; /* in a block: all of them */
    uint64_t first;   /* the first of each pair */
    uint64_t second;
    uint64_t stop; /* what breaks the rule: the second that is missing, or a third one */
};

static inline struct pairs find_pairs(struct block block, struct pairs before)
{
    uint64_t control = block_below(block, '\r' + 1);
    uint64_t first = control & ~(control << 1 | before.control >> 63);
    uint64_t second = first << 1 | before.first >> 63;

    return (struct pairs){control, first, second, control ^ (first | second)};
}

/*
 * Finds lines in the next WINDOW bytes from `at` on, where one begins. A line ends with a pair of
 * control characters, and whoever reads it must see that they are CR LF. Stops before a line that
 * holds a single one (a tab is one, too), and behind a line that three or more end (the empty
 * line makes four). What begins at the last start does not continue the line before it.
 */
static inline void find_lines(const char *buf, const char *at, const char *end, struct lines *ret)
{
    uint16_t *start = ret->start, *next = start;
    struct pairs pairs = {0};

    if (end - at > WINDOW)
        end = at + WINDOW;
    *next++ = (uint16_t)(at - buf);
    for (; end - at > 64; at += 64) {
        pairs = find_pairs(block_load(at, end, end), pairs);
        if (pairs.stop != 0)
            break;
        next += append_starts(next, pairs.second, (uint32_t)(at - buf) + 1);
    }
    if (pairs.stop == 0)
        pairs = find_pairs(block_load(at, end, end), pairs);
    pairs.second &= ~pairs.stop & (pairs.stop - 1);
    if (end - at < 64)
        pairs.second &= below_bit((uint32_t)(end - at));
    next += append_starts(next, pairs.second, (uint32_t)(at - buf) + 1);
    memcpy(next, (uint16_t[4]){next[-1], next[-1], next[-1], next[-1]}, 4 * sizeof(*next));
    at = buf + next[-1];
    ret->n = (uint32_t)(next - start);
    if (ret->n > 1 && (at == end || *at == '\t'))
        ret->n--;
}

/* ---- Header fields ---- */

enum { BATCH = 32 }; /* lines that go through the steps below together */

/* The first sixteen bytes of each line. */
struct fronts {
    uint16_t others[BATCH]; /* bit i: byte i is not of a token */
    char text[BATCH][16];   /* letters in lower case */
};

/* A line that has a known name. */
struct found {
    uint16_t line;
    uint16_t next; /* line */
    uint8_t name;  /* its length */
    uint8_t id;
};

/* Loads four lines' fronts; bytes at or past `limit` read as 0. */
static inline struct block load_fronts(const char *buf, const char *limit, const uint16_t *start)
{
    char copy[4][16] = {{0}};

    if (limit - buf >= start[3] + 16)
        return block_of(buf + start[0], buf + start[1], buf + start[2], buf + start[3]);
    for (uint32_t i = 0; i < 4; i++) {
        size_t left = (size_t)(limit - buf) - start[i];

        memcpy(copy[i], buf + start[i], left < 16 ? left : 16);
    }
    return block_of(copy[0], copy[1], copy[2], copy[3]);
}

static inline void read_fronts(const char *buf, const char *limit, const uint16_t *start,
                               uint32_t count, struct fronts *ret)
{
    for (uint32_t i = 0; i < count; i += 4) {
        struct block block = load_fronts(buf, limit, start + i);
        uint64_t others = ~block_in(block, &token);

        memcpy(ret->others + i, &others, sizeof(others));
        block_store_lower(block, ret->text[i]);
    }
}

/* A name of sixteen bytes or more: 0 when it ends with another byte than a ':'. */
static __attribute__((noinline, cold)) uint32_t long_name(const char *line, const char *next)
{
    uint32_t length = 16;

    while (line + length < next && sip_char_is(line[length], SIP_CHAR_TOKEN))
        length++;
    return line + length < next && length <= UINT8_MAX ? length : 0;
}

/*
 * Recognises the names of `count` lines. Returns how many of them are header fields, each whole: a
 * line that the next one continues is not, nor what follows it. Those with a known name are in ret.
 */
static inline uint32_t recognise(const char *buf, const uint16_t *start, uint32_t count,
                                 const struct fronts *fronts, struct found *ret, uint32_t *ret_n)
{
    uint32_t i, n = 0;

    for (i = 0; i < count; i++) {
        const char *line = buf + start[i], *next = buf + start[i + 1];
        uint32_t name = first_bit(fronts->others[i] | 1u << 16), id;

        if (name == 16)
            name = long_name(line, next);
        if (name == 0 || line[name] != ':' || load_pair(next - 2) != CRLF)
            break;
        id = known_id(&known_fields[SLOT(name & 15, (uint8_t)line[name - 1])],
                      load16(fronts->text[i]), name);
        ret[n] = (struct found){start[i], start[i + 1], (uint8_t)name, (uint8_t)id};
        n += id != SIP_FIELD_OTHER; /* no branch: names come in any order */
    }
    if (i > 0 && buf[start[i]] == ' ') {
        i--;
        n -= n > 0 && ret[n - 1].line == start[i];
    }
    *ret_n = n;
    return i;
}

/* Remembers the fields that were found. Returns how many: up to one whose value is empty, or has
 * more blanks around it than the one in front, or that has no place. */
static inline uint32_t remember(struct sip_msg *msg, const struct found *found, uint32_t n)
{
    struct sip_field *field = msg->fields + msg->n_fields;
    uint32_t i;

    if (n > (uint32_t)SIP_FIELDS_MAX - msg->n_fields)
        n = (uint32_t)SIP_FIELDS_MAX - msg->n_fields;
    for (i = 0; i < n; i++, field++) {
        const char *value = msg->buf + found[i].line + found[i].name + 1;
        const char *end = msg->buf + found[i].next - 2;

        value += *value == ' ';
        if ((uint8_t)*value <= ' ' || (uint8_t)end[-1] <= ' ')
            break;
        field->line = found[i].line;
        field->value = (uint16_t)(value - msg->buf);
        field->value_length = (uint16_t)(end - value);
        field->id = found[i].id;
    }
    msg->n_fields = (uint8_t)(msg->n_fields + i);
    return i;
}

/*
 * Reads the lines from number i on as long as they are header fields written in the usual way.
 * scan->at is then where the next one begins.
 */
static inline void read_fields(struct sip_scan *scan, const struct lines *lines, uint32_t i)
{
    const char *buf = scan->msg->buf;
    struct fronts fronts;
    struct found found[BATCH + 1];
    uint32_t count, done, n, kept;

    do {
        const uint16_t *start = lines->start + i;

        count = lines->n - 1 - i < BATCH ? lines->n - 1 - i : BATCH;
        read_fronts(buf, scan->end, start, count, &fronts);
        done = recognise(buf, start, count, &fronts, found, &n);
        kept = remember(scan->msg, found, n);
        i += done;
    } while (kept == n && done == BATCH);
    scan->at = buf + (kept < n ? found[kept].line : lines->start[i]);
}

/* Reads the header section from line i of those found so far; returns how it ends. */
static inline enum sip_line_kind read_headers(struct sip_scan *scan, struct lines *lines,
                                              uint32_t i)
{
    for (;;) {
        enum sip_line_kind kind;

        read_fields(scan, lines, i);
        if (scan->end - scan->at >= 2 && scan->at[0] == '\r' && scan->at[1] == '\n') {
            scan->at += 2;
            return SIP_LINE_EMPTY;
        }
        kind = sip_index_line(scan);
        if (kind != SIP_LINE_FIELD)
            return kind;
        find_lines(scan->msg->buf, scan->at, scan->end, lines);
        i = 0;
    }
}

/* ---- Start-line ---- */

/* Method SP Request-URI SP "SIP/2.0", of a known method. */
static inline bool read_request_line(struct sip_msg *msg, const char *limit, uint32_t length)
{
    const char *buf = msg->buf, *uri, *end = buf + length - 8;
    __m128i front = load16(buf);
    uint32_t method = _tzcnt_u32(
        1u << 16 | (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(front, _mm_set1_epi8(' '))));
    uint32_t id = known_id(&known_methods[SLOT(method, (uint8_t)buf[0])], front, method);

    uri = buf + method + 1;
    if (id == SIP_METHOD_UNKNOWN || load64(end) != WORD64(' ', 'S', 'I', 'P', '/', '2', '.', '0') ||
        uri >= end || end - uri > 64 ||
        first_bit(block_in(block_load(uri, end, limit), &invisible)) != (uint32_t)(end - uri))
        return false;
    msg->kind = SIP_REQUEST;
    msg->method = (uint8_t)id;
    msg->method_text = sip_slice(buf, method);
    msg->request_uri = sip_slice(uri, (uint32_t)(end - uri));
    return true;
}

/* "SIP/2.0" SP Status-Code SP Reason-Phrase */
static inline bool read_status_line(struct sip_msg *msg)
{
    const char *code = msg->buf + 8;
    uint32_t status;

    if (!read_number(code + 3, 3, &status) || code[3] != ' ' || status < 100 || status > 699)
        return false;
    msg->kind = SIP_RESPONSE;
    msg->status = (uint16_t)status;
    return true;
}

/* Reads the first of the lines; false, and nothing read, when it is not a usual start-line. */
static inline bool read_start_line(struct sip_msg *msg, const char *limit,
                                   const struct lines *lines)
{
    uint32_t length;

    if (lines->n < 2 || msg->buf[0] < 'A' || msg->buf[0] > 'Z' || lines->start[1] < 14)
        return false;
    length = lines->start[1] - 2u;
    if (load_pair(msg->buf + length) != CRLF)
        return false;
    if (load64(msg->buf) == WORD64('S', 'I', 'P', '/', '2', '.', '0', ' '))
        return read_status_line(msg);
    return length >= 16 && read_request_line(msg, limit, length);
}

#endif
