/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of RTP: see rtp.h.
 */
#include "control/health/rtp.h"

#include <errno.h>

enum {
    VERSION = 2,
    RTCP_FIRST = 64,
    RTCP_LAST = 95,
    CHANGE_MAX = 10 * RTP_RATE, /* a greater change of the transit time is a clock set anew */
};

static void put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void rtp_header_write(const struct rtp_packet *packet, uint8_t ret_bytes[RTP_HEADER])
{
    ret_bytes[0] = VERSION << 6;
    ret_bytes[1] = (uint8_t)((packet->marker ? 0x80 : 0) | (packet->type & 0x7f));
    ret_bytes[2] = (uint8_t)(packet->sequence >> 8);
    ret_bytes[3] = (uint8_t)packet->sequence;
    put32(ret_bytes + 4, packet->timestamp);
    put32(ret_bytes + 8, packet->ssrc);
}

int rtp_parse(const uint8_t *bytes, size_t size, struct rtp_packet *ret)
{
    size_t at = RTP_HEADER, padding = 0;

    if (size < RTP_HEADER || bytes[0] >> 6 != VERSION)
        return -EINVAL;
    if ((bytes[1] & 0x7f) >= RTCP_FIRST && (bytes[1] & 0x7f) <= RTCP_LAST)
        return -EINVAL;
    at += 4u * (bytes[0] & 0x0f);
    if ((bytes[0] & 0x10) != 0) { /* an extension: 16 bits, and its length in words */
        if (size < at + 4)
            return -EINVAL;
        at += 4 + 4u * ((size_t)bytes[at + 2] << 8 | bytes[at + 3]);
    }
    if (at > size)
        return -EINVAL;
    if ((bytes[0] & 0x20) != 0) { /* the last byte says how many there are */
        padding = bytes[size - 1];
        if (padding == 0 || padding > size - at)
            return -EINVAL;
    }
    *ret = (struct rtp_packet){.payload = bytes + at,
                               .length = (uint32_t)(size - at - padding),
                               .timestamp = get32(bytes + 4),
                               .ssrc = get32(bytes + 8),
                               .sequence = (uint16_t)(bytes[2] << 8 | bytes[3]),
                               .type = bytes[1] & 0x7f,
                               .marker = (bytes[1] & 0x80) != 0};
    return 0;
}

void rtp_stats_add(struct rtp_stats *stats, const struct rtp_packet *packet, uint64_t now_us)
{
    uint32_t transit = (uint32_t)(now_us * RTP_RATE / 1000000) - packet->timestamp;
    int32_t ahead, change;
    uint32_t size;

    if (stats->received == 0 || stats->ssrc != packet->ssrc) {
        /* One round further, so that what was sent before the first one is no huge number. */
        uint32_t sequence = 0x10000u + packet->sequence;

        *stats = (struct rtp_stats){.ssrc = packet->ssrc,
                                    .first = sequence,
                                    .last = sequence,
                                    .received = 1,
                                    .transit = transit};
        return;
    }
    stats->received++;
    ahead = (int16_t)(uint16_t)(packet->sequence - (uint16_t)stats->last);
    if (ahead > 0)
        stats->last += (uint32_t)ahead;
    else if (stats->last + (uint32_t)ahead < stats->first)
        stats->first = stats->last + (uint32_t)ahead;
    change = (int32_t)(transit - stats->transit);
    stats->transit = transit;
    size = (uint32_t)(change < 0 ? -(int64_t)change : change);
    if (size > CHANGE_MAX)
        size = CHANGE_MAX;
    stats->jitter_16 += size - ((stats->jitter_16 + 8) >> 4);
}

uint32_t rtp_stats_lost(const struct rtp_stats *stats)
{
    uint32_t expected = stats->received == 0 ? 0 : stats->last - stats->first + 1;

    return expected > stats->received ? expected - stats->received : 0;
}

uint32_t rtp_stats_jitter_us(const struct rtp_stats *stats)
{
    return (uint32_t)((uint64_t)stats->jitter_16 * 1000000 / (16 * RTP_RATE));
}
