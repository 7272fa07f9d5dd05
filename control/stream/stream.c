/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The streams as main has them: see stream.h.
 */
#include "control/stream/stream.h"

#include <stdlib.h>
#include <string.h>

#include "control/log.h"
#include "control/stream/large.h"
#include "control/stream/thread.h"

enum { CALLS_FEW = 4096, TICK_MS = 1000 }; /* of what waits for names alone */

struct stream {
    struct loop *loop;
    struct reload *reload;
    struct loop_event *tick, *watch;
    struct hub hub;
    struct thread *threads[HUB_THREADS_MAX];
    /* Main's own way to decide: as a thread's. */
    struct edges *edges; /* of this configuration and these keys: */
    const struct cfg *edges_cfg;
    const struct keys *edges_keys;
    struct view *view;
    bool stale; /* what runs is another than the view */
    struct sockets *sockets;
    struct counts counts[SIP_TRANSPORT_COUNT];
    struct post post;
    struct relay *relay;
    void (*on_name)(void *arg, const struct relay_message *message);
    void *name_arg;
};

static uint32_t now_s(void)
{
    return (uint32_t)(loop_now_ms() / 1000);
}

/* ---- Following what runs ---- */

/* Certificates and rules of what runs. They were checked before it came to that: if they are good
 * no more, those before stay in use. False: there are none. */
static bool follow_edges(struct stream *s)
{
    const struct cfg *cfg = reload_cfg(s->reload);
    const struct keys *keys = reload_keys(s->reload);
    struct cfg_error error;
    struct edges *edges;
    char text[768];

    if (cfg == s->edges_cfg && keys == s->edges_keys)
        return true;
    edges = edges_new(cfg, &keys->secret, &error);
    if (edges == NULL) {
        cfg_error_print(&error, text, sizeof(text));
        log_error("streams: certificates stay as they were: %s", text);
        s->edges_cfg = NULL; /* what they are of may be gone by now, and another in its place */
        return s->edges != NULL;
    }
    edges_release(s->edges);
    s->edges = edges;
    s->edges_cfg = cfg;
    s->edges_keys = keys;
    return true;
}

/* The view of what runs, made when it is needed. NULL: no memory, now and before. */
static const struct view *current(struct stream *s)
{
    struct view *view;

    if (!s->stale)
        return s->view;
    view = calls_view(s->hub.calls, reload_snapshot(s->reload),
                      &reload_cfg(s->reload)->control.streams, s->edges);
    if (view == NULL) {
        log_error(
            "streams: no memory for what runs now, or too many backends: they go on as before");
        return s->view;
    }
    view_release(s->view);
    s->view = view;
    s->stale = false;
    sockets_keep(s->sockets, view->snapshot);
    return view;
}

static bool has_streams(const struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->listeners.n; i++) {
        if (snapshot_listeners(snapshot)[i].transport != SIP_TRANSPORT_UDP)
            return true;
    }
    return false;
}

/* A call table of a size, and main's relay by it. What was in the one before is forgotten. False:
 * no memory; then there is none. */
static bool use_calls(struct stream *s, uint64_t entries, uint32_t n_writers)
{
    relay_free(s->relay);
    view_release(s->view);
    calls_free(s->hub.calls);
    s->view = NULL;
    s->stale = true;
    s->hub.calls = calls_new(entries, n_writers);
    s->relay = s->hub.calls == NULL ? NULL : relay_new(s->hub.calls, 0, &s->post);
    return s->relay != NULL;
}

/* Begins the threads; their number and the call table's size stay from then on. */
static void start_threads(struct stream *s)
{
    const struct cfg *cfg = reload_cfg(s->reload);
    uint32_t n = cfg->control.streams.threads;
    int status = table_remember(s->hub.table, cfg->control.state_dir);

    if (status != 0)
        log_warning("streams: %s: %s: a restart will forget which phone has which connection",
                    cfg->control.state_dir, strerror(-status));
    if (n > HUB_THREADS_MAX)
        n = HUB_THREADS_MAX;
    for (uint32_t i = 0; i < n; i++) {
        s->hub.inboxes[i] = inbox_new();
        if (s->hub.inboxes[i] == NULL)
            n = i;
    }
    if (n == 0 || !follow_edges(s) || !use_calls(s, cfg->dataplane.call_table, n + 1) ||
        current(s) == NULL) {
        log_error("streams: no memory for threads");
        return;
    }
    s->hub.n_threads = n; /* before any of them runs */
    for (uint32_t i = 0; i < n; i++) {
        s->threads[i] = thread_new(&s->hub, i, view_keep(s->view));
        if (s->threads[i] == NULL)
            log_error("streams: thread %u of %u could not be started", i + 1, n);
    }
}

static void tell_threads(struct stream *s)
{
    if (!follow_edges(s) || current(s) == NULL || s->stale)
        return;
    for (uint32_t i = 0; i < s->hub.n_threads; i++) {
        struct task *task = task_new(TASK_VIEW, NULL, "", NULL, 0);

        if (task == NULL)
            continue; /* it goes on by what it has until the next change */
        task->view = view_keep(s->view);
        inbox_put(s->hub.inboxes[i], task);
    }
}

static void on_adopted(void *arg)
{
    struct stream *s = arg;

    s->stale = true;
    if (s->hub.n_threads > 0)
        tell_threads(s);
    else if (has_streams(reload_snapshot(s->reload)))
        start_threads(s);
}

/* ---- What comes ---- */

static void on_inbox(void *arg)
{
    struct stream *s = arg;
    struct task *next;

    for (struct task *task = inbox_take(s->hub.main); task != NULL; task = next) {
        const struct relay_message message = {
            .from = task->flow, .inside = task->inside, .text = task->text, .length = task->length};

        next = task->next;
        if (s->on_name != NULL)
            s->on_name(s->name_arg, &message);
        task_free(task);
    }
}

