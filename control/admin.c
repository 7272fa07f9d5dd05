/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the operator: see admin.h. Here is what a request says and what is answered; the
 * socket and its clients are admin_socket.c's.
 */
#include "control/admin_socket.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/show.h"
#include "control/show_names.h"
#include "control/why.h"

enum { WEIGHT_MAX = 1000 };

/* A text member that must be there, fit and not be empty. 0 or -EINVAL. */
static int text_read(const json_t *object, const char *key, char *ret, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));

    if (text == NULL || *text == '\0' || strlen(text) >= size)
        return -EINVAL;
    strcpy(ret, text);
    return 0;
}

static const char *parse_weight(const json_t *object, struct plan_change *change)
{
    const json_t *weight = json_object_get(object, "weight");
    json_int_t value = json_integer_value(weight);

    if (json_is_null(weight)) {
        change->weight = STATE_WEIGHT_CONFIGURED;
        return NULL;
    }
    if (!json_is_integer(weight) || value < 0 || value > WEIGHT_MAX)
        return "weight must be a number from 0 to 1000, or null";
    change->weight = (uint32_t)value;
    return NULL;
}

/* Of rotate-secret, and of drain of a backend. */
static const char *parse_dry_run(const json_t *object, struct plan_change *change)
{
    const json_t *dry_run = json_object_get(object, "dry_run");
    bool drain = change->kind == PLAN_ADMIN && change->admin == LB_DRAINING;

    if (dry_run != NULL && !json_is_boolean(dry_run))
        return "dry_run must be true or false";
    change->dry_run = json_is_true(dry_run);
    return change->dry_run && change->kind != PLAN_ROTATE && !drain
               ? "dry_run is of rotate-secret and of drain of a backend"
               : NULL;
}

/* drain, enable, disable, weight, reload, rotate-secret. NULL, or why not; ADMIN_CHANGE is set
 * already. */
static const char *parse_change(const json_t *object, const char *verb, struct plan_change *change)
{
    const char *reason;

    if (strcmp(verb, "reload") == 0) {
        change->kind = PLAN_FILE;
        return NULL;
    }
    change->kind = PLAN_ROTATE;
    if (strcmp(verb, "rotate-secret") == 0)
        return parse_dry_run(object, change);
    change->kind = PLAN_ADMIN;
    if (strcmp(verb, "drain") == 0)
        change->admin = LB_DRAINING;
    else if (strcmp(verb, "enable") == 0)
        change->admin = LB_UP;
    else if (strcmp(verb, "disable") == 0)
        change->admin = LB_DISABLED;
    else if (strcmp(verb, "weight") == 0)
        change->kind = PLAN_WEIGHT;
    else
        return "unknown request";
    if (text_read(object, "backend", change->backend, sizeof(change->backend)) != 0)
        return "backend must be a name";
    if (change->kind == PLAN_ADMIN && strcmp(change->backend, "node") == 0)
        change->kind = PLAN_NODE; /* no backend may be called so */
    if (change->kind == PLAN_NODE && change->admin == LB_DISABLED)
        return "a node is not disabled: drain it, then stop it";
    reason = change->kind == PLAN_WEIGHT ? parse_weight(object, change) : NULL;
    return reason != NULL ? reason : parse_dry_run(object, change);
}

static const char *parse_capture(const json_t *object, struct admin_request *request)
{
    const json_t *call_id = json_object_get(object, "call_id");
    const json_t *count = json_object_get(object, "count");
    json_int_t n = json_integer_value(count);

    request->kind = ADMIN_CAPTURE;
    if (call_id != NULL && !json_is_null(call_id) &&
        text_read(object, "call_id", request->call_id, sizeof(request->call_id)) != 0)
        return "call_id must be a text of 1 to 1023 bytes, or null";
    if (count == NULL || json_is_null(count))
        return NULL;
    if (!json_is_integer(count) || n < 1 || n > CAPTURE_COUNT_MAX)
        return "count must be a number from 1 to 1000000000, or null";
    request->count = (uint64_t)n;
    return NULL;
}

static const char *parse_kill(const json_t *object, struct admin_request *request)
{
    const char *id = json_string_value(json_object_get(object, "connection"));

    request->kind = ADMIN_KILL;
    return id != NULL && show_connections_id(id, &request->connection)
               ? NULL
               : "connection must be an ID, sixteen hexadecimal digits";
}

/* A filter that is there must be a text that fits. */
static const char *parse_show(const json_t *object, struct admin_request *request)
{
    struct show_connections_filter *filter = &request->filter;
    const struct {
        const char *key;
        char *to;
        size_t size;
    } filters[] = {{"source", filter->source, sizeof(filter->source)},
                   {"transport", filter->transport, sizeof(filter->transport)},
                   {"sni", filter->sni, sizeof(filter->sni)}};

    request->kind = ADMIN_SHOW;
    if (text_read(object, "what", request->what, sizeof(request->what)) != 0)
        return "what must be a word";
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        if (json_object_get(object, filters[i].key) != NULL &&
            (strcmp(request->what, "connections") != 0 ||
             text_read(object, filters[i].key, filters[i].to, filters[i].size) != 0))
            return "source, transport and sni are texts, and of connections";
    }
    return NULL;
}

static const char *parse_stages(const json_t *object, struct admin_request *request)
{
    const json_t *on = json_object_get(object, "on");

    request->kind = ADMIN_STAGES;
    request->on = json_is_true(on);
    return json_is_boolean(on) ? NULL : "on must be true or false";
}

