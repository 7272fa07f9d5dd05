/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of changes and the one that is offered: see reload.h. What a change means is plan.c's,
 * how the data plane is reached link.c's.
 */
#include "control/reload.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/begin.h"
#include "control/expand.h"
#include "control/generation.h"
#include "control/log.h"
#include "control/loop.h"
#include "control/members.h"
#include "control/reload_desk.h"
#include "control/totals.h"

static void proceed(struct reload *r);

static uint64_t now_s(void)
{
    return loop_now_ms() / 1000;
}

static struct plan_base base_of(const struct reload *r)
{
    return (struct plan_base){.file = r->file,
                              .cfg = r->cfg,
                              .expanded = r->expanded,
                              .members = r->members,
                              .dataplane = r->dataplane,
                              .state = r->state,
                              .keys = r->keys,
                              .live = &r->live,
                              .snapshot = r->snapshot,
                              .now = keys_now()};
}

/* Says how a change ended, to the log and to who asked, and takes it from the queue. */
static void finish(struct reload *r, enum reload_status status, const char *reason)
{
    char label[PLAN_BACKEND_MAX + 32], text[PLAN_TEXT_MAX];
    struct reload_outcome outcome = {.status = status, .generation = r->generation};

    plan_label(queue_first(&r->queue), label, sizeof(label));
    snprintf(text, sizeof(text), "%s: %.700s", label, reason);
    if (status != RELOAD_REFUSED && !queue_first(&r->queue)->dry_run) {
        plan_warn(r->snapshot, r->note, text);
        r->note[0] = '\0';
    }
    r->history.changes[queue_first(&r->queue)->kind][status] += !queue_first(&r->queue)->dry_run;
    outcome.text = status == RELOAD_REFUSED ? reason : text;
    if (status == RELOAD_REFUSED)
        log_error("%s", text);
    else if (queue_first(&r->queue)->kind != PLAN_LIVE)
        log_info("%s", text);
    queue_pop(&r->queue, &outcome);
}

/* A plan becomes what runs. */
static void adopt(struct reload *r, struct plan *plan)
{
    plan->state->generation = r->state->generation;
    plan->state->epoch = r->state->epoch;
    if (plan->expanded != NULL) {
        expand_free(r->expanded);
        r->expanded = plan->expanded;
    }
    if (plan->cfg != NULL) {
        cfg_free(r->cfg);
        r->cfg = plan->cfg;
    }
    if (plan->keys != NULL) {
        keys_free(r->keys);
        r->keys = plan->keys;
    }
    state_free(r->state);
    r->state = plan->state;
    free(r->snapshot);
    r->snapshot = plan->snapshot;
    r->history.adopted_s = now_s();
    memset(plan, 0, sizeof(*plan));
    if (r->on_adopted != NULL)
        r->on_adopted(r->adopted_arg);
}

/* A change whose files were prepared becomes what runs. */
static void commit(struct reload *r, struct plan *plan)
{
    int status = plan_commit(plan, r->state_file);

    snprintf(r->note, sizeof(r->note), "%s%.480s", status != 0 ? "NOT ON DISK (see the log); " : "",
             plan->note);
    adopt(r, plan);
}

/* A change that is not to be; the files that were prepared for it go too. */
static void abandon(struct reload *r, struct plan *plan)
{
    plan_abandon(plan, r->state_file);
    plan_done(plan);
}

/* Commits a change that the data plane has not seen yet. */
static void finish_pending(struct reload *r, struct plan *plan)
{
    commit(r, plan);
    finish(r, RELOAD_PENDING, "accepted, pending: no data plane answers; it gets it when it comes");
}

/* The first change in the queue as a plan whose files, if it has some, are prepared. 0, or a
 * negative errno and one line why. */
static int plan_first(struct reload *r, struct plan *ret, char *ret_text)
{
    const struct plan_base base = base_of(r);
    int status = generation_take(r->state, r->state_file, &r->generation, false);
    struct cfg *next = r->next;

    r->next = NULL;
    if (status != 0) {
        cfg_free(next);
        snprintf(ret_text, PLAN_TEXT_MAX, "the state cannot be saved: %.500s: %s", r->state_file,
                 strerror(-status));
        return status;
    }
    status = plan_make(&base, queue_first(&r->queue), next, r->generation, ret, ret_text);
    if (status != 0 || queue_first(&r->queue)->kind == PLAN_LIVE)
        return status;
    ret->state->generation = r->state->generation;
    status = plan_prepare(ret, r->state_file, ret_text);
    if (status != 0)
        plan_done(ret);
    return status;
}

