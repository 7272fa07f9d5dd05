/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and the messages that wait for them: see names.h. A message waits with its name until there
 * is an answer, then with all that the next snapshot lets go.
 */
#include "control/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/log.h"
#include "control/loop.h"
#include "control/names_table.h"

struct message {
    struct message *next;
    struct proxy_flow from;
    bool inside;
    uint32_t length;
    char text[];
};

struct names {
    struct loop *loop;
    struct reload *reload;
    struct stream *stream;
    struct resolver *resolver;
    struct names_table table;
    struct names_counts counts;
    uint32_t n_messages; /* that wait */
    size_t n_bytes;      /* of them */
    struct loop_event *pause, *sweep, *patience;
    bool dirty;                             /* what is known is in no snapshot that was asked for */
    bool pausing, in_flight;                /* until when the next one is not asked for */
    struct names_block *offered, *before;   /* in reload_live; and what was there before that */
    struct message *leaving, **leaving_end; /* go when what is in flight is in effect */
};

static void publish(struct names *n);

/* ---- Messages ---- */

static void message_free(struct names *n, struct message *message)
{
    n->n_messages--;
    n->n_bytes -= message->length;
    free(message);
}

/* Frees a list, each counted in *count. */
static void drop_all(struct names *n, struct message *first, uint64_t *count)
{
    while (first != NULL) {
        struct message *message = first;

        first = message->next;
        message_free(n, message);
        ++*count;
    }
}

static void drop_waiting(struct names *n, struct name *name, uint64_t *count)
{
    drop_all(n, name->waiting, count);
    name->waiting = NULL;
    name->waiting_end = &name->waiting;
}

/* What waited for a snapshot that is in effect now goes. Whose name is not in it is lost: it has
 * been there for less than it takes to come here. */
static void let_go(struct names *n, struct message *first)
{
    while (first != NULL) {
        struct message *message = first;
        const struct relay_message again = {message->from, message->inside, message->text,
                                            message->length};
        struct proxy_name name;
        enum relay_result result = stream_decide(n->stream, &again, &name);

        first = message->next;
        if (result == RELAY_NAME)
            n->counts.dropped_unoffered++;
        else
            n->counts.results[result]++;
        message_free(n, message);
    }
}

/* ---- Snapshots ---- */

static void start_pause(struct names *n, uint32_t ms)
{
    n->pausing = true;
    loop_timer_start(n->pause, ms);
}

/* How the snapshot that was asked for came about, with `offered` or not. */
static void on_outcome(void *arg, const struct reload_outcome *outcome)
{
    struct names *n = arg;
    struct message *leaving = n->leaving;
    bool refused = outcome->status == RELOAD_REFUSED;

    n->in_flight = false;
    n->leaving = NULL;
    n->leaving_end = &n->leaving;
    if (refused) { /* nobody's change is to fail for the sake of names */
        struct compile_live *live = reload_live(n->reload);

        live->names = n->before == NULL ? NULL : n->before->names;
        live->n_names = n->before == NULL ? 0 : n->before->n;
        free(n->offered);
        n->offered = n->before;
    } else {
        free(n->before);
    }
    n->before = NULL;
    if (refused || outcome->status == RELOAD_LATE)
        drop_all(n, leaving, &n->counts.dropped_unoffered);
    else
        let_go(n, leaving);
    if (!n->pausing) /* never from within the change that ends here */
        start_pause(n, 0);
}

/* Those that wait for a name whose answer is in the next snapshot. */
static void gather_leaving(struct names *n, uint64_t now)
{
    for (uint32_t b = 0; b < NAMES_BUCKETS; b++) {
        for (struct name *name = n->table.buckets[b]; name != NULL; name = name->next) {
            if (name->waiting == NULL || !names_holds(name, now))
                continue;
            *n->leaving_end = name->waiting;
            n->leaving_end = name->waiting_end;
            name->waiting = NULL;
            name->waiting_end = &name->waiting;
        }
    }
}

/* Asks for a snapshot with all that is known, when one is due: the first at once, others after it
 * and after a pause. */
