/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop over libevent: see loop.h. It knows nothing of what is watched.
 */
#include "control/loop.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include <event2/event.h>

struct loop {
    struct event_base *base;
};

struct loop_event {
    struct event *event;
    void (*fn)(void *arg);
    void *arg;
};

uint64_t loop_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t loop_now_ms(void)
{
    return loop_now_us() / 1000;
}

/* Of the ranks the usual one is the middle, as libevent gives it to all that say nothing. */
static struct event_base *base_new(void)
{
    const struct timeval later = {.tv_usec = LOOP_LATER_US};
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config == NULL)
        return NULL;
    if (event_config_set_max_dispatch_interval(config, &later, LOOP_LATER, LOOP_RANK_LATER) == 0)
        base = event_base_new_with_config(config);
    event_config_free(config);
    if (base != NULL)
        event_base_priority_init(base, LOOP_RANKS);
    return base;
}

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (loop == NULL)
        return NULL;
    loop->base = base_new();
    if (loop->base == NULL) {
        free(loop);
        return NULL;
    }
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    event_base_free(loop->base);
    free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

int loop_run(struct loop *loop)
{
    return event_base_dispatch(loop->base) < 0 ? -EIO : 0;
}

void loop_stop(struct loop *loop)
{
    event_base_loopbreak(loop->base);
}

void loop_step(struct loop *loop)
{
    event_base_loop(loop->base, EVLOOP_ONCE);
}

static void fire(evutil_socket_t fd, short what, void *context)
{
    struct loop_event *event = context;

    (void)fd;
    (void)what;
    event->fn(event->arg);
}

/* An event of libevent's with our callback; `add`: armed at once, for ever. */
static struct loop_event *event_make(struct loop *loop, int fd, short what, bool add,
                                     void (*fn)(void *arg), void *arg)
{
    struct loop_event *event = calloc(1, sizeof(*event));

    if (event == NULL)
        return NULL;
    event->fn = fn;
    event->arg = arg;
    event->event = event_new(loop->base, fd, what, fire, event);
    if (event->event == NULL || (add && event_add(event->event, NULL) != 0)) {
        loop_event_free(event);
        return NULL;
    }
    return event;
}

struct loop_event *loop_watch(struct loop *loop, int fd, int what, void (*fn)(void *arg), void *arg)
{
    short flags = EV_PERSIST;

    if (what & LOOP_READ)
        flags |= EV_READ;
    if (what & LOOP_WRITE)
        flags |= EV_WRITE;
    return event_make(loop, fd, flags, true, fn, arg);
}

struct loop_event *loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    return event_make(loop, -1, 0, false, fn, arg);
}

void loop_timer_start(struct loop_event *timer, uint32_t ms)
{
    struct timeval after = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000L};

    event_add(timer->event, &after);
}

void loop_timer_stop(struct loop_event *timer)
{
    event_del(timer->event);
}

struct loop_event *loop_signal(struct loop *loop, int number, void (*fn)(void *arg), void *arg)
{
    return event_make(loop, number, EV_SIGNAL | EV_PERSIST, true, fn, arg);
}

void loop_event_free(struct loop_event *event)
{
    if (event == NULL)
        return;
    if (event->event != NULL)
        event_free(event->event);
    free(event);
}
