/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of the streams: see thread.h.
 */
#include "control/stream/thread.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>

#include "control/stream/cluster.h"
#include "control/stream/connection.h"
#include "control/stream/large.h"
#include "control/stream/listen.h"
#include "control/stream/wire.h"

enum { ASK_BURST = PHONES_PARTS / 2 }; /* each tick: the answers have to wait together */

/* ---- Messages ---- */

/* A message whose next hop is a name goes to main. */
static enum relay_result hand_to_main(struct thread *t, const struct relay_message *message)
{
    struct task *task = task_new(TASK_NAME, &message->from, "", message->text, message->length);

    if (task != NULL && inbox_put(t->hub->main, task))
        return RELAY_NAME;
    task_free(task);
    return RELAY_DROPPED_UNSENT;
}

static void count_message(struct thread *t, const struct relay_message *message,
                          enum relay_result result)
{
    struct counts *counts = &t->counts[message->from.transport];

    counts_add(counts,
               message->from.transport == SIP_TRANSPORT_UDP ? COUNT_MESSAGES_DATAGRAM
                                                            : COUNT_MESSAGES_STREAM,
               1);
    counts_add(counts, COUNT_RESULT + (uint32_t)result, 1);
}

void thread_take(struct thread *t, const struct relay_message *message)
{
    uint32_t now_s = (uint32_t)(loop_now_ms() / 1000);
    struct proxy_name name;
    enum relay_result result = relay_decide(t->relay, t->view, message, now_s, &name);

    if (result == RELAY_NAME)
        result = hand_to_main(t, message);
    count_message(t, message, result);
}

void thread_refuse(struct thread *t, const struct relay_message *message, uint16_t status)
{
    enum relay_result result = relay_refuse(t->relay, t->view, message, status);

    count_message(t, message, result);
}

void thread_undelivered(struct thread *t, const struct proxy_flow *to, const char *text,
                        uint32_t length)
{
    const struct relay_message message = {.from = *to, .text = text, .length = length};
    uint32_t now_s = (uint32_t)(loop_now_ms() / 1000);
    enum relay_result result;

    if (large_retry(&t->post, t->view->snapshot, to, text, length)) {
        counts_add(&t->counts[to->transport], COUNT_RETRIED, 1);
        return;
    }
    if (!relay_answer_undelivered(t->relay, t->view, &message, 503, now_s, &result))
        return;
    count_message(t, &message, result);
}

/* ---- Tasks ---- */

static void send_task(struct thread *t, const struct task *task)
{
    int status =
        post_send(&t->post, t->view->snapshot, &task->flow, task->name, task->text, task->length);

    if (status == 0)
        return;
    counts_add(&t->counts[task->flow.transport],
               status == -ENOTCONN ? COUNT_LOST_GONE : COUNT_LOST_UNSENT, 1);
    thread_undelivered(t, &task->flow, task->text, task->length);
}

static void change_view(struct thread *t, struct task *task)
{
    view_release(t->view);
    t->view = task->view;
    task->view = NULL;
    listen_follow(t);
    connection_follow(t);
}

/* The last connections before the end. */
static void leave(struct thread *t)
{
    t->leaving = true;
    loop_timer_stop(t->tick);
    listen_leave(t);
    connection_retire(t);
    loop_timer_start(t->leave, THREAD_LEAVE_MS);
    loop_timer_start(t->reap, 0);
}

static void do_task(struct thread *t, struct task *task)
{
    struct table_place place;

    switch (task->kind) {
    case TASK_VIEW:
        change_view(t, task);
        return;
    case TASK_STREAM:
    case TASK_DATAGRAM:
        send_task(t, task);
        return;
    case TASK_KILL:
        if (table_find(t->hub->table, task->flow.connection, &place) &&
            place.id == task->flow.connection && place.thread == t->index)
            connection_end(connection_of(place.entry), CLOSE_KILLED);
        return;
    case TASK_LEAVE:
        leave(t);
        return;
    case TASK_STOP:
        loop_stop(t->loop);
        return;
    case TASK_NAME:
        return; /* main's alone */
    }
}

static void on_inbox(void *arg)
{
    struct thread *t = arg;
    struct task *next;

    for (struct task *task = inbox_take(t->inbox); task != NULL; task = next) {
        next = task->next;
        do_task(t, task);
        task_free(task);
    }
}

/* ---- Begin and end ---- */

