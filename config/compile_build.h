/* SPDX-License-Identifier: Apache-2.0 */
/* Private to compile: a snapshot while it is built. For compile.c and compile_names.c. */
#ifndef TANDEM_CONFIG_COMPILE_BUILD_H
#define TANDEM_CONFIG_COMPILE_BUILD_H

#include "config/compile.h"

/* A backend that goes into the snapshot, in its place there. */
struct chosen {
    const struct cfg_backend *cfg;
    uint32_t id;
    uint32_t pool;
    uint32_t order; /* within the pool: as configured, then as they linger */
    bool lingering;
};

/* A name in its place. */
struct hashed {
    uint64_t hash;
    const struct compile_name *name;
};

/* What is being built. */
struct build {
    const struct compile_input *input;
    struct chosen *chosen; /* [n_backends], by pool, those configured first */
    uint32_t *n_of_pool;   /* [n_pools] */
    uint32_t n_backends;
    struct lb_key hash_key;
    struct hashed *names; /* [n_names], by hash */
    uint32_t n_names, n_targets;
    struct snapshot *snapshot;
    uint32_t text_used;
    /* Offsets of the next service's arrays. */
    uint32_t domains_at, sources_at, matches_at, pools_at;
};

static inline void *compile_array(struct build *b, struct snapshot_array array)
{
    return (char *)b->snapshot + array.offset;
}

/* The next n structs of `bytes` at *at, which moves on. */
static inline struct snapshot_array compile_part(uint32_t *at, uint32_t n, size_t bytes)
{
    struct snapshot_array part = {.offset = *at, .n = n};

    *at += n * (uint32_t)bytes;
    return part;
}

/* Adds a text, which may be NULL, to the snapshot's: text_bytes has counted it. */
struct lb_text compile_text(struct build *b, const char *text);

/* Sorts the names, of which one that is there twice is kept once, and counts their targets. 0,
 * -E2BIG or -ENOMEM. */
int compile_names_choose(struct build *b);

/* Puts them into the snapshot, which has room for them. */
void compile_names_fill(struct build *b);

#endif
