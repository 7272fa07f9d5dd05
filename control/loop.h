/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: descriptors, timers, signals; one thread. libevent stands behind it, and is seen
 * elsewhere only where more of it is used (metrics_http).
 */
#ifndef TANDEM_CONTROL_LOOP_H
#define TANDEM_CONTROL_LOOP_H

#include <stdint.h>

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop;
struct loop_event;
struct event_base;

/* What is ready is called in turns; what is ranked later (event_priority_set of libevent's) gives way
 * to all else after LOOP_LATER calls or LOOP_LATER_US. */
enum { LOOP_RANK_USUAL = 1, LOOP_RANK_LATER = 2, LOOP_RANKS = 3, LOOP_LATER = 4, LOOP_LATER_US = 2000 };

/* NULL: no memory. */
struct loop *loop_new(void);
/* After all its events were freed. */
void loop_free(struct loop *loop);

/* CLOCK_MONOTONIC: the clock of all that happens in the loop. */
uint64_t loop_now_us(void);
uint64_t loop_now_ms(void);

/* libevent's own, the loop's as long as it lives: for what of libevent runs in the same loop. */
struct event_base *loop_base(struct loop *loop);

/* Runs until loop_stop. Returns 0 or -EIO. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Handles what is ready, waiting at most until the next timer or event. For tests and closing. */
void loop_step(struct loop *loop);

/*
 * Calls fn(arg) whenever the descriptor is ready for `what` (LOOP_READ or LOOP_WRITE), until freed.
 * The descriptor stays the caller's. NULL: no memory.
 */
struct loop_event *loop_watch(struct loop *loop, int fd, int what, void (*fn)(void *arg), void *arg);

/* A timer that does nothing until loop_timer_start; each start calls fn once. NULL: no memory. */
struct loop_event *loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg);
void loop_timer_start(struct loop_event *timer, uint32_t ms);
void loop_timer_stop(struct loop_event *timer);

/* Calls fn(arg) in the loop, not in the signal's context, whenever the signal came. */
struct loop_event *loop_signal(struct loop *loop, int number, void (*fn)(void *arg), void *arg);

/* Stops and frees; may be called from within its own fn. NULL does nothing. */
void loop_event_free(struct loop_event *event);

#endif
