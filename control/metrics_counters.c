/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data plane's counters as metrics: see metrics_counters.h. A new counter gets a row here and,
 * if it is a family of its own, a line in README.
 */
#include "control/metrics_counters.h"

#include <stdio.h>
#include <string.h>

enum row_kind {
    ROW_SUM,     /* one sample: the sum over all blocks */
    ROW_WORKERS, /* a sample for each worker */
    ROW_PREFIX,  /* one for each counter that begins so; the rest of its name is the reason */
};

struct row {
    const char *counter;
    const char *family, *help; /* help NULL: more of the family before */
    enum metrics_type type;
    enum row_kind kind;
    const char *label, *value; /* of ROW_PREFIX: a label beside the reason, or NULL; with a value
                                  of NULL, what the reason is called there */
};

static const char VERDICTS[] = "tandem_verdicts_total";
static const char UNSENT[] = "tandem_unsent_messages_total";
static const char TO_KERNEL_LOST[] = "tandem_to_kernel_lost_frames_total";
static const char FROM_KERNEL_LOST[] = "tandem_from_kernel_lost_frames_total";
static const char BUFFERS[] = "tandem_used_buffers";
static const char OFFERS[] = "tandem_snapshot_offers_total";

static const struct row ROWS[] = {
    {"rx_frames", "tandem_received_frames_total", "Frames received from the ports.",
     METRICS_COUNTER, ROW_WORKERS, NULL, NULL},
    {"messages", "tandem_messages_total", "Datagrams to a listener, whatever they hold.",
     METRICS_COUNTER, ROW_WORKERS, NULL, NULL},
    {"requests_", "tandem_requests_total", "Of these, requests.", METRICS_COUNTER, ROW_PREFIX,
     "method", NULL},
    {"responses_", "tandem_responses_total", "Of these, responses.", METRICS_COUNTER, ROW_PREFIX,
     "class", NULL},
    {"messages_unreadable", "tandem_unreadable_messages_total",
     "Of these, those without a start-line of SIP.", METRICS_COUNTER, ROW_SUM, NULL, NULL},
    {"verdict_forwarded_", VERDICTS, "What was decided of messages, and why.", METRICS_COUNTER,
     ROW_PREFIX, "verdict", "forwarded"},
    {"verdict_drop_", VERDICTS, NULL, METRICS_COUNTER, ROW_PREFIX, "verdict", "dropped"},
    {"verdict_punt_", VERDICTS, NULL, METRICS_COUNTER, ROW_PREFIX, "verdict", "punted"},
    /* The rest: their reasons begin with the status that was answered. */
    {"verdict_", VERDICTS, NULL, METRICS_COUNTER, ROW_PREFIX, "verdict", "replied"},
    {"drop_frame_", "tandem_dropped_frames_total", "Frames dropped before they were messages.",
     METRICS_COUNTER, ROW_PREFIX, NULL, NULL},
    {"reassembled", "tandem_reassembled_datagrams_total", "Datagrams joined from fragments.",
     METRICS_COUNTER, ROW_SUM, NULL, NULL},
    {"fragments", "tandem_received_fragments_total", "Fragments to an address with listeners.",
     METRICS_COUNTER, ROW_SUM, NULL, NULL},
    {"fragments_joined", "tandem_joined_fragments_total",
     "Fragments of datagrams that were joined.", METRICS_COUNTER, ROW_SUM, NULL, NULL},
    {"drop_fragment_", "tandem_dropped_fragments_total", "Fragments dropped.", METRICS_COUNTER,
     ROW_PREFIX, NULL, NULL},
    {"fragments_waiting", "tandem_waiting_fragments", "Fragments that wait for the rest.",
     METRICS_GAUGE, ROW_SUM, NULL, NULL},
    {"sip_tx", "tandem_sent_messages_total", "Messages sent at once.", METRICS_COUNTER, ROW_SUM,
     NULL, NULL},
    {"sip_tx_fragmented", "tandem_fragmented_messages_total", "Messages sent in fragments.",
     METRICS_COUNTER, ROW_SUM, NULL, NULL},
    {"sip_held", "tandem_held_messages_total", "Messages that waited for a neighbour's address.",
     METRICS_COUNTER, ROW_SUM, NULL, NULL},
    {"held_tx", "tandem_sent_held_messages_total", "Messages sent after they waited.",
     METRICS_COUNTER, ROW_SUM, NULL, NULL},
    {"held_now", "tandem_waiting_messages", "Messages that wait for a neighbour's address.",
     METRICS_GAUGE, ROW_SUM, NULL, NULL},
    {"sip_tx_drop_room", UNSENT, "Messages forwarded or answered that could not be sent.",
     METRICS_COUNTER, ROW_SUM, "reason", "room"},
    {"sip_tx_drop_driver", UNSENT, NULL, METRICS_COUNTER, ROW_SUM, "reason", "driver"},
    {"sip_mtu_drop", UNSENT, NULL, METRICS_COUNTER, ROW_SUM, "reason", "mtu"},
    {"sip_no_route", UNSENT, NULL, METRICS_COUNTER, ROW_SUM, "reason", "no_route"},
    {"held_dropped", UNSENT, NULL, METRICS_COUNTER, ROW_SUM, "reason", "no_neighbour"},
    {"held_tx_drop", UNSENT, NULL, METRICS_COUNTER, ROW_SUM, "reason", "held_driver"},
    {"punt_sent", "tandem_punted_messages_total", "Messages handed to control.", METRICS_COUNTER,
     ROW_SUM, NULL, NULL},
    {"punt_lost_", "tandem_lost_punts_total", "Messages meant for control that were lost.",
     METRICS_COUNTER, ROW_PREFIX, NULL, NULL},
    {"to_tap", "tandem_to_kernel_frames_total", "Frames given to the exception path.",
     METRICS_COUNTER, ROW_SUM, NULL, NULL},
    {"to_tap_vlan", "tandem_to_kernel_vlan_frames_total", "Of these, frames of a virtual LAN.",
     METRICS_COUNTER, ROW_SUM, NULL, NULL},
    {"to_tap_extended", "tandem_to_kernel_extended_frames_total",
     "Of these, frames with IPv6 extension headers before what may be UDP.", METRICS_COUNTER,
     ROW_SUM, NULL, NULL},
    {"tap_delivered", "tandem_to_kernel_delivered_frames_total", "Frames that the kernel took.",
     METRICS_COUNTER, ROW_SUM, NULL, NULL},
    {"tap_ring_full", TO_KERNEL_LOST, "Frames for the kernel that were lost.", METRICS_COUNTER,
     ROW_SUM, "reason", "ring_full"},
    {"tap_write_drop", TO_KERNEL_LOST, NULL, METRICS_COUNTER, ROW_SUM, "reason", "kernel"},
    {"from_tap", "tandem_from_kernel_frames_total", "Frames that the kernel sent.", METRICS_COUNTER,
     ROW_SUM, NULL, NULL},
    {"tap_tx", "tandem_from_kernel_sent_frames_total", "Of these, frames sent by a port.",
     METRICS_COUNTER, ROW_SUM, NULL, NULL},
    {"from_tap_ring_full", FROM_KERNEL_LOST, "Frames of the kernel that were lost.",
     METRICS_COUNTER, ROW_SUM, "reason", "ring_full"},
    {"tap_tx_drop", FROM_KERNEL_LOST, NULL, METRICS_COUNTER, ROW_SUM, "reason", "driver"},
    {"path_mtus", "tandem_learnt_path_mtus_total", "Path MTUs learnt, again too.", METRICS_COUNTER,
     ROW_SUM, NULL, NULL},
    {"frame_buffers_used", BUFFERS, "Buffers in use, those in a driver's rings included.",
     METRICS_GAUGE, ROW_SUM, "kind", "frame"},
    {"datagram_buffers_used", BUFFERS, NULL, METRICS_GAUGE, ROW_SUM, "kind", "datagram"},
    {"calls_inherited", "tandem_inherited_calls_total",
     "Entries of the call table taken over from the data plane before.", METRICS_COUNTER, ROW_SUM,
     NULL, NULL},
    {"snapshots_accepted", OFFERS, "Snapshots that the data plane was offered.", METRICS_COUNTER,
     ROW_SUM, "outcome", "accepted"},
    {"snapshots_refused", OFFERS, NULL, METRICS_COUNTER, ROW_SUM, "outcome", "refused"},
    {"cycles", "tandem_worker_cycles_total", "Cycles that a worker ran for.", METRICS_COUNTER,
     ROW_WORKERS, NULL, NULL},
    {"busy_cycles", "tandem_worker_busy_cycles_total",
     "Of these, cycles of turns that found work: by the rates of both, its busy share.",
     METRICS_COUNTER, ROW_WORKERS, NULL, NULL},
    {"stage_messages", "tandem_stage_messages_total",
     "Messages that came while the cycles of stages were counted.", METRICS_COUNTER, ROW_SUM, NULL,
     NULL},
    {"stage_cycles_", "tandem_stage_cycles_total", "Cycles that these took in each stage.",
     METRICS_COUNTER, ROW_PREFIX, "stage", NULL},
};