static void publish(struct names *n)
{
    const struct plan_change change = {.kind = PLAN_LIVE};
    struct compile_live *live = reload_live(n->reload);
    uint64_t now = loop_now_ms(), took;
    struct names_block *block;

    if (!n->dirty || n->in_flight || n->pausing)
        return;
    block = names_table_publish(&n->table, now);
    if (block == NULL)
        return; /* still dirty: the sweep tries again */
    n->dirty = false;
    gather_leaving(n, now);
    n->before = n->offered;
    n->offered = block;
    live->names = block->names;
    live->n_names = block->n;
    n->in_flight = true;
    n->pausing = true;
    reload_ask(n->reload, &change, on_outcome, n);
    /* With thousands of backends a snapshot takes its time: most of it is left to others. */
    took = loop_now_ms() - now;
    start_pause(n,
                took * NAMES_REST > NAMES_PAUSE_MS ? (uint32_t)took * NAMES_REST : NAMES_PAUSE_MS);
}

static void on_pause(void *arg)
{
    struct names *n = arg;

    n->pausing = false;
    publish(n);
}

static void on_sweep(void *arg)
{
    struct names *n = arg;

    loop_timer_start(n->sweep, NAMES_SWEEP_MS);
    n->dirty |= names_table_sweep(&n->table, loop_now_ms());
    publish(n);
}

/* ---- Questions ---- */

static void use_stale(struct names *n, struct name *name, uint64_t now)
{
    if (names_holds(name, now) || !names_use_stale(name, now))
        return;
    n->counts.stale++;
    if (!name->said)
        log_warning("DNS does not answer for %s: its last answer is used", name->host);
    name->said = true;
    n->dirty = true;
}

/* DNS takes long: where there is a good answer still, it is used meanwhile. */
static void on_patience(void *arg)
{
    struct names *n = arg;
    uint64_t now = loop_now_ms();
    bool more = false;

    for (uint32_t b = 0; b < NAMES_BUCKETS; b++) {
        for (struct name *name = n->table.buckets[b]; name != NULL; name = name->next) {
            if (!name->asking || names_holds(name, now) || name->good_until_ms <= now)
                continue;
            if (now - name->asked_ms >= NAMES_PATIENCE_MS)
                use_stale(n, name, now);
            else
                more = true;
        }
    }
    if (more)
        loop_timer_start(n->patience, NAMES_PATIENCE_MS / 5);
    publish(n);
}

static void count_answer(struct names *n, uint8_t outcome)
{
    if (outcome == SNAPSHOT_NAME_FOUND)
        n->counts.found++;
    else if (outcome == SNAPSHOT_NAME_NONE)
        n->counts.none++;
    else
        n->counts.failed++;
}

static void on_answer(void *arg, const struct dns_result *result)
{
    struct name *name = arg; /* the table keeps those that are asked for */
    struct names *n = name->names;
    uint64_t now = loop_now_ms();

    count_answer(n, result->outcome);
    name->asking = false;
    if (result->outcome == SNAPSHOT_NAME_FAILED && name->good_until_ms > now)
        use_stale(n, name, now);
    else if (names_answer(name, result, now))
        n->dirty = true;
    else
        drop_waiting(n, name, &n->counts.dropped_unasked);
    publish(n);
}

/* Asks for a name. Who waits for it when it cannot be asked for is lost. */
static void ask(struct names *n, struct name *name)
{
    int status;

    name->names = n;
    status = resolver_ask(n->resolver, reload_cfg(n->reload), name->host, name->port,
                          name->transport, on_answer, name);
    if (status != 0) {
        drop_waiting(n, name, &n->counts.dropped_unasked);
        return;
    }
    n->counts.questions++;
    name->asking = true;
    name->asked_ms = loop_now_ms();
    if (name->good_until_ms > name->asked_ms)
        loop_timer_start(n->patience, NAMES_PATIENCE_MS);
}

/* ---- What comes ---- */

/* Whether a message waits already: sent again meanwhile. */
static bool is_waiting(const struct name *name, const struct relay_message *message)
{
    for (const struct message *m = name->waiting; m != NULL; m = m->next) {
        if (m->length == message->length && proxy_flow_equal(&m->from, &message->from) &&
            memcmp(m->text, message->text, message->length) == 0)
            return true;
    }
    return false;
}

static struct name *find_or_add(struct names *n, const struct proxy_name *asked)
{
    uint64_t hash = snapshot_name_hash(&reload_snapshot(n->reload)->hash_key, asked->host,
                                       asked->port, (enum sip_transport)asked->transport);
    struct name *name = names_table_find(&n->table, hash);

    if (name != NULL)
        return name;
    return names_table_add(&n->table, hash, asked->host, asked->port, asked->transport);
}