static const char *parse_object(const json_t *object, struct admin_request *request)
{
    const char *verb = json_string_value(json_object_get(object, "request"));

    if (verb == NULL)
        return "request must be a word";
    if (strcmp(verb, "show") == 0)
        return parse_show(object, request);
    if (strcmp(verb, "kill") == 0)
        return parse_kill(object, request);
    if (strcmp(verb, "why") == 0) {
        request->kind = ADMIN_WHY;
        if (text_read(object, "call_id", request->call_id, sizeof(request->call_id)) != 0)
            return "call_id must be a text of 1 to 1023 bytes";
        if (json_object_get(object, "pool") != NULL &&
            text_read(object, "pool", request->pool, sizeof(request->pool)) != 0)
            return "pool must be a name";
        return NULL;
    }
    if (strcmp(verb, "capture") == 0)
        return parse_capture(object, request);
    if (strcmp(verb, "stages") == 0)
        return parse_stages(object, request);
    request->kind = ADMIN_CHANGE;
    return parse_change(object, verb, &request->change);
}

int admin_parse(const char *line, size_t length, struct admin_request *ret, const char **ret_reason)
{
    struct admin_request request = {0};
    const char *reason = "not a JSON object";
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(object))
        reason = parse_object(object, &request);
    json_decref(object);
    if (reason != NULL) {
        *ret_reason = reason;
        return -EINVAL;
    }
    *ret = request;
    return 0;
}

/* Sends an answer, which it takes over, or an error when there is none or it is too long. */
static void answer(struct admin_client *client, json_t *object)
{
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);

    json_decref(object);
    if (text != NULL && strlen(text) >= ADMIN_ANSWER_MAX) {
        free(text);
        text = NULL;
    }
    if (text == NULL)
        text = strdup("{\"ok\":false,\"error\":\"no memory for the answer\"}");
    admin_client_answer(client, text);
}

static void answer_error(struct admin_client *client, const char *reason)
{
    answer(client, json_pack("{s:b, s:s}", "ok", 0, "error", reason));
}

static void answer_result(struct admin_client *client, json_t *result)
{
    answer(client, json_pack("{s:b, s:o}", "ok", 1, "result", result));
}

/* A change came to its end: client is the one who asked and still waits. */
static void on_outcome(void *arg, const struct reload_outcome *outcome)
{
    struct admin_client *client = arg;

    if (outcome->status == RELOAD_REFUSED || outcome->status == RELOAD_LATE) {
        answer_error(client, outcome->text);
        return;
    }
    answer(client, json_pack("{s:b, s:s, s:I, s:s}", "ok", 1, "status",
                             outcome->status == RELOAD_DONE ? "done" : "pending", "generation",
                             (json_int_t)outcome->generation, "text", outcome->text));
}

static void handle_why(struct admin_client *client, const struct admin_parts *parts,
                       const struct admin_request *request)
{
    char text[PLAN_TEXT_MAX];
    json_t *result = why_answer(parts->reload, parts->stream, request->call_id,
                                request->pool[0] == '\0' ? NULL : request->pool, text);

    if (result == NULL)
        answer_error(client, text);
    else
        answer_result(client, result);
}

/* A data plane that is away learns it when it comes. */
static void handle_stages(struct admin_client *client, struct reload *reload, bool on)
{
    const struct plan_change change = {.kind = PLAN_LIVE};

    reload_live(reload)->stages = on;
    reload_ask(reload, &change, on_outcome, client);
}

static void handle_capture(struct admin_client *client, struct captures *captures,
                           const struct admin_request *request)
{
    const char *reason =
        captures_start(captures, admin_client_fd(client), request->call_id, request->count);

    if (reason == NULL)
        admin_client_leave(client);
    else
        answer_error(client, reason);
}

static void handle_show(struct admin_client *client, const struct admin_parts *parts,
                        const struct admin_request *request)
{
    json_t *result;

    if (strcmp(request->what, "names") == 0)
        result = show_names(parts->names);
    else if (strcmp(request->what, "connections") == 0)
        result = show_connections(parts->stream, &request->filter);
    else if (strcmp(request->what, "backends") == 0)
        result = show_backends(parts->reload, parts->health);
    else
        result = show_answer(parts->reload, request->what);
    if (result == NULL)
        answer_error(client, "nothing of that name can be shown, or no memory");
    else
        answer_result(client, result);
}

static void handle_kill(struct admin_client *client, struct stream *stream, uint64_t id)
{
    if (stream_kill(stream, id))
        answer(client, json_pack("{s:b, s:s, s:s}", "ok", 1, "status", "done", "text",
                                 "the connection is closed"));
    else
        answer_error(client, "there is no such connection");
}

void admin_handle(struct admin_client *client, const struct admin_parts *parts,
                  struct captures *captures, const char *line, size_t length)
{
    struct admin_request request;
    const char *reason;

    if (admin_parse(line, length, &request, &reason) != 0) {
        answer_error(client, reason);
        return;
    }
    switch (request.kind) {
    case ADMIN_SHOW:
        handle_show(client, parts, &request);
        return;
    case ADMIN_CHANGE:
        reload_ask(parts->reload, &request.change, on_outcome, client);
        return;
    case ADMIN_STAGES:
        handle_stages(client, parts->reload, request.on);
        return;
    case ADMIN_WHY:
        handle_why(client, parts, &request);
        return;
    case ADMIN_KILL:
        handle_kill(client, parts->stream, request.connection);
        return;
    case ADMIN_CAPTURE:
        handle_capture(client, captures, &request);
        return;
    }
}