/* What many connections left behind, libc keeps unless it is told. One thread does it for all. */
static void give_memory_back(struct thread *t)
{
    uint32_t n = table_size(t->hub->table);

    if (n > t->most) {
        t->most = n;
    } else if (n < t->most / 2 && t->most - n >= THREAD_TRIM_MIN) {
        malloc_trim(0);
        t->most = n;
    }
}

/* Phones that came to other nodes while this one was away. */
static void ask_cluster(struct thread *t)
{
    for (uint32_t i = 0; i < ASK_BURST && t->asked < PHONES_PARTS; i++)
        cluster_ask(&t->post, t->view->snapshot, t->asked++);
}

/* Listeners that could not be opened are tried again. */
static void on_tick(void *arg)
{
    struct thread *t = arg;

    loop_timer_start(t->tick, THREAD_TICK_MS);
    listen_follow(t);
    if (t->index != 0)
        return;
    ask_cluster(t);
    give_memory_back(t);
}

static void on_reap(void *arg)
{
    struct thread *t = arg;

    connection_reap(t);
    if (t->leaving && t->connections == NULL)
        loop_stop(t->loop);
}

/* Peers that do not read, or do not hang up. */
static void on_left(void *arg)
{
    struct thread *t = arg;

    loop_stop(t->loop);
}

static void *run(void *arg)
{
    struct thread *t = arg;

    loop_timer_start(t->tick, THREAD_TICK_MS);
    loop_run(t->loop);
    connection_stop(t);
    return NULL;
}

/* Signals are main's. 0, or a negative errno. */
static int start(struct thread *t)
{
    sigset_t all, before;
    int status;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    status = -pthread_create(&t->pthread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    t->started = status == 0;
    return status;
}

struct thread *thread_new(struct hub *hub, uint32_t index, struct view *view)
{
    struct thread *t = calloc(1, sizeof(*t));

    if (t == NULL) {
        view_release(view);
        return NULL;
    }
    t->hub = hub;
    t->index = index;
    t->inbox = hub->inboxes[index];
    t->view = view;
    t->loop = loop_new();
    t->sockets = sockets_new();
    t->post = (struct post){hub, t, t->sockets, t->counts};
    t->relay = relay_new(hub->calls, index + 1, &t->post);
    t->listeners = listeners_new();
    if (t->loop != NULL) {
        t->wires = wires_new(t->loop);
        t->watch = loop_watch(t->loop, inbox_fd(t->inbox), LOOP_READ, on_inbox, t);
        t->tick = loop_timer_new(t->loop, on_tick, t);
        t->reap = loop_timer_new(t->loop, on_reap, t);
        t->leave = loop_timer_new(t->loop, on_left, t);
    }
    if (t->sockets == NULL || t->wires == NULL || t->relay == NULL || t->listeners == NULL ||
        t->watch == NULL || t->tick == NULL || t->reap == NULL || t->leave == NULL) {
        thread_free(t);
        return NULL;
    }
    listen_follow(t); /* before others ask what of a predecessor's sockets is left */
    if (start(t) != 0) {
        thread_free(t);
        return NULL;
    }
    return t;
}

/* Puts a task without words. */
static void tell(struct thread *t, enum task_kind kind)
{
    struct task *task = task_new(kind, NULL, "", NULL, 0);

    if (task == NULL)
        abort(); /* no thread can be left behind with what is freed */
    inbox_put(t->inbox, task);
}

void thread_leave(struct thread *t)
{
    if (t->started)
        tell(t, TASK_LEAVE);
}

void thread_join(struct thread *t)
{
    if (t->started)
        pthread_join(t->pthread, NULL);
    t->started = false;
}

void thread_free(struct thread *t)
{
    if (t == NULL)
        return;
    if (t->started)
        tell(t, TASK_STOP);
    thread_join(t);
    listeners_free(t->listeners);
    loop_event_free(t->watch);
    loop_event_free(t->tick);
    loop_event_free(t->reap);
    loop_event_free(t->leave);
    relay_free(t->relay);
    sockets_free(t->sockets);
    wires_free(t->wires);
    if (t->loop != NULL)
        loop_free(t->loop);
    view_release(t->view);
    free(t);
}

uint32_t thread_index(const struct thread *t)
{
    return t->index;
}

const struct counts *thread_counts(const struct thread *t, enum sip_transport transport)
{
    return &t->counts[transport];
}
