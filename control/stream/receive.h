/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a connection become messages for its thread, keep-alives are answered, what can be no
 * message ends it. It does not know how a connection begins, nor when it is over.
 */
#ifndef TANDEM_STREAM_RECEIVE_H
#define TANDEM_STREAM_RECEIVE_H

#include <stdint.h>

struct connection;

/* Takes all that waits to be read, as long as the connection takes anything. */
void receive_input(struct connection *connection);

/* What was taken out before a pause, then the rest: what the connection caused was sent. */
void receive_resume(struct connection *connection);

/* A whole message that came. */
void receive_message(struct connection *connection, const char *text, uint32_t length);

#endif
