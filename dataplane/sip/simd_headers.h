/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header section by vector instructions: where its lines begin, which header fields they are,
 * the start-line. What a value means is simd_values.h's. Included by way of index_simd.h.
 */
#ifndef TANDEM_SIP_SIMD_HEADERS_H
#define TANDEM_SIP_SIMD_HEADERS_H

#include "dataplane/sip/simd_bytes.h"

/* ---- Lines ---- */

enum { WINDOW_BLOCKS = 32, WINDOW = WINDOW_BLOCKS * 64, BLOCK_STARTS = 22 };

/* Where lines begin, one after the other; the last one's end is not known. */
struct lines {
    uint32_t n;
    uint16_t start[1 + WINDOW_BLOCKS * BLOCK_STARTS + 32]; /* a pair and what parts it: 3 bytes */
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
    at = buf + next[-1];
    ret->n = (uint32_t)(next - start);
    if (ret->n > 1 && (at == end || *at == '\t'))
        ret->n--;
}

/* ---- Header fields ---- */

enum { BATCH = 32 }; /* lines that go through the steps below together */

/* The beginnings of a batch of lines, sixteen bytes each. */
struct fronts {
    uint16_t ends[BATCH];     /* the lowest bit: where the name ends */
    uint64_t sums[BATCH * 2]; /* of a name's first eight letters, at even places */
    uint64_t known;           /* bit 2i: line i has a known name */
};

static const uint64_t FIRST_BYTES = 0x0001000100010001; /* of each line, in four of ends */

/* Loads the beginnings of `count` lines, of four at most; in the place of those that lack there is
 * the first one again. Bytes at or past `limit` read as 0. */
static inline struct block load_fronts(const char *buf, const char *limit, const uint16_t *start,
                                       uint32_t count)
{
    uint32_t b = start[count > 1 ? 1 : 0], c = start[count > 2 ? 2 : 0];
    uint32_t d = start[count > 3 ? 3 : 0];
    char copy[4][16] = {{0}};

    if (limit - buf >= start[count > 3 ? 3 : count - 1] + 16)
        return block_of(buf + start[0], buf + b, buf + c, buf + d);
    for (uint32_t i = 0; i < count && i < 4; i++) {
        size_t left = (size_t)(limit - buf) - start[i];

        memcpy(copy[i], buf + start[i], left < 16 ? left : 16);
    }
    return block_of(copy[0], copy[1], copy[2], copy[3]);
}

/* The text that a name with that sum must have. */
static inline const char *known_text(uint64_t sum)
{
    return known_fields[sum & 255].text;
}

/*
 * Recognises the names of four lines, which come in any order: nothing here branches. Returns, at
 * the sixteen bits of a line, 0 when it begins with a name of up to 15 characters and a ':'.
 */
static inline uint64_t read_names(struct block front, uint16_t *ret_ends, uint64_t *ret_sums,
                                  uint64_t *ret_known)
{
    uint64_t ends = ~block_in(front, &token) | FIRST_BYTES << 15;
    uint64_t before = ends - FIRST_BYTES; /* below the lowest bit of a line all are set */
    uint64_t colons = block_equal(front, ':') & ~FIRST_BYTES, same;
    struct block name = block_keep(block_lower(front), before & ~ends);

    memcpy(ret_ends, &ends, sizeof(ends));
    block_sums(name, ret_sums);
    same = block_same8(name, block_of(known_text(ret_sums[0]), known_text(ret_sums[2]),
                                      known_text(ret_sums[4]), known_text(ret_sums[6])));
    *ret_known = same & same >> 1 & 0x55;
    return ends & ~before & ~colons;
}

/* Whether a line begins with a name of 16 to 63 characters and a ':'. None of these is known. */
static inline bool has_long_name(const char *line, const char *limit)
{
    struct block front = block_load(line, limit, limit);
    uint32_t length = first_bit(~block_in(front, &token));

    return length - 16 < 48 && line[length] == ':';
}

