/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes and verdicts in, live changes out: see health.h. Everything that is entered from the loop
 * first follows what runs, since what was watched may have left.
 */
#include "control/health/health.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/health/heap.h"
#include "control/health/media.h"
#include "control/health/media_turn.h"
#include "control/health/memory.h"
#include "control/health/probe.h"
#include "control/health/probe_text.h"
#include "control/health/secure.h"
#include "control/health/traffic.h"
#include "control/log.h"
#include "control/loop.h"

struct health {
    struct loop *loop;
    struct reload *reload;
    char file[PATH_MAX];
    struct prober *prober;
    struct secure_source secure;
    struct media *media;
    bool media_complained; /* that a call could not be placed */
    struct watches watches;
    struct heap wakes;   /* milliseconds, by index in watches */
    uint64_t generation; /* of what is followed; 0: nothing */
    struct traffic traffic;
    struct loop_event *timer; /* the next of wakes */
    uint64_t timer_ms;        /* when it should fire; UINT64_MAX: it does not run */
    bool slept;               /* it was late the last time */
    struct loop_event *tick;  /* of the traffic */
    struct loop_event *pause; /* after a live change was asked for */
    struct loop_event *saving;
    bool pausing, in_flight, save_waits;
    bool state_waits, weight_waits; /* to be published */
    uint64_t epoch, sight_ms;       /* of is_blind */
    bool complained;                /* that a probe could not be sent */
    struct machine_memory *remembered;
    uint32_t n_remembered;
    struct compile_health *published;
};

static void publish(struct health *h);

static uint64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Those of which more is known than that they are up. */
static void save(struct health *h)
{
    struct machine_memory *memories = calloc(h->watches.n + 1u, sizeof(*memories));
    uint64_t now = loop_now_ms(), wall = wall_ms();
    uint32_t n = 0;
    int status = memories == NULL ? -ENOMEM : 0;

    for (uint32_t i = 0; status == 0 && i < h->watches.n; i++) {
        const struct machine *m = &h->watches.all[i].machine;

        if (m->state != LB_UP || m->flaps > 0 || m->ramp_for_ms > 0)
            machine_remember(m, now, wall, &memories[n++]);
    }
    if (status == 0)
        status = memory_save(h->file, memories, n);
    free(memories);
    if (status != 0)
        log_error("%s: %s", h->file, strerror(-status));
}

static void on_saving(void *arg)
{
    struct health *h = arg;

    h->save_waits = false;
    save(h);
}

/* Says what became of a backend, and has it published and kept. */
static void state_changed(struct health *h, const struct watch *w)
{
    const struct snapshot *s = reload_snapshot(h->reload);
    int32_t index = snapshot_backend_by_id(s, w->id);
    struct sip_slice pool, name;
    char reason[MACHINE_REASON_MAX];

    h->state_waits = true;
    if (!h->save_waits) {
        loop_timer_start(h->saving, HEALTH_SAVE_MS);
        h->save_waits = true;
    }
    if (index == LB_NO_BACKEND)
        return;
    name = snapshot_text(s, snapshot_backends(s)[index].name);
    pool = snapshot_text(s, snapshot_pools(s)[w->pool].name);
    machine_reason(&w->machine, w->conf, loop_now_ms(), wall_ms(), reason);
    (w->machine.state == LB_UP ? log_info : log_warning)(
        "backend %.*s/%.*s is %s%s%s", (int)pool.length, pool.at, (int)name.length, name.at,
        state_word(w->machine.state), reason[0] == '\0' ? "" : ": ", reason);
}

/* After anything was done to a backend: when it wants to be looked at again, and whether there is
 * something to publish. */
