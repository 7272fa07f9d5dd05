/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of RTP (RFC 3550 §5.1), and what a stream of them tells: how many are missing and how
 * unevenly they came (§A.1, §A.8). Pure. It must not know what is in a payload.
 */
#ifndef TANDEM_CONTROL_HEALTH_RTP_H
#define TANDEM_CONTROL_HEALTH_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RTP_HEADER = 12,                  /* bytes, without contributing sources and extension */
    RTP_RATE = 8000,                  /* samples a second, of G.711 */
};

struct rtp_packet {
    const uint8_t *payload;
    uint32_t length;                  /* of the payload; padding left out */
    uint32_t timestamp, ssrc;
    uint16_t sequence;
    uint8_t type;                     /* payload type, 0..127 */
    bool marker;
};

/* Writes a packet's header; payload and length are not looked at. */
void rtp_header_write(const struct rtp_packet *packet, uint8_t ret_bytes[RTP_HEADER]);

/* Reads one; the payload lies in `bytes`. 0, or -EINVAL: no packet of RTP, version 2; RTCP's types
 * (RFC 5761 §4) are none. */
int rtp_parse(const uint8_t *bytes, size_t size, struct rtp_packet *ret);

/* One stream as it came in. All zero: nothing yet. */
struct rtp_stats {
    uint32_t ssrc;
    uint32_t first, last;             /* sequence numbers, extended by how often they began anew */
    uint32_t received;                /* duplicates counted, too */
    uint32_t transit;                 /* arrival - timestamp, of the last one, in samples */
    uint32_t jitter_16;               /* sixteenths of a sample */
};

/* Counts a packet. Another source begins anew. */
void rtp_stats_add(struct rtp_stats *stats, const struct rtp_packet *packet, uint64_t now_us);
/* How many never came, of those between the first and the last. */
uint32_t rtp_stats_lost(const struct rtp_stats *stats);
uint32_t rtp_stats_jitter_us(const struct rtp_stats *stats);

#endif
