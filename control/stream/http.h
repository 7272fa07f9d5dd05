/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request with which an HTTP connection becomes a WebSocket of SIP, and the answers to it
 * (RFC 6455 §4.2, RFC 7118 §4, RFC 9112). It is strict: nothing is taken that two parsers could
 * read in two ways, and a request has no body. It owns no bytes and knows no socket.
 */
#ifndef TANDEM_CONTROL_STREAM_HTTP_H
#define TANDEM_CONTROL_STREAM_HTTP_H

#include <stdint.h>

#include "dataplane/sip/slice.h"

enum {
    HTTP_HEADER_MAX = 8192, /* bytes of a request: browsers send 500 to 1,000, cookies included */
    HTTP_ANSWER_MAX = 256,  /* bytes of an answer */
};

/* What a listener allows. */
struct http_rules {
    const char *path;     /* as "/sip"; what follows a '?' is the client's */
    char *const *origins; /* as "https://phone.example.net"; any case */
    uint32_t n_origins;   /* 0: any origin, or none; else a request must have one of them */
};

/* A request that is being read. All zero at first, then http_upgrade_read's alone; the slices are
 * of the caller's bytes and set by its last call. */
struct http_upgrade {
    uint32_t scanned;        /* bytes that were looked at and hold no whole request */
    uint32_t line;           /* bytes of the request line with its CRLF; 0: not seen yet */
    uint32_t length;         /* of the whole request: what follows is WebSocket's */
    struct sip_slice target; /* path and query */
    struct sip_slice host;
    struct sip_slice origin;     /* length 0: none */
    struct sip_slice user_agent; /* length 0: none */
    struct sip_slice key;        /* Sec-WebSocket-Key, for http_accept_print */
};

/*
 * Reads the n bytes that wait, of which the first upgrade->scanned were seen before. Returns 0 when
 * the first upgrade->length are a good request, to be answered by http_accept_print; -EAGAIN when
 * more are needed; or the status (4xx, 505) of http_refuse_print's answer, after which the
 * connection ends. What cannot be HTTP is refused at its first byte or line. Results do not depend
 * on how the bytes were split. Any thread.
 *
 * 400: grammar (bare CR or LF, folded fields, blanks before a colon, more than one in the request
 * line), a body announced, a field missing, doubled or wrong; 403 origin; 404 path; 405 method;
 * 414, 431: more than HTTP_HEADER_MAX bytes; 426: another version of WebSocket than 13; 505: of
 * HTTP than 1.1. A target is a path: absolute URIs are for proxies.
 */
int http_upgrade_read(struct http_upgrade *upgrade, const struct http_rules *rules,
                      const char *bytes, uint32_t n);

/* The 101 to a good request. Returns its length, or -EIO when the digest fails. */
int32_t http_accept_print(const struct http_upgrade *upgrade, char ret[HTTP_ANSWER_MAX]);

/*
 * The answer with any other status, which ends the connection: those of http_upgrade_read, 408
 * (too slow) and 503 (too many connections). Returns its length.
 */
int32_t http_refuse_print(int status, char ret[HTTP_ANSWER_MAX]);

#endif
