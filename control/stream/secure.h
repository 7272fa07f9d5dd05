/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS of a connection: tls.h's contexts in libevent's buffers, what a handshake told, and its
 * orderly end. It does not know what goes over it.
 */
#ifndef TANDEM_STREAM_SECURE_H
#define TANDEM_STREAM_SECURE_H

#include <stdbool.h>
#include <stdint.h>

struct bufferevent;
struct connection;

/* Whether a transport (enum sip_transport) is one over TLS. */
bool secure_has(uint8_t transport);

/* The buffers of a connection that is in the table: whose handshake begins. NULL: no memory, or no
 * certificate for the listener any more; the descriptor stays the caller's. */
struct bufferevent *secure_new(struct connection *connection, int fd);

/* The handshake is done; or failed: both count, and the table knows what it told. */
void secure_opened(struct connection *connection);
void secure_failed(struct connection *connection);

/* Whether what libevent calls the end of a connection over TLS was a reset: it does not tell. */
bool secure_was_reset(struct connection *connection);

/* Says goodbye, if there was a handshake. Before the buffers are freed. */
void secure_close(struct connection *connection);

#endif
