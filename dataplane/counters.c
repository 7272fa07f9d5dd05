/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of the data plane's counters, and the making of their memory. It must not know who counts.
 */
#include "dataplane/counters.h"

#include <stdio.h>

static const char *const names[COUNTER_REQUESTS] = {
    [COUNTER_RX_FRAMES] = "rx_frames",
    [COUNTER_REASSEMBLED] = "reassembled",
    [COUNTER_TO_TAP] = "to_tap",
    [COUNTER_TO_TAP_VLAN] = "to_tap_vlan",
    [COUNTER_TO_TAP_EXTENDED] = "to_tap_extended",
    [COUNTER_FRAGMENTS] = "fragments",
    [COUNTER_MESSAGES] = "messages",
    [COUNTER_DROP_FRAME_TRUNCATED] = "drop_frame_truncated",
    [COUNTER_DROP_FRAME_CHECKSUM] = "drop_frame_checksum",
    [COUNTER_DROP_FRAME_SEGMENTS] = "drop_frame_segments",
    [COUNTER_DROP_FRAME_NO_TAP] = "drop_frame_no_tap",
    [COUNTER_DROP_FRAME_OTHER_MAC] = "drop_frame_other_mac",
    [COUNTER_DROP_FRAME_FORGED] = "drop_frame_forged",
    [COUNTER_DROP_FRAME_ROOM] = "drop_frame_room",
    [COUNTER_FRAGMENTS_JOINED] = "fragments_joined",
    [COUNTER_FRAGMENTS_WAITING] = "fragments_waiting",
    [COUNTER_DROP_FRAGMENT_RING_FULL] = "drop_fragment_ring_full",
    [COUNTER_DROP_FRAGMENT_REPEATED] = "drop_fragment_repeated",
    [COUNTER_DROP_FRAGMENT_OVERLAPPED] = "drop_fragment_overlapped",
    [COUNTER_DROP_FRAGMENT_INVALID] = "drop_fragment_invalid",
    [COUNTER_DROP_FRAGMENT_EXPIRED] = "drop_fragment_expired",
    [COUNTER_DROP_FRAGMENT_EVICTED] = "drop_fragment_evicted",
    [COUNTER_FORWARDED] = "forwarded",
    [COUNTER_REPLIED] = "replied",
    [COUNTER_DROPPED] = "dropped",
    [COUNTER_PUNTED] = "punted",
    [COUNTER_PUNT_SENT] = "punt_sent",
    [COUNTER_PUNT_LOST_ROOM] = "punt_lost_room",
    [COUNTER_PUNT_LOST_RING] = "punt_lost_ring",
    [COUNTER_PUNT_LOST_CONTROL] = "punt_lost_control",
    [COUNTER_SIP_TX] = "sip_tx",
    [COUNTER_SIP_TX_FRAGMENTED] = "sip_tx_fragmented",
    [COUNTER_SIP_TX_DROP] = "sip_tx_drop",
    [COUNTER_SIP_TX_DROP_ROOM] = "sip_tx_drop_room",
    [COUNTER_SIP_TX_DROP_DRIVER] = "sip_tx_drop_driver",
    [COUNTER_SIP_MTU_DROP] = "sip_mtu_drop",
    [COUNTER_SIP_NO_ROUTE] = "sip_no_route",
    [COUNTER_SIP_HELD] = "sip_held",
    [COUNTER_HELD_RELEASED] = "held_released",
    [COUNTER_HELD_DROPPED] = "held_dropped",
    [COUNTER_HELD_NOW] = "held_now",
    [COUNTER_HELD_TX] = "held_tx",
    [COUNTER_HELD_TX_DROP] = "held_tx_drop",
    [COUNTER_TAP_DELIVERED] = "tap_delivered",
    [COUNTER_TAP_RING_FULL] = "tap_ring_full",
    [COUNTER_TAP_WRITE_DROP] = "tap_write_drop",
    [COUNTER_FROM_TAP] = "from_tap",
    [COUNTER_FROM_TAP_RING_FULL] = "from_tap_ring_full",
    [COUNTER_TAP_TX] = "tap_tx",
    [COUNTER_TAP_TX_DROP] = "tap_tx_drop",
    [COUNTER_PATH_MTUS] = "path_mtus",
    [COUNTER_FRAME_BUFFERS_USED] = "frame_buffers_used",
    [COUNTER_DATAGRAM_BUFFERS_USED] = "datagram_buffers_used",
    [COUNTER_CALLS_INHERITED] = "calls_inherited",
    [COUNTER_SNAPSHOTS_ACCEPTED] = "snapshots_accepted",
    [COUNTER_SNAPSHOTS_REFUSED] = "snapshots_refused",
    [COUNTER_CYCLES] = "cycles",
    [COUNTER_BUSY_CYCLES] = "busy_cycles",
    [COUNTER_MESSAGES_UNREADABLE] = "messages_unreadable",
    [COUNTER_STAGE_MESSAGES] = "stage_messages",
    [COUNTER_STAGE_RECEIVE] = "stage_cycles_receive",
    [COUNTER_STAGE_CLASSIFY] = "stage_cycles_classify",
    [COUNTER_STAGE_PARSE] = "stage_cycles_parse",
    [COUNTER_STAGE_ROUTE] = "stage_cycles_route",
    [COUNTER_STAGE_REWRITE] = "stage_cycles_rewrite",
    [COUNTER_STAGE_TRANSMIT] = "stage_cycles_transmit",
};

