/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The WebSocket of a connection: the upgrade, then messages in frames (http.h and ws.h say how). It
 * does not know what a message is.
 */
#ifndef TANDEM_STREAM_WEB_H
#define TANDEM_STREAM_WEB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection;
struct web;

/* Before the upgrade. NULL: no memory. */
struct web *web_new(void);
void web_free(struct web *web);

/* Takes bytes that came by a connection with a web; returns how many, the rest waits for more. The
 * connection is open once it was upgraded, and leaves when that was refused or WebSocket ended. */
uint32_t web_take(struct connection *connection, const char *bytes, uint32_t n);

/* Sends a message. 0, or -ENOTCONN: it is not upgraded, or at its end. */
int web_send(struct connection *connection, const char *text, uint32_t length);

/* Tells the peer that the WebSocket ends since this node starts anew, if there is one. */
void web_close(struct connection *connection);

/* Bytes that it holds of a message that is not whole. */
size_t web_held(const struct connection *connection);

/* Whether a frame or message began and is not whole. */
bool web_pending(const struct connection *connection);

#endif
