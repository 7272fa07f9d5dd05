/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one thread has another do: a queue behind a lock, and a descriptor that wakes its owner. It
 * does not know what a task means.
 */
#ifndef TANDEM_STREAM_INBOX_H
#define TANDEM_STREAM_INBOX_H

#include "dataplane/proxy/flow.h"

struct view;

enum { INBOX_BYTES_MAX = 16 << 20 }; /* of messages in one; more are refused */

enum task_kind {
    TASK_VIEW,     /* decide by this one from now on; the reference is the taker's */
    TASK_STREAM,   /* send the text by the connection of the flow, or by any to its peer */
    TASK_DATAGRAM, /* send the text from flow.local to flow.peer */
    TASK_NAME,     /* the text came by the flow; its next hop is a name */
    TASK_KILL,     /* end the connection of the flow */
    TASK_LEAVE,    /* hand the listening sockets over, end all connections in good order, stop */
    TASK_STOP,
};

struct task {
    struct task *next;
    enum task_kind kind;
    bool inside; /* of TASK_NAME: as relay_message */
    struct view *view;
    struct proxy_flow flow;
    const char *name; /* of TASK_STREAM: as post_send; behind the text */
    uint32_t length;
    char text[];
};

struct inbox;

/* NULL: no memory, no descriptor. */
struct inbox *inbox_new(void);
/* What waits is freed (views are let go). When no other thread puts anything any more. */
void inbox_free(struct inbox *inbox);

/* Readable while tasks wait. */
int inbox_fd(const struct inbox *inbox);

/* A task with copies of the name ("": none) and of `length` bytes of text. NULL: no memory. */
struct task *task_new(enum task_kind kind, const struct proxy_flow *flow, const char *name,
                      const char *text, uint32_t length);
void task_free(struct task *task);

/* Puts a task, which is the inbox's then. False: too many bytes of messages wait; it stays the
 * caller's. Any thread. */
bool inbox_put(struct inbox *inbox, struct task *task);

/* All that waits, in order; NULL: nothing. Its owner's thread. */
struct task *inbox_take(struct inbox *inbox);

#endif
