/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for the end of a drain: see wait.h. Subscriptions are not waited for: nothing tells their
 * end.
 */
#include "control/ctl/wait.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/ctl/ask.h"
#include "control/ctl/screen.h"

enum { LOOK_EACH_MS = 1000, LINE_EACH_S = 5, PACE_LEAST = 3 };
enum { TEXT_MAX_BYTES = 512, LINE_MAX_BYTES = 1024 }; /* a text, and it behind a target */

struct waiting {
    const char *socket, *target;
    double begun, until; /* until 0: for ever */
    double said;         /* when the last line was written into a pipe; 0: none was */
    bool terminal;
    bool calls_only;
    struct wait_left left;
    struct wait_pace calls, registrations;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text == NULL ? "" : text;
}

static bool is_node(const char *target)
{
    return strcmp(target, "node") == 0;
}

/* Whether a backend is the one of that name, or a member of it: NAME@ADDRESS:PORT. */
static bool is_named(const char *backend, const char *name, bool *ret_member)
{
    size_t length = strlen(name);

    *ret_member = strncmp(backend, name, length) == 0 && backend[length] == '@';
    return *ret_member || strcmp(backend, name) == 0;
}

/* As tandem-control reads NAME and POOL/NAME. */
static bool is_target(const json_t *backend, const char *target, bool *ret_member)
{
    const char *pool = text_of(backend, "pool"), *name = text_of(backend, "name");
    size_t length = strlen(pool);

    *ret_member = false;
    if (is_node(target) || is_named(name, target, ret_member))
        return true;
    return strncmp(target, pool, length) == 0 && target[length] == '/' &&
           is_named(name, target + length + 1, ret_member);
}

/* Whether one that did not leave the configuration is meant: then others of its name are not. */
static bool is_configured(const json_t *backends, const char *target)
{
    json_t *backend;
    bool member;
    size_t i;

    json_array_foreach(backends, i, backend)
    {
        if (is_target(backend, target, &member) &&
            !json_is_true(json_object_get(backend, "lingering")))
            return true;
    }
    return false;
}

struct wait_left wait_left_of(const json_t *backends, const char *target)
{
    bool configured = !is_node(target) && is_configured(backends, target);
    struct wait_left left = {.known = true};
    json_t *backend;
    size_t i;

    json_array_foreach(backends, i, backend)
    {
        const json_t *calls = json_object_get(backend, "calls");
        bool lingering = json_is_true(json_object_get(backend, "lingering")), member;

        if (!is_target(backend, target, &member) || (configured && lingering && !member))
            continue;
        left.n_backends++;
        left.taken_back |= configured && !lingering && strcmp(text_of(backend, "admin"), "up") == 0;
        if (json_is_null(json_object_get(backend, "address"))) /* a name without members */
            continue;
        left.known &= json_is_integer(calls);
        left.calls += json_integer_value(calls);
        if (!is_node(target))
            left.registrations += json_integer_value(json_object_get(backend, "registrations"));
    }
    return left;
}

double wait_pace_note(struct wait_pace *pace, double at, int64_t left)
{
    double seconds;
    int64_t fewer;

    if (pace->n == WAIT_WINDOW_S + 1) {
        pace->n--;
        memmove(&pace->seen[0], &pace->seen[1], pace->n * sizeof(pace->seen[0]));
    }
    pace->seen[pace->n].at = at;
    pace->seen[pace->n++].left = left;
    seconds = at - pace->seen[0].at;
    fewer = pace->seen[0].left - left;
    if (pace->n < PACE_LEAST || fewer <= 0)
        return -1;
    return (double)left * seconds / (double)fewer;
}

