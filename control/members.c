/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question for each lookup and port, however many backends ask it: see members.h.
 */
#include "control/members.h"

#include <stdlib.h>
#include <string.h>

#include "control/log.h"
#include "control/loop.h"

struct question {
    struct question *next;
    struct members *members;
    char *lookup;
    uint16_t port; /* 0: SRV records say it */
    bool used;     /* what runs has it, … */
    bool planned;  /* …or what is about to, with the answer that is known */
    bool asking;
    struct members_view view; /* but for its times */
    uint64_t good_ms, due_ms; /* since when the targets are known; when to ask again */
};

struct members {
    struct loop *loop;
    struct resolver *resolver;
    struct reload *reload; /* NULL: not yet */
    struct loop_event *tick, *pause, *patience;
    void (*prepared)(void *arg); /* of members_prepare; NULL: nobody waits */
    void *prepared_arg;
    struct question *questions;
    uint32_t n_asked;    /* that wait for an answer */
    uint64_t generation; /* of what was looked at for names */
    bool dirty;          /* an answer is in no plan that was asked for */
    bool pausing, in_flight;
};

/* ---- Plans ---- */

static void publish(struct members *m);

static void start_pause(struct members *m, uint32_t ms)
{
    m->pausing = true;
    loop_timer_start(m->pause, ms);
}

static void on_outcome(void *arg, const struct reload_outcome *outcome)
{
    struct members *m = arg;

    m->in_flight = false;
    if (outcome->status == RELOAD_REFUSED) {
        m->dirty = true;
        start_pause(m, MEMBERS_AGAIN_MS);
    } else if (m->dirty && !m->pausing) {
        start_pause(m, MEMBERS_PAUSE_MS);
    }
}

static void publish(struct members *m)
{
    const struct plan_change change = {.kind = PLAN_MEMBERS};

    if (!m->dirty || m->in_flight || m->pausing || m->reload == NULL)
        return;
    m->dirty = false;
    m->in_flight = true;
    reload_ask(m->reload, &change, on_outcome, m);
}

static void on_pause(void *arg)
{
    struct members *m = arg;

    m->pausing = false;
    publish(m);
}

/* ---- What is about to run ---- */

/* Who waits goes on with all that is known now. */
static void end_prepare(struct members *m)
{
    void (*prepared)(void *) = m->prepared;

    loop_timer_stop(m->patience);
    m->prepared = NULL;
    for (struct question *q = m->questions; q != NULL; q = q->next)
        q->planned = q->view.known;
    prepared(m->prepared_arg);
}

static void on_patience(void *arg)
{
    struct members *m = arg;

    if (m->prepared != NULL)
        end_prepare(m);
}

static bool is_learning(const struct members *m)
{
    for (const struct question *q = m->questions; q != NULL; q = q->next) {
        if (q->asking && !q->view.answered)
            return true;
    }
    return false;
}

/* ---- Answers ---- */

static bool same_target(const struct snapshot_target *a, const struct snapshot_target *b)
{
    return sip_addr_equal(&a->addr, &b->addr) && a->priority == b->priority &&
           a->weight == b->weight;
}

static bool same_targets(const struct members_view *view, const struct dns_result *result)
{
    bool same = view->known && view->n_targets == result->n_targets;

    for (uint32_t i = 0; same && i < result->n_targets; i++)
        same = same_target(&view->targets[i], &result->targets[i]);
    return same;
}

/* Takes targets in the place of those before. False: no memory, nothing changed. */
static bool take_targets(struct question *q, const struct dns_result *result)
{
    struct snapshot_target *targets = calloc(result->n_targets + 1u, sizeof(*targets));

    if (targets == NULL)
        return false;
    for (uint32_t i = 0; i < result->n_targets; i++)
        targets[i] = result->targets[i];
    free((void *)(uintptr_t)q->view.targets);
    q->view.targets = targets;
    q->view.n_targets = result->n_targets;
    q->view.known = true;
    return true;
}

static void question_free(struct question *q)
{
    free((void *)(uintptr_t)q->view.targets);
    free(q->lookup);
    free(q);
}

static void on_answer(void *arg, const struct dns_result *result)
{
    struct question *q = arg;
    struct members *m = q->members;
    uint64_t now = loop_now_ms();
    uint32_t ttl_s = result->ttl_s;

    m->n_asked--;
    q->asking = false;
    if (result->outcome == SNAPSHOT_NAME_NONE && ttl_s > MEMBERS_NONE_MAX_S)
        ttl_s = MEMBERS_NONE_MAX_S;
    q->due_ms = now + ttl_s * UINT64_C(1000);
    if (result->outcome == SNAPSHOT_NAME_FAILED) {
        if (!q->view.answered || q->view.outcome != SNAPSHOT_NAME_FAILED)
            log_warning("DNS does not answer for backends at %s: %s", q->lookup,
                        q->view.known ? "its last answer stays" : "those of before stay");
    } else {
        if (!same_targets(&q->view, result) && take_targets(q, result)) {
            m->dirty |= q->used;
            q->planned = false;
        }
        q->good_ms = now;
    }
    q->view.answered = true;
    q->view.outcome = result->outcome;
    if (m->dirty && !m->pausing)
        start_pause(m, MEMBERS_PAUSE_MS);
    if (m->prepared != NULL && !is_learning(m))
        end_prepare(m);
}

/* ---- Questions ---- */

static struct question *find(const struct members *m, const struct cfg_backend *name)
{
    struct question *q = m->questions;

