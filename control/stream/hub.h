/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the threads share. Made before the first of them begins, and changed by none but its parts
 * themselves, which any thread may use.
 */
#ifndef TANDEM_STREAM_HUB_H
#define TANDEM_STREAM_HUB_H

#include "control/stream/calls.h"
#include "control/stream/inbox.h"
#include "control/stream/table.h"

enum { HUB_THREADS_MAX = 64 };

struct handover;
struct large;
struct thread;

struct hub {
    struct handover *handover;        /* NULL: nothing was left, nothing is kept for a successor */
    struct table *table;
    struct calls *calls;
    struct large *large;
    struct inbox *main;               /* what threads have main do */
    uint32_t n_threads;
    struct inbox *inboxes[HUB_THREADS_MAX];
    size_t held;                      /* bytes that connections hold: connection_weigh */
};

#endif
