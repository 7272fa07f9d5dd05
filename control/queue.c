/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of changes: see queue.h.
 */
#include "control/queue.h"

#include <errno.h>
#include <stdlib.h>

#include "control/log.h"

struct waiting {
    struct plan_change change;
    void (*done)(void *arg, const struct reload_outcome *outcome); /* NULL: told, or cancelled */
    void *arg;
    struct loop_event *timer;
    struct waiting *next;
};

void queue_done(struct queue *queue)
{
    while (queue->first != NULL) {
        struct waiting *w = queue->first;

        queue->first = w->next;
        loop_event_free(w->timer);
        free(w);
    }
    *queue = (struct queue){0};
}

/* Who asked waited long enough; the change itself goes on. */
static void on_late(void *arg)
{
    struct waiting *w = arg;
    struct reload_outcome outcome = {
        .status = RELOAD_LATE,
        .text = "the data plane has not answered within 5 s; the change is still under way",
    };
    void (*done)(void *, const struct reload_outcome *) = w->done;

    w->done = NULL;
    log_warning("%s", outcome.text);
    if (done != NULL)
        done(w->arg, &outcome);
}

int queue_push(struct queue *queue, struct loop *loop, const struct plan_change *change,
               void (*done)(void *arg, const struct reload_outcome *outcome), void *arg)
{
    struct waiting *w;

    if (queue->n >= RELOAD_QUEUE_MAX)
        return -ENOBUFS;
    w = calloc(1, sizeof(*w));
    if (w != NULL)
        w->timer = loop_timer_new(loop, on_late, w);
    if (w == NULL || w->timer == NULL) {
        free(w);
        return -ENOMEM;
    }
    w->change = *change;
    w->done = done;
    w->arg = arg;
    loop_timer_start(w->timer, RELOAD_ANSWER_MS);
    if (queue->last != NULL)
        queue->last->next = w;
    else
        queue->first = w;
    queue->last = w;
    queue->n++;
    return 0;
}

const struct plan_change *queue_first(const struct queue *queue)
{
    return queue->first == NULL ? NULL : &queue->first->change;
}

void queue_pop(struct queue *queue, const struct reload_outcome *outcome)
{
    struct waiting *w = queue->first;

    queue->first = w->next;
    if (queue->first == NULL)
        queue->last = NULL;
    queue->n--;
    loop_event_free(w->timer);
    if (w->done != NULL)
        w->done(w->arg, outcome);
    free(w);
}

void queue_cancel(struct queue *queue, const void *arg)
{
    for (struct waiting *w = queue->first; w != NULL; w = w->next) {
        if (w->arg == arg)
            w->done = NULL;
    }
}
