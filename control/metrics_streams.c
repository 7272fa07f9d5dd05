/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams' counts as metrics: see metrics_streams.h. A new count gets a row here and, if it is a
 * family of its own, a line in README.
 */
#include "control/metrics_streams.h"

#include <string.h>

static const struct row {
    const char *family, *help;
    const char *label; /* NULL: there is one sample */
    uint32_t first, n; /* enum count: a sample of each */
    const char *front; /* what their names begin with, which is no part of the label */
} ROWS[] = {
    {"tandem_connections_opened_total", "Connections of streams, accepted or made by us.", "how",
     COUNT_ACCEPTED, 2, ""},
    {"tandem_connections_refused_total", "Connections closed as soon as they came.", "reason",
     COUNT_REFUSED_FULL, 3, "refused_"},
    {"tandem_connections_closed_total", "Connections that ended.", "reason", COUNT_CLOSED,
     CLOSE_REASONS, "closed_"},
    {"tandem_tls_handshakes_total", "Handshakes of TLS that were done.", "kind", COUNT_TLS_FULL, 2,
     "tls_"},
    {"tandem_tls_versions_total", "Of these, by version.", "version", COUNT_TLS_12, 2, "tls_"},
    {"tandem_tls_failures_total", "Handshakes of TLS that failed.", "reason", COUNT_TLS_FAILED,
     TLS_FAILURE_COUNT, "tls_failed_"},
    {"tandem_websocket_upgrades_total", "Connections that became WebSockets.", NULL, COUNT_UPGRADES,
     1, ""},
    {"tandem_websocket_refusals_total", "Requests for that which were refused.", NULL,
     COUNT_UPGRADES_REFUSED, 1, ""},
    {"tandem_stream_frames_refused_total", "Streams that ended since no message could be told.",
     "reason", COUNT_FRAME, FRAME_REASON_COUNT, "frame_"},
    {"tandem_stream_bytes_total", "Bytes of streams, inside TLS.", "direction", COUNT_BYTES_IN, 2,
     "bytes_"},
    {"tandem_stream_pings_total", "Keep-alives of streams that were answered.", NULL, COUNT_PINGS,
     1, ""},
    {"tandem_stream_messages_total", "Messages that came by streams, and to control's own ports.",
     "by", COUNT_MESSAGES_STREAM, 2, "messages_"},
    {"tandem_stream_verdicts_total", "What became of these.", "verdict", COUNT_RESULT,
     RELAY_RESULTS, ""},
    {"tandem_stream_sent_total", "Messages that control sent.", "by", COUNT_SENT_STREAM, 2,
     "sent_"},
    {"tandem_stream_lost_total", "Messages on their way to another thread that were lost.",
     "reason", COUNT_LOST_FULL, 3, "lost_"},
    {"tandem_stream_undelivered_total",
     "Messages that waited for a connection which came to nothing; requests were answered.", NULL,
     COUNT_UNDELIVERED, 1, ""},
};

static void write_row(struct metrics_text *text, const struct row *row, const struct counts *counts)
{
    metrics_family(text, row->family, METRICS_COUNTER, row->help);
    for (uint32_t which = row->first; which < row->first + row->n; which++) {
        char name[COUNTS_NAME_MAX];
        const char *value = counts_name(which, name) + strlen(row->front);
        const struct metrics_label label = {row->label, sip_slice_of(value)};

        metrics_sample(text, &label, row->label == NULL ? 0 : 1, counts->values[which]);
    }
}

void metrics_streams_write(struct metrics_text *text, const struct stream *stream)
{
    struct counts counts;

    stream_counts(stream, &counts);
    metrics_family(text, "tandem_connections", METRICS_GAUGE, "Connections of streams.");
    metrics_sample(text, NULL, 0, stream_connections(stream));
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        write_row(text, &ROWS[i], &counts);
}