    while (q != NULL && (q->port != name->addr.port || strcmp(q->lookup, name->lookup) != 0))
        q = q->next;
    return q;
}

/* NULL: no memory. */
static struct question *add(struct members *m, const struct cfg_backend *name)
{
    struct question *q = calloc(1, sizeof(*q));

    if (q != NULL)
        q->lookup = strdup(name->lookup);
    if (q == NULL || q->lookup == NULL) {
        free(q);
        log_error("no memory to ask DNS for %s", name->lookup);
        return NULL;
    }
    q->members = m;
    q->port = name->addr.port;
    q->next = m->questions;
    m->questions = q;
    return q;
}

/* What runs has it from now on; its answer may have come too late for that. */
static void use(struct question *q)
{
    q->members->dirty |= !q->used && q->view.known && !q->planned;
    q->used = q->planned = true;
}

/* A question for each name of a configuration, which runs or may soon. */
static void add_all(struct members *m, const struct cfg *cfg, bool runs)
{
    for (uint32_t p = 0; p < cfg->n_pools; p++) {
        for (uint32_t i = 0; i < cfg->pools[p].n_backends; i++) {
            const struct cfg_backend *name = &cfg->pools[p].backends[i];
            struct question *q = name->lookup == NULL ? NULL : find(m, name);

            if (q == NULL && name->lookup != NULL)
                q = add(m, name);
            if (q != NULL && runs)
                use(q);
        }
    }
}

/* The questions of what runs: new ones come, those that nobody asks any more go, once they are
 * answered. */
static void look(struct members *m, const struct cfg *cfg)
{
    for (struct question *q = m->questions; q != NULL; q = q->next) {
        q->planned |= q->used;
        q->used = false;
    }
    add_all(m, cfg, true);
    for (struct question **at = &m->questions; *at != NULL;) {
        struct question *q = *at;

        if (q->used || q->asking) {
            at = &q->next;
            continue;
        }
        *at = q->next;
        question_free(q);
    }
    if (m->dirty && !m->pausing)
        start_pause(m, MEMBERS_PAUSE_MS);
}

/* Asks what is due. Without a port NAPTR, then SRV, or SRV alone: dns.h. */
static void ask_due(struct members *m, const struct cfg *cfg)
{
    uint64_t now = loop_now_ms();

    for (struct question *q = m->questions; q != NULL; q = q->next) {
        if (q->asking || q->due_ms > now || m->n_asked >= MEMBERS_ASKED_MAX)
            continue;
        q->asking = resolver_ask(m->resolver, cfg, q->lookup, q->port, SIP_TRANSPORT_NONE,
                                 on_answer, q) == 0;
        m->n_asked += q->asking;
    }
}

static void on_tick(void *arg)
{
    struct members *m = arg;
    uint64_t generation;

    loop_timer_start(m->tick, MEMBERS_TICK_MS);
    generation = reload_snapshot(m->reload)->generation;
    if (generation != m->generation)
        look(m, reload_cfg(m->reload));
    m->generation = generation;
    ask_due(m, reload_cfg(m->reload));
}

/* ---- Begin and end, and what is known ---- */

struct members *members_new(struct loop *loop, struct resolver *resolver)
{
    struct members *m = calloc(1, sizeof(*m));

    if (m == NULL)
        return NULL;
    m->loop = loop;
    m->resolver = resolver;
    m->tick = loop_timer_new(loop, on_tick, m);
    m->pause = loop_timer_new(loop, on_pause, m);
    m->patience = loop_timer_new(loop, on_patience, m);
    if (m->tick == NULL || m->pause == NULL || m->patience == NULL) {
        members_free(m);
        return NULL;
    }
    return m;
}

void members_free(struct members *m)
{
    if (m == NULL)
        return;
    if (m->reload != NULL)
        reload_cancel(m->reload, m);
    while (m->questions != NULL) {
        struct question *q = m->questions;

        m->questions = q->next;
        question_free(q);
    }
    loop_event_free(m->tick);
    loop_event_free(m->pause);
    loop_event_free(m->patience);
    free(m);
}

/* The servers are those of what runs, if something does: they change with it. */
bool members_prepare(struct members *m, const struct cfg *cfg, void (*done)(void *arg), void *arg)
{
    add_all(m, cfg, false);
    ask_due(m, m->reload == NULL ? cfg : reload_cfg(m->reload));
    if (!is_learning(m))
        return false;
    m->prepared = done;
    m->prepared_arg = arg;
    loop_timer_start(m->patience, MEMBERS_LEARN_MS);
    return true;
}

static void on_learnt(void *arg)
{
    *(bool *)arg = true;
}

void members_learn(struct members *m, const struct cfg *cfg)
{
    bool learnt = !members_prepare(m, cfg, on_learnt, &learnt);

    while (!learnt)
        loop_step(m->loop);
}

void members_follow(struct members *m, struct reload *reload)
{
    m->reload = reload;
    loop_timer_start(m->tick, 0);
}

void members_of(const struct members *m, const struct cfg_backend *name, struct members_view *ret)
{
    const struct question *q = m == NULL ? NULL : find(m, name);
    uint64_t now = loop_now_ms();

    memset(ret, 0, sizeof(*ret));
    if (q == NULL)
        return;
    *ret = q->view;
    ret->age_s = (uint32_t)((now - q->good_ms) / 1000);
    if (!q->asking && q->due_ms > now)
        ret->left_s = (uint32_t)((q->due_ms - now + 999) / 1000);
}
