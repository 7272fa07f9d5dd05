/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan: configuration, state and snapshot as they would be after one change, built and checked
 * whole beside what runs. Making one changes nothing; who made it keeps it or frees it.
 */
#ifndef TANDEM_CONTROL_PLAN_H
#define TANDEM_CONTROL_PLAN_H

#include "control/state.h"

enum { PLAN_TEXT_MAX = 1024, PLAN_BACKEND_MAX = 256 };

enum plan_kind {
    PLAN_FILE,                        /* the configuration file again */
    PLAN_ADMIN,                       /* the operator's word about a backend */
    PLAN_WEIGHT,                      /* its weight */
    PLAN_FORGET,                      /* a lingering backend, whose calls ended or time is over */
    PLAN_AGAIN,                       /* nothing: the same once more, for a data plane that came */
};

struct plan_change {
    enum plan_kind kind;
    char backend[PLAN_BACKEND_MAX];   /* NAME or POOL/NAME */
    uint8_t admin;                    /* enum lb_state: UP, DRAINING or DISABLED */
    uint32_t weight;                  /* 0..1000, or STATE_WEIGHT_CONFIGURED */
    uint32_t id;                      /* of PLAN_FORGET */
};

/* What runs. */
struct plan_base {
    const char *file;
    const struct cfg *cfg;            /* NULL: nothing yet */
    const struct cfg *dataplane;      /* whose `dataplane:` the data plane has; NULL: cfg's */
    const struct state *state;
    const struct compile_secret *secret;
};

struct plan {
    struct cfg *cfg;                  /* NULL: stays what it is */
    struct state *state;
    struct snapshot *snapshot;
};

/*
 * Plans a change. `cfg` is a configuration loaded already, which the plan then owns (freed also on
 * failure), or NULL: PLAN_FILE loads base->file. Returns 0, or a negative errno and one line why
 * in ret_text[PLAN_TEXT_MAX]; of a bad file FILE:LINE: KEY: REASON.
 */
int plan_make(const struct plan_base *base, const struct plan_change *change, struct cfg *cfg,
              uint64_t generation, uint64_t now_s, struct plan *ret, char *ret_text);

/* Frees what it holds. */
void plan_done(struct plan *plan);

/* The name of a pool whose backends take no new calls, all of them; empty: there is none. The text
 * is the snapshot's. */
struct sip_slice plan_idle_pool(const struct snapshot *snapshot);

/* "reload", "drain kam1"… for the log. */
void plan_label(const struct plan_change *change, char *ret_text, size_t size);

#endif
