/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A WebSocket: wslay takes frames apart and unmasks them, chunk by chunk. A message that is one
 * chunk is handed on from where it lies; others are gathered in a buffer that grows with what has
 * come, never with what is announced, and is given back with the message. (wslay's own gathering
 * allocates as announced, and a block for each fragment.)
 */
#include "control/stream/ws.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <wslay/wslay.h>

#include "control/stream/utf8.h"

enum {
    CONTROL_MAX = 125, /* bytes of a control frame's payload (RFC 6455 §5.5) */
    ROOM_MIN = 4096,   /* bytes of the first buffer of a message */
};

struct ws {
    wslay_frame_context_ptr frames;
    struct ws_callbacks callbacks;
    void *arg;

    /* What ws_take was given and wslay did not fetch yet. */
    const char *at;
    uint32_t left;
    uint64_t unfinished; /* bytes taken since the last whole frame */

    /* The frame that is being read; opcode 0xff: none. */
    uint8_t opcode;
    bool fin;
    uint64_t frame_left; /* bytes of its payload */
    uint8_t control_length;
    char control[CONTROL_MAX];

    /* The message that is being read; opcode 0: none. */
    uint8_t message_opcode;
    struct utf8 utf8;
    char *message;
    uint32_t length, room, message_max;

    uint16_t code;
    bool close_sent;
    bool over; /* nothing is taken any more */
};

enum { NO_FRAME = 0xff };

/* ---- Bytes for the peer ---- */

static ssize_t on_send(const uint8_t *bytes, size_t n, int flags, void *arg)
{
    struct ws *ws = arg;

    ws->callbacks.send(ws->arg, bytes, n);
    return (ssize_t)n;
}

/* Sends a whole frame, unless Close was sent. */
static int send_frame(struct ws *ws, uint8_t opcode, const char *bytes, uint32_t n)
{
    struct wslay_frame_iocb frame = {
        .fin = 1,
        .opcode = opcode,
        .payload_length = n,
        .data = (const uint8_t *)bytes,
        .data_length = n,
    };
    ssize_t sent;

    if (ws->close_sent)
        return -ESHUTDOWN;
    sent = wslay_frame_send(ws->frames, &frame);
    assert(sent == (ssize_t)n); /* on_send takes all */
    return 0;
}

/* Sends Close if it was not, and keeps the first code of either side. */
static void send_close(struct ws *ws, uint16_t code)
{
    char payload[2] = {(char)(code >> 8), (char)code};

    if (ws->code == 0)
        ws->code = code;
    send_frame(ws, WSLAY_CONNECTION_CLOSE, payload, code == WS_NO_CODE ? 0 : sizeof(payload));
    ws->close_sent = true;
}

int ws_send(struct ws *ws, const char *bytes, uint32_t length)
{
    struct utf8 utf8 = {0};
    bool text = utf8_take(&utf8, bytes, length) && utf8_is_whole(&utf8);

    return send_frame(ws, text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, bytes, length);
}

void ws_close(struct ws *ws, enum ws_code code)
{
    if (!ws->close_sent)
        send_close(ws, (uint16_t)code);
}

/* ---- What the peer's frames say: each returns 0, or the code with which to end ---- */

static void see_ping(struct ws *ws)
{
    if (ws->callbacks.ping != NULL)
        ws->callbacks.ping(ws->arg);
}

