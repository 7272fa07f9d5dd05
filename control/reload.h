/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs and how it is changed: one change at a time is built whole beside the running
 * configuration, offered to the data plane, and becomes the running one when that said ACK. The
 * rest wait their turn. It owns configuration, secret, state and snapshot; the data plane is
 * reached by the link alone.
 *
 * While the data plane is absent a change that passes all checks takes effect here at once, is
 * saved, and is reported as pending: the data plane is offered it when it comes.
 */
#ifndef TANDEM_CONTROL_RELOAD_H
#define TANDEM_CONTROL_RELOAD_H

#include "control/link.h"
#include "control/plan.h"

enum {
    RELOAD_ANSWER_MS = 5000,          /* how long who asked waits for the outcome */
    RELOAD_PATIENCE_MS = 4000,        /* a data plane that answers no offer for so long is left */
    RELOAD_AGAIN_S = 5,               /* between two offers of what runs to one that refuses it */
    RELOAD_FORGET_S = 60,             /* between two tries to forget a backend */
    RELOAD_QUEUE_MAX = 64,            /* changes that wait; one more is refused */
    RELOAD_TICK_MS = 1000,            /* how often lingering backends and refused offers are looked at */
};

enum reload_status {
    RELOAD_DONE,                      /* acknowledged by the data plane */
    RELOAD_PENDING,                   /* in effect here; the data plane is absent */
    RELOAD_REFUSED,                   /* nothing changed */
    RELOAD_LATE,                      /* no outcome within RELOAD_ANSWER_MS; it may still come */
};

/* Since this process began. */
struct reload_history {
    uint64_t changes[PLAN_KIND_COUNT][RELOAD_LATE];   /* by kind and outcome: DONE to REFUSED */
    uint64_t adopted_s;               /* CLOCK_MONOTONIC second when what runs began to */
};

struct reload_outcome {
    enum reload_status status;
    uint64_t generation;              /* of RELOAD_DONE and RELOAD_PENDING */
    const char *text;                 /* one line for a person */
};

struct reload;

/*
 * Begins with a configuration that was loaded from `file` (taken over, freed also on failure): loads
 * secret and state, compiles, and looks for the data plane from then on. `members` (NULL: no name has
 * any) is what DNS says, and is freed only when the loop does not go on. on_ready is called once,
 * in the loop, when that first acknowledged a snapshot. The state directory must be there. NULL and
 * one line in ret_text[PLAN_TEXT_MAX] when something is broken.
 */
struct reload *reload_new(struct loop *loop, const char *file, struct cfg *cfg,
                          struct members *members, void (*on_ready)(void *arg), void *arg,
                          char *ret_text);
void reload_free(struct reload *reload);

/*
 * Asks for a change; done(arg, outcome) is called exactly once, at once or later in the loop, unless
 * reload_cancel(arg) came first. A change that was cancelled still happens.
 */
void reload_ask(struct reload *reload, const struct plan_change *change,
                void (*done)(void *arg, const struct reload_outcome *outcome), void *arg);
void reload_cancel(struct reload *reload, const void *arg);

/* Who takes the messages that the data plane punts (link_conf.on_punt); NULL: nobody. */
void reload_on_punt(struct reload *reload,
                    void (*fn)(void *arg, const struct msg_punt *punt, const char *text),
                    void *arg);

/* Who follows what runs: called right after another snapshot became that, also before who asked for
 * the change hears of it; NULL: nobody. */
void reload_on_adopted(struct reload *reload, void (*fn)(void *arg), void *arg);

/*
 * What changes by itself: who owns a part of it writes that part (the names' arrays stay his), then
 * asks for PLAN_LIVE, whose outcome says when it is in effect. Every later plan has it too.
 */
struct compile_live *reload_live(struct reload *reload);

/* Who decides about messages, too, and adds what it counted of a backend; NULL: nobody. */
void reload_on_counters(struct reload *reload,
                        void (*fn)(void *arg, uint32_t id, uint64_t ret[COUNTERS_SLOT_COUNT]),
                        void *arg);

/* What both planes counted of backends: as link_counters, and link_slot. */
struct counters_header *reload_counters(const struct reload *reload);
bool reload_slot(const struct reload *reload, uint32_t slot, uint32_t id,
                 uint64_t ret[COUNTERS_SLOT_COUNT]);

/* What runs; valid until the loop goes on. */
const struct cfg *reload_cfg(const struct reload *reload);   /* as the file says */
const struct members *reload_members(const struct reload *reload);
const struct keys *reload_keys(const struct reload *reload);
const struct state *reload_state(const struct reload *reload);
const struct snapshot *reload_snapshot(const struct reload *reload);
const struct link *reload_link(const struct reload *reload);
const struct reload_history *reload_history(const struct reload *reload);

/* The generation in use at the data plane as it last said (0: none, or absent), and why it refused
 * the last offer ("": it did not). */
uint64_t reload_acknowledged(const struct reload *reload);
const char *reload_refusal(const struct reload *reload);

#endif
