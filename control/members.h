/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What DNS says of the backends that are names: who is asked when, and the last good answer, which is
 * kept for as long as DNS gives no other. When an answer is another than before, a plan is asked for
 * that has it (PLAN_MEMBERS). Which backends come of an answer is expand's.
 */
#ifndef TANDEM_CONTROL_MEMBERS_H
#define TANDEM_CONTROL_MEMBERS_H

#include "control/reload.h"
#include "control/resolver.h"

enum {
    MEMBERS_TICK_MS = 250,            /* how often is looked whose TTL is over */
    MEMBERS_PAUSE_MS = 50,            /* answers that come together make one plan */
    MEMBERS_AGAIN_MS = 10000,         /* after a plan was refused */
    MEMBERS_LEARN_MS = 1000,          /* a start and a reload wait for DNS, but no longer */
    MEMBERS_ASKED_MAX = 64,           /* questions at once: the rest is left to next hops */
    MEMBERS_NONE_MAX_S = 30,          /* an answer that there are none is believed no longer */
};

/* What is known of a name. */
struct members_view {
    bool known;                       /* there was an answer: the targets, none also */
    const struct snapshot_target *targets;   /* by priority; valid until the loop goes on */
    uint32_t n_targets;
    bool answered;                    /* the rest says something; `outcome` is the last answer's */
    uint8_t outcome;                  /* enum snapshot_outcome; FAILED: the targets are older */
    uint32_t age_s;                   /* of the targets, when they are known */
    uint32_t left_s;                  /* until it is asked again; 0: it is about to, or being asked */
};

struct members;

/* The resolver outlives it and calls nobody back after members_free: its dns is freed before. NULL: no
 * memory. */
struct members *members_new(struct loop *loop, struct resolver *resolver);
void members_free(struct members *members);

/*
 * Asks for those names of a configuration that is about to run of which nothing is known. True:
 * done(arg) is called when all have been answered, or after MEMBERS_LEARN_MS; false: there is nothing to
 * wait for. One at a time.
 */
bool members_prepare(struct members *members, const struct cfg *cfg, void (*done)(void *arg),
                     void *arg);

/* The same for the first one: drives the loop meanwhile. */
void members_learn(struct members *members, const struct cfg *cfg);

/* Follows what runs from now on. */
void members_follow(struct members *members, struct reload *reload);

/* What is known of a backend that has a lookup; of NULL: nothing. */
void members_of(const struct members *members, const struct cfg_backend *name,
                struct members_view *ret);

#endif
