/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures of operators: see capture.h. What a record means is said here; the file is
 * capture_session's.
 */
#include "control/capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/capture_session.h"
#include "dataplane/proxy/proxy.h"

enum {
    LOOK_RECORDS_MAX = 20000, /* of one look: then others get a turn first */
    AGAIN_MS = 1000,          /* after a change was refused that must be */
    COMMENT_MAX = 768,
};

struct captures {
    struct loop *loop;
    struct reload *reload;
    struct loop_event *timer;
    struct rings *rings; /* NULL: nobody reads, or the data plane was not there yet */
    struct capture_session *sessions[CAPTURES_MAX];
    uint32_t n_sessions;
    struct snapshot_capture asked; /* what the data plane was told last */
    bool asking;                   /* and has not acknowledged */
    bool failed;                   /* or did not take */
    uint32_t pause;                /* looks until that is tried again */
};

/* ---- What the data plane is to copy ---- */

/* All that the sessions want together. */
static struct snapshot_capture wanted(const struct captures *c)
{
    struct snapshot_capture all = {0};
    bool every = false;
    uint64_t call;

    for (uint32_t i = 0; i < c->n_sessions; i++) {
        uint32_t k = 0;

        if (!capture_session_wants(c->sessions[i], &call))
            continue;
        all.on = 1;
        every |= call == 0;
        while (k < all.n_calls && all.calls[k] != call)
            k++;
        if (call != 0 && k == all.n_calls && k < SNAPSHOT_CAPTURES_MAX)
            all.calls[all.n_calls++] = call;
    }
    if (every)
        all = (struct snapshot_capture){.on = 1};
    return all;
}

/* Whether one more Call-ID finds room, also when those who want every message have left. */
static bool has_room(const struct captures *c, uint64_t wanted_call)
{
    uint64_t calls[SNAPSHOT_CAPTURES_MAX], call;
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->n_sessions; i++) {
        uint32_t k = 0;

        if (!capture_session_wants(c->sessions[i], &call) || call == 0)
            continue;
        if (call == wanted_call)
            return true;
        while (k < n && calls[k] != call)
            k++;
        if (k == n)
            calls[n++] = call;
    }
    return wanted_call == 0 || n < SNAPSHOT_CAPTURES_MAX;
}

static bool covers(const struct snapshot_capture *what, uint64_t call)
{
    if (what->n_calls == 0)
        return what->on;
    for (uint32_t i = 0; i < what->n_calls; i++) {
        if (what->calls[i] == call)
            return true;
    }
    return false;
}

/* Those who wait for what was asked begin, or are told why not; who came meanwhile waits on. */
static void begin_waiting(struct captures *c, const char *refused)
{
    uint64_t call;

    if (refused == NULL && c->rings == NULL && c->asked.on)
        c->rings = rings_open(reload_link(c->reload), false);
    if (refused == NULL && c->rings == NULL)
        refused = "the data plane's rings of messages cannot be read";
    for (uint32_t i = 0; i < c->n_sessions; i++) {
        struct capture_session *session = c->sessions[i];

        if (!capture_session_waits(session) || !capture_session_wants(session, &call) ||
            !covers(&c->asked, call))
            continue;
        if (refused != NULL) {
            capture_session_refuse(session, refused);
            continue;
        }
        capture_session_begin(session);
        capture_session_section(session, c->rings);
    }
}

static void on_live(void *arg, const struct reload_outcome *outcome)
{
    struct captures *c = arg;

    c->asking = false;
    c->failed = outcome->status == RELOAD_REFUSED || outcome->status == RELOAD_LATE;
    if (outcome->status == RELOAD_PENDING)
        begin_waiting(c, "the data plane is absent");
    else
        begin_waiting(c, c->failed ? outcome->text : NULL);
}

/* Asks for what is wanted, if that is not what was asked for. False: it is neither yet. */
static bool settle(struct captures *c)
{
    const struct plan_change change = {.kind = PLAN_LIVE};
    struct snapshot_capture want = wanted(c);

    if (c->asking || (c->failed && c->pause-- > 0))
        return false;
    if (!c->failed && memcmp(&want, &c->asked, sizeof(want)) == 0) {
        begin_waiting(c, NULL);
        return true;
    }
    c->asked = want;
    reload_live(c->reload)->capture = want;
    c->asking = true;
    c->pause = c->n_sessions == 0 ? 0 : AGAIN_MS / CAPTURE_LOOK_MS;
    reload_ask(c->reload, &change, on_live, c);
    return !c->asking && !c->failed;
}

/* ---- The records ---- */

/* Adds " WORD NAME (POOL)" of a backend, if it is known still. */
static size_t print_backend(const struct snapshot *s, const char *word, uint32_t id, char *ret,
                            size_t room)
{
    int32_t index = id == 0 ? LB_NO_BACKEND : snapshot_backend_by_id(s, id);
    struct sip_slice name, pool;
    int length;

    if (index < 0)
        return 0;
    name = snapshot_text(s, snapshot_backends(s)[index].name);
    pool = snapshot_text(s, snapshot_pools(s)[snapshot_backends(s)[index].pool].name);
    length = snprintf(ret, room, " %s %.*s (%.*s)", word, (int)name.length, name.at,
                      (int)pool.length, pool.at);
    return length < 0 || (size_t)length >= room ? 0 : (size_t)length;
}