enum { ROW_COUNT = sizeof(ROWS) / sizeof(ROWS[0]) };

/* Sums of what the rows tell; whoever asks Prometheus sums himself. */
static const char *const SUMS[] = {"forwarded", "replied",     "dropped",
                                   "punted",    "sip_tx_drop", "held_released"};

/* The first row that is a counter's; NULL: none. */
static const struct row *row_of(const char *counter)
{
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        const char *name = ROWS[i].counter;

        if (ROWS[i].kind == ROW_PREFIX ? strncmp(counter, name, strlen(name)) == 0
                                       : strcmp(counter, name) == 0)
            return &ROWS[i];
    }
    return NULL;
}

bool metrics_counters_know(const char *counter)
{
    for (size_t i = 0; i < sizeof(SUMS) / sizeof(SUMS[0]); i++) {
        if (strcmp(counter, SUMS[i]) == 0)
            return true;
    }
    return row_of(counter) != NULL;
}

static void write_workers(struct metrics_text *text, const struct counters_header *counters,
                          uint32_t counter)
{
    for (uint32_t block = 1; block < counters->n_blocks; block++) {
        char number[16];
        int length = snprintf(number, sizeof(number), "%u", block - 1);
        const struct metrics_label label = {"worker", sip_slice(number, (uint32_t)length)};

        metrics_sample(text, &label, 1, counters_block(counters, block)[counter]);
    }
}

static void write_counter(struct metrics_text *text, const struct counters_header *counters,
                          uint32_t counter, const struct row *row)
{
    struct metrics_label labels[2];
    uint32_t n = 0;

    if (row->kind == ROW_WORKERS) {
        write_workers(text, counters, counter);
        return;
    }
    if (row->value != NULL)
        labels[n++] = (struct metrics_label){row->label, sip_slice_of(row->value)};
    if (row->kind == ROW_PREFIX)
        labels[n++] = (struct metrics_label){
            row->label != NULL && row->value == NULL ? row->label : "reason",
            sip_slice_of(counters_name(counters, counter) + strlen(row->counter))};
    metrics_sample(text, labels, n, counters_sum(counters, counter));
}

void metrics_counters_write(struct metrics_text *text, const struct counters_header *counters)
{
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        if (ROWS[i].help != NULL)
            metrics_family(text, ROWS[i].family, ROWS[i].type, ROWS[i].help);
        for (uint32_t counter = 0; counter < counters->n_counters; counter++) {
            if (row_of(counters_name(counters, counter)) == &ROWS[i])
                write_counter(text, counters, counter, &ROWS[i]);
        }
    }
}