/* Reads lines' names. Returns how many lines are header fields with a usual name. */
static inline uint32_t read_fronts(const char *buf, const char *limit, const uint16_t *start,
                                   uint32_t count, struct fronts *ret)
{
    ret->known = 0;
    for (uint32_t i = 0; i < count; i += 4) {
        uint64_t known, odd = read_names(load_fronts(buf, limit, start + i, count - i),
                                         ret->ends + i, ret->sums + 2 * i, &known);

        ret->known |= known << 2 * i;
        for (; odd != 0; odd = _blsr_u64(odd)) {
            uint32_t line = i + first_bit(odd) / 16;

            if (line >= count || !has_long_name(buf + start[line], limit))
                return line < count ? line : count;
        }
    }
    return count;
}

/* How many lines end with CR LF, and are not continued by the next one. */
static inline uint32_t whole_lines(const char *buf, const uint16_t *start, uint32_t count)
{
    uint32_t wrong = 0, i;

    for (i = 0; i < count; i++)
        wrong |= load_pair(buf + start[i + 1] - 2) ^ CRLF;
    for (i = 0; wrong != 0 && i < count && load_pair(buf + start[i + 1] - 2) == CRLF; i++)
        ;
    count = wrong != 0 ? i : count;
    return count - (count > 0 && buf[start[count]] == ' ');
}

/*
 * Remembers those of `count` lines that have a known name, as long as there is a place. Returns how
 * many lines are done: up to one whose value is empty, or has more blanks around it than the one in
 * front.
 */
static inline uint32_t remember(struct sip_msg *msg, const uint16_t *start,
                                const struct fronts *fronts, uint32_t count)
{
    uint64_t known = fronts->known & below_bit(2 * count);
    struct sip_field *field = msg->fields + msg->n_fields;
    const struct sip_field *end_of_fields = msg->fields + SIP_FIELDS_MAX;
    const char *buf = msg->buf;

    for (; known != 0; known = _blsr_u64(known)) {
        uint32_t twice = first_bit(known), i = twice / 2;
        uint32_t value = start[i] + first_bit(fronts->ends[i]) + 1, end = start[i + 1] - 2u;

        value += buf[value] == ' ';
        if ((uint8_t)buf[value] <= ' ' || (uint8_t)buf[end - 1] <= ' ') {
            count = i;
            break;
        }
        if (field == end_of_fields) {
            sip_index_fault(msg, SIP_ERR_TOO_MANY_FIELDS);
            continue;
        }
        field->line = start[i];
        field->value = (uint16_t)value;
        field->value_length = (uint16_t)(end - value);
        field->id = (uint8_t)known_fields[fronts->sums[twice] & 255].id;
        field++;
    }
    msg->n_fields = (uint8_t)(field - msg->fields);
    return count;
}

/* Reads lines from number i on as long as they are header fields written in the usual way; returns
 * the number of the first that is not. */
static inline uint32_t read_fields(struct sip_scan *scan, const struct lines *lines, uint32_t i)
{
    struct fronts fronts;
    uint32_t count, done;

    do {
        const uint16_t *start = lines->start + i;

        count = lines->n - 1 - i < BATCH ? lines->n - 1 - i : BATCH;
        done = read_fronts(scan->msg->buf, scan->end, start, count, &fronts);
        done = whole_lines(scan->msg->buf, start, done);
        done = remember(scan->msg, start, &fronts, done);
        i += done;
    } while (done == BATCH);
    return i;
}

/* Reads the header section from line i of those found so far on; returns how it ends. */
static inline enum sip_line_kind read_headers(struct sip_scan *scan, struct lines *lines,
                                              uint32_t i)
{
    const char *buf = scan->msg->buf;

    for (;;) {
        enum sip_line_kind kind;

        i = read_fields(scan, lines, i);
        scan->at = buf + lines->start[i];
        if (scan->end - scan->at >= 2 && load_pair(scan->at) == CRLF) {
            scan->at += 2;
            return SIP_LINE_EMPTY;
        }
        kind = sip_index_line(scan);
        if (kind != SIP_LINE_FIELD)
            return kind;
        if (++i >= lines->n || scan->at != buf + lines->start[i]) {
            find_lines(buf, scan->at, scan->end, lines);
            i = 0;
        }
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
    uint32_t id = method_id(front, method);

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
