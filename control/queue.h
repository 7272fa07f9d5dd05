/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes that wait for their turn, and who asked for each. It does not know how a change is made.
 */
#ifndef TANDEM_CONTROL_QUEUE_H
#define TANDEM_CONTROL_QUEUE_H

#include "control/reload.h"

struct waiting;

/* All zero: empty. */
struct queue {
    struct waiting *first, *last;
    uint32_t n;
};

/* Forgets all of them; nobody is told. */
void queue_done(struct queue *queue);

/*
 * Appends a change. done(arg, outcome) is called once: by queue_pop, or with RELOAD_LATE after
 * RELOAD_ANSWER_MS, when the change itself stays. 0, or -ENOBUFS (RELOAD_QUEUE_MAX wait) or -ENOMEM
 * when nothing was appended and nobody will be called.
 */
int queue_push(struct queue *queue, struct loop *loop, const struct plan_change *change,
               void (*done)(void *arg, const struct reload_outcome *outcome), void *arg);

/* The change whose turn it is, or NULL. */
const struct plan_change *queue_first(const struct queue *queue);

/* Removes the first and tells who asked. There must be one. */
void queue_pop(struct queue *queue, const struct reload_outcome *outcome);

/* Nobody is called for `arg` any more. */
void queue_cancel(struct queue *queue, const void *arg);

#endif
