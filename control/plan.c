/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what runs and one change to what would run: see plan.h.
 */
#include "control/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/expand.h"
#include "control/log.h"
#include "control/share.h"
#include "control/stream/tls/tls.h"

void plan_done(struct plan *plan)
{
    expand_free(plan->expanded);
    cfg_free(plan->cfg);
    keys_free(plan->keys);
    state_free(plan->state);
    free(plan->snapshot);
    memset(plan, 0, sizeof(*plan));
}

void plan_label(const struct plan_change *change, char *ret_text, size_t size)
{
    switch (change->kind) {
    case PLAN_FILE:
        snprintf(ret_text, size, "reload");
        return;
    case PLAN_ADMIN:
        snprintf(ret_text, size, "%s %s%s",
                 change->admin == LB_UP         ? "enable"
                 : change->admin == LB_DRAINING ? "drain"
                                                : "disable",
                 change->backend, change->dry_run ? " --dry-run" : "");
        return;
    case PLAN_NODE:
        snprintf(ret_text, size, "%s node", change->admin == LB_UP ? "enable" : "drain");
        return;
    case PLAN_WEIGHT:
        if (change->weight == STATE_WEIGHT_CONFIGURED)
            snprintf(ret_text, size, "weight %s default", change->backend);
        else
            snprintf(ret_text, size, "weight %s %u", change->backend, change->weight);
        return;
    case PLAN_FORGET:
        snprintf(ret_text, size, "end of linger of %s", change->backend);
        return;
    case PLAN_ROTATE:
        snprintf(ret_text, size, "rotate-secret%s", change->dry_run ? " --dry-run" : "");
        return;
    case PLAN_AGAIN:
        snprintf(ret_text, size, "offer to the data plane");
        return;
    case PLAN_MEMBERS:
        snprintf(ret_text, size, "members by DNS");
        return;
    case PLAN_LIVE:
        snprintf(ret_text, size, "names, captures, health and stages");
        return;
    case PLAN_KIND_COUNT:
        return;
    }
}

/* The name of a pool whose backends take no new calls, all of them; empty: there is none. */
static struct sip_slice idle_pool(const struct snapshot *s)
{
    for (uint32_t p = 0; p < s->pools.n; p++) {
        bool taken = false;

        for (uint32_t i = 0; i < s->backends.n && !taken; i++) {
            const struct lb_backend *b = &snapshot_backends(s)[i];

            taken = b->pool == p && b->state == LB_UP && b->weight > 0 && !b->lingering;
        }
        if (!taken)
            return snapshot_text(s, snapshot_pools(s)[p].name);
    }
    return (struct sip_slice){NULL, 0};
}

void plan_warn(const struct snapshot *snapshot, const char *note, char *text)
{
    struct sip_slice pool = idle_pool(snapshot);
    size_t length = strlen(text);

    if (note[0] != '\0')
        snprintf(text + length, PLAN_TEXT_MAX - length, "; %s", note);
    length = strlen(text);
    if (pool.length > 0)
        snprintf(text + length, PLAN_TEXT_MAX - length,
                 "; now NO backend of pool %.*s takes new calls", (int)pool.length, pool.at);
}

struct cfg *plan_dataplane(const char *file, const struct cfg *running)
{
    struct cfg_error error;
    struct cfg *now = cfg_load_dataplane(file, &error);
    char key[160];

    if (now != NULL && !cfg_same_dataplane(running, now, key))
        log_warning("the data plane was started with another %s than runs here: reload", key);
    return now;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Whether a configuration has listeners of streams: then their threads run. */
static bool has_streams(const struct cfg *cfg)
{
    for (uint32_t i = 0; i < cfg->n_services; i++) {
        if (cfg->services[i].stream_port != 0)
            return true;
    }
    return false;
}

/* What a running process cannot change: NULL, or the key and who must be restarted for it. */
static const char *needs_restart(const struct plan_base *base, const struct cfg *new, char *ret_key)
{
    const struct cfg *old = base->cfg;

    if (!cfg_same_dataplane(base->dataplane != NULL ? base->dataplane : old, new, ret_key))
        return "tandem-dataplane";
    if (!same_text(old->control.socket, new->control.socket))
        strcpy(ret_key, "control.socket");
    else if (!same_text(old->control.socket_group, new->control.socket_group))
        strcpy(ret_key, "control.socket_group");
    else if (!same_text(old->control.state_dir, new->control.state_dir))
        strcpy(ret_key, "control.state_dir");
    else if (!sip_addr_equal(&old->control.metrics, &new->control.metrics))
        strcpy(ret_key, "control.metrics");
    else if (!same_text(old->secret_file, new->secret_file))
        strcpy(ret_key, "secret_file");
    else if (has_streams(old) && old->control.streams.threads != new->control.streams.threads)
        strcpy(ret_key, "control.streams.threads");
    else
        return NULL;
    return "tandem-control";
}

/* Loads the file; NULL and one line when it is refused. */
static struct cfg *load(const struct plan_base *base, char *ret_text)
{
    struct cfg_error error = {0};
    struct cfg *cfg = cfg_load(base->file, &error);