/* Offers a plan, which is r's then, and in flight until its answer comes, the data plane goes or
 * patience ends. 0, -ENOTCONN, or why it could not be offered; then the plan stays the caller's. */
static int offer(struct reload *r, const struct plan *plan, bool for_first)
{
    struct counters_header *before = link_counters(r->link);
    int status = link_offer(r->link, plan->snapshot);

    if (status != 0) {
        free(before);
        return status;
    }
    free(r->before);
    r->before = before;
    r->offered = *plan;
    r->in_flight = true;
    r->for_first = for_first;
    loop_timer_start(r->patience, RELOAD_PATIENCE_MS);
    return 0;
}

/* It accepted a connection and an offer and says nothing: changes must not queue for ever. */
static void on_unanswered(void *arg)
{
    struct reload *r = arg;

    log_error("the data plane has not answered an offer within %d s: connecting anew",
              RELOAD_PATIENCE_MS / 1000);
    link_reset(r->link);
}

static void on_names_answered(void *arg)
{
    struct reload *r = arg;

    r->asking = false;
    proceed(r);
}

/* Whether the first change in the queue waits for what DNS says of new names: else they would begin
 * without members. A file that is refused is read again, for its words. */
static bool ask_names(struct reload *r)
{
    struct cfg_error error;

    if (r->members == NULL || queue_first(&r->queue)->kind != PLAN_FILE || r->next != NULL)
        return false;
    r->next = cfg_load(r->file, &error);
    r->asking = r->next != NULL && members_prepare(r->members, r->next, on_names_answered, r);
    return r->asking;
}

/* Plans the first change in the queue and offers it, or ends it at once. */
static void start_first(struct reload *r)
{
    const struct plan_base base = base_of(r);
    char text[PLAN_TEXT_MAX];
    struct plan plan;
    int status;

    if (queue_first(&r->queue)->dry_run) {
        status = plan_try(&base, queue_first(&r->queue), text);
        finish(r, status == 0 ? RELOAD_DONE : RELOAD_REFUSED, text);
        return;
    }
    if (ask_names(r))
        return;
    if (plan_first(r, &plan, text) != 0) {
        finish(r, RELOAD_REFUSED, text);
        return;
    }
    status = offer(r, &plan, true);
    if (status == -ENOTCONN) {
        finish_pending(r, &plan);
    } else if (status != 0) {
        abandon(r, &plan);
        snprintf(text, sizeof(text), "the snapshot cannot be offered: %s", strerror(-status));
        finish(r, RELOAD_REFUSED, text);
    }
}

static void proceed(struct reload *r)
{
    while (!r->in_flight && !r->asking && queue_first(&r->queue) != NULL)
        start_first(r);
}

/* Offers what runs to a data plane that came. No change is in flight then. */
static void offer_running(struct reload *r)
{
    const struct plan_change again = {.kind = PLAN_AGAIN};
    const struct plan_base base = base_of(r);
    char text[PLAN_TEXT_MAX];
    struct plan plan;
    int status;

    generation_take(r->state, r->state_file, &r->generation, true);
    if (plan_make(&base, &again, NULL, r->generation, &plan, text) != 0) {
        log_error("%s", text);
        return;
    }
    status = offer(r, &plan, false);
    if (status != 0) {
        log_error("the snapshot cannot be offered: %s", strerror(-status));
        plan_done(&plan);
        r->again_s = now_s() + RELOAD_AGAIN_S;
    }
}

/* A data plane that was restarted has just read its section of the file: that is what the next
 * reload is compared with, so that what needed a restart is taken once it had it. */
static void follow_restart(struct reload *r, uint64_t epoch)
{
    struct cfg *now = NULL;

    if (r->hello_epoch != 0 && r->hello_epoch != epoch)
        now = plan_dataplane(r->file, r->cfg);
    r->hello_epoch = epoch;
    if (now == NULL)
        return;
    cfg_free(r->dataplane);
    r->dataplane = now;
}

static void on_hello(void *arg, const struct msg_hello *hello)
{
    struct reload *r = arg;

    follow_restart(r, hello->epoch);
    r->acknowledged = hello->generation;
    if (hello->generation > r->generation && hello->generation < GENERATION_MAX) {
        log_warning("the data plane uses generation %" PRIu64 ", greater than any we remember",
                    hello->generation);
        r->generation = hello->generation;
    }
    if (r->state->epoch != hello->epoch) {
        int status;

        r->state->epoch = hello->epoch;
        status = state_save(r->state, r->state_file);
        if (status != 0)
            log_error("%s: %s", r->state_file, strerror(-status));
    }
    offer_running(r);
}