static void note(struct health *h, struct watch *w, uint64_t now)
{
    uint64_t wake = machine_wake_ms(&w->machine, w->conf, now);

    heap_set(&h->wakes, (uint32_t)(w - h->watches.all), wake > now ? wake : now + 1);
    if (w->machine.state != w->state) {
        w->state = w->machine.state;
        state_changed(h, w);
    }
    if (machine_weight(&w->machine, now) != w->weight_permille) {
        w->weight_permille = (uint16_t)machine_weight(&w->machine, now);
        h->weight_waits = true;
    }
}

static struct address_own own_of(const struct cfg *cfg)
{
    const struct sip_ip *v4 = cfg_node_ip(cfg, true), *v6 = cfg_node_ip(cfg, false);
    struct address_own own = {.has_v4 = v4 != NULL, .has_v6 = v6 != NULL};

    if (v4 != NULL)
        own.v4 = *v4;
    if (v6 != NULL)
        own.v6 = *v6;
    return own;
}

/* What runs now. */
static void follow(struct health *h)
{
    const struct snapshot *s = reload_snapshot(h->reload);
    const struct cfg *cfg = reload_cfg(h->reload);
    const struct address_own own = own_of(cfg);
    const struct watch_memory memory = {h->remembered, h->n_remembered};
    struct watch *before = h->watches.all;
    uint64_t now = loop_now_ms();

    if (s->generation == h->generation)
        return;
    h->generation = s->generation;
    prober_from(h->prober, &own);
    if (secure_follow(&h->secure))
        prober_distrust(h->prober);
    media_from(h->media, &own);
    if (watches_follow(&h->watches, cfg, s, &memory, now, wall_ms()) != 0 ||
        heap_reserve(&h->wakes, h->watches.n) != 0) {
        log_error("no memory to watch backends");
        watches_done(&h->watches);
    }
    if (h->watches.all != before) { /* others may have their places */
        for (uint32_t i = h->watches.n; i < h->wakes.room; i++)
            heap_set(&h->wakes, i, UINT64_MAX);
        h->state_waits |= reload_live(h->reload)->n_health > 0; /* some of them may have left */
    }
    for (uint32_t i = 0; i < h->watches.n; i++) {
        struct watch *w = &h->watches.all[i];

        machine_advance(&w->machine, w->conf, now);
        media_track_follow(&w->media, w->id, w->machine.deaf, &w->conf->media, now);
        if (w->conf->probe != CFG_PROBE_NONE)
            prober_want(h->prober, w->id, w->conf->transport, &w->addr);
        note(h, w, now);
    }
    prober_drop_unwanted(h->prober);
}

static void arm(struct health *h)
{
    uint64_t when, now = loop_now_ms();
    uint32_t index;

    if (!heap_first(&h->wakes, &index, &when))
        return;
    when = when > now + HEALTH_TICK_MS ? when : now + HEALTH_TICK_MS;
    when = when < now + HEALTH_AGAIN_MS ? when : now + HEALTH_AGAIN_MS;
    if (when >= h->timer_ms) /* events do not put it off */
        return;
    h->timer_ms = when;
    loop_timer_start(h->timer, (uint32_t)(when - now));
}

static void on_outcome(void *arg, const struct reload_outcome *outcome)
{
    struct health *h = arg;

    h->in_flight = false;
    if (outcome->status == RELOAD_REFUSED) { /* reload has logged why */
        h->state_waits = true;
        loop_timer_start(h->pause, HEALTH_AGAIN_MS);
        h->pausing = true;
    }
}

/* Fills `published` with all that is not up with all its weight. 0 or -ENOMEM. */
static int gather(struct health *h)
{
    struct compile_live *live = reload_live(h->reload);
    struct compile_health *next = calloc(h->watches.n + 1u, sizeof(*next));
    uint32_t n = 0;

    if (next == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < h->watches.n; i++) {
        const struct watch *w = &h->watches.all[i];

        if (w->state != LB_UP || w->weight_permille != MACHINE_WEIGHT_FULL)
            next[n++] = (struct compile_health){
                .id = w->id, .health = w->state, .weight_permille = w->weight_permille};
    }
    free(h->published);
    h->published = next;
    live->health = next;
    live->n_health = n;
    return 0;
}

