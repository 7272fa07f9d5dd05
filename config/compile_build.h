/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of compile.c share: a snapshot in the making, and the parts that each of them fills.
 * For compile.c, compile_backends.c, compile_services.c and compile_names.c alone.
 */
#ifndef TANDEM_CONFIG_COMPILE_BUILD_H
#define TANDEM_CONFIG_COMPILE_BUILD_H

#include <string.h>

#include "config/compile.h"

enum { COMPILE_ALIGN = 64 }; /* of every array in the block: a line of the cache */

static inline uint64_t compile_align(uint64_t at)
{
    return (at + COMPILE_ALIGN - 1) / COMPILE_ALIGN * COMPILE_ALIGN;
}

/* A backend that goes into the snapshot, in its place there. */
struct compile_chosen {
    const struct cfg_backend *cfg;
    uint32_t id;
    uint32_t pool;
    uint32_t order; /* within the pool: as configured, then as they linger */
    bool lingering;
};

/* A name in its place. */
struct compile_hashed {
    uint64_t hash;
    const struct compile_name *name;
};

/* What is being built. */
struct compile_build {
    const struct compile_input *input;
    struct compile_chosen *chosen; /* [n_backends], by pool, those configured first */
    uint32_t *n_of_pool;   /* [n_pools] */
    uint32_t n_backends;
    struct lb_key hash_key;
    struct compile_hashed *names; /* [n_names], by hash */
    uint32_t n_names, n_targets;
    struct snapshot *snapshot;
    uint32_t text_used;
    /* Offsets of the next service's arrays. */
    uint32_t domains_at, sources_at, matches_at, pools_at;
};

/* Gives the next n structs of `bytes` their place at *at. */
static inline struct snapshot_array compile_place(uint64_t *at, uint64_t n, uint64_t bytes)
{
    struct snapshot_array array = {.offset = (uint32_t)*at, .n = (uint32_t)n};

    *at = compile_align(*at + n * bytes);
    return array;
}

/* Gives the next owner of a part the next n structs of `bytes` at *at, which moves on. */
static inline struct snapshot_array compile_part(uint32_t *at, uint32_t n, size_t bytes)
{
    struct snapshot_array part = {.offset = *at, .n = n};

    *at += n * (uint32_t)bytes;
    return part;
}

static inline void *compile_array(struct compile_build *b, struct snapshot_array array)
{
    return (char *)b->snapshot + array.offset;
}

static inline struct lb_text compile_text(struct compile_build *b, const char *text)
{
    struct lb_text added = {.offset = b->text_used};

    if (text == NULL)
        return added;
    added.length = (uint32_t)strlen(text);
    memcpy((char *)compile_array(b, b->snapshot->text) + b->text_used, text, added.length);
    b->text_used += added.length;
    return added;
}

/* Which backends are in the snapshot, and where: 0, -ENOMEM or -E2BIG. */
int compile_choose_backends(struct compile_build *b);

/* The backends, by_address and by_id. */
void compile_fill_backends(struct compile_build *b);

/* Sorts the names, of which one that is there twice is kept once, and counts their targets. 0, -E2BIG
 * or -ENOMEM. */
int compile_choose_names(struct compile_build *b);
void compile_fill_names(struct compile_build *b);

/* Bytes of the services' texts. */
uint64_t compile_service_texts(const struct cfg *cfg);

/* Gives the arrays of services their places in `head`, at *at and on. */
void compile_place_services(struct compile_build *b, struct snapshot *head, uint64_t *at);
void compile_fill_listeners(struct compile_build *b);
void compile_fill_services(struct compile_build *b);

#endif