static void on_punt(void *arg, const struct msg_punt *punt, const char *text)
{
    struct reload *r = arg;

    if (r->on_punt != NULL)
        r->on_punt(r->punt_arg, punt, text);
}

static void on_gone(void *arg)
{
    struct reload *r = arg;
    bool flew = r->in_flight;

    r->acknowledged = 0;
    r->again_s = 0;
    r->in_flight = false;
    loop_timer_stop(r->patience);
    if (flew && r->for_first)
        finish_pending(r, &r->offered);
    else
        plan_done(&r->offered);
    proceed(r);
}

/* Slots were given anew with the ACK. */
static void rebase_totals(struct reload *r)
{
    struct counters_header *now = link_counters(r->link);
    int status = 0;

    if (totals_rebase(r->state, r->before, now))
        status = state_save(r->state, r->state_file);
    if (status != 0)
        log_error("%s: %s", r->state_file, strerror(-status));
    free(now);
    free(r->before);
    r->before = NULL;
}

static void on_acknowledged(struct reload *r)
{
    char text[64];

    r->refusal[0] = '\0';
    r->again_s = 0;
    r->acknowledged = r->offered.snapshot->generation;
    snprintf(text, sizeof(text), "generation %" PRIu64 " in effect", r->acknowledged);
    if (r->for_first) {
        commit(r, &r->offered);
        rebase_totals(r);
        finish(r, RELOAD_DONE, text);
    } else {
        adopt(r, &r->offered);
        rebase_totals(r);
        log_info("offer to the data plane: %s", text);
    }
    if (r->on_ready != NULL) {
        void (*on_ready)(void *) = r->on_ready;

        r->on_ready = NULL;
        on_ready(r->ready_arg);
    }
}

static void on_refused(struct reload *r, const struct msg_answer *answer)
{
    char text[PLAN_TEXT_MAX];

    snprintf(text, sizeof(text), "refused by the data plane: %s",
             answer->reason[0] != '\0'                      ? answer->reason
             : answer->status < 0 && answer->status > -4096 ? strerror(-answer->status)
                                                            : "no reason given");
    if (r->for_first) {
        abandon(r, &r->offered);
        finish(r, RELOAD_REFUSED, text);
    } else {
        plan_done(&r->offered);
        if (strcmp(r->refusal, text) != 0) /* once, not with every try */
            log_error("offer to the data plane: %s", text);
        r->again_s = now_s() + RELOAD_AGAIN_S;
    }
    strcpy(r->refusal, text);
}

static void on_answer(void *arg, const struct msg_answer *answer)
{
    struct reload *r = arg;

    if (!r->in_flight || answer->generation != r->offered.snapshot->generation) {
        log_warning("the data plane answered an offer that was not made: generation %" PRIu64,
                    answer->generation);
        return;
    }
    r->in_flight = false;
    loop_timer_stop(r->patience);
    if (answer->status == 0)
        on_acknowledged(r);
    else
        on_refused(r, answer);
    proceed(r);
}

void reload_ask(struct reload *r, const struct plan_change *change,
                void (*done)(void *arg, const struct reload_outcome *outcome), void *arg)
{
    struct reload_outcome outcome = {.status = RELOAD_REFUSED,
                                     .text = "too many changes wait already"};
    int status = queue_push(&r->queue, r->loop, change, done, arg);

    if (status == 0) {
        proceed(r);
        return;
    }
    if (status == -ENOMEM)
        outcome.text = "no memory";
    log_error("a change was refused: %s", outcome.text);
    done(arg, &outcome);
}

void reload_cancel(struct reload *r, const void *arg)
{
    queue_cancel(&r->queue, arg);
}

/* Of PLAN_FORGET: what was refused once is not asked for every second. */
static void on_forgotten(void *arg, const struct reload_outcome *outcome)
{
    struct reload *r = arg;

    if (outcome->status == RELOAD_REFUSED)
        r->forget_s = now_s() + RELOAD_FORGET_S;
}