/* Asks for a snapshot with all that is known, when one is due: the first at once, others after it
 * and a pause. */
static void publish(struct health *h)
{
    const struct plan_change change = {.kind = PLAN_LIVE};
    bool state = h->state_waits;

    if ((!h->state_waits && !h->weight_waits) || h->in_flight || h->pausing)
        return;
    loop_timer_start(h->pause, state ? HEALTH_PAUSE_MS : HEALTH_WEIGHT_PAUSE_MS);
    h->pausing = true;
    if (gather(h) != 0)
        return; /* still waiting: after the pause */
    h->state_waits = h->weight_waits = false;
    h->in_flight = true;
    reload_ask(h->reload, &change, on_outcome, h);
}

static void on_pause(void *arg)
{
    struct health *h = arg;

    h->pausing = false;
    publish(h);
}

static void send_probe(struct health *h, struct watch *w, uint64_t now)
{
    int status = prober_send(h->prober, w->id, w->conf->transport, &w->addr, w->conf->timeout_ms);

    (status == 0 ? machine_probe_sent : machine_probe_unsent)(&w->machine, w->conf, now);
    /* Once for all of them; before the data plane came its addresses may be missing. */
    if (status != 0 && !h->complained && link_hello(reload_link(h->reload)) != NULL) {
        log_error("probes cannot be sent: %s: is node_address an address of a port?",
                  strerror(-status));
        h->complained = true;
    }
    w->send_error = -status;
}

/*
 * Without the data plane probes may have no way out or back (the exception path is its): then only
 * answers count. So it is for what was sent just after it came.
 */
static bool is_blind(struct health *h, uint64_t sent_ms)
{
    const struct msg_hello *hello = link_hello(reload_link(h->reload));

    if (hello == NULL || hello->epoch != h->epoch) {
        h->epoch = hello == NULL ? 0 : hello->epoch;
        h->sight_ms = loop_now_ms() + HEALTH_BLIND_MS;
    }
    return hello == NULL || sent_ms < h->sight_ms;
}

/* All whose time has come. */
static void on_timer(void *arg)
{
    struct health *h = arg;
    uint64_t when, now = loop_now_ms();
    uint32_t index;

    h->slept = !h->slept && now > h->timer_ms + HEALTH_SLEPT_MS;
    h->timer_ms = UINT64_MAX;
    if (h->slept) { /* whoever answered meanwhile is heard first */
        arm(h);
        return;
    }
    follow(h);
    while (heap_first(&h->wakes, &index, &when) && when <= now) {
        struct watch *w = &h->watches.all[index];

        machine_advance(&w->machine, w->conf, now);
        if (machine_may_doubt(&w->machine, now) && !is_blind(h, w->machine.row_ms) &&
            watches_may_leave(&h->watches, w))
            machine_doubt(&w->machine, w->conf, now);
        if (machine_probe_due(&w->machine, w->conf, now))
            send_probe(h, w, now);
        note(h, w, now);
    }
    arm(h);
    publish(h);
}

/* The backend that an event is about; NULL: it is not watched. */
static struct watch *enter(struct health *h, uint32_t id)
{
    follow(h);
    return watches_find(&h->watches, id);
}

/* The same for what says nothing when we are blind. */
static struct watch *enter_seeing(struct health *h, uint32_t id, uint64_t sent_ms)
{
    struct watch *w = enter(h, id);

    return w == NULL || is_blind(h, sent_ms) ? NULL : w;
}

/* After an event. */
static void leave(struct health *h, struct watch *w, uint64_t now)
{
    note(h, w, now);
    arm(h);
    publish(h);
}

