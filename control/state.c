/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backends remembered, and who lingers: see state.h. The file is state_file.c's.
 */
#include "control/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REASON_BYTES = 200 };

static const char *const WORDS[LB_STATE_COUNT] = {
    [LB_UP] = "up",     [LB_BUSY] = "busy",         [LB_DRAINING] = "draining",
    [LB_DOWN] = "down", [LB_DISABLED] = "disabled",
};

const char *state_word(uint8_t lb_state)
{
    return lb_state < LB_STATE_COUNT ? WORDS[lb_state] : "unknown";
}

int state_word_parse(const char *word)
{
    for (int i = 0; i < LB_STATE_COUNT; i++) {
        if (strcmp(word, WORDS[i]) == 0)
            return i;
    }
    return -1;
}

struct state *state_new(void)
{
    return calloc(1, sizeof(struct state));
}

static void backend_done(struct state_backend *b)
{
    free(b->pool);
    free(b->backend.name);
    free(b->backend.lookup);
    free(b->backend.ports);
}

void state_free(struct state *state)
{
    if (state == NULL)
        return;
    for (uint32_t i = 0; i < state->n_backends; i++)
        backend_done(&state->backends[i]);
    free(state->backends);
    free(state);
}

/* Appends a backend of a pool with copies of all texts; there must be room. 0 or -ENOMEM. */
static int append(struct state *state, const char *pool, const struct cfg_backend *backend,
                  struct state_backend **ret)
{
    struct state_backend *b = &state->backends[state->n_backends];

    memset(b, 0, sizeof(*b));
    if (backend->lookup == NULL)
        b->id = snapshot_backend_id(sip_slice_of(pool), sip_slice_of(backend->name));
    b->admin = LB_UP;
    b->weight = STATE_WEIGHT_CONFIGURED;
    b->backend = *backend;
    b->pool = strdup(pool);
    b->backend.name = strdup(backend->name);
    b->backend.lookup = backend->lookup == NULL ? NULL : strdup(backend->lookup);
    b->backend.ports = malloc(sizeof(*backend->ports) * (backend->n_ports + 1u));
    if (b->pool == NULL || b->backend.name == NULL || b->backend.ports == NULL ||
        (backend->lookup != NULL && b->backend.lookup == NULL)) {
        backend_done(b);
        return -ENOMEM;
    }
    if (backend->n_ports > 0)
        memcpy(b->backend.ports, backend->ports, sizeof(*backend->ports) * backend->n_ports);
    state->n_backends++;
    *ret = b;
    return 0;
}

static void carry_base(struct state_backend *b, const struct state_backend *from)
{
    b->base_epoch = from->base_epoch;
    memcpy(b->base, from->base, sizeof(b->base));
}

/* Appends what the configuration does not say: the operator's word, and since when it lingers. */
static void carry(struct state_backend *b, const struct state_backend *from)
{
    b->admin = from->admin;
    b->weight = from->weight;
    b->lingering = from->lingering;
    b->left_s = from->left_s;
    b->epoch = from->epoch;
    carry_base(b, from);
}

/* An empty state with room for n backends, and the numbers of another. */
static struct state *make(const struct state *like, uint64_t n)
{
    struct state *state = state_new();

    if (state == NULL)
        return NULL;
    state->generation = like->generation;
    state->epoch = like->epoch;
    state->node_draining = like->node_draining;
    state->backends = calloc(n + 1, sizeof(*state->backends));
    if (state->backends == NULL) {
        free(state);
        return NULL;
    }
    return state;
}

struct state *state_copy(const struct state *state)
{
    struct state *copy = make(state, state->n_backends);

    for (uint32_t i = 0; copy != NULL && i < state->n_backends; i++) {
        struct state_backend *b;

        if (append(copy, state->backends[i].pool, &state->backends[i].backend, &b) != 0) {
            state_free(copy);
            return NULL;
        }
        carry(b, &state->backends[i]);
    }
    return copy;
}

bool state_lingers(const struct state *state)
{
    for (uint32_t i = 0; i < state->n_backends; i++) {
        if (state->backends[i].lingering)
            return true;
    }
    return false;
}

struct state_backend *state_by_id(const struct state *state, uint32_t id)
{
    for (uint32_t i = 0; i < state->n_backends; i++) {
        if (state->backends[i].id == id)
            return &state->backends[i];
    }
    return NULL;
}

struct state_backend *state_name(const struct state *state, const char *pool, const char *name)
{
    for (uint32_t i = 0; i < state->n_backends; i++) {
        struct state_backend *b = &state->backends[i];

        if (b->backend.lookup != NULL && strcmp(b->pool, pool) == 0 &&
            strcmp(b->backend.name, name) == 0)
            return b;
    }
    return NULL;
}

bool state_is_member(const struct state_backend *b, const char *pool, const char *name)
{
    size_t length = strlen(name);

    return b->backend.lookup == NULL && strcmp(b->pool, pool) == 0 &&
           strncmp(b->backend.name, name, length) == 0 && b->backend.name[length] == '@';
}

/* What another state has of the same backend, or name; NULL: nothing. */
static const struct state_backend *same(const struct state *state, const struct state_backend *b)
{
    return b->backend.lookup != NULL ? state_name(state, b->pool, b->backend.name)
                                     : state_by_id(state, b->id);
}

/* The name whose member a backend is; NULL: it is none. */
static const struct state_backend *name_of(const struct state *state, const struct state_backend *b)
{
    for (uint32_t i = 0; i < state->n_backends; i++) {
        const struct state_backend *name = &state->backends[i];

        if (name->backend.lookup != NULL && state_is_member(b, name->pool, name->backend.name))
            return name;
    }
    return NULL;
}