/* Keeps a message until its name is known, and asks unless that is done already. */
static void hold(struct names *n, const struct relay_message *came, const struct proxy_name *asked)
{
    bool room = n->n_messages < NAMES_MESSAGES_MAX && n->n_bytes + came->length <= NAMES_BYTES_MAX;
    struct name *name = room ? find_or_add(n, asked) : NULL;
    struct message *message;

    if (name != NULL && is_waiting(name, came)) {
        n->counts.repeated++;
        return;
    }
    message = name == NULL ? NULL : malloc(sizeof(*message) + came->length);
    if (message == NULL) {
        n->counts.dropped_full++;
        return;
    }
    *message = (struct message){.from = came->from, .inside = came->inside, .length = came->length};
    memcpy(message->text, came->text, came->length);
    n->n_messages++;
    n->n_bytes += came->length;
    if (n->in_flight && name->published) { /* it is in what is under way */
        *n->leaving_end = message;
        n->leaving_end = &message->next;
        return;
    }
    *name->waiting_end = message;
    name->waiting_end = &message->next;
    if (names_holds(name, loop_now_ms())) { /* known, and not in effect */
        n->dirty = true;
        publish(n);
    } else if (!name->asking) {
        ask(n, name);
    }
}

/* What a stream's thread hands over, decided anew: the name may be known by now. */
static void on_message(void *arg, const struct relay_message *message)
{
    struct names *n = arg;
    struct proxy_name name;
    enum relay_result result = stream_decide(n->stream, message, &name);

    n->counts.received++;
    if (result == RELAY_NAME)
        hold(n, message, &name);
    else
        n->counts.results[result]++;
}

static void on_punt(void *arg, const struct msg_punt *punt, const char *text)
{
    const struct relay_message message = {
        .from = {.transport = SIP_TRANSPORT_UDP, .local = punt->local, .peer = punt->peer},
        .inside = punt->inside != 0,
        .text = text,
        .length = punt->length};

    on_message(arg, &message);
}

/* ---- Begin and end, and what is known ---- */

struct names *names_new(struct loop *loop, struct reload *reload, struct stream *stream,
                        struct resolver *resolver)
{
    struct names *n = calloc(1, sizeof(*n));

    if (n == NULL)
        return NULL;
    n->loop = loop;
    n->reload = reload;
    n->stream = stream;
    n->resolver = resolver;
    n->leaving_end = &n->leaving;
    n->pause = loop_timer_new(loop, on_pause, n);
    n->sweep = loop_timer_new(loop, on_sweep, n);
    n->patience = loop_timer_new(loop, on_patience, n);
    if (n->pause == NULL || n->sweep == NULL || n->patience == NULL) {
        names_free(n);
        return NULL;
    }
    loop_timer_start(n->sweep, NAMES_SWEEP_MS);
    reload_on_punt(reload, on_punt, n);
    stream_on_name(stream, on_message, n);
    return n;
}

void names_free(struct names *n)
{
    uint64_t lost = 0;

    if (n == NULL)
        return;
    reload_on_punt(n->reload, NULL, NULL);
    stream_on_name(n->stream, NULL, NULL);
    reload_cancel(n->reload, n);
    reload_live(n->reload)->names = NULL;
    reload_live(n->reload)->n_names = 0;
    for (uint32_t b = 0; b < NAMES_BUCKETS; b++) {
        for (struct name *name = n->table.buckets[b]; name != NULL; name = name->next)
            drop_waiting(n, name, &lost);
    }
    drop_all(n, n->leaving, &lost);
    names_table_done(&n->table);
    free(n->offered);
    free(n->before);
    loop_event_free(n->pause);
    loop_event_free(n->sweep);
    loop_event_free(n->patience);
    free(n);
}

const struct names_counts *names_counts(const struct names *n)
{
    return &n->counts;
}

uint32_t names_waiting(const struct names *n)
{
    return n->n_messages;
}

void names_each(const struct names *n, void (*fn)(void *arg, const struct names_entry *entry),
                void *arg)
{
    uint64_t now = loop_now_ms();

    for (uint32_t b = 0; b < NAMES_BUCKETS; b++) {
        for (const struct name *name = n->table.buckets[b]; name != NULL; name = name->next) {
            struct names_entry entry = {.host = name->host,
                                        .port = name->port,
                                        .transport = name->transport,
                                        .asking = name->asking,
                                        .answered = name->answered,
                                        .outcome = name->outcome,
                                        .stale = name->stale,
                                        .published = name->published,
                                        .targets = name->targets,
                                        .n_targets = name->n_targets};

            if (names_holds(name, now))
                entry.left_s = (uint32_t)((name->until_ms - now + 999) / 1000);
            fn(arg, &entry);
        }
    }
}
