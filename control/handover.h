/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets that pass from a control to its successor, which is the same process after
 * execve(2): nobody's connect is refused meanwhile, and what waits in their queues is the
 * successor's. It does not know who listens to what for whom.
 */
#ifndef TANDEM_CONTROL_HANDOVER_H
#define TANDEM_CONTROL_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/sip/ip.h"

/* The environment's variable that tells the successor: descriptors in decimal, by commas. */
#define HANDOVER_VARIABLE "TANDEM_HANDOVER"

enum { HANDOVER_MAX = 4096 }; /* sockets */

struct handover;

/*
 * What a predecessor left: `told` is HANDOVER_VARIABLE's value, NULL: there was none. Each
 * descriptor is looked at; what is no socket that listens, or is bound for datagrams, is closed.
 * NULL: no memory.
 */
struct handover *handover_new(const char *told);
/* Closes what it has. */
void handover_free(struct handover *handover);

uint32_t handover_count(const struct handover *handover);

/* The rest may be called by any thread, and with NULL: then nothing is there, nothing is kept. */

/* A socket of the predecessor's at an address, by its type (SOCK_STREAM, SOCK_DGRAM), or at a path;
 * it is the caller's from then on, non-blocking and closed by execve(2). -1: there is none. */
int handover_take(struct handover *handover, int type, const struct sip_addr *addr);
int handover_take_path(struct handover *handover, const char *path);

/* Closes what nobody took: it is configured no more. */
void handover_close(struct handover *handover);

/* Keeps a socket for the successor; its owner closes its own descriptor as ever. */
void handover_keep(struct handover *handover, int fd);

/* What the successor is to be told of what was kept, for free(); NULL: no memory. */
char *handover_tell(const struct handover *handover);

/* Lets the kept ones live on over execve(2), which was told of in this text. Async-signal-safe. */
void handover_open(const char *told);

#endif