/* RFC 6455 §7.4.1, §7.4.2, and those registered since. */
static bool is_code(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static uint16_t end_close(struct ws *ws)
{
    uint32_t n = ws->control_length;
    struct utf8 utf8 = {0};
    uint16_t code = WS_NO_CODE;

    if (n >= 2)
        code = (uint16_t)((uint8_t)ws->control[0] << 8 | (uint8_t)ws->control[1]);
    if (n == 1 || (n >= 2 && !is_code(code)))
        return WS_PROTOCOL;
    if (n > 2 && !(utf8_take(&utf8, ws->control + 2, n - 2) && utf8_is_whole(&utf8)))
        return WS_NOT_UTF8;
    send_close(ws, code);
    ws->over = true;
    return 0;
}

static uint16_t end_control(struct ws *ws)
{
    if (ws->opcode == WSLAY_CONNECTION_CLOSE)
        return end_close(ws);
    if (ws->opcode == WSLAY_PING) {
        send_frame(ws, WSLAY_PONG, ws->control, ws->control_length);
        see_ping(ws);
    }
    return 0;
}

/* A whole message: line ends alone are a keep-alive, which is answered when there are two of them
 * (RFC 7118 §6, RFC 5626 §3.5.1). */
static void deliver(struct ws *ws, const char *bytes, uint32_t n)
{
    uint32_t blank = 0;

    while (blank < n && (bytes[blank] == '\r' || bytes[blank] == '\n'))
        blank++;
    if (blank < n) {
        ws->callbacks.message(ws->arg, bytes, n);
    } else if (n >= 4 && memcmp(bytes, "\r\n\r\n", 4) == 0) {
        send_frame(ws, ws->message_opcode, "\r\n", 2);
        see_ping(ws);
    }
}

static void forget_message(struct ws *ws)
{
    free(ws->message);
    ws->message = NULL;
    ws->length = ws->room = 0;
    ws->message_opcode = 0;
}

/* Makes room for n bytes more of the message, at most message_max in all. */
static uint16_t grow(struct ws *ws, uint32_t n)
{
    uint64_t room = ws->room > 0 ? ws->room : ROOM_MIN;
    char *message;

    while (room < (uint64_t)ws->length + n)
        room *= 2;
    if (room == ws->room)
        return 0;
    if (room > ws->message_max)
        room = ws->message_max;
    message = realloc(ws->message, room);
    if (message == NULL)
        return WS_INTERNAL;
    ws->message = message;
    ws->room = (uint32_t)room;
    return 0;
}

static uint16_t take_data(struct ws *ws, const char *bytes, uint32_t n)
{
    bool last = ws->fin && ws->frame_left == 0;
    uint16_t code;

    if (ws->message_opcode == WSLAY_TEXT_FRAME &&
        (!utf8_take(&ws->utf8, bytes, n) || (last && !utf8_is_whole(&ws->utf8))))
        return WS_NOT_UTF8;
    if (last && ws->length == 0) {
        deliver(ws, bytes, n);
        forget_message(ws);
        return 0;
    }
    code = grow(ws, n);
    if (code != 0)
        return code;
    memcpy(ws->message + ws->length, bytes, n);
    ws->length += n;
    if (last) {
        deliver(ws, ws->message, ws->length);
        forget_message(ws);
    }
    return 0;
}

/* What a frame's header says. wslay has seen to lengths, and that control frames are whole. */
static uint16_t begin_frame(struct ws *ws, const struct wslay_frame_iocb *frame)
{
    if (!frame->mask || frame->rsv != 0)
        return WS_PROTOCOL;
    ws->opcode = frame->opcode;
    ws->frame_left = frame->payload_length;
    switch (frame->opcode) {
    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG:
        ws->control_length = 0;
        return 0;
    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME:
        if (ws->message_opcode != 0)
            return WS_PROTOCOL;
        ws->message_opcode = frame->opcode;
        ws->utf8 = (struct utf8){0};
        break;
    case WSLAY_CONTINUATION_FRAME:
        if (ws->message_opcode == 0)
            return WS_PROTOCOL;
        break;
    default:
        return WS_PROTOCOL;
    }
    ws->fin = frame->fin;
    return frame->payload_length > ws->message_max - ws->length ? WS_TOO_BIG : 0;
}

/* All that a frame takes on the wire: masked, its length in as few bytes as it can be. */
static uint64_t size_on_wire(uint64_t payload)
{
    uint64_t extended = payload > UINT16_MAX ? 8 : payload > CONTROL_MAX ? 2 : 0;

    return 2 + extended + 4 + payload;
}

/* One chunk of a frame, from its header on if it is the first. */
static uint16_t take_chunk(struct ws *ws, const struct wslay_frame_iocb *frame)
{
    uint32_t n = (uint32_t)frame->data_length;
    bool control;
    uint16_t code = ws->opcode == NO_FRAME ? begin_frame(ws, frame) : 0;

    if (code != 0)
        return code;
    ws->frame_left -= n;
    control = ws->opcode >= WSLAY_CONNECTION_CLOSE;
    if (ws->frame_left == 0)
        ws->unfinished -= size_on_wire(frame->payload_length);
    if (!control) {
        code = take_data(ws, (const char *)frame->data, n);
    } else {
        memcpy(ws->control + ws->control_length, frame->data, n);
        ws->control_length = (uint8_t)(ws->control_length + n);
        if (ws->frame_left == 0)
            code = end_control(ws);
    }
    if (ws->frame_left == 0)
        ws->opcode = NO_FRAME;
    return code;
}

static ssize_t on_fetch(uint8_t *to, size_t room, int flags, void *arg)
{
    struct ws *ws = arg;
    uint32_t n = ws->left < room ? ws->left : (uint32_t)room;

    memcpy(to, ws->at, n);
    ws->at += n;
    ws->left -= n;
    return n; /* 0: nothing there, which wslay reads as "later" */
}

int ws_take(struct ws *ws, const char *bytes, uint32_t n)
{
    assert(ws->left == 0);
    if (ws->over)
        return -ESHUTDOWN;
    ws->at = bytes;
    ws->left = n;
    ws->unfinished += n;
    while (!ws->over) {
        struct wslay_frame_iocb frame;
        ssize_t got = wslay_frame_recv(ws->frames, &frame);
        uint16_t code;

        if (got == WSLAY_ERR_WANT_READ)
            break;
        code = got < 0 ? WS_PROTOCOL : take_chunk(ws, &frame);
        if (code != 0) {
            send_close(ws, code);
            ws->over = true;
        }
    }
    ws->left = 0;
    return ws->over ? -ESHUTDOWN : 0;
}

/* ---- The whole ---- */

bool ws_pending(const struct ws *ws)
{
    return ws->unfinished > 0 || ws->message_opcode != 0;
}

size_t ws_held(const struct ws *ws)
{
    return ws->room;
}

uint16_t ws_code(const struct ws *ws)
{
    return ws->code;
}

struct ws *ws_new(uint32_t message_max, const struct ws_callbacks *callbacks, void *arg)
{
    static const struct wslay_frame_callbacks io = {on_send, on_fetch, NULL};
    struct ws *ws = calloc(1, sizeof(*ws));

    if (ws == NULL || wslay_frame_context_init(&ws->frames, &io, ws) != 0) {
        free(ws);
        return NULL;
    }
    ws->callbacks = *callbacks;
    ws->arg = arg;
    ws->message_max = message_max;
    ws->opcode = NO_FRAME;
    return ws;
}

void ws_free(struct ws *ws)
{
    if (ws == NULL)
        return;
    forget_message(ws);
    wslay_frame_context_free(ws->frames);
    free(ws);
}
