/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of one WebSocket that carries SIP (RFC 6455, RFC 7118): the peer's bytes come
 * in, whole SIP messages and bytes for the peer go out. Frames are wslay's; messages of frames,
 * limits, keep-alives and the closing handshake are this file's. It knows no socket and no clock,
 * and of SIP only that CRLFCRLF alone is a ping.
 */
#ifndef TANDEM_CONTROL_STREAM_WS_H
#define TANDEM_CONTROL_STREAM_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ws;

/* Why a WebSocket ends (RFC 6455 §7.4.1). */
enum ws_code {
    WS_NORMAL = 1000,
    WS_GOING_AWAY = 1001, /* this node stops */
    WS_PROTOCOL = 1002,   /* a frame that may not be */
    WS_NO_CODE = 1005,    /* the peer's Close had none; never sent */
    WS_NOT_UTF8 = 1007,   /* a text message that is none */
    WS_POLICY = 1008,     /* what the caller does not allow */
    WS_TOO_BIG = 1009,    /* a message longer than message_max */
    WS_INTERNAL = 1011,   /* no memory */
    WS_RESTART = 1012,    /* this node starts anew: come back at once */
};

/* Called by ws_take and ws_send; they may call ws_send and ws_close, but not ws_take or ws_free. */
struct ws_callbacks {
    /* One SIP message, or what the peer takes for one: all of a text or binary message. The bytes
     * are valid until this returns. */
    void (*message)(void *arg, const char *bytes, uint32_t length);
    /* Bytes for the peer, to be copied; a frame may come in several calls. */
    void (*send)(void *arg, const void *bytes, size_t length);
    /* A keep-alive was answered: a Ping frame, or a message of CRLFCRLF. May be NULL. */
    void (*ping)(void *arg);
};

/* A WebSocket after its 101. *callbacks is copied. NULL: no memory. message_max in bytes. */
struct ws *ws_new(uint32_t message_max, const struct ws_callbacks *callbacks, void *arg);
void ws_free(struct ws *ws);

/*
 * Takes all n bytes from the peer, in the thread that owns the connection. Returns 0, or
 * -ESHUTDOWN when the WebSocket is at its end: Close went out (and came in, if the peer had not
 * broken the rules), and the connection is to be closed as soon as the bytes sent are. Nothing is
 * taken afterwards.
 */
int ws_take(struct ws *ws, const char *bytes, uint32_t n);

/* Sends one SIP message: as text when it is UTF-8 (RFC 7118 §5), else binary. Returns 0, or
 * -ESHUTDOWN when Close was sent before. */
int ws_send(struct ws *ws, const char *bytes, uint32_t length);

/* Begins the closing handshake: sends Close, once. The peer's messages are taken until its own
 * Close comes, with which ws_take returns -ESHUTDOWN; how long to wait is the caller's to say. */
void ws_close(struct ws *ws, enum ws_code code);

/* True when a frame or a message has begun and is not whole: its peer may be too slow. */
bool ws_pending(const struct ws *ws);

/* Bytes of memory for what has come of a message. */
size_t ws_held(const struct ws *ws);

/* Why it ended, or is about to: the first code sent or received; 0 while it is open. The peer may
 * send any from 1000 to 4999. */
uint16_t ws_code(const struct ws *ws);

#endif
