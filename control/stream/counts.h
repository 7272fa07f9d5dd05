/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is counted of streams: one block for each thread and transport, which the thread alone
 * writes; readers sum. A message is of the transport that it came by, or is sent by. It knows nothing
 * of what is counted.
 *
 * The laws of all transports together, the first also of each, at a moment when nothing is under way:
 *     accepted + connected = the connections that there are + all closed_…
 *     messages_stream + messages_datagram = forwarded + replied + waiting (given to names) + heard + all dropped_…
 *     forwarded + replied + what names sent + retried + told = sent_stream + sent_datagram + all lost_…
 */
#ifndef TANDEM_STREAM_COUNTS_H
#define TANDEM_STREAM_COUNTS_H

#include <stdint.h>

#include "control/stream/frame.h"
#include "control/stream/tls/tls.h"

/* What became of a message. */
enum relay_result {
    RELAY_FORWARDED,
    RELAY_REPLIED,                    /* to who sent it */
    RELAY_NAME,                       /* nothing was sent yet: a name is not known */
    RELAY_HEARD,                      /* another node's word of its phones */
    RELAY_DROPPED_VERDICT,            /* the rules drop it */
    RELAY_DROPPED_LISTENER,           /* the listener that it came to is gone */
    RELAY_DROPPED_SENDER,             /* a datagram to control's own port, from no backend or node */
    RELAY_DROPPED_UNSENT,             /* the kernel refused it, or there is no memory */
    RELAY_RESULTS,
};

/* Why a connection ended. */
enum close_reason {
    CLOSE_PEER,                       /* it said so */
    CLOSE_ERROR,                      /* reset, unreachable… */
    CLOSE_IDLE,                       /* nothing came or went for idle_timeout */
    CLOSE_HANDSHAKE_TIMEOUT,          /* of TLS, of WebSocket, or of connect(2) */
    CLOSE_HANDSHAKE,                  /* it failed: tls_failed_…, upgrade_refused */
    CLOSE_MESSAGE_TIMEOUT,            /* a message that began did not end in time */
    CLOSE_FRAME,                      /* what came can be no message: frame_…, or broke WebSocket's rules */
    CLOSE_SLOW_READER,                /* it does not take what is sent to it */
    CLOSE_MEMORY,                     /* all hold too much, and it more than its share */
    CLOSE_RENEGOTIATION,              /* of TLS 1.2: it asked for another handshake */
    CLOSE_KILLED,                     /* an operator's word */
    CLOSE_LISTENER,                   /* its listener left the configuration */
    CLOSE_STOP,                       /* control ends */
    CLOSE_REASONS,
};

enum count {
    COUNT_ACCEPTED,
    COUNT_CONNECTED,                  /* by us; also those that came to nothing */
    COUNT_REFUSED_FULL,               /* `connections` are there; closed at once, not in accepted */
    COUNT_REFUSED_SOURCE,             /* `connections_per_source` are */
    COUNT_REFUSED_ERROR,              /* no descriptor, no memory */
    COUNT_CLOSED,                     /* one for each reason */
    COUNT_TLS_FULL = COUNT_CLOSED + CLOSE_REASONS,     /* handshakes done */
    COUNT_TLS_RESUMED,
    COUNT_TLS_12,                     /* of these, by version */
    COUNT_TLS_13,
    COUNT_TLS_CIPHER,                 /* and by cipher: one for each of tls_cipher */
    COUNT_TLS_FAILED = COUNT_TLS_CIPHER + TLS_CIPHERS, /* one for each enum tls_failure */
    COUNT_UPGRADES = COUNT_TLS_FAILED + TLS_FAILURE_COUNT,   /* to WebSocket, done */
    COUNT_UPGRADES_REFUSED,
    COUNT_FRAME,                      /* refused: one for each enum frame_reason */
    COUNT_BYTES_IN = COUNT_FRAME + FRAME_REASON_COUNT, /* of streams, inside TLS */
    COUNT_BYTES_OUT,
    COUNT_PINGS,                      /* answered */
    COUNT_MESSAGES_STREAM,
    COUNT_MESSAGES_DATAGRAM,          /* to control's own ports */
    COUNT_RESULT,                     /* one for each result */
    COUNT_SENT_STREAM = COUNT_RESULT + RELAY_RESULTS,  /* given to a connection */
    COUNT_SENT_DATAGRAM,
    COUNT_LOST_FULL,                  /* another thread has too much to do */
    COUNT_LOST_GONE,                  /* the connection ended meanwhile, or none could be made */
    COUNT_LOST_UNSENT,                /* the kernel refused the datagram */
    COUNT_UNDELIVERED,                /* of sent_stream: to a connection that came to nothing */
    COUNT_RETRIED,                    /* of undelivered and lost_…: requests that a datagram took then */
    COUNT_TOLD,                       /* datagrams to other nodes of the cluster about phones */
    COUNT_ALIASES,                    /* of accepted: their peers may be sent requests by them */
    COUNT_COUNT,
};

struct counts {
    uint64_t values[COUNT_COUNT];
};

/* By its one writer. */
static inline void counts_add(struct counts *counts, uint32_t which, uint64_t n)
{
    __atomic_store_n(&counts->values[which], counts->values[which] + n, __ATOMIC_RELAXED);
}

static inline uint64_t counts_read(const struct counts *counts, uint32_t which)
{
    return __atomic_load_n(&counts->values[which], __ATOMIC_RELAXED);
}

enum { COUNTS_NAME_MAX = 64 };

/* snake_case, stable: names of metrics. Returns ret. */
const char *counts_name(uint32_t which, char ret[COUNTS_NAME_MAX]);
const char *relay_result_name(enum relay_result result);
const char *close_reason_name(enum close_reason reason);

#endif
