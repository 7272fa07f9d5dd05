/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS of a connection: by which of tls.h's contexts, and what its handshake told. It knows
 * neither when that happens (wire.h) nor what goes over it.
 */
#ifndef TANDEM_STREAM_SECURE_H
#define TANDEM_STREAM_SECURE_H

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct ssl_st;

/* Whether a transport (enum sip_transport) is one over TLS. */
bool secure_has(uint8_t transport);

/* TLS for a connection that is in the table, the caller's to free. NULL: no memory, or no
 * certificate for the listener any more. */
struct ssl_st *secure_new(struct connection *connection);

/* The handshake is done; or failed: both count, and the table knows what it told. */
void secure_opened(struct connection *connection);
void secure_failed(struct connection *connection);

#endif