/* What was done with a message, and why. */
static void print_comment(const struct snapshot *s, const struct capture_record *record,
                          char ret[COMMENT_MAX])
{
    size_t at = (size_t)snprintf(ret, COMMENT_MAX, "%s",
                                 proxy_reason_name((enum proxy_reason)record->reason));

    at += print_backend(s, "from", record->from, ret + at, COMMENT_MAX - at);
    at += print_backend(s, "to", record->to, ret + at, COMMENT_MAX - at);
    ret[at] = '\0'; /* of what was cut */
    if (record->rule != PROXY_RULE_NONE)
        snprintf(ret + at, COMMENT_MAX - at, "; %s",
                 proxy_rule_name((enum proxy_rule)record->rule));
}

/* Gives the sessions what the rings have. False: there may be more. */
static bool read_rings(struct captures *c)
{
    const struct capture_copy *copy;
    uint32_t ring;
    bool gap;

    rings_look(c->rings);
    for (uint32_t n = 0; n < LOOK_RECORDS_MAX; n++) {
        char comment[COMMENT_MAX];

        copy = rings_next(c->rings, &ring, &gap);
        if (copy == NULL)
            return true;
        print_comment(reload_snapshot(c->reload), &copy->record, comment);
        for (uint32_t i = 0; i < c->n_sessions; i++)
            capture_session_record(c->sessions[i], ring, gap, copy, comment);
    }
    return false;
}

/* A data plane that was started anew has other rings: captures go on in a new section, with the first
 * message that it captured. The rings of the old one have been read to their end. False: it is the
 * same. */
static bool change_rings(struct captures *c)
{
    const struct link *link = reload_link(c->reload);
    struct rings *old = c->rings;

    if (link_hello(link) == NULL || link_hello(link)->epoch == rings_epoch(old))
        return false;
    c->rings = rings_open(link, true);
    if (c->rings == NULL) {
        c->rings = old; /* tried again at the next look */
        return false;
    }
    for (uint32_t i = 0; i < c->n_sessions; i++)
        capture_session_section(c->sessions[i], c->rings);
    rings_close(old);
    return true;
}

static void drop_ended(struct captures *c)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < c->n_sessions; i++) {
        if (capture_session_turn(c->sessions[i]))
            capture_session_free(c->sessions[i]);
        else
            c->sessions[kept++] = c->sessions[i];
    }
    c->n_sessions = kept;
}

static void look(void *arg)
{
    struct captures *c = arg;
    bool all = c->rings == NULL || read_rings(c), settled;

    if (c->rings != NULL && all && change_rings(c))
        all = read_rings(c); /* before who ends is let go */
    drop_ended(c);
    settled = settle(c);
    if (c->n_sessions == 0) {
        rings_close(c->rings);
        c->rings = NULL;
    }
    if (c->n_sessions > 0)
        loop_timer_start(c->timer, all ? CAPTURE_LOOK_MS : 0);
    else if (!settled)
        loop_timer_start(c->timer, AGAIN_MS);
}

/* ---- Beginning and end ---- */

struct captures *captures_new(struct loop *loop, struct reload *reload)
{
    struct captures *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->loop = loop;
    c->reload = reload;
    c->timer = loop_timer_new(loop, look, c);
    if (c->timer == NULL) {
        free(c);
        return NULL;
    }
    return c;
}

void captures_free(struct captures *c)
{
    if (c == NULL)
        return;
    reload_cancel(c->reload, c);
    if (c->rings != NULL)
        read_rings(c);
    for (uint32_t i = 0; i < c->n_sessions; i++)
        capture_session_free(c->sessions[i]);
    rings_close(c->rings);
    loop_event_free(c->timer);
    free(c);
}

const char *captures_start(struct captures *c, int fd, const char *call_id, uint64_t count)
{
    const struct lb_key *key = &reload_snapshot(c->reload)->hash_key;
    uint64_t call = snapshot_call_hash(key, sip_slice_of(call_id)); /* 0: of none */
    struct capture_session *session;

    if (link_hello(reload_link(c->reload)) == NULL)
        return "the data plane is absent";
    if (c->n_sessions == CAPTURES_MAX)
        return "16 captures run already";
    if (!has_room(c, call))
        return "8 Call-IDs are captured already";
    session = capture_session_new(c->loop, fd, call, count);
    if (session == NULL)
        return "no memory";
    c->sessions[c->n_sessions++] = session;
    loop_timer_start(c->timer, 0);
    return NULL;
}

static_assert(CAPTURES_MAX == 16 && SNAPSHOT_CAPTURES_MAX == 8, "captures_start says so");
