/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams' counts as metrics: see metrics_streams.h. A new count gets a row here and, if it is a
 * family of its own, a line in README.
 */
#include "control/metrics_streams.h"

#include <ctype.h>
#include <string.h>

enum {
    UDP = 1u << SIP_TRANSPORT_UDP, /* of backends, to control's own ports */
    TCP = 1u << SIP_TRANSPORT_TCP,
    TLS = 1u << SIP_TRANSPORT_TLS,
    WS = 1u << SIP_TRANSPORT_WS,
    WSS = 1u << SIP_TRANSPORT_WSS,
    STREAMS = TCP | TLS | WS | WSS,
};

static const struct row {
    const char *family, *help;
    uint32_t transports; /* samples of each */
    const char *label;   /* NULL: there is one sample, the sum */
    uint32_t first, n;   /* enum count: a sample of each */
    const char *front;   /* what their names begin with, which is no part of the label */
} ROWS[] = {
    {"tandem_connections_opened_total", "Connections of streams, accepted or made by us.", STREAMS,
     "how", COUNT_ACCEPTED, 2, ""},
    {"tandem_connections_refused_total", "Connections closed as soon as they came.", STREAMS,
     "reason", COUNT_REFUSED_FULL, 3, "refused_"},
    {"tandem_connections_closed_total", "Connections that ended.", STREAMS, "reason", COUNT_CLOSED,
     CLOSE_REASONS, "closed_"},
    {"tandem_tls_handshakes_total", "Handshakes of TLS that were done.", TLS | WSS, "kind",
     COUNT_TLS_FULL, 2, "tls_"},
    {"tandem_tls_versions_total", "Of these, by version.", TLS | WSS, "version", COUNT_TLS_12, 2,
     "tls_"},
    {"tandem_tls_ciphers_total", "And by cipher.", TLS | WSS, "cipher", COUNT_TLS_CIPHER,
     TLS_CIPHERS, "tls_cipher_"},
    {"tandem_tls_failures_total", "Handshakes of TLS that failed.", TLS | WSS, "reason",
     COUNT_TLS_FAILED, TLS_FAILURE_COUNT, "tls_failed_"},
    {"tandem_websocket_upgrades_total", "Connections that became WebSockets.", WS | WSS, NULL,
     COUNT_UPGRADES, 1, ""},
    {"tandem_websocket_refusals_total", "Requests for that which were refused.", WS | WSS, NULL,
     COUNT_UPGRADES_REFUSED, 1, ""},
    {"tandem_stream_frames_refused_total", "Streams that ended since no message could be told.",
     STREAMS, "reason", COUNT_FRAME, FRAME_REASON_COUNT, "frame_"},
    {"tandem_stream_bytes_total", "Bytes of streams, inside TLS.", STREAMS, "direction",
     COUNT_BYTES_IN, 2, "bytes_"},
    {"tandem_stream_pings_total", "Keep-alives of streams that were answered.", STREAMS, NULL,
     COUNT_PINGS, 1, ""},
    {"tandem_stream_messages_total", "Messages that came by streams, and to control's own ports.",
     UDP | STREAMS, NULL, COUNT_MESSAGES_STREAM, 2, "messages_"},
    {"tandem_stream_verdicts_total", "What became of these.", UDP | STREAMS, "verdict",
     COUNT_RESULT, RELAY_RESULTS, ""},
    {"tandem_stream_sent_total", "Messages that control sent.", UDP | STREAMS, NULL,
     COUNT_SENT_STREAM, 2, "sent_"},
    {"tandem_stream_lost_total", "Messages on their way to another thread that were lost.",
     UDP | STREAMS, "reason", COUNT_LOST_FULL, 3, "lost_"},
    {"tandem_stream_undelivered_total",
     "Messages that waited for a connection which came to nothing; requests were answered.",
     STREAMS, NULL, COUNT_UNDELIVERED, 1, ""},
    {"tandem_stream_retried_total",
     "Requests that were to go by TCP for their size, and went by UDP since it was refused.",
     STREAMS, NULL, COUNT_RETRIED, 1, ""},
    {"tandem_cluster_told_total",
     "Datagrams to other nodes of the cluster about the phones that are here.", UDP, NULL,
     COUNT_TOLD, 1, ""},
    {"tandem_connections_aliased_total",
     "Connections of peers that are reused for what is sent to them (RFC 5923).", STREAMS, NULL,
     COUNT_ALIASES, 1, ""},
};

/* In lower case, as the configuration writes it. Returns ret. */
static const char *transport_name(uint32_t transport, char ret[8])
{
    const char *name = sip_transport_name((enum sip_transport)transport);
    uint32_t i = 0;

    for (; name[i] != '\0'; i++)
        ret[i] = (char)tolower((unsigned char)name[i]);
    ret[i] = '\0';
    return ret;
}

static void write_samples(struct metrics_text *text, const struct row *row, const char *transport,
                          const struct counts *counts)
{
    struct metrics_label labels[] = {{"transport", sip_slice_of(transport)}, {row->label, {0}}};
    uint64_t sum = 0;

    for (uint32_t which = row->first; which < row->first + row->n; which++) {
        char name[COUNTS_NAME_MAX];

        sum += counts->values[which];
        labels[1].value = sip_slice_of(counts_name(which, name) + strlen(row->front));
        if (row->label != NULL)
            metrics_sample(text, labels, 2, counts->values[which]);
    }
    if (row->label == NULL)
        metrics_sample(text, labels, 1, sum);
}

/* What was opened and is not closed: the two are read apart, so clamp at 0. */
static void write_connections(struct metrics_text *text, const char *transport,
                              const struct counts *counts)
{
    const struct metrics_label label = {"transport", sip_slice_of(transport)};
    uint64_t opened = counts->values[COUNT_ACCEPTED] + counts->values[COUNT_CONNECTED], closed = 0;

    for (uint32_t reason = 0; reason < CLOSE_REASONS; reason++)
        closed += counts->values[COUNT_CLOSED + reason];
    metrics_sample(text, &label, 1, opened > closed ? opened - closed : 0);
}

void metrics_streams_write(struct metrics_text *text, const struct stream *stream)
{
    struct counts counts[SIP_TRANSPORT_COUNT];
    char names[SIP_TRANSPORT_COUNT][8];

    metrics_family(text, "tandem_connections", METRICS_GAUGE, "Connections of streams.");
    for (uint32_t t = SIP_TRANSPORT_UDP; t < SIP_TRANSPORT_COUNT; t++) {
        stream_counts_of(stream, (enum sip_transport)t, &counts[t]);
        transport_name(t, names[t]);
        if (STREAMS & 1u << t)
            write_connections(text, names[t], &counts[t]);
    }
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        metrics_family(text, ROWS[i].family, METRICS_COUNTER, ROWS[i].help);
        for (uint32_t t = SIP_TRANSPORT_UDP; t < SIP_TRANSPORT_COUNT; t++) {
            if (ROWS[i].transports & 1u << t)
                write_samples(text, &ROWS[i], names[t], &counts[t]);
        }
    }
}
