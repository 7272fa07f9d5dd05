/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting until a backend has no calls and no registrations any more, or the node no calls; and
 * what it has before a drain.
 */
#ifndef TANDEM_CONTROL_CTL_WAIT_H
#define TANDEM_CONTROL_CTL_WAIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WAIT_WINDOW_S = 30, WAIT_TEXT_MAX = 128 };

/* What `show backends` says of NAME, POOL/NAME or `node` (all backends). */
struct wait_left {
    uint32_t n_backends;              /* 0: none is called so */
    bool known;                       /* calls are counted, of all of them */
    bool taken_back;                  /* one of them takes new calls again (never of the node) */
    int64_t calls;
    int64_t registrations; /* of the node 0: no phone goes elsewhere because it drains, and
                            * those that do leave nothing that another node lacks */
};

struct wait_left wait_left_of(const json_t *backends, const char *target);

/* Counts over the last WAIT_WINDOW_S, one a second. All zero: none. */
struct wait_pace {
    struct {
        double at;
        int64_t left;
    } seen[WAIT_WINDOW_S + 1];
    uint32_t n;
};

/*
 * Notes a count and estimates the seconds until there are none, if they end as fast as in the window;
 * negative: they do not get fewer, or it is too early to tell.
 */
double wait_pace_note(struct wait_pace *pace, double at, int64_t left);

/* "12 s", "3 min 20 s", "2 h 5 min" in ret_text[WAIT_TEXT_MAX]. */
void wait_duration_print(double seconds, char *ret_text);

/* "3 calls left, 5 registrations left" in ret_text[WAIT_TEXT_MAX]; without the latter when none is.
 */
void wait_left_print(const struct wait_left *left, char *ret_text);

/*
 * Waits until what drains has no calls, and unless calls_only no registrations, and says meanwhile
 * how many are left; through restarts of tandem-control. timeout_s 0: for ever. Returns 0 when it
 * is empty, -1 when it is not: time is over, somebody ended the wait (the drain goes on) or took it
 * back.
 */
int wait_run(const char *socket, const char *target, uint64_t timeout_s, bool calls_only);

/* Says how many calls and registrations are there, after what a drain would do. 0, or -1. */
int wait_preview(const char *socket, const char *target);

#endif