bool state_expired(const struct state_backend *backend, uint64_t linger_ms, uint64_t now_s)
{
    return backend->lingering && now_s > backend->left_s &&
           now_s - backend->left_s >= linger_ms / 1000;
}

/* The configuration's backends, each with what the old state knew of it. 0 or -ENOMEM. */
static int adopt_configured(struct state *next, const struct state *state, const struct cfg *cfg)
{
    for (uint32_t p = 0; p < cfg->n_pools; p++) {
        for (uint32_t i = 0; i < cfg->pools[p].n_backends; i++) {
            const struct state_backend *old;
            struct state_backend *b;

            if (append(next, cfg->pools[p].name, &cfg->pools[p].backends[i], &b) != 0)
                return -ENOMEM;
            old = same(state, b);
            if (old != NULL) {
                b->admin = old->admin;
                b->weight = old->weight;
                carry_base(b, old);
            } else if (strchr(b->backend.name, '@') != NULL) {
                old = name_of(state, b);
                b->admin = old == NULL ? b->admin : old->admin;
            }
        }
    }
    return 0;
}

/* Those that the configuration has no more. 0 or -ENOMEM. */
static int adopt_gone(struct state *next, const struct state *state, const struct cfg *cfg,
                      uint64_t now_s)
{
    for (uint32_t i = 0; i < state->n_backends; i++) {
        const struct state_backend *old = &state->backends[i];
        struct state_backend *b;

        if (same(next, old) != NULL || state_expired(old, cfg->linger_ms, now_s))
            continue;
        if (append(next, old->pool, &old->backend, &b) != 0)
            return -ENOMEM;
        carry(b, old);
        if (!old->lingering) {
            b->lingering = true;
            b->left_s = now_s;
            b->epoch = state->epoch;
        }
    }
    return 0;
}

struct state *state_adopt(const struct state *state, const struct cfg *cfg, uint64_t now_s)
{
    uint64_t n = state->n_backends;
    struct state *next;

    for (uint32_t p = 0; p < cfg->n_pools; p++)
        n += cfg->pools[p].n_backends;
    next = make(state, n);
    if (next == NULL)
        return NULL;
    if (adopt_configured(next, state, cfg) != 0 || adopt_gone(next, state, cfg, now_s) != 0) {
        state_free(next);
        return NULL;
    }
    return next;
}

void state_forget(struct state *state, uint32_t id)
{
    struct state_backend *b = state_by_id(state, id);
    size_t behind;

    if (b == NULL || !b->lingering)
        return;
    behind = (size_t)(&state->backends[state->n_backends] - (b + 1));
    backend_done(b);
    memmove(b, b + 1, behind * sizeof(*b));
    state->n_backends--;
}

/* Whether a text names a backend as POOL/NAME (exact) or as NAME. */
static bool named(const struct state_backend *b, const char *text, bool *ret_exact)
{
    size_t length = strlen(b->pool);

    *ret_exact = strncmp(text, b->pool, length) == 0 && text[length] == '/' &&
                 strcmp(text + length + 1, b->backend.name) == 0;
    return *ret_exact || strcmp(text, b->backend.name) == 0;
}

struct state_backend *state_resolve(const struct state *state, const char *text, char *ret_reason)
{
    struct state_backend *found = NULL, *gone = NULL;
    uint32_t n = 0;

    for (uint32_t i = 0; i < state->n_backends; i++) {
        struct state_backend *b = &state->backends[i];
        bool exact;

        if (!named(b, text, &exact))
            continue;
        if (b->lingering) {
            gone = b;
            continue;
        }
        if (exact)
            return b;
        found = b;
        n++;
    }
    if (n == 1)
        return found;
    if (n > 1)
        snprintf(ret_reason, REASON_BYTES, "several pools have a backend %.100s: say POOL/NAME",
                 text);
    else if (gone != NULL)
        snprintf(ret_reason, REASON_BYTES,
                 "backend %.100s left the configuration or DNS and only keeps its dialogs", text);
    else
        snprintf(ret_reason, REASON_BYTES, "no backend %.100s", text);
    return NULL;
}

static bool has_pool(const struct cfg *cfg, const char *name)
{
    for (uint32_t p = 0; p < cfg->n_pools; p++) {
        if (strcmp(cfg->pools[p].name, name) == 0)
            return true;
    }
    return false;
}

int state_compile(const struct state *state, const struct cfg *cfg,
                  struct compile_state **ret_states, uint32_t *ret_n_states,
                  struct compile_lingering **ret_lingering, uint32_t *ret_n_lingering)
{
    struct compile_state *states = calloc(state->n_backends + 1u, sizeof(*states));
    struct compile_lingering *lingering = calloc(state->n_backends + 1u, sizeof(*lingering));
    uint32_t n_states = 0, n_lingering = 0;

    if (states == NULL || lingering == NULL) {
        free(states);
        free(lingering);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < state->n_backends; i++) {
        const struct state_backend *b = &state->backends[i];

        if (b->backend.lookup != NULL)
            continue;
        if (!b->lingering) {
            states[n_states++] = (struct compile_state){
                .id = b->id, .admin = b->admin, .weight = b->weight};
        } else if (has_pool(cfg, b->pool)) {
            lingering[n_lingering++] =
                (struct compile_lingering){.pool = b->pool, .backend = b->backend};
        }
    }
    qsort(states, n_states, sizeof(*states), compile_by_id);
    *ret_states = states;
    *ret_n_states = n_states;
    *ret_lingering = lingering;
    *ret_n_lingering = n_lingering;
    return 0;
}
