/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom a port's zone believes: whether a frame may come from the inside, or comes from anybody who
 * writes a backend's address into it. It must not know what is in the frame.
 */
#ifndef TANDEM_ZONE_H
#define TANDEM_ZONE_H

#include <stdbool.h>

#include "dataplane/io/fib.h"
#include "dataplane/io/port.h"

/*
 * Whether a frame that came by a port from `mac`, whose packet says it is from `source`, is
 * believed. Where both sides share the port that is so if our route to the source uses that MAC:
 * which sources are of the inside is then for the caller to know. `fib` may be NULL. Any thread.
 */
bool zone_believes(const struct io_port *ports, uint8_t port, const struct io_fib *fib,
                   const struct sip_ip *source, const uint8_t mac[6]);

#endif