static void on_answer(void *arg, uint32_t id, uint64_t sent_ms, const struct sip_msg *msg,
                      uint32_t latency_us)
{
    struct watch *w = enter(arg, id);
    struct machine_answer answer;
    uint64_t now = loop_now_ms();

    if (w == NULL)
        return;
    probe_read(msg, w->conf, latency_us, &answer);
    tally_answer(&w->probes, latency_us);
    machine_answered(&w->machine, w->conf, now, sent_ms, &answer);
    leave(arg, w, now);
}

static void on_silence(void *arg, uint32_t id, uint64_t sent_ms)
{
    struct watch *w = enter_seeing(arg, id, sent_ms);
    uint64_t now = loop_now_ms();

    if (w == NULL)
        return;
    w->probes.silent++;
    machine_timed_out(&w->machine, w->conf, now, sent_ms);
    leave(arg, w, now);
}

static void on_refusal(void *arg, uint32_t id, uint64_t sent_ms, const char *why)
{
    struct watch *w = enter_seeing(arg, id, sent_ms);
    uint64_t now = loop_now_ms();

    if (w == NULL)
        return;
    w->probes.refused++;
    machine_refused(&w->machine, w->conf, now, sent_ms, why);
    leave(arg, w, now);
}

static SSL *on_secure(void *arg, uint32_t id)
{
    struct health *h = arg;

    return secure_connect(&h->secure, reload_snapshot(h->reload), id);
}

/* Places the probe calls that are due, as many as there may be. */
static void place_calls(struct health *h)
{
    uint64_t now = loop_now_ms();
    struct watch *w;

    for (w = media_turn_next(&h->watches, media_live(h->media), now); w != NULL;
         w = media_turn_next(&h->watches, media_live(h->media), now)) {
        int status = media_place(h->media, w->id, &w->addr, w->conf);

        if (status == 0) {
            h->media_complained = false;
            media_track_begun(&w->media);
            continue;
        }
        if (!h->media_complained)
            log_error("probe calls cannot be placed: %s", strerror(-status));
        h->media_complained = true;
        media_track_put_off(&w->media, &w->conf->media, now);
    }
}

static void on_media(void *arg, uint32_t id, uint64_t begun_ms, const struct media_result *result)
{
    struct health *h = arg;
    struct watch *w = enter(h, id);
    uint64_t now = loop_now_ms();

    if (w == NULL || !w->media.known)
        return;
    if (result->word == MEDIA_BAD && is_blind(h, begun_ms)) {
        media_track_put_off(&w->media, &w->conf->media, now);
        return;
    }
    media_track_take(&w->media, &w->conf->media, result, now);
    machine_media(&w->machine, w->conf, now, w->media.down, result->why);
    leave(h, w, now);
}

static void on_room(void *arg)
{
    struct health *h = arg;

    follow(h);
    place_calls(h);
}

static void on_verdict(void *arg, struct watch *w, const struct outlier_member *verdict)
{
    struct health *h = arg;
    uint64_t now = loop_now_ms();

    if (verdict->verdict == OUTLIER_EJECT)
        machine_eject(&w->machine, w->conf, now, verdict->for_ms, verdict->why);
    else if (verdict->verdict == OUTLIER_SHED)
        machine_shed(&w->machine, w->conf, now, verdict->why);
    else
        machine_suspect(&w->machine, w->conf, now, verdict->for_ms, verdict->why);
    note(h, w, now);
}

static void on_tick(void *arg)
{
    struct health *h = arg;

    loop_timer_start(h->tick, OUTLIER_TICK_MS);
    follow(h);
    is_blind(h, 0); /* that it went is noticed when it goes */
    traffic_tick(&h->traffic, &h->watches, h->reload, loop_now_ms(), on_verdict, h);
    place_calls(h);
    arm(h);
    publish(h);
}

static void load(struct health *h)
{
    int status;

    snprintf(h->file, sizeof(h->file), "%.4000s/health.json",
             reload_cfg(h->reload)->control.state_dir);
    status = memory_load(h->file, &h->remembered, &h->n_remembered);
    if (status != 0)
        log_warning("%s: %s: all backends are taken for up until they are probed", h->file,
                    status == -EBADMSG ? "damaged" : strerror(-status));
}

