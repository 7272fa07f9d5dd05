/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of what is counted: see counts.h.
 */
#include "control/stream/counts.h"

#include <stdio.h>
#include <string.h>

/* Those of TLS and framing have the names of what is counted there. */
static const char *const NAMES[COUNT_COUNT] = {
    [COUNT_ACCEPTED] = "accepted",
    [COUNT_CONNECTED] = "connected",
    [COUNT_REFUSED_FULL] = "refused_full",
    [COUNT_REFUSED_SOURCE] = "refused_source",
    [COUNT_REFUSED_ERROR] = "refused_error",
    [COUNT_CLOSED + CLOSE_PEER] = "closed_peer",
    [COUNT_CLOSED + CLOSE_ERROR] = "closed_error",
    [COUNT_CLOSED + CLOSE_IDLE] = "closed_idle",
    [COUNT_CLOSED + CLOSE_HANDSHAKE_TIMEOUT] = "closed_handshake_timeout",
    [COUNT_CLOSED + CLOSE_HANDSHAKE] = "closed_handshake",
    [COUNT_CLOSED + CLOSE_MESSAGE_TIMEOUT] = "closed_message_timeout",
    [COUNT_CLOSED + CLOSE_FRAME] = "closed_frame",
    [COUNT_CLOSED + CLOSE_SLOW_READER] = "closed_slow_reader",
    [COUNT_CLOSED + CLOSE_MEMORY] = "closed_memory",
    [COUNT_CLOSED + CLOSE_RENEGOTIATION] = "closed_renegotiation",
    [COUNT_CLOSED + CLOSE_KILLED] = "closed_killed",
    [COUNT_CLOSED + CLOSE_LISTENER] = "closed_listener",
    [COUNT_CLOSED + CLOSE_STOP] = "closed_stop",
    [COUNT_TLS_FULL] = "tls_full",
    [COUNT_TLS_RESUMED] = "tls_resumed",
    [COUNT_TLS_12] = "tls_1_2",
    [COUNT_TLS_13] = "tls_1_3",
    [COUNT_UPGRADES] = "upgrades",
    [COUNT_UPGRADES_REFUSED] = "upgrades_refused",
    [COUNT_BYTES_IN] = "bytes_in",
    [COUNT_BYTES_OUT] = "bytes_out",
    [COUNT_PINGS] = "pings",
    [COUNT_MESSAGES_STREAM] = "messages_stream",
    [COUNT_MESSAGES_DATAGRAM] = "messages_datagram",
    [COUNT_RESULT + RELAY_FORWARDED] = "forwarded",
    [COUNT_RESULT + RELAY_REPLIED] = "replied",
    [COUNT_RESULT + RELAY_NAME] = "waiting",
    [COUNT_RESULT + RELAY_HEARD] = "heard",
    [COUNT_RESULT + RELAY_DROPPED_VERDICT] = "dropped_verdict",
    [COUNT_RESULT + RELAY_DROPPED_LISTENER] = "dropped_listener",
    [COUNT_RESULT + RELAY_DROPPED_SENDER] = "dropped_sender",
    [COUNT_RESULT + RELAY_DROPPED_UNSENT] = "dropped_unsent",
    [COUNT_SENT_STREAM] = "sent_stream",
    [COUNT_SENT_DATAGRAM] = "sent_datagram",
    [COUNT_LOST_FULL] = "lost_full",
    [COUNT_LOST_GONE] = "lost_gone",
    [COUNT_LOST_UNSENT] = "lost_unsent",
    [COUNT_UNDELIVERED] = "undelivered",
    [COUNT_RETRIED] = "retried",
    [COUNT_TOLD] = "told",
    [COUNT_ALIASES] = "aliases",
};

const char *counts_name(uint32_t which, char ret[COUNTS_NAME_MAX])
{
    const char *front = "", *name = NAMES[which];

    if (which >= COUNT_TLS_CIPHER && which < COUNT_TLS_CIPHER + TLS_CIPHERS) {
        front = "tls_cipher_";
        name = tls_cipher_name(which - COUNT_TLS_CIPHER);
    } else if (which >= COUNT_TLS_FAILED && which < COUNT_TLS_FAILED + TLS_FAILURE_COUNT) {
        front = "tls_failed_";
        name = tls_failure_name((enum tls_failure)(which - COUNT_TLS_FAILED));
    } else if (which >= COUNT_FRAME && which < COUNT_FRAME + FRAME_REASON_COUNT) {
        front = "frame_";
        name = frame_reason_name((enum frame_reason)(which - COUNT_FRAME));
    }
    snprintf(ret, COUNTS_NAME_MAX, "%s%s", front, name);
    return ret;
}

const char *relay_result_name(enum relay_result result)
{
    return NAMES[COUNT_RESULT + (uint32_t)result];
}

const char *close_reason_name(enum close_reason reason)
{
    return NAMES[COUNT_CLOSED + (uint32_t)reason] + strlen("closed_");
}
