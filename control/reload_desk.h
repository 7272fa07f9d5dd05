/* SPDX-License-Identifier: Apache-2.0 */
/* Private to reload: what it holds. For reload.c, which changes it, and reload_view.c. */
#ifndef TANDEM_CONTROL_RELOAD_DESK_H
#define TANDEM_CONTROL_RELOAD_DESK_H

#include <limits.h>

#include "control/linger.h"
#include "control/queue.h"

struct reload {
    struct loop *loop;
    struct link *link;
    struct loop_event *tick;
    char *file;
    char state_file[PATH_MAX];
    struct keys *keys;
    struct cfg *cfg;
    struct cfg *expanded;  /* with the members of names; borrows from cfg */
    struct members *members;
    struct cfg *next;      /* of the first change in the queue, while DNS is asked for its names */
    bool asking;
    struct cfg *dataplane; /* its `dataplane:` is what a restarted data plane read; NULL: cfg's */
    uint64_t hello_epoch;  /* of the data plane that was connected last; 0: none was */
    struct state *state;
    struct snapshot *snapshot;
    struct compile_live live;
    struct linger linger;
    uint64_t generation; /* given away last */
    uint64_t acknowledged;
    char refusal[PLAN_TEXT_MAX];
    char note[KEYS_NOTE_MAX];    /* of the plan committed last, until it was said */
    void (*on_ready)(void *arg); /* NULL: was called */
    void *ready_arg;
    void (*on_punt)(void *arg, const struct msg_punt *punt, const char *text); /* NULL: nobody */
    void *punt_arg;
    void (*on_adopted)(void *arg); /* NULL: nobody */
    void *adopted_arg;
    void (*on_counters)(void *arg, uint32_t id, uint64_t ret[COUNTERS_SLOT_COUNT]); /* as before */
    void *counters_arg;
    struct queue queue; /* the first is the one in flight, if it is a change */
    bool in_flight;
    bool for_first;                 /* what is in flight is the first change in the queue */
    struct loop_event *patience;    /* runs while something is in flight */
    struct counters_header *before; /* the counters when it was offered, for totals.h; or NULL */
    uint64_t again_s;               /* what runs was refused: when it is offered again; 0: not */
    uint64_t forget_s;              /* nobody is forgotten before, since that was refused */
    struct plan offered;
    struct reload_history history;
};

#endif
