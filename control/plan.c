/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what runs and one change to what would run: see plan.h.
 */
#include "control/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void plan_done(struct plan *plan)
{
    cfg_free(plan->cfg);
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
        snprintf(ret_text, size, "%s %s",
                 change->admin == LB_UP         ? "enable"
                 : change->admin == LB_DRAINING ? "drain"
                                                : "disable",
                 change->backend);
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
    case PLAN_AGAIN:
        snprintf(ret_text, size, "offer to the data plane");
        return;
    }
}

struct sip_slice plan_idle_pool(const struct snapshot *s)
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

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
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
    else if (!same_text(old->secret_file, new->secret_file))
        strcpy(ret_key, "secret_file");
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

/* plan->cfg and plan->state from a configuration that is the plan's already. */
static int plan_file(const struct plan_base *base, uint64_t now_s, struct plan *plan,
                     char *ret_text)
{
    struct cfg_error error = {.line = 0};
    const char *who;

    if (plan->cfg == NULL)
        plan->cfg = load(base, ret_text);
    if (plan->cfg == NULL)
        return -EINVAL;
    who = base->cfg == NULL ? NULL : needs_restart(base, plan->cfg, error.key);
    if (who != NULL) {
        error.line = cfg_line(base->file, error.key);
        snprintf(error.file, sizeof(error.file), "%s", base->file);
        snprintf(error.reason, sizeof(error.reason), "needs a restart of %s", who);
        cfg_error_print(&error, ret_text, PLAN_TEXT_MAX);
        return -EBUSY;
    }
    plan->state = state_adopt(base->state, plan->cfg, now_s);
    return plan->state == NULL ? -ENOMEM : 0;
}

/* plan->state from a change of one backend. */
static int plan_backend(const struct plan_base *base, const struct plan_change *change,
                        struct plan *plan, char *ret_text)
{
    struct state_backend *b;

    plan->state = state_copy(base->state);
    if (plan->state == NULL)
        return -ENOMEM;
    if (change->kind == PLAN_AGAIN)
        return 0;
    if (change->kind == PLAN_FORGET) {
        state_forget(plan->state, change->id);
        return 0;
    }
    b = state_resolve(plan->state, change->backend, ret_text);
    if (b == NULL)
        return -ENOENT;
    if (change->kind == PLAN_ADMIN)
        b->admin = change->admin;
    else
        b->weight = change->weight;
    return 0;
}

/* plan->snapshot from the rest. */
static int plan_compile(const struct plan_base *base, uint64_t generation, struct plan *plan)
{
    struct compile_state *states = NULL;
    struct compile_lingering *lingering = NULL;
    struct compile_input input = {
        .cfg = plan->cfg != NULL ? plan->cfg : base->cfg,
        .secret = base->secret,
        .generation = generation,
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
              uint64_t generation, uint64_t now_s, struct plan *ret, char *ret_text)
{
    struct plan plan = {.cfg = cfg};
    int status;

    ret_text[0] = '\0';
    if (change->kind == PLAN_FILE)
        status = plan_file(base, now_s, &plan, ret_text);
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