static void name_print(uint32_t counter, char ret_name[COUNTERS_NAME_MAX])
{
    const char *prefix = "", *name = counter < COUNTER_REQUESTS ? names[counter] : "other";
    char status_class[] = "1xx";

    if (counter >= COUNTER_VERDICTS) {
        prefix = "verdict_";
        name = proxy_reason_name((enum proxy_reason)(counter - COUNTER_VERDICTS));
    } else if (counter >= COUNTER_RESPONSES) {
        prefix = "responses_";
        status_class[0] = (char)('1' + (counter - COUNTER_RESPONSES));
        name = status_class;
    } else if (counter >= COUNTER_REQUESTS) {
        prefix = "requests_";
        if (counter != COUNTER_REQUESTS + SIP_METHOD_UNKNOWN)
            name = sip_method_name((enum sip_method)(counter - COUNTER_REQUESTS));
    }
    snprintf(ret_name, COUNTERS_NAME_MAX, "%s%s", prefix, name);
}

enum counter counters_kind(const struct sip_msg *msg)
{
    if (msg->kind == SIP_REQUEST && msg->method < SIP_METHOD_COUNT)
        return (enum counter)(COUNTER_REQUESTS + msg->method);
    if (msg->kind == SIP_RESPONSE && msg->status >= 100 && msg->status < 700)
        return (enum counter)(COUNTER_RESPONSES + msg->status / 100 - 1);
    return COUNTER_MESSAGES_UNREADABLE;
}

static struct counters_header shape(uint32_t n_workers)
{
    return (struct counters_header){.magic = COUNTERS_MAGIC,
                                    .n_blocks = 1 + n_workers,
                                    .n_counters = COUNTER_COUNT,
                                    .n_slots = COUNTERS_SLOTS,
                                    .n_services = COUNTERS_SERVICES + 1};
}

uint64_t counters_bytes(uint32_t n_workers)
{
    struct counters_header header = shape(n_workers);

    return counters_layout(&header);
}

struct counters_header *counters_init(void *memory, uint32_t n_workers, uint64_t epoch,
                                      uint64_t start_s, uint64_t start_mono_s)
{
    struct counters_header *h = memory;

    *h = shape(n_workers);
    counters_layout(h);
    h->epoch = epoch;
    h->start_s = start_s;
    h->start_mono_s = start_mono_s;
    for (uint32_t i = 0; i < COUNTER_COUNT; i++)
        name_print(i, (char *)memory + h->names + (size_t)i * COUNTERS_NAME_MAX);
    return h;
}

struct lb_call_counts counters_call_counts(const struct counters_header *h, uint32_t block)
{
    static const enum counters_slot started[LB_COUNTS] = {
        [LB_COUNT_CALLS] = COUNTERS_SLOT_STARTED,
        [LB_COUNT_REGISTRATIONS] = COUNTERS_SLOT_REGISTRATIONS_STARTED,
        [LB_COUNT_SUBSCRIPTIONS] = COUNTERS_SLOT_SUBSCRIPTIONS_STARTED,
    };
    static const enum counters_slot ended[LB_COUNTS] = {
        [LB_COUNT_CALLS] = COUNTERS_SLOT_ENDED,
        [LB_COUNT_REGISTRATIONS] = COUNTERS_SLOT_REGISTRATIONS_ENDED,
        [LB_COUNT_SUBSCRIPTIONS] = COUNTERS_SLOT_SUBSCRIPTIONS_ENDED,
    };
    struct lb_call_counts counts = {.n_slots = h->n_slots};

    for (int what = 0; what < LB_COUNTS; what++) {
        counts.started[what] = counters_slot_block(h, block, started[what]);
        counts.ended[what] = counters_slot_block(h, block, ended[what]);
    }
    return counts;
}
