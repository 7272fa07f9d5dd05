/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP sockets of probe calls, at ports that the kernel chooses. They know nothing of what is sent.
 */
#ifndef TANDEM_CONTROL_HEALTH_MEDIA_SOCKET_H
#define TANDEM_CONTROL_HEALTH_MEDIA_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

#include "dataplane/sip/ip.h"

/*
 * Opens one that talks to `peer`: from `node`, an address of its family that this host may not have
 * yet; when that is NULL, from what the kernel would use. *ret_local is what others see.
 * even: at an even port, as RTP wants it (RFC 3550 §11). The descriptor, or a negative errno.
 */
int media_socket_open(const struct sip_ip *node, const struct sip_ip *peer, bool even,
                      struct sip_addr *ret_local);

/* Never wait. The length, or a negative errno. */
ssize_t media_socket_send(int fd, const struct sip_addr *to, const void *bytes, size_t length);
ssize_t media_socket_receive(int fd, void *bytes, size_t size, struct sip_addr *ret_from);

#endif
