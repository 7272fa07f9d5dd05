/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data plane's counters: what they are called, and the laws that they obey. The layout in
 * memory is config/counters'. One writer a block: block 0 is main's, block 1 + w worker w's. The
 * laws hold for the sums over all blocks, whenever no frame is on its way:
 *
 *   rx_frames + reassembled = to_tap + fragments + messages + the sum of drop_frame_*
 *   fragments = fragments_joined + fragments_waiting + the sum of drop_fragment_*
 *   messages  = forwarded + replied + dropped + punted
 *             = the sum of requests_* + the sum of responses_* + messages_unreadable
 *   forwarded = the sum of verdict_forwarded_*, replied of verdict_STATUS_*, dropped of
 *               verdict_drop_*, punted of verdict_punt_*
 *   verdict_forwarded_request, verdict_forwarded_response, replied, dropped, punted = the sum of the
 *               same over all slots of services, each
 *   forwarded + replied = sip_tx + sip_tx_drop + sip_mtu_drop + sip_no_route + sip_held
 *   punted    = punt_sent + punt_lost_room + punt_lost_ring + punt_lost_control
 *   sip_tx_drop = sip_tx_drop_room + sip_tx_drop_driver
 *   sip_held  = held_released + held_dropped + held_now
 *   held_released = held_tx + held_tx_drop
 *   to_tap    = tap_delivered + tap_ring_full + tap_write_drop
 *   from_tap  = tap_tx + tap_tx_drop + from_tap_ring_full
 */
#ifndef TANDEM_COUNTERS_H
#define TANDEM_COUNTERS_H

#include "config/counters.h"
#include "dataplane/proxy/proxy.h"