void stream_on_name(struct stream *s, void (*fn)(void *arg, const struct relay_message *message),
                    void *arg)
{
    s->on_name = fn;
    s->name_arg = arg;
}

enum relay_result stream_decide(struct stream *s, const struct relay_message *message,
                                struct proxy_name *ret_name)
{
    const struct view *view = current(s);

    if (view == NULL)
        return RELAY_DROPPED_UNSENT;
    return relay_decide(s->relay, view, message, now_s(), ret_name);
}

static void on_tick(void *arg)
{
    struct stream *s = arg;

    loop_timer_start(s->tick, TICK_MS);
    calls_sweep(s->hub.calls, now_s());
}

/* Adds what was counted of a backend here to what the data plane counted. Of what waited for names
 * alone that one knows. */
static void on_counters(void *arg, uint32_t id, uint64_t ret[COUNTERS_SLOT_COUNT])
{
    const struct stream *s = arg;
    int32_t backend = LB_NO_BACKEND;

    if (s->hub.n_threads > 0)
        backend = snapshot_backend_by_id(s->view->snapshot, id);
    if (backend != LB_NO_BACKEND)
        calls_add(s->hub.calls, s->view->slot_of[backend], ret);
}

/* ---- Begin and end ---- */

struct stream *stream_new(struct loop *loop, struct reload *reload, struct handover *handover)
{
    struct stream *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->loop = loop;
    s->reload = reload;
    s->hub.handover = handover;
    s->hub.table = table_new();
    s->hub.large = large_new();
    s->hub.main = inbox_new();
    s->sockets = sockets_new();
    s->post = (struct post){&s->hub, NULL, s->sockets, s->counts};
    s->tick = loop_timer_new(loop, on_tick, s);
    if (s->hub.main != NULL)
        s->watch = loop_watch(loop, inbox_fd(s->hub.main), LOOP_READ, on_inbox, s);
    if (s->hub.table == NULL || s->hub.large == NULL || s->watch == NULL || s->sockets == NULL || s->tick == NULL ||
        !use_calls(s, CALLS_FEW, 1)) {
        stream_free(s);
        return NULL;
    }
    loop_timer_start(s->tick, TICK_MS);
    reload_on_adopted(reload, on_adopted, s);
    reload_on_counters(reload, on_counters, s);
    on_adopted(s);
    return s;
}

void stream_leave(struct stream *s)
{
    for (uint32_t i = 0; i < s->hub.n_threads; i++) {
        if (s->threads[i] != NULL)
            thread_leave(s->threads[i]);
    }
    for (uint32_t i = 0; i < s->hub.n_threads; i++) {
        if (s->threads[i] != NULL)
            thread_join(s->threads[i]);
    }
}

void stream_free(struct stream *s)
{
    if (s == NULL)
        return;
    reload_on_adopted(s->reload, NULL, NULL);
    reload_on_counters(s->reload, NULL, NULL);
    for (uint32_t i = 0; i < HUB_THREADS_MAX; i++)
        thread_free(s->threads[i]);
    for (uint32_t i = 0; i < HUB_THREADS_MAX; i++)
        inbox_free(s->hub.inboxes[i]);
    loop_event_free(s->watch);
    loop_event_free(s->tick);
    inbox_free(s->hub.main);
    relay_free(s->relay);
    view_release(s->view);
    calls_free(s->hub.calls);
    edges_release(s->edges);
    sockets_free(s->sockets);
    table_free(s->hub.table);
    large_free(s->hub.large);
    free(s);
}

/* ---- What is told ---- */

bool stream_calls(struct stream *s, struct stream_calls *ret)
{
    const struct view *view = s->hub.n_threads == 0 ? NULL : current(s);

    if (view == NULL || s->stale)
        return false;
    *ret = (struct stream_calls){&view->proxy, calls_table(s->hub.calls), now_s()};
    return true;
}

static void add_counts(const struct counts *from, struct counts *to)
{
    for (uint32_t which = 0; which < COUNT_COUNT; which++)
        to->values[which] += counts_read(from, which);
}

void stream_counts_of(const struct stream *s, enum sip_transport transport, struct counts *ret)
{
    *ret = s->counts[transport];
    for (uint32_t i = 0; i < s->hub.n_threads; i++) {
        if (s->threads[i] != NULL)
            add_counts(thread_counts(s->threads[i], transport), ret);
    }
}

void stream_counts(const struct stream *s, struct counts *ret)
{
    struct counts counts;

    *ret = (struct counts){.values = {0}};
    for (uint32_t transport = 0; transport < SIP_TRANSPORT_COUNT; transport++) {
        stream_counts_of(s, (enum sip_transport)transport, &counts);
        add_counts(&counts, ret);
    }
}

struct tls *stream_tls(const struct stream *s)
{
    return s->edges == NULL ? NULL : edges_tls(s->edges);
}

uint32_t stream_connections(const struct stream *s)
{
    return table_size(s->hub.table);
}

void stream_each(const struct stream *s, void (*fn)(void *arg, const struct table_entry *entry),
                 void *arg)
{
    table_each(s->hub.table, fn, arg);
}

bool stream_kill(struct stream *s, uint64_t id)
{
    const struct proxy_flow flow = {.connection = id};
    struct table_place place;
    struct task *task;

    if (!table_find(s->hub.table, id, &place) || place.id != id)
        return false;
    task = task_new(TASK_KILL, &flow, "", NULL, 0);
    return task != NULL && inbox_put(s->hub.inboxes[place.thread], task);
}
