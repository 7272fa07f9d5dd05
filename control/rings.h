/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data plane's rings of captured messages (config/capture.h), read as one stream in the order of
 * time. The mapping is its own: what lies there can be read also when the data plane is gone. It
 * must not know who wants which messages.
 */
#ifndef TANDEM_CONTROL_RINGS_H
#define TANDEM_CONTROL_RINGS_H

#include "config/capture.h"
#include "control/link.h"

struct rings;

/* The rings of the data plane that is connected, from now on, or from their beginning. NULL: there is
 * none, its memory is malformed (logged), or no memory. */
struct rings *rings_open(const struct link *link, bool from_beginning);
void rings_close(struct rings *rings);

/* Which data plane's they are (msg_hello's). */
uint64_t rings_epoch(const struct rings *rings);

uint32_t rings_ports(const struct rings *rings);
const char *rings_port_name(const struct rings *rings, uint32_t port);

/* A look at all rings begins: those that were found empty may have more by now. */
void rings_look(struct rings *rings);

/*
 * The next record of this look, the oldest of all rings; those of one ring keep their order. Valid
 * until the next call. *ret_gap: records of that ring before it were lost. NULL: no more.
 */
const struct capture_copy *rings_next(struct rings *rings, uint32_t *ret_ring, bool *ret_gap);

/* Records that were overwritten before they were read. */
uint64_t rings_lost(const struct rings *rings);

#endif
