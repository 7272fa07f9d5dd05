/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From configuration, secret and state to a snapshot. Control only; allocates.
 */
#ifndef TANDEM_CONFIG_COMPILE_H
#define TANDEM_CONFIG_COMPILE_H

#include "config/cfg.h"
#include "config/snapshot.h"

/* The cluster's secret: a seed that never rotates and up to three MAC keys. */
struct compile_secret {
    struct lb_key seed;
    struct snapshot_mac_key mac[SNAPSHOT_MAC_KEYS];
    uint64_t rotated_s;           /* CLOCK_REALTIME second when current began to sign; 0: at first */
};

/* What the operator said of a backend besides the configuration. */
struct compile_state {
    uint32_t id;
    uint8_t admin;                /* enum lb_state: UP, DRAINING or DISABLED */
    uint32_t weight;              /* UINT32_MAX: the configuration's */
};

/* A backend that left the configuration and keeps its dialogs. */
struct compile_lingering {
    char *pool;
    struct cfg_backend backend;
};

/* A name as control resolved it. */
struct compile_name {
    const char *host;             /* lower case, no dot at its end */
    uint16_t port;                /* of the URI; 0: none */
    uint8_t transport;            /* of the URI; NONE: not given */
    uint8_t outcome;              /* enum snapshot_outcome */
    const struct snapshot_target *targets;   /* in any order */
    uint32_t n_targets;           /* at most SNAPSHOT_TARGETS_MAX */
};

/* What was observed of a backend. */
struct compile_health {
    uint32_t id;
    uint8_t health;               /* enum lb_state: UP, BUSY or DOWN */
    uint16_t weight_permille;     /* how much of its weight it gets, 1 of it at least */
};

/* What changes by itself, without a word of the operator's. */
struct compile_live {
    const struct compile_name *names;
    uint32_t n_names;             /* at most SNAPSHOT_NAMES_MAX */
    struct snapshot_capture capture;
    bool stages;                  /* the cycles of workers' stages are counted */
    const struct compile_health *health;   /* by id ascending; those not named are up */
    uint32_t n_health;
};

struct compile_input {
    const struct cfg *cfg;
    const struct compile_secret *secret;
    const struct compile_state *states;         /* by id ascending; those not named are up */
    uint32_t n_states;
    const struct compile_lingering *lingering;  /* of pools still in the configuration */
    uint32_t n_lingering;
    const struct compile_live *live;            /* NULL: no names, nothing is captured */
    const struct snapshot *before;              /* ours too, or NULL: tables that would be the same
                                                   are copied from there */
    uint64_t generation;
    bool node_draining;
};

/* The order of struct compile_state and struct compile_health, for qsort: ids, their first members. */
int compile_by_id(const void *left, const void *right);

/*
 * Builds a snapshot in one malloc'ed block for free(). Returns 0, -ENOMEM, -E2BIG. Equal input
 * gives equal bytes, whatever was before. Only `up` backends with weight get entries in a table.
 */
int compile_snapshot(const struct compile_input *input, struct snapshot **ret_snapshot);

/* Copies a snapshot into a memfd with all the seals. Returns the descriptor or a negative errno. */
int compile_memfd(const struct snapshot *snapshot);

/* Loads a secret file (its text: config/secret.h), or makes it, mode 0600, when there is none.
 * Returns 0 or a negative errno; -EINVAL: the line in *ret_line is malformed (0: seed or current key
 * missing); -EPERM: others than its owner may use it; -EISNAM: it is no regular file. */
int compile_secret_load(const char *file, struct compile_secret *ret_secret, uint32_t *ret_line);

#endif
