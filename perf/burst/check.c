/* SPDX-License-Identifier: Apache-2.0 */
/* See check.h. */
#include "perf/burst/check.h"

#include <string.h>

#include "perf/burst/stamp.h"

enum { SIP_PORT = 5060, NS_A_SECOND = 1000000000 };

void check_begin(struct check *check)
{
    check->counts = (struct check_counts){0};
    check->first = check->next;
    check->odd[0] = '\0';
    memset(check->latencies, 0, sizeof(check->latencies));
}

uint32_t check_send(struct check *check, uint32_t message, uint64_t tsc)
{
    uint32_t number = check->next++;

    check->ring[number % CHECK_RING] =
        (struct check_sent){.tsc = tsc, .number = number, .message = message};
    check->counts.sent++;
    return number;
}

static bool is_backend(const struct load *load, const struct sip_addr *addr)
{
    for (uint32_t i = 0; i < load->n; i++) {
        if (load->messages[i].new &&sip_addr_equal(&load->messages[i].to, addr))
            return true;
    }
    return false;
}

static bool is_there(const struct check *check, const struct load_message *message,
                     enum load_side side, const struct sip_addr *to)
{
    if (side == message->side)
        return false;
    if (sip_addr_equal(to, &message->to))
        return true;
    return check->mode == CHECK_LIKE && message->new &&is_backend(check->load, to);
}

static bool is_exact(const struct load_message *message, const char *text, uint32_t length)
{
    uint32_t behind = message->result_stamp + (uint32_t)STAMP_BYTES;

    return length == message->result_length &&
           memcmp(text, message->result, message->result_stamp) == 0 &&
           memcmp(text + behind, message->result + behind, length - behind) == 0;
}

/* A body but for its stamp. */
static bool same_body(const struct sip_msg *a, const struct sip_msg *b)
{
    uint32_t length = a->length - a->body, stamped = STAMP_BYTES + 2;

    if (length != b->length - b->body)
        return false;
    return length < stamped || memcmp(a->buf + a->body, b->buf + b->body, length - stamped) == 0;
}

static bool is_like(const struct load_message *message, const char *text, uint32_t length)
{
    struct sip_msg got, core;

    sip_msg_index(text, length, &got);
    sip_msg_index(message->result, message->result_length, &core);
    if (got.error != SIP_OK || got.kind != core.kind || got.method != core.method ||
        got.status != core.status || got.cseq != core.cseq ||
        !sip_slice_equal(got.call_id, core.call_id) ||
        !sip_slice_equal(got.from_tag, core.from_tag) ||
        !sip_slice_equal(got.to_tag, core.to_tag) || !same_body(&got, &core))
        return false;
    if (got.kind == SIP_REQUEST)
        return sip_slice_equal(got.request_uri, core.request_uri) &&
               got.max_forwards == core.max_forwards;
    return sip_slice_equal(got.top_via.branch, core.top_via.branch);
}

static void keep_latency(struct check *check, uint64_t ticks)
{
    uint64_t slot = ticks * NS_A_SECOND / check->tick_hz / CHECK_LATENCY_NS;

    check->latencies[slot < CHECK_LATENCIES ? slot : CHECK_LATENCIES]++;
}

static void show(struct check *check, const char *text, uint32_t length)
{
    uint32_t n = length < CHECK_TEXT ? length : CHECK_TEXT - 1;

    memcpy(check->odd, text, n);
    check->odd[n] = '\0';
}

static void judge(struct check *check, struct check_sent *sent, enum load_side side,
                  const struct io_frame *frame, const char *text, uint64_t tsc)
{
    const struct load_message *message = &check->load->messages[sent->message];
    struct check_counts *counts = &check->counts;
    bool good = check->mode == CHECK_EXACT ? is_exact(message, text, frame->length)
                                           : is_like(message, text, frame->length);

    if (sent->arrived) {
        counts->doubled++;
        return;
    }
    sent->arrived = true;
    counts->received++;
    counts->misrouted += !is_there(check, message, side, &frame->dst);
    counts->corrupted += !good;
    if (!good)
        show(check, text, frame->length);
    keep_latency(check, tsc - sent->tsc);
}

void check_receive(struct check *check, enum load_side side, const uint8_t *bytes, uint32_t length,
                   uint64_t tsc)
{
    struct check_sent *sent;
    struct io_frame frame;
    const char *text;
    uint32_t number;
    int32_t at;

    if (io_frame_parse(bytes, length, &frame) != IO_FRAME_UDP || frame.src.port != SIP_PORT)
        return; /* neighbour discovery and the like */
    text = (const char *)bytes + frame.payload;
    at = stamp_offset(text, frame.length);
    if (at < 0 || !stamp_read(text + at, &number)) {
        check->counts.foreign++;
        show(check, text, frame.length);
        return;
    }
    sent = &check->ring[number % CHECK_RING];
    if (sent->number != number || number - check->first >= check->next - check->first)
        check->counts.late++;
    else if (!io_frame_udp_good(bytes, &frame))
        check->counts.corrupted++;
    else
        judge(check, sent, side, &frame, text, tsc);
}

double check_latency_us(const struct check *check, double share)
{
    double wanted = (double)check->counts.received * share, seen = 0;
    uint32_t slot = 0;

    while (slot < CHECK_LATENCIES && (seen += check->latencies[slot]) < wanted)
        slot++;
    return (slot + 0.5) * CHECK_LATENCY_NS / 1000;
}
