/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP sockets that send from listeners' addresses. They receive nothing, since what comes to the data
 * plane's listeners is its own, but those of control's ports that were asked for. The kernel's routes
 * lead through the exception path. It does not know what is sent.
 */
#ifndef TANDEM_CONTROL_SOCKETS_H
#define TANDEM_CONTROL_SOCKETS_H

#include <stddef.h>

#include "config/snapshot.h"

struct sockets;

/* NULL: no memory. */
struct sockets *sockets_new(void);
void sockets_free(struct sockets *sockets);

/* Sends a datagram; never waits. 0, or a negative errno. The socket stays open for the next one. */
int sockets_send(struct sockets *sockets, const struct sip_addr *from, const struct sip_addr *to,
                 const void *bytes, size_t length);

/* Opens the socket of an address for receiving, too, before anything was sent from there. Its
 * descriptor, which stays the sockets', or a negative errno. */
int sockets_receive(struct sockets *sockets, const struct sip_addr *addr);

/* A bound socket for receiving, made elsewhere, which is the sockets' from then on, if there is none
 * of its address yet; else, or without memory, it is closed. */
void sockets_adopt(struct sockets *sockets, const struct sip_addr *addr, int fd);

/* Closes those whose address is no UDP listener's any more. */
void sockets_keep(struct sockets *sockets, const struct snapshot *snapshot);

#endif
