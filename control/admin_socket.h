/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What passes between the socket's clients (admin_socket.c) and the requests (admin.c).
 */
#ifndef TANDEM_CONTROL_ADMIN_SOCKET_H
#define TANDEM_CONTROL_ADMIN_SOCKET_H

#include "control/admin.h"
#include "control/capture.h"

struct admin_client;

/* Handles one request line; admin_client_answer follows exactly once, at once or later, unless the
 * client leaves, which cancels it at parts->reload, or is handed over to `captures`. */
void admin_handle(struct admin_client *client, const struct admin_parts *parts,
                  struct captures *captures, const char *line, size_t length);

/* Sends one answer, a malloc'ed text that is taken over; NULL (no memory) ends the connection. */
void admin_client_answer(struct admin_client *client, char *text);

/* The client's socket, non-blocking; and, when another has taken that over, the client's end. */
int admin_client_fd(const struct admin_client *client);
void admin_client_leave(struct admin_client *client);

#endif
