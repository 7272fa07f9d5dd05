/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What control remembers over restarts: the generations given away, and every backend that it
 * knows, with the operator's word about it and, once it left the configuration, since when.
 * Decides who lingers. It compiles nothing and talks to nobody.
 */
#ifndef TANDEM_CONTROL_STATE_H
#define TANDEM_CONTROL_STATE_H

#include "config/compile.h"
#include "config/counters.h"

enum { STATE_WEIGHT_CONFIGURED = UINT32_MAX, STATE_FILE_MAX = 64 << 20 /* bytes */ };

/*
 * Also a name that stands for members (backend.lookup): it has the operator's word about all of them,
 * those to come too, and no id, since it is no backend.
 */
struct state_backend {
    uint32_t id;                  /* snapshot_backend_id(pool, name); 0: of a name */
    char *pool;
    struct cfg_backend backend;   /* as the configuration had it last; texts and ports are owned */
    uint8_t admin;                /* enum lb_state: UP, DRAINING or DISABLED */
    uint32_t weight;              /* the operator's, or STATE_WEIGHT_CONFIGURED */
    bool lingering;               /* left the configuration… */
    uint64_t left_s;              /* …at this CLOCK_REALTIME second (it must survive a reboot) */
    uint64_t epoch;               /* …while the data plane's counters had this epoch; 0: unknown */
    uint64_t base_epoch;          /* of the counters that base belongs to; 0: none */
    uint64_t base[COUNTERS_SLOT_COUNT];   /* what its slot had counted for others: totals.h */
};

struct state {
    uint64_t generation;          /* the greatest that may have been given away */
    uint64_t epoch;               /* of the data plane seen last; 0: none yet */
    bool node_draining;           /* the operator's word about this node */
    struct state_backend *backends;   /* in the configuration's order, then the lingering ones */
    uint32_t n_backends;
};

/* An empty one, or NULL: no memory. */
struct state *state_new(void);
void state_free(struct state *state);
struct state *state_copy(const struct state *state);

/*
 * The state under another configuration. A backend that stays keeps the operator's word; one that
 * comes is up; one that left begins to linger now; one that returns lingers no more; one whose
 * linger passed is forgotten, and with it the operator's word. A member that comes is what the
 * operator said of its name.
 *
 * A backend is its pool and name: with another address it is the same backend that moved, since its
 * id is what tokens and call table hold. When a whole pool left, its backends linger in the state
 * but in no snapshot (the pool's services are gone, nothing could reach them), so that a pool that
 * was dropped by mistake finds its removed backends again when it returns within `linger`.
 * NULL: no memory.
 */
struct state *state_adopt(const struct state *state, const struct cfg *cfg, uint64_t now_s);

/* Removes the lingering backend with that id, if there is one. */
void state_forget(struct state *state, uint32_t id);

/* Whether a lingering backend's time is over. A clock that went back does not end it. */
bool state_expired(const struct state_backend *backend, uint64_t linger_ms, uint64_t now_s);

/* Whether any backend lingers. */
bool state_lingers(const struct state *state);

struct state_backend *state_by_id(const struct state *state, uint32_t id);

/* A name that stands for members; NULL: there is none. */
struct state_backend *state_name(const struct state *state, const char *pool, const char *name);

/* Whether a backend is one of the members of a pool's name, by its own name: NAME@ADDRESS:PORT. */
bool state_is_member(const struct state_backend *backend, const char *pool, const char *name);

/*
 * The backend in the configuration that an operator means: `POOL/NAME`, or NAME where only one pool
 * has it. NULL and why in *ret_reason (200 bytes) when there is none, several, or it only lingers.
 */
struct state_backend *state_resolve(const struct state *state, const char *text, char *ret_reason);

/*
 * The parts of a compile_input: states of all backends, and those that linger in pools that cfg
 * has. Both arrays are malloc'ed for free(); texts in them stay the state's. 0 or -ENOMEM.
 */
int state_compile(const struct state *state, const struct cfg *cfg,
                  struct compile_state **ret_states, uint32_t *ret_n_states,
                  struct compile_lingering **ret_lingering, uint32_t *ret_n_lingering);

/*
 * The file, state_file.c. Saved whole beside it, synced and renamed over it: a reader finds the old
 * one or the new one, whatever dies when. 0 or a negative errno.
 */
int state_save(const struct state *state, const char *file);

/*
 * The same in two steps: state_prepare does all that a full disk can refuse, state_commit renames.
 * Between them comes the data plane's word; after a no, state_abandon removes what was prepared.
 */
int state_prepare(const struct state *state, const char *file);
int state_commit(const char *file);
void state_abandon(const char *file);

/* Returns 0 and an empty state when there is no file. -EBADMSG and why in *ret_reason (200 bytes)
 * when it is damaged, another negative errno when it cannot be read. */
int state_load(const char *file, struct state **ret_state, char *ret_reason);

/*
 * Makes the directory when there is none (0700) and locks it for this process, until it ends however
 * it ends. Returns a descriptor to keep, or a negative errno: -EWOULDBLOCK when another has it.
 */
int state_lock(const char *directory);

/* "up", "draining", "disabled"… of enum lb_state, and back: -1 for another word. */
const char *state_word(uint8_t lb_state);
int state_word_parse(const char *word);

#endif