    if (cfg == NULL)
        cfg_error_print(&error, ret_text, PLAN_TEXT_MAX);
    return cfg;
}

/* plan->expanded of a configuration, and plan->state, from that of before. 0 or -ENOMEM. */
static int expand(const struct plan_base *base, const struct cfg *cfg, const struct state *before,
                  struct plan *plan)
{
    plan->expanded = expand_new(cfg, base->members, before);
    if (plan->expanded == NULL)
        return -ENOMEM;
    plan->state = state_adopt(before, plan->expanded, base->now.wall_s);
    return plan->state == NULL ? -ENOMEM : 0;
}

/* Puts the file, the line and the key before a reason. */
static void name_key(const char *file, const char *key, char *text)
{
    struct cfg_error error = {.line = cfg_line(file, key)};

    snprintf(error.file, sizeof(error.file), "%s", file);
    snprintf(error.key, sizeof(error.key), "%s", key);
    snprintf(error.reason, sizeof(error.reason), "%.255s", text);
    cfg_error_print(&error, text, PLAN_TEXT_MAX);
}

/* plan->cfg, plan->state and plan->keys from a configuration that is the plan's already, or from
 * the files. */
static int plan_file(const struct plan_base *base, struct plan *plan, char *ret_text)
{
    struct cfg_error error = {.line = 0};
    const char *who;
    int status = 0;

    if (plan->cfg == NULL)
        plan->cfg = load(base, ret_text);
    if (plan->cfg == NULL)
        return -EINVAL;
    if (tls_check(plan->cfg, &error) != 0) {
        cfg_error_print(&error, ret_text, PLAN_TEXT_MAX);
        return -EINVAL;
    }
    who = base->cfg == NULL ? NULL : needs_restart(base, plan->cfg, error.key);
    if (who != NULL) {
        snprintf(ret_text, PLAN_TEXT_MAX, "needs a restart of %s", who);
        name_key(base->file, error.key, ret_text);
        return -EBUSY;
    }
    if (base->cfg != NULL)
        status = keys_reread(base->keys, plan->cfg->secret_file, &base->now, &plan->keys,
                             plan->note, ret_text);
    if (status != 0)
        name_key(base->file, "secret_file", ret_text);
    return status != 0 ? status : expand(base, plan->cfg, base->state, plan);
}

/* plan->expanded and plan->state by what DNS says now. */
static int plan_members(const struct plan_base *base, struct plan *plan)
{
    int status = expand(base, base->cfg, base->state, plan);

    if (status == 0)
        expand_difference(base->state, plan->state, plan->note, sizeof(plan->note));
    return status;
}

/* plan->keys one step further. */
static int plan_rotation(const struct plan_base *base, struct plan *plan, char *ret_text)
{
    plan->state = state_copy(base->state);
    if (plan->state == NULL)
        return -ENOMEM;
    return keys_rotate(base->keys, base->cfg->secret_file, base->cfg->token_lifetime_ms, &base->now,
                       &plan->keys, plan->note, ret_text);
}

/* The operator's word about a backend, or about a name and its members; those that linger take it
 * with them when they come back. Members have the name's weight, each its part. */
static void say(struct state *state, struct state_backend *b, const struct plan_change *change)
{
    bool admin = change->kind == PLAN_ADMIN;

    for (uint32_t i = 0; b->backend.lookup != NULL && i < state->n_backends; i++) {
        struct state_backend *member = &state->backends[i];

        if (!state_is_member(member, b->pool, b->backend.name))
            continue;
        member->admin = admin ? change->admin : member->admin;
        member->weight = admin ? member->weight : STATE_WEIGHT_CONFIGURED;
    }
    b->admin = admin ? change->admin : b->admin;
    b->weight = admin ? b->weight : change->weight;
}

/* The state that said them gives way to the one whose members have other weights. 0 or -ENOMEM. */
static int expand_again(const struct plan_base *base, struct plan *plan)
{
    struct state *said = plan->state;
    int status;

    plan->state = NULL;
    status = expand(base, base->cfg, said, plan);
    state_free(said);
    return status;
}

/* plan->state from a change of one backend. */
static int plan_backend(const struct plan_base *base, const struct plan_change *change,
                        struct plan *plan, char *ret_text)
{
    struct state_backend *b;