/* Whether a lingering backend may be forgotten. One at a time is enough. */
static void forget_one(struct reload *r)
{
    struct plan_change change = {.kind = PLAN_FORGET};
    struct counters_header *counters;
    const struct state_backend *b;
    uint64_t mono_s = now_s();

    if (!state_lingers(r->state) || mono_s < r->forget_s)
        return;
    counters = reload_counters(r);
    change.id = linger_pick(&r->linger, r->state, r->cfg->linger_ms, counters,
                            (uint64_t)time(NULL), mono_s);
    free(counters);
    b = change.id == 0 ? NULL : state_by_id(r->state, change.id);
    if (b == NULL)
        return;
    snprintf(change.backend, sizeof(change.backend), "%.120s/%.120s", b->pool, b->backend.name);
    reload_ask(r, &change, on_forgotten, r);
}

/* Once a second. */
static void on_tick(void *arg)
{
    struct reload *r = arg;

    loop_timer_start(r->tick, RELOAD_TICK_MS);
    if (r->in_flight || queue_first(&r->queue) != NULL)
        return;
    if (r->again_s != 0 && now_s() >= r->again_s)
        offer_running(r);
    else
        forget_one(r);
}

/* Everything of the first plan, which nobody is there to be offered yet. 0, or one line why. */
static int load_all(struct reload *r, struct cfg *cfg, char *ret_text)
{
    const struct plan_change first = {.kind = PLAN_FILE};
    const struct keys_time now = keys_now();
    struct plan_base base;
    struct plan plan;
    int status;

    snprintf(r->state_file, sizeof(r->state_file), "%.4000s/state.json", cfg->control.state_dir);
    r->keys = keys_begin(cfg->secret_file, &now, ret_text);
    r->state = r->keys != NULL ? begin_state(r->state_file, ret_text) : NULL;
    if (r->state == NULL) {
        cfg_free(cfg);
        return -EINVAL;
    }
    r->generation = r->state->generation;
    status = generation_take(r->state, r->state_file, &r->generation, false);
    if (status != 0) {
        snprintf(ret_text, PLAN_TEXT_MAX, "%.500s: %s", r->state_file, strerror(-status));
        cfg_free(cfg);
        return status;
    }
    base = base_of(r);
    status = plan_make(&base, &first, cfg, r->generation, &plan, ret_text);
    if (status != 0)
        return status;
    adopt(r, &plan);
    status = state_save(r->state, r->state_file);
    if (status != 0)
        log_error("%s: %s", r->state_file, strerror(-status));
    return 0;
}

struct reload *reload_new(struct loop *loop, const char *file, struct cfg *cfg,
                          struct members *members, void (*on_ready)(void *arg), void *arg,
                          char *ret_text)
{
    struct reload *r = calloc(1, sizeof(*r));
    struct link_conf conf = {.on_hello = on_hello,
                             .on_answer = on_answer,
                             .on_punt = on_punt,
                             .on_gone = on_gone,
                             .arg = r};

    snprintf(ret_text, PLAN_TEXT_MAX, "no memory");
    if (r == NULL) {
        cfg_free(cfg);
        return NULL;
    }
    r->loop = loop;
    r->members = members;
    r->on_ready = on_ready;
    r->ready_arg = arg;
    r->file = strdup(file);
    r->tick = loop_timer_new(loop, on_tick, r);
    r->patience = loop_timer_new(loop, on_unanswered, r);
    if (r->file == NULL || r->tick == NULL || r->patience == NULL) {
        cfg_free(cfg);
        goto fail;
    }
    if (load_all(r, cfg, ret_text) != 0)
        goto fail;
    conf.socket = r->cfg->dataplane.socket;
    r->link = link_new(loop, &conf);
    if (r->link == NULL) {
        snprintf(ret_text, PLAN_TEXT_MAX, "dataplane.socket: %.500s: no memory, or too long",
                 conf.socket);
        goto fail;
    }
    loop_timer_start(r->tick, RELOAD_TICK_MS);
    return r;
fail:
    reload_free(r);
    return NULL;
}

void reload_free(struct reload *r)
{
    if (r == NULL)
        return;
    link_free(r->link);
    queue_done(&r->queue);
    loop_event_free(r->tick);
    loop_event_free(r->patience);
    plan_done(&r->offered);
    free(r->before);
    linger_done(&r->linger);
    expand_free(r->expanded);
    cfg_free(r->next);
    cfg_free(r->cfg);
    cfg_free(r->dataplane);
    state_free(r->state);
    free(r->snapshot);
    free(r->file);
    keys_free(r->keys);
    free(r);
}
