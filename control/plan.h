/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan: configuration, keys, state and snapshot as they would be after one change, built and
 * checked whole beside what runs. Making one changes nothing; who made it keeps it or frees it.
 */
#ifndef TANDEM_CONTROL_PLAN_H
#define TANDEM_CONTROL_PLAN_H

#include "control/keys.h"
#include "control/state.h"

struct members;

enum { PLAN_TEXT_MAX = 1024, PLAN_BACKEND_MAX = 256 };

enum plan_kind {
    PLAN_FILE,                        /* the configuration file again, and the secret's */
    PLAN_ADMIN,                       /* the operator's word about a backend */
    PLAN_WEIGHT,                      /* its weight */
    PLAN_NODE,                        /* the operator's word about this node: UP or DRAINING */
    PLAN_FORGET,                      /* a lingering backend, whose calls ended or time is over */
    PLAN_ROTATE,                      /* the MAC keys one step further */
    PLAN_AGAIN,                       /* nothing: the same once more, for a data plane that came */
    PLAN_MEMBERS,                     /* what DNS says of backends that are names */
    PLAN_LIVE,                        /* names, captures, health, stages: no word of the operator's, on no disk */
    PLAN_KIND_COUNT,
};

struct plan_change {
    enum plan_kind kind;
    char backend[PLAN_BACKEND_MAX];   /* NAME or POOL/NAME; a name of DNS means all its members */
    uint8_t admin;                    /* enum lb_state: UP, DRAINING or DISABLED */
    uint32_t weight;                  /* 0..1000, or STATE_WEIGHT_CONFIGURED */
    uint32_t id;                      /* of PLAN_FORGET */
    bool dry_run;                     /* of PLAN_ROTATE and PLAN_ADMIN: only say what would be */
};

/* What runs. */
struct plan_base {
    const char *file;
    const struct cfg *cfg;            /* as the file says; NULL: nothing yet */
    const struct cfg *expanded;       /* with the members of names: expand.h */
    const struct members *members;    /* what DNS says; NULL: nobody was asked */
    const struct cfg *dataplane;      /* whose `dataplane:` the data plane has; NULL: cfg's */
    const struct state *state;
    const struct keys *keys;
    const struct compile_live *live;
    const struct snapshot *snapshot;  /* NULL: nothing yet */
    struct keys_time now;
};

struct plan {
    struct cfg *cfg;                  /* NULL: stays what it is */
    struct cfg *expanded;             /* borrows from cfg, or from what that stays; NULL: stays */
    struct keys *keys;                /* NULL: stay what they are */
    struct state *state;
    struct snapshot *snapshot;
    bool prepared;                    /* its files are written, beside those that are there */
    char note[KEYS_NOTE_MAX];         /* what a person should know when it is in effect; "": nothing */
};

/*
 * Plans a change. `cfg` is a configuration loaded already, which the plan then owns (freed also on
 * failure), or NULL: PLAN_FILE loads base->file. Returns 0, or a negative errno and one line why
 * in ret_text[PLAN_TEXT_MAX]; of a bad file FILE:LINE: KEY: REASON.
 */
int plan_make(const struct plan_base *base, const struct plan_change *change, struct cfg *cfg,
              uint64_t generation, struct plan *ret, char *ret_text);

/* What a change with dry_run would do, in ret_text[PLAN_TEXT_MAX]; or a negative errno and why it
 * cannot be. */
int plan_try(const struct plan_base *base, const struct plan_change *change, char *ret_text);

/* Frees what it holds. */
void plan_done(struct plan *plan);

/*
 * The files of a plan, state and keys: written beside those that are there, so that a full disk
 * refuses the plan before anybody has heard of it; then they take their place, or are removed.
 * plan_prepare: 0, or a negative errno and one line in ret_text[PLAN_TEXT_MAX]. plan_commit: 0, or
 * -EIO after logging which file stays the old one. Of a plan that was not prepared nothing is on
 * disk, and nothing comes there.
 */
int plan_prepare(struct plan *plan, const char *state_file, char *ret_text);
int plan_commit(struct plan *plan, const char *state_file);
void plan_abandon(const struct plan *plan, const char *state_file);

/* Appends to a text of PLAN_TEXT_MAX what a person should know of what now runs: the note, and the
 * name of a pool whose backends take no new calls, if there is one. */
void plan_warn(const struct snapshot *snapshot, const char *note, char *text);

/* What a data plane that was started just now has read of the file, for cfg_free; NULL: it cannot be
 * read now. Logs when that is not what runs here. */
struct cfg *plan_dataplane(const char *file, const struct cfg *running);

/* "reload", "drain kam1"… for the log. */
void plan_label(const struct plan_change *change, char *ret_text, size_t size);

#endif
