/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data plane's end of the socket to control (config/msg): listens, says hello, hears offers
 * and answers them. One control at a time; a new one replaces the old. Main only, never blocks.
 */
#ifndef TANDEM_ENDPOINT_H
#define TANDEM_ENDPOINT_H

#include <stdbool.h>
#include <sys/types.h>

#include "config/counters.h"
#include "dataplane/memory.h"

struct endpoint;

struct endpoint_conf {
    const char *path; /* of the socket; its directory is made */
    uid_t owner;      /* of the socket, whose mode is 0600 */
    gid_t group;
    const struct memory *counters; /* given to control; begins with the header below */
    const struct memory *calls, *capture;
    const struct counters_header *header;
    /* Decides about an offer: 0, or a negative errno and the reason, a literal. */
    int (*offer)(void *context, int fd, uint64_t size, uint64_t generation,
                 const char **ret_reason);
    /* Takes the calls of the data plane before, if it can. */
    void (*inherit)(void *context, int fd, uint64_t size);
    void *context;
};

/* Listens; a stale socket is replaced. NULL and errno on failure: EADDRINUSE when another data
 * plane answers there. The pointers in conf must outlive it. */
struct endpoint *endpoint_new(const struct endpoint_conf *conf);
void endpoint_free(struct endpoint *endpoint);

/* For epoll: the listening socket, and control's. -1: nobody is connected. */
int endpoint_listen_fd(const struct endpoint *endpoint);
int endpoint_control_fd(const struct endpoint *endpoint);

/* What came of the listening socket being readable: 1 a control is connected (a former one is
 * gone), 0 nothing. */
int endpoint_accept(struct endpoint *endpoint);

/* Ends control's connection; nothing when there is none. */
void endpoint_drop(struct endpoint *endpoint);

/* Reads one packet of control's. 1: heard; 0: nothing there; a negative errno: control is gone. */
int endpoint_hear(struct endpoint *endpoint);

/*
 * Sends control a message that it must act on: a struct msg_punt, and its text, `size` bytes in
 * all. Returns 0, or a negative errno, and the packet is lost: -ENOTCONN nobody is connected,
 * -EAGAIN control is too slow.
 */
int endpoint_punt(struct endpoint *endpoint, const void *packet, uint32_t size);

#endif