    plan->state = state_copy(base->state);
    if (plan->state == NULL)
        return -ENOMEM;
    if (change->kind == PLAN_AGAIN || change->kind == PLAN_LIVE)
        return 0;
    if (change->kind == PLAN_NODE) {
        plan->state->node_draining = change->admin == LB_DRAINING;
        return 0;
    }
    if (change->kind == PLAN_FORGET) {
        state_forget(plan->state, change->id);
        return 0;
    }
    b = state_resolve(plan->state, change->backend, ret_text);
    if (b == NULL)
        return -ENOENT;
    say(plan->state, b, change);
    return change->kind == PLAN_WEIGHT && b->backend.lookup != NULL ? expand_again(base, plan) : 0;
}

/* plan->snapshot from the rest. */
static int plan_compile(const struct plan_base *base, uint64_t generation, struct plan *plan)
{
    struct compile_state *states = NULL;
    struct compile_lingering *lingering = NULL;
    struct compile_input input = {
        .cfg = plan->expanded != NULL ? plan->expanded : base->expanded,
        .secret = plan->keys != NULL ? &plan->keys->secret : &base->keys->secret,
        .live = base->live,
        .before = base->snapshot,
        .generation = generation,
        .node_draining = plan->state->node_draining,
    };
    int status = state_compile(plan->state, input.cfg, &states, &input.n_states, &lingering,
                               &input.n_lingering);

    if (status != 0)
        return status;
    input.states = states;
    input.lingering = lingering;
    status = compile_snapshot(&input, &plan->snapshot);
    free(states);
    free(lingering);
    return status;
}

int plan_make(const struct plan_base *base, const struct plan_change *change, struct cfg *cfg,
              uint64_t generation, struct plan *ret, char *ret_text)
{
    struct plan plan = {.cfg = cfg};
    int status;

    ret_text[0] = '\0';
    if (change->kind == PLAN_FILE)
        status = plan_file(base, &plan, ret_text);
    else if (change->kind == PLAN_ROTATE)
        status = plan_rotation(base, &plan, ret_text);
    else if (change->kind == PLAN_MEMBERS)
        status = plan_members(base, &plan);
    else
        status = plan_backend(base, change, &plan, ret_text);
    if (status == 0)
        status = plan_compile(base, generation, &plan);
    if (status != 0) {
        if (ret_text[0] == '\0')
            snprintf(ret_text, PLAN_TEXT_MAX, "the snapshot cannot be made: %s", strerror(-status));
        plan_done(&plan);
        return status;
    }
    *ret = plan;
    return 0;
}

/* Where new calls would go under a plan, beside what runs. */
static int preview(const struct plan_base *base, const struct plan_change *change,
                   const struct plan *plan, char *ret_text)
{
    static const char BEGIN[] = "nothing was changed; this would be: ";
    const struct plan_change again = {.kind = PLAN_AGAIN};
    const struct state_backend *b = state_resolve(plan->state, change->backend, ret_text);
    uint32_t *ids = calloc(plan->state->n_backends + 1u, sizeof(*ids)), n = 0;
    struct plan now;
    int status = ids == NULL ? -ENOMEM : plan_make(base, &again, NULL, 0, &now, ret_text);

    if (status != 0) {
        free(ids);
        return status;
    }
    for (uint32_t i = 0; i < plan->state->n_backends; i++) {
        const struct state_backend *one = &plan->state->backends[i];

        if (one == b ? b->backend.lookup == NULL
                     : b->backend.lookup != NULL && !one->lingering &&
                           state_is_member(one, b->pool, b->backend.name))
            ids[n++] = one->id;
    }
    strcpy(ret_text, BEGIN);
    if (n > 0)
        share_preview(now.snapshot, plan->snapshot, b->backend.name, ids, n,
                      ret_text + strlen(BEGIN), PLAN_TEXT_MAX - strlen(BEGIN));
    else
        snprintf(ret_text + strlen(BEGIN), PLAN_TEXT_MAX - strlen(BEGIN),
                 "%s has no members; live dialogs that move: 0", b->backend.name);
    free(ids);
    plan_done(&now);
    return 0;
}

int plan_try(const struct plan_base *base, const struct plan_change *change, char *ret_text)
{
    struct plan plan;
    int status = plan_make(base, change, NULL, 0, &plan, ret_text);

    if (status != 0)
        return status;
    if (change->kind == PLAN_ADMIN)
        status = preview(base, change, &plan, ret_text);
    else
        snprintf(ret_text, PLAN_TEXT_MAX, "nothing was changed; this would be: %s", plan.note);
    plan_done(&plan);
    return status;
}

int plan_prepare(struct plan *plan, const char *state_file, char *ret_text)
{
    int status = state_prepare(plan->state, state_file);

    if (status != 0) {
        snprintf(ret_text, PLAN_TEXT_MAX, "the state cannot be saved: %.500s: %s", state_file,
                 strerror(-status));
        return status;
    }
    status = plan->keys == NULL ? 0 : keys_prepare(plan->keys);
    if (status != 0) {
        snprintf(ret_text, PLAN_TEXT_MAX, "the secret cannot be saved: %.500s: %s",
                 plan->keys->unsaved, strerror(-status));
        state_abandon(state_file);
    }
    plan->prepared = status == 0;
    return status;
}

int plan_commit(struct plan *plan, const char *state_file)
{
    int keys, state;

    if (!plan->prepared)
        return 0;
    keys = plan->keys == NULL ? 0 : keys_commit(plan->keys);
    state = state_commit(state_file);
    if (keys != 0)
        log_error("the secret's file: %s: the rotation will not survive a restart",
                  strerror(-keys));
    if (state != 0)
        log_error("%s: %s: what was changed will not survive a restart", state_file,
                  strerror(-state));
    return keys != 0 || state != 0 ? -EIO : 0;
}

void plan_abandon(const struct plan *plan, const char *state_file)
{
    if (!plan->prepared)
        return;
    if (plan->keys != NULL)
        keys_abandon(plan->keys);
    state_abandon(state_file);
}