enum counter {
    COUNTER_RX_FRAMES,
    COUNTER_REASSEMBLED,     /* datagrams joined from fragments: each then as if received whole */
    COUNTER_TO_TAP,          /* given to main for the kernel */
    COUNTER_TO_TAP_VLAN,     /* of these, frames of a virtual LAN */
    COUNTER_TO_TAP_EXTENDED, /* and UDP, or so it seems, behind headers that we leave alone */
    COUNTER_FRAGMENTS,       /* of UDP to an address that we listen on */
    COUNTER_MESSAGES,        /* datagrams to a listener */
    COUNTER_DROP_FRAME_TRUNCATED, /* shorter than its IP or UDP length */
    COUNTER_DROP_FRAME_CHECKSUM,
    COUNTER_DROP_FRAME_SEGMENTS,      /* more segments than one mbuf takes */
    COUNTER_DROP_FRAME_NO_TAP,        /* the kernel's, on a port without exception path */
    COUNTER_DROP_FRAME_OTHER_MAC,     /* to a listener, in a frame for another station */
    COUNTER_DROP_FRAME_FORGED,        /* UDP to a port of control's, from a backend's address, and
                                         from no backend */
    COUNTER_DROP_FRAME_ROOM,          /* the kernel's, joined or tagged: no buffer takes it */
    COUNTER_FRAGMENTS_JOINED,         /* of datagrams that were completed */
    COUNTER_FRAGMENTS_WAITING,        /* a gauge, each worker's */
    COUNTER_DROP_FRAGMENT_RING_FULL,  /* the owner was too slow */
    COUNTER_DROP_FRAGMENT_REPEATED,   /* the same once more */
    COUNTER_DROP_FRAGMENT_OVERLAPPED, /* of datagrams given up since their pieces contradict */
    COUNTER_DROP_FRAGMENT_INVALID,    /* empty, beyond 65,535 bytes, not in units of 8 */
    COUNTER_DROP_FRAGMENT_EXPIRED,    /* the rest did not come in time */
    COUNTER_DROP_FRAGMENT_EVICTED,    /* the oldest, when there is no room */
    COUNTER_FORWARDED,
    COUNTER_REPLIED,
    COUNTER_DROPPED,
    COUNTER_PUNTED,
    COUNTER_PUNT_SENT,          /* to control, main's; the lost ones come again, it is UDP */
    COUNTER_PUNT_LOST_ROOM,     /* no mbuf, or one that the message fits */
    COUNTER_PUNT_LOST_RING,     /* main was too slow */
    COUNTER_PUNT_LOST_CONTROL,  /* control is not there, or too slow; main's */
    COUNTER_SIP_TX,             /* messages sent (in fragments: once) */
    COUNTER_SIP_TX_FRAGMENTED,  /* of these and of held_tx, those sent in fragments */
    COUNTER_SIP_TX_DROP,        /* the sum of the next two */
    COUNTER_SIP_TX_DROP_ROOM,   /* no mbuf, or one that the message fits */
    COUNTER_SIP_TX_DROP_DRIVER, /* the device took it not */
    COUNTER_SIP_MTU_DROP,       /* does not fit a frame, and cannot be cut to fit */
    COUNTER_SIP_NO_ROUTE,
    COUNTER_SIP_HELD, /* given to main, since the neighbour's MAC is unknown */
    COUNTER_HELD_RELEASED,
    COUNTER_HELD_DROPPED, /* no answer from the neighbour, or too many held */
    COUNTER_HELD_NOW,     /* a gauge, main's */
    COUNTER_HELD_TX,
    COUNTER_HELD_TX_DROP,
    COUNTER_TAP_DELIVERED,
    COUNTER_TAP_RING_FULL,  /* main was too slow */
    COUNTER_TAP_WRITE_DROP, /* the kernel took it not */
    COUNTER_FROM_TAP,
    COUNTER_FROM_TAP_RING_FULL, /* the worker was too slow */
    COUNTER_TAP_TX,
    COUNTER_TAP_TX_DROP,
    COUNTER_PATH_MTUS,          /* learnt, again too */
    COUNTER_FRAME_BUFFERS_USED, /* gauges, main's, once a second: of the ports' pools, those that */
    COUNTER_DATAGRAM_BUFFERS_USED, /* lie in a driver's rings included, and of the large ones */
    COUNTER_CALLS_INHERITED,       /* entries taken over from the data plane before */
    COUNTER_SNAPSHOTS_ACCEPTED,
    COUNTER_SNAPSHOTS_REFUSED,
    COUNTER_CYCLES,      /* of the time stamp counter, a worker's since it began to run */
    COUNTER_BUSY_CYCLES, /* of these, in turns that found work: over the first, its busy share */
    COUNTER_MESSAGES_UNREADABLE, /* without a start-line of SIP: keep-alives, STUN, junk */
    COUNTER_STAGE_MESSAGES,      /* while stages are measured; in these cycles: */
    COUNTER_STAGE_RECEIVE,
    COUNTER_STAGE_CLASSIFY,
    COUNTER_STAGE_PARSE,
    COUNTER_STAGE_ROUTE,
    COUNTER_STAGE_REWRITE,
    COUNTER_STAGE_TRANSMIT,
    COUNTER_REQUESTS, /* and on: requests_<method>, each of enum sip_method */
    COUNTER_RESPONSES = COUNTER_REQUESTS + SIP_METHOD_COUNT, /* and on: responses_1xx to _6xx */
    COUNTER_VERDICTS = COUNTER_RESPONSES + 6, /* and on: verdict_<proxy_reason_name>, each */
    COUNTER_COUNT = COUNTER_VERDICTS + PROXY_REASON_COUNT,
};

/* Slots of the call table: backends known at once, those that left and still have calls included.
 * A snapshot with more is refused; a configuration may name half as many. */
enum { COUNTERS_SLOTS = 32768 };

/* Slots of services: as many as two snapshots can have, the one in use and the next. Behind them one
 * more, COUNTERS_SERVICE_GONE: what was counted in slots that were given to another service. */
enum {
    COUNTERS_SERVICES = 2 * SNAPSHOT_SERVICES_MAX,
    COUNTERS_SERVICE_GONE = COUNTERS_SERVICES,
};

/* The counter of what a message is, as far as it could be read: the third law's. */
enum counter counters_kind(const struct sip_msg *msg);

/* Bytes that the counters of n workers take. */
uint64_t counters_bytes(uint32_t n_workers);

/* Lays out header and names in zeroed memory of counters_bytes(). start_*_s as in the header. */
struct counters_header *counters_init(void *memory, uint32_t n_workers, uint64_t epoch,
                                      uint64_t start_s, uint64_t start_mono_s);

/* Adds to a value of the caller's own block. */
static inline void counters_add(uint64_t *value, uint64_t n)
{
    __atomic_store_n(value, *value + n, __ATOMIC_RELAXED);
}

static inline void counters_set(uint64_t *value, uint64_t n)
{
    __atomic_store_n(value, n, __ATOMIC_RELAXED);
}

/* What lb/ counts in a block. */
struct lb_call_counts counters_call_counts(const struct counters_header *h, uint32_t block);

#endif
