/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a connection: a socket of a stream, plain or under TLS, in its thread's loop. What
 * comes is read when it is asked for; what is written goes in one piece when the loop has called
 * all who are ready. It does not know what the bytes mean, nor when a connection is over. One
 * thread.
 */
#ifndef TANDEM_STREAM_WIRE_H
#define TANDEM_STREAM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event_struct.h>

struct loop;
struct ssl_st;
struct wires;

enum wire_end {
    WIRE_CLOSED,                      /* the peer sends no more; it may yet be written to */
    WIRE_BROKEN,                      /* reset, refused, or what came is no TLS */
    WIRE_STALLED,                     /* the peer takes nothing for too long */
};

/* What happens; in each of them the wire may be stopped. */
struct wire_calls {
    void (*opened)(void *arg);        /* connect(2) and the handshake of TLS are done */
    void (*input)(void *arg);         /* wire_read has something */
    void (*sent)(void *arg);          /* all that was written is the kernel's */
    void (*ended)(void *arg, enum wire_end end);
};

enum wire_state { WIRE_CONNECTING, WIRE_SHAKING, WIRE_OPEN, WIRE_STOPPED };

struct wire {
    struct wires *wires;              /* NULL: not begun */
    const struct wire_calls *calls;
    void *arg;
    struct ssl_st *ssl;               /* NULL: plain */
    int fd;
    enum wire_state state;
    bool reads;                       /* what comes is asked for */
    bool blocked;                     /* the kernel takes no more for now */
    bool read_blocked;                /* TLS has to send before it can read */
    struct timeval stall;
    struct event readable, writable;
    struct wire *next, **at;          /* in the list of those that have to send; at NULL: not */
    char *waits;                      /* what was written and has not gone: [begin, end) of room */
    size_t begin, end, room;
    unsigned long error;              /* OpenSSL's word for why TLS failed; 0: none */
};

/* Those of a loop. NULL: no memory. Freed after the last of them. */
struct wires *wires_new(struct loop *loop);
void wires_free(struct wires *wires);

/*
 * Takes a socket that does not block over, and TLS (NULL: none) that knows its side. `stall_ms`:
 * for how long the kernel may take nothing. Nothing happens before wire_accepted or wire_connects;
 * 0, or -ENOMEM, and both stay the caller's.
 */
int wire_begin(struct wire *wire, struct wires *wires, int fd, struct ssl_st *ssl,
               uint32_t stall_ms, const struct wire_calls *calls, void *arg);

/* The socket was accepted: without TLS it is open, and `opened` is not called. Or connect(2) is
 * under way. 0, or a negative errno. */
int wire_accepted(struct wire *wire);
int wire_connects(struct wire *wire);

/* Its calls come in that order of the loop (enum LOOP_RANK_…). */
void wire_rank(struct wire *wire, int rank);

/* Takes what came; how many bytes. 0: there is no more for now, or `ended` was called. `room`: at
 * least 16 KiB, since a record of TLS is taken whole. */
uint32_t wire_read(struct wire *wire, char *to, uint32_t room);

/* Whether something came that the kernel does not tell of any more. */
bool wire_holds(const struct wire *wire);

/* `input` is called no more; and again, also if something is held. */
void wire_pause(struct wire *wire);
void wire_resume(struct wire *wire);

/* 0, or -ENOMEM: nothing was written. Goes as soon as the wire is open. */
int wire_write(struct wire *wire, const void *bytes, size_t length);

/* What has not gone yet. */
static inline size_t wire_unsent(const struct wire *wire)
{
    return wire->end - wire->begin;
}

/* No call comes any more; what was not sent stays where it is. */
void wire_stop(struct wire *wire);

/* TLS says goodbye, if there was a handshake; its answer is not waited for. */
void wire_goodbye(struct wire *wire);

/* Closes and frees; says no goodbye. Does nothing with one that was not begun. */
void wire_done(struct wire *wire);

#endif
