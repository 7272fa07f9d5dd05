/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 for one page that machines fetch: GET, an answer, the end of the connection. It does
 * not know what the page says.
 */
#ifndef TANDEM_CONTROL_METRICS_HTTP_H
#define TANDEM_CONTROL_METRICS_HTTP_H

#include <stddef.h>

#include "control/loop.h"
#include "dataplane/sip/ip.h"

enum {
    METRICS_HTTP_CLIENTS_MAX = 16,   /* one more waits until one leaves */
    METRICS_HTTP_REQUEST_MAX = 4096, /* bytes of request line and header; more are refused: 400 */
    METRICS_HTTP_REQUEST_MS = 5000,  /* for a whole request, or the client is left */
    METRICS_HTTP_STALL_MS = 5000,    /* a client that reads nothing for so long is left */
    METRICS_HTTP_CLOSE_MS = 1000,    /* for a client to hang up once it was answered */
};

struct metrics_http_conf {
    const char *path; /* of the page; others are 404, other methods 405, any body 413 */
    const char *type; /* its Content-Type */
    char *(*page)(void *arg, size_t *ret_length); /* for free(); NULL: no memory, 500 */
    void *arg;
    struct handover *handover; /* NULL: the socket is nobody's before and after */
};

struct handover;
struct metrics_http;

/*
 * Listens at an address, also when the host does not have it yet. NULL and errno when it cannot.
 * `conf` is copied, its texts stay the caller's.
 */
struct metrics_http *metrics_http_new(struct loop *loop, const struct sip_addr *addr,
                                      const struct metrics_http_conf *conf);
/* Hands the socket over; metrics_http_free is to follow. */
void metrics_http_leave(struct metrics_http *http);
/* Leaves all clients. */
void metrics_http_free(struct metrics_http *http);

#endif