struct health *health_new(struct loop *loop, struct reload *reload)
{
    struct health *h = calloc(1, sizeof(*h));
    struct prober_conf conf = {.on_answer = on_answer,
                               .on_silence = on_silence,
                               .on_refusal = on_refusal,
                               .secure = on_secure,
                               .arg = h};
    struct media_conf media = {.on_result = on_media, .on_room = on_room, .arg = h};

    if (h == NULL)
        return NULL;
    h->loop = loop;
    h->reload = reload;
    h->timer_ms = UINT64_MAX;
    h->prober = prober_new(loop, &conf);
    h->media = media_new(loop, &media);
    h->timer = loop_timer_new(loop, on_timer, h);
    h->tick = loop_timer_new(loop, on_tick, h);
    h->pause = loop_timer_new(loop, on_pause, h);
    h->saving = loop_timer_new(loop, on_saving, h);
    if (h->prober == NULL || h->media == NULL || h->timer == NULL || h->tick == NULL ||
        h->pause == NULL || h->saving == NULL) {
        health_free(h);
        return NULL;
    }
    load(h);
    follow(h);
    free(h->remembered); /* whoever comes later is new */
    h->remembered = NULL;
    h->n_remembered = 0;
    publish(h);
    arm(h);
    loop_timer_start(h->tick, OUTLIER_TICK_MS);
    return h;
}

void health_use_tls(struct health *h, struct tls *(*fn)(void *arg), void *arg)
{
    h->secure = (struct secure_source){.fn = fn, .arg = arg};
    secure_follow(&h->secure);
}

void health_free(struct health *h)
{
    if (h == NULL)
        return;
    if (h->save_waits)
        save(h);
    if (h->published != NULL) {
        reload_cancel(h->reload, h);
        reload_live(h->reload)->health = NULL;
        reload_live(h->reload)->n_health = 0;
    }
    prober_free(h->prober);
    secure_done(&h->secure);
    media_free(h->media);
    loop_event_free(h->timer);
    loop_event_free(h->tick);
    loop_event_free(h->pause);
    loop_event_free(h->saving);
    traffic_done(&h->traffic);
    watches_done(&h->watches);
    heap_done(&h->wakes);
    free(h->remembered);
    free(h->published);
    free(h);
}

static void view_media(const struct watch *w, uint64_t now, struct health_view *ret)
{
    ret->has_media = w->media.known;
    ret->media = w->media.last;
    memcpy(ret->media_calls, w->media.calls, sizeof(ret->media_calls));
    ret->media_age_s = (uint32_t)((now - w->media.heard_ms) / 1000);
    if (ret->reason[0] != '\0')
        return;
    if (w->media.last.word == MEDIA_UNKNOWN)
        snprintf(ret->reason, sizeof(ret->reason), "media not known: %s", w->media.last.why);
    else if (w->media.failures > 0)
        snprintf(ret->reason, sizeof(ret->reason), "media in doubt: %u of %u calls: %s",
                 w->media.failures, w->conf->media.fall, w->media.last.why);
}

bool health_of(struct health *h, uint32_t id, struct health_view *ret)
{
    uint64_t now = loop_now_ms();
    const struct watch *w = enter(h, id);

    if (w == NULL)
        return false;
    ret->state = w->machine.state;
    ret->since_s = (uint32_t)((now - w->machine.since_ms) / 1000);
    ret->weight_permille = machine_weight(&w->machine, now);
    ret->latency_us = w->machine.latency_us;
    ret->probes = w->probes;
    machine_reason(&w->machine, w->conf, now, wall_ms(), ret->reason);
    view_media(w, now, ret);
    if (w->send_error != 0)
        snprintf(ret->reason, sizeof(ret->reason), "not known: its probes cannot be sent: %s",
                 strerror(w->send_error));
    return true;
}
