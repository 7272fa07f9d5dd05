/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sip_msg_index with vector instructions, the same text for each instruction set. It is included by
 * one .c file for each, after what differs between them:
 *
 *   struct block                    64 bytes from some address on
 *   block_load(at, end, limit)      bytes at or past `end` are taken for 0; none at or past `limit`
 *                                   is read (end <= limit)
 *   block_equal(block, c)           bit i: byte i is c
 *   block_below(block, c)           bit i: byte i is below c
 *   block_match(block, low, high)   bit i: low[byte i & 15] and high[byte i >> 4] share a bit;
 *                                   never for a byte above 0x7f
 *   append_starts(ret, bits, past)  writes past + i for each bit i, rising; no two are neighbours.
 *                                   Returns how many; may write to 32 places
 *   block_of(a, b, c, d)            sixteen bytes each
 *   block_lower(block)              letters (of a token) in lower case
 *   block_keep(block, bits)         byte i becomes 0 where bit i is 0
 *   block_sums(block, ret)          the sum of each eight bytes, eight of them
 *   block_same8(a, b)               bit i: the i-th eight bytes are the same
 *
 * How it goes: one pass over the header section finds where its lines begin, 64 bytes a step; names
 * are recognised four at a time, by the sum of their letters, which no two names share, and a
 * comparison with the one that has it; then the fields that every message has are decoded, each out
 * of a block or two.
 *
 * Messages are random to a branch predictor: which field comes next, how long a value is. So
 * nothing branches on that here. What branches is whether something is written in the usual way;
 * what is not goes to index_scalar.c, that line or that value alone.
 */
#ifndef TANDEM_SIP_INDEX_SIMD_H
#define TANDEM_SIP_INDEX_SIMD_H

#include "dataplane/sip/simd_headers.h"
#include "dataplane/sip/simd_uri.h"
#include "dataplane/sip/simd_values.h"

/* ---- All of it ---- */

static inline void decode(struct sip_scan *scan, size_t size)
{
    struct sip_msg *msg = scan->msg;
    uint32_t number;

    if (!decode_via(scan))
        sip_index_via(msg);
    if (!decode_call_id(scan))
        sip_index_call_id(msg);
    if (!decode_cseq(scan))
        sip_index_cseq(msg);
    if (!decode_party(scan, SIP_FROM, &msg->from_uri, &msg->from_tag))
        sip_index_from(msg);
    if (!decode_party(scan, SIP_TO, &msg->to_uri, &msg->to_tag))
        sip_index_to(msg);
    if (decode_number(scan, SIP_MAX_FORWARDS, &number) && number <= SIP_MAX_FORWARDS_MAX)
        msg->max_forwards = (int16_t)number;
    else
        sip_index_max_forwards(msg);
    if (decode_number(scan, SIP_CONTENT_LENGTH, &number))
        msg->content_length = (int32_t)number;
    else
        sip_index_content_length(msg);
    if (!check_contact(scan))
        sip_index_contact(msg);
    sip_index_measure(msg, size);
}

static inline enum sip_error index_message(const char *buf, size_t size, struct sip_msg *ret)
{
    struct sip_scan scan;
    struct lines lines;
    uint32_t i = 1;

    sip_index_begin(&scan, buf, size, ret);
    find_lines(buf, buf, scan.end, &lines);
    if (!read_start_line(ret, scan.end, &lines)) {
        if (!sip_index_start(&scan, size))
            return (enum sip_error)ret->error;
        find_lines(buf, scan.at, scan.end, &lines);
        i = 0;
    }
    ret->headers = lines.start[i];
    sip_index_headers_end(&scan, read_headers(&scan, &lines, i));
    decode(&scan, size);
    return (enum sip_error)ret->error;
}

static inline bool parse_via(struct sip_slice text, struct sip_via *ret)
{
    struct value value = {.at = text.at};

    if (text.length == 0)
        return false;
    value.end = value.limit = text.at + text.length;
    return read_via(&value, ret);
}

#endif
