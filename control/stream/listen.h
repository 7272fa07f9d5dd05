/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread listens to: each stream listener by a socket of its own (SO_REUSEPORT spreads
 * connections over the threads), and control's UDP ports. It does not know what comes of a
 * connection.
 */
#ifndef TANDEM_STREAM_LISTEN_H
#define TANDEM_STREAM_LISTEN_H

struct thread;
struct listeners;

enum {
    LISTEN_BACKLOG = 1024,
    LISTEN_BURST = 32,      /* connections or datagrams that are taken before others have their turn */
    LISTEN_FILES_KEPT = 256, /* descriptors that no connection to us gets */
    LISTEN_PAUSE_MS = 100,  /* after the system had no descriptor for one */
};

/* NULL: no memory. */
struct listeners *listeners_new(void);
void listeners_free(struct listeners *listeners);

/* Opens the listeners of the thread's view that are not open (with the predecessor's sockets, if it
 * left some: handover.h), closes those that it has no more; the
 * rest stay as they are. What cannot be opened is logged once. */
void listen_follow(struct thread *thread);

/* Listens to nothing more, before the thread's end: the sockets stay open for the successor, and what
 * comes waits there. */
void listen_leave(struct thread *thread);

#endif