void wait_duration_print(double seconds, char *ret_text)
{
    uint64_t s = (uint64_t)(seconds + 0.5);

    if (s < 60)
        snprintf(ret_text, WAIT_TEXT_MAX, "%" PRIu64 " s", s);
    else if (s < 3600)
        snprintf(ret_text, WAIT_TEXT_MAX, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
    else
        snprintf(ret_text, WAIT_TEXT_MAX, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s % 3600 / 60);
}

/* A line in the place of the one before, or behind it where there is a pipe: then not each second.
 */
static void say(struct waiting *w, bool last, const char *text)
{
    char line[LINE_MAX_BYTES];
    double now = screen_now();

    if (!w->terminal && !last && w->said != 0 && now - w->said < LINE_EACH_S)
        return;
    w->said = now;
    snprintf(line, sizeof(line), "%s: %s%s", w->target, text, w->terminal && !last ? "" : "\n");
    screen_draw(line);
}

void wait_left_print(const struct wait_left *left, char *ret_text)
{
    if (left->registrations == 0)
        snprintf(ret_text, WAIT_TEXT_MAX, "%" PRId64 " calls left", left->calls);
    else
        snprintf(ret_text, WAIT_TEXT_MAX, "%" PRId64 " calls left, %" PRId64 " registrations left",
                 left->calls, left->registrations);
}

/* Seconds until all that is waited for is over, by the slower of the two; negative: who knows. */
static double estimate(struct waiting *w)
{
    double now = screen_now();
    double calls = wait_pace_note(&w->calls, now, w->left.calls);
    double registrations = wait_pace_note(&w->registrations, now, w->left.registrations);

    if (w->left.registrations == 0 || w->calls_only)
        return calls;
    if (w->left.calls == 0 || registrations < 0)
        return registrations;
    return calls < 0 || calls > registrations ? calls : registrations;
}

static void say_left(struct waiting *w)
{
    char text[TEXT_MAX_BYTES], left[WAIT_TEXT_MAX], time[WAIT_TEXT_MAX];
    double seconds = estimate(w);

    wait_left_print(&w->left, left);
    if (seconds < 0) {
        say(w, false, left);
        return;
    }
    wait_duration_print(seconds, time);
    snprintf(text, sizeof(text), "%s, about %s at this pace", left, time);
    say(w, false, text);
}

static bool is_empty(const struct waiting *w)
{
    return w->left.calls == 0 && (w->calls_only || w->left.registrations == 0);
}

/* Looks once. 1: it is empty; -1: there is nothing to wait for; 0: wait on. */
static int look(struct waiting *w)
{
    char reason[ASK_REASON_MAX], text[2 * WAIT_TEXT_MAX], time[WAIT_TEXT_MAX];
    json_t *backends = ask_show(w->socket, "backends", reason);

    if (backends == NULL) {
        w->left.known = false;
        w->calls.n = w->registrations.n = 0;
        say(w, false, reason);
        return 0;
    }
    w->left = wait_left_of(backends, w->target);
    json_decref(backends);
    if (w->left.n_backends == 0) {
        say(w, true, "left the configuration and keeps no calls any more");
        return 1;
    }
    if (w->left.taken_back) {
        say(w, true, "was enabled meanwhile and takes new calls");
        return -1;
    }
    if (!w->left.known) {
        say(w, false, "the data plane is absent: calls cannot be counted");
        return 0;
    }
    if (!is_empty(w)) {
        say_left(w);
        return 0;
    }
    wait_duration_print(screen_now() - w->begun, time);
    snprintf(text, sizeof(text), "no calls left%s, after %s",
             w->calls_only || is_node(w->target) ? "" : ", no registrations left", time);
    say(w, true, text);
    return 1;
}

/* It is not empty, and nobody waits any more. */
static void say_given_up(struct waiting *w, bool time_over)
{
    char text[TEXT_MAX_BYTES], left[WAIT_TEXT_MAX], time[WAIT_TEXT_MAX];

    if (w->left.known)
        wait_left_print(&w->left, left);
    else
        snprintf(left, sizeof(left), "the calls left are not known");
    wait_duration_print(screen_now() - w->begun, time);
    snprintf(text, sizeof(text),
             "%s after %s: %s; it goes on draining (enable %.150s: takes it back)",
             time_over ? "not empty" : "not waited for any more", time, left, w->target);
    say(w, true, text);
}

int wait_run(const char *socket, const char *target, uint64_t timeout_s, bool calls_only)
{
    struct waiting w = {
        .socket = socket, .target = target, .begun = screen_now(), .calls_only = calls_only};
    bool time_over = false, ended = false;
    int status = 0;

    w.until = timeout_s == 0 ? 0 : w.begun + (double)timeout_s;
    w.terminal = screen_begin(SCREEN_LINE);
    while ((status = look(&w)) == 0 && !time_over && !ended) {
        ended = screen_wait(LOOK_EACH_MS);
        time_over = w.until != 0 && screen_now() >= w.until;
    }
    if (status == 0)
        say_given_up(&w, !ended);
    screen_end();
    return status == 1 ? 0 : -1;
}

int wait_preview(const char *socket, const char *target)
{
    char reason[ASK_REASON_MAX];
    json_t *backends = ask_show(socket, "backends", reason);
    struct wait_left left = wait_left_of(backends, target);

    if (backends == NULL)
        fprintf(stderr, "tandemctl: %s\n", reason);
    else if (left.known)
        printf("calls in progress there, which would go on: %" PRId64 "\n", left.calls);
    else
        printf("calls in progress there are not known: the data plane is absent\n");
    if (backends != NULL && left.known && !is_node(target))
        printf("registrations there, whose phones' next REGISTER would go elsewhere: %" PRId64 "\n",
               left.registrations);
    json_decref(backends);
    return backends == NULL ? -1 : 0;
}
