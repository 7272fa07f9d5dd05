/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers as text: see print.h. Lists of objects become tables by a list of columns for each.
 */
#include "control/ctl/print.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl/table.h"
#include "control/ctl/yaml.h"

enum { COLUMNS_MAX = 32, CELL_MAX = 512 };

enum column_kind {
    COLUMN_PLAIN,
    COLUMN_PERCENT,
    COLUMN_ADDRESS,
    COLUMN_LISTENERS,
    COLUMN_LIST,
    COLUMN_TARGETS,
    COLUMN_MS,
    COLUMN_MEDIA,
    COLUMN_DNS,
};

struct column {
    const char *header, *key;
    enum column_kind kind;
};

static const struct column BACKENDS[] = {
    {"POOL", "pool", COLUMN_PLAIN},
    {"BACKEND", "name", COLUMN_PLAIN},
    {"ADDRESS", "address", COLUMN_ADDRESS},
    {"STATE", "state", COLUMN_PLAIN},
    {"ADMIN", "admin", COLUMN_PLAIN},
    {"HEALTH", "health", COLUMN_PLAIN},
    {"LINGERS", "lingering", COLUMN_PLAIN},
    {"WEIGHT", "weight", COLUMN_PLAIN},
    {"SHARE", "share_expected", COLUMN_PERCENT},
    {"CALLS", "calls", COLUMN_PLAIN},
    {"REGISTERED", "registrations", COLUMN_PLAIN},
    {"NEW", "new", COLUMN_PLAIN},
    {"REQUESTS", "requests", COLUMN_PLAIN},
    {"RESPONSES", "responses", COLUMN_PLAIN},
    {"SLOT", "slot", COLUMN_PLAIN},
    {"LATENCY", "latency_ms", COLUMN_MS},
    {"MEDIA", "media", COLUMN_MEDIA},
    {"DNS", "dns", COLUMN_DNS},
    {"REASON", "reason", COLUMN_PLAIN},
    {NULL, NULL, COLUMN_PLAIN},
};

static const struct column CALLS[] = {
    {"POOL", "pool", COLUMN_PLAIN},
    {"BACKEND", "name", COLUMN_PLAIN},
    {"IN PROGRESS", "calls", COLUMN_PLAIN},
    {"REGISTRATIONS", "registrations", COLUMN_PLAIN},
    {"SUBSCRIPTIONS", "subscriptions", COLUMN_PLAIN},
    {"STARTED", "started", COLUMN_PLAIN},
    {"ENDED", "ended", COLUMN_PLAIN},
    {"NEW", "new", COLUMN_PLAIN},
    {"REQUESTS", "requests", COLUMN_PLAIN},
    {"RESPONSES", "responses", COLUMN_PLAIN},
    {NULL, NULL, COLUMN_PLAIN},
};

static const struct column SERVICES[] = {
    {"SERVICE", "name", COLUMN_PLAIN},
    {"STATE", "state", COLUMN_PLAIN},
    {"MODE", "mode", COLUMN_PLAIN},
    {"ENCAPSULATION", "encapsulation", COLUMN_PLAIN},
    {"POOL", "pool", COLUMN_PLAIN},
    {"LISTEN", "listen", COLUMN_LISTENERS},
    {"MESSAGES", "messages", COLUMN_PLAIN},
    {"REQUESTS", "forwarded_request", COLUMN_PLAIN},
    {"RESPONSES", "forwarded_response", COLUMN_PLAIN},
    {"REPLIED", "replied", COLUMN_PLAIN},
    {"DROPPED", "dropped", COLUMN_PLAIN},
    {"PUNTED", "punted", COLUMN_PLAIN},
    {"RECORD-ROUTE", "record_route", COLUMN_PLAIN},
    {"PATH", "path", COLUMN_PLAIN},
    {"NAT", "nat", COLUMN_PLAIN},
    {"DOMAINS", "domains", COLUMN_LIST},
    {NULL, NULL, COLUMN_PLAIN},
};

static const struct column NAMES[] = {
    {"NAME", "name", COLUMN_PLAIN},
    {"PORT", "port", COLUMN_PLAIN},
    {"TRANSPORT", "transport", COLUMN_PLAIN},
    {"OUTCOME", "outcome", COLUMN_PLAIN},
    {"STALE", "stale", COLUMN_PLAIN},
    {"SECONDS LEFT", "seconds_left", COLUMN_PLAIN},
    {"PRIORITY/WEIGHT TARGET", "targets", COLUMN_TARGETS},
    {NULL, NULL, COLUMN_PLAIN},
};

static const struct column CONNECTIONS[] = {
    {"ID", "id", COLUMN_PLAIN},
    {"TRANSPORT", "transport", COLUMN_PLAIN},
    {"LOCAL", "local", COLUMN_PLAIN},
    {"PEER", "peer", COLUMN_PLAIN},
    {"ALIAS", "alias", COLUMN_PLAIN},
    {"OUTGOING", "outgoing", COLUMN_PLAIN},
    {"SECONDS", "seconds", COLUMN_PLAIN},
    {"IDLE", "idle_seconds", COLUMN_PLAIN},
    {"IN", "messages_in", COLUMN_PLAIN},
    {"OUT", "messages_out", COLUMN_PLAIN},
    {"SNI", "sni", COLUMN_PLAIN},
    {"CIPHER", "cipher", COLUMN_PLAIN},
    {NULL, NULL, COLUMN_PLAIN},
};

/* A scalar as text; "-" for null and for what is no scalar. */
static void scalar_print(const json_t *value, char *ret, size_t size)
{
    if (json_is_string(value))
        snprintf(ret, size, "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(ret, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(ret, size, "%g", json_real_value(value));
    else if (json_is_boolean(value))
        snprintf(ret, size, "%s", json_is_true(value) ? "yes" : "no");
    else
        snprintf(ret, size, "-");
}

/* 192.0.2.1:5060 or [2001:db8::1]:5060 from an object with address and port. */
static void address_print(const json_t *object, char *ret, size_t size)
{
    const char *address = json_string_value(json_object_get(object, "address"));
    bool v6 = address != NULL && strchr(address, ':') != NULL;

    if (address == NULL) {
        snprintf(ret, size, "-");
        return;
    }
    snprintf(ret, size, "%s%s%s:%" JSON_INTEGER_FORMAT, v6 ? "[" : "", address, v6 ? "]" : "",
             json_integer_value(json_object_get(object, "port")));
}

/* The items of a list, with commas; listeners as udp 192.0.2.10:5060. */
static void list_print(const json_t *list, bool listeners, char *ret, size_t size)
{
    size_t length = 0;

    snprintf(ret, size, "-");
    for (size_t i = 0; i < json_array_size(list) && length < size; i++) {
        const json_t *item = json_array_get(list, i);
        char text[128], address[96];
        int n;

        if (listeners) {
            address_print(item, address, sizeof(address));
            scalar_print(json_object_get(item, "transport"), text, sizeof(text));
            n = snprintf(ret + length, size - length, "%s%s %s", i > 0 ? ", " : "", text, address);
        } else {
            scalar_print(item, text, sizeof(text));
            n = snprintf(ret + length, size - length, "%s%s", i > 0 ? "," : "", text);
        }
        length += n > 0 ? (size_t)n : 0;
    }
}

/* 10/75 192.0.2.71:5060, 20/0 …: priority and weight in front of each. */
static void targets_print(const json_t *list, char *ret, size_t size)
{
    size_t length = 0;

    snprintf(ret, size, "-");
    for (size_t i = 0; i < json_array_size(list) && length < size; i++) {
        const json_t *item = json_array_get(list, i);
        char address[96];
        int n;

        address_print(item, address, sizeof(address));
        n = snprintf(ret + length, size - length,
                     "%s%" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT " %s", i > 0 ? ", " : "",
                     json_integer_value(json_object_get(item, "priority")),
                     json_integer_value(json_object_get(item, "weight")), address);
        length += n > 0 ? (size_t)n : 0;
    }
}

/* good, 41.2 ms, 0% lost; bad: the reason is in a column of its own when it counts. */
static void media_print(const json_t *media, char *ret, size_t size)
{
    const char *verdict = json_string_value(json_object_get(media, "verdict"));
    const json_t *trip = json_object_get(media, "round_trip_ms");
    const json_t *loss = json_object_get(media, "loss");
    int length = snprintf(ret, size, "%s", verdict == NULL ? "-" : verdict);

    if (json_is_number(trip) && json_is_number(loss) && length > 0 && (size_t)length < size)
        snprintf(ret + length, size - (size_t)length, ", %.1f ms, %.0f%% lost",
                 json_number_value(trip), 100 * json_number_value(loss));
}

/* example.net, 12 s left; example.net, no answer for 90 s. */
static void dns_print(const json_t *dns, char *ret, size_t size)
{
    const char *lookup = json_string_value(json_object_get(dns, "lookup"));
    const char *outcome = json_string_value(json_object_get(dns, "outcome"));
    const json_t *age = json_object_get(dns, "age_s");

    if (lookup == NULL)
        snprintf(ret, size, "-");
    else if (outcome == NULL)
        snprintf(ret, size, "%s, no answer yet", lookup);
    else if (strcmp(outcome, "failed") != 0)
        snprintf(ret, size, "%s, %" JSON_INTEGER_FORMAT " s left", lookup,
                 json_integer_value(json_object_get(dns, "seconds_left")));
    else if (json_is_integer(age))
        snprintf(ret, size, "%s, no answer for %" JSON_INTEGER_FORMAT " s", lookup,
                 json_integer_value(age));
    else
        snprintf(ret, size, "%s, no answer since the start", lookup);
}

static void cell_print(const json_t *object, const struct column *column, char *ret, size_t size)
{
    const json_t *value = json_object_get(object, column->key);

    switch (column->kind) {
    case COLUMN_PLAIN:
        scalar_print(value, ret, size);
        return;
    case COLUMN_PERCENT:
        snprintf(ret, size, "%.1f%%", 100 * json_number_value(value));
        return;
    case COLUMN_ADDRESS:
        address_print(object, ret, size);
        return;
    case COLUMN_LISTENERS:
    case COLUMN_LIST:
        list_print(value, column->kind == COLUMN_LISTENERS, ret, size);
        return;
    case COLUMN_TARGETS:
        targets_print(value, ret, size);
        return;
    case COLUMN_MS:
        if (json_is_number(value))
            snprintf(ret, size, "%.1f ms", json_number_value(value));
        else
            snprintf(ret, size, "-");
        return;
    case COLUMN_MEDIA:
        media_print(value, ret, size);
        return;
    case COLUMN_DNS:
        dns_print(value, ret, size);
        return;
    }
}

/* A list of objects as a table. */
static char *print_list(const json_t *list, const struct column *columns)
{
    const char *headers[COLUMNS_MAX], *cells[COLUMNS_MAX];
    static char texts[COLUMNS_MAX][CELL_MAX];
    uint32_t n = 0;
    struct table *table;
    char *text = NULL;
    bool good;

    for (; columns[n].header != NULL; n++) {
        headers[n] = columns[n].header;
        cells[n] = texts[n];
    }
    table = table_new(headers, n);
    good = table != NULL;
    for (size_t row = 0; good && row < json_array_size(list); row++) {
        for (uint32_t i = 0; i < n; i++)
            cell_print(json_array_get(list, row), &columns[i], texts[i], CELL_MAX);
        good = table_add(table, cells) == 0;
    }
    if (good)
        text = table_text(table);
    table_free(table);
    return text;
}

/* One row for each counter that is not 0: its sum, main's part and each worker's. */
static bool stats_rows(struct table *table, const json_t *result, uint32_t n_workers,
                       uint32_t *ret_zeros)
{
    const json_t *workers = json_object_get(result, "workers");
    const json_t *main_block = json_object_get(result, "main");
    json_t *sums = json_object_get(result, "counters");
    const char *name, *cells[COLUMNS_MAX];
    char texts[COLUMNS_MAX][32];
    json_t *sum;

    json_object_foreach(sums, name, sum)
    {
        if (json_integer_value(sum) == 0) {
            (*ret_zeros)++;
            continue;
        }
        cells[0] = name;
        scalar_print(sum, texts[1], sizeof(texts[1]));
        scalar_print(json_object_get(main_block, name), texts[2], sizeof(texts[2]));
        for (uint32_t i = 0; i < n_workers; i++)
            scalar_print(json_object_get(json_array_get(workers, i), name), texts[3 + i],
                         sizeof(texts[3 + i]));
        for (uint32_t i = 1; i < 3 + n_workers; i++)
            cells[i] = texts[i];
        if (table_add(table, cells) != 0)
            return false;
    }
    return true;
}

/* What each stage takes of a message, in cycles of the CPU's clock; "" when none were counted. */
static void stages_print(const json_t *result, char *ret_text, size_t size)
{
    static const char prefix[] = "stage_cycles_";
    json_t *sums = json_object_get(result, "counters");
    json_int_t messages = json_integer_value(json_object_get(sums, "stage_messages"));
    double all = 0;
    size_t used;
    const char *name;
    json_t *sum;

    *ret_text = '\0';
    if (messages == 0)
        return;
    used = (size_t)snprintf(ret_text, size, "cycles a message:");
    json_object_foreach(sums, name, sum)
    {
        double cycles = (double)json_integer_value(sum) / (double)messages;

        if (strncmp(name, prefix, sizeof(prefix) - 1) != 0 || used >= size)
            continue;
        all += cycles;
        used += (size_t)snprintf(ret_text + used, size - used, " %s %.0f,",
                                 name + sizeof(prefix) - 1, cycles);
    }
    if (used < size)
        snprintf(ret_text + used, size - used, " all %.0f\n", all);
}

static char *print_stats(const json_t *result)
{
    const json_t *epoch = json_object_get(result, "epoch");
    uint32_t n = (uint32_t)json_array_size(json_object_get(result, "workers"));
    const char *headers[COLUMNS_MAX] = {"COUNTER", "SUM", "MAIN"};
    char names[COLUMNS_MAX][16], stages[256];
    struct table *table;
    uint32_t zeros = 0;
    char *rows = NULL, *text = NULL;

    if (!json_is_string(epoch))
        return strdup("the data plane is absent: nothing is counted\n");
    if (n > COLUMNS_MAX - 3) /* more workers than a screen has room for: --json has all */
        n = COLUMNS_MAX - 3;
    for (uint32_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof(names[i]), "WORKER %u", i);
        headers[3 + i] = names[i];
    }
    table = table_new(headers, 3 + n);
    if (table != NULL && stats_rows(table, result, n, &zeros))
        rows = table_text(table);
    table_free(table);
    stages_print(result, stages, sizeof(stages));
    if (rows != NULL && asprintf(&text, "%s%sepoch %s%s\n%u counters are 0 (--json shows them)\n",
                                 rows, stages, json_string_value(epoch),
                                 json_is_true(json_object_get(result, "stable"))
                                     ? ""
                                     : ", counts were still moving while they were read",
                                 zeros) < 0)
        text = NULL;
    free(rows);
    return text;
}

/* The members of a flat object, a line each, values aligned. */
static char *print_pairs(const json_t *object)
{
    char *text = NULL, value[CELL_MAX];
    const char *key;
    json_t *item, *pairs = (json_t *)(uintptr_t)object;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int width = 18;

    if (out == NULL)
        return NULL;
    json_object_foreach(pairs, key, item)
    {
        if (strlen(key) + 2 > (size_t)width)
            width = (int)strlen(key) + 2;
    }
    json_object_foreach(pairs, key, item)
    {
        scalar_print(item, value, sizeof(value));
        fprintf(out, "%-*s%s\n", width, key, value);
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* The table of names, then what became of their messages. */
static char *print_names(const json_t *result)
{
    char *rows = print_list(json_object_get(result, "names"), NAMES);
    char *counts = print_pairs(json_object_get(result, "counters"));
    char *text = NULL;

    if (rows != NULL && counts != NULL &&
        asprintf(&text, "%s\nmessages and questions\n%s%-18s%" JSON_INTEGER_FORMAT "\n", rows,
                 counts, "waiting", json_integer_value(json_object_get(result, "waiting"))) < 0)
        text = NULL;
    free(rows);
    free(counts);
    return text;
}

/* The table of connections, then what was counted of all of them. */
static char *print_connections(const json_t *result)
{
    char *rows = print_list(json_object_get(result, "connections"), CONNECTIONS);
    char *counts = print_pairs(json_object_get(result, "counters"));
    char *text = NULL;

    if (rows != NULL && counts != NULL &&
        asprintf(&text, "%s\nall connections: %" JSON_INTEGER_FORMAT "\n%s", rows,
                 json_integer_value(json_object_get(result, "total")), counts) < 0)
        text = NULL;
    free(rows);
    free(counts);
    return text;
}

/* As a file would say it, and could: whose it is, is a comment. */
static char *print_config(json_t *result)
{
    char file[CELL_MAX], *rest, *text = NULL;

    scalar_print(json_object_get(result, "file"), file, sizeof(file));
    json_object_del(result, "file");
    rest = yaml_text(result);
    if (rest != NULL && asprintf(&text, "# %s, defaults filled in\n%s", file, rest) < 0)
        text = NULL;
    free(rest);
    return text;
}

char *print_show(const char *what, json_t *result)
{
    if (strcmp(what, "backends") == 0)
        return print_list(result, BACKENDS);
    if (strcmp(what, "calls") == 0)
        return print_list(result, CALLS);
    if (strcmp(what, "services") == 0)
        return print_list(result, SERVICES);
    if (strcmp(what, "stats") == 0)
        return print_stats(result);
    if (strcmp(what, "names") == 0)
        return print_names(result);
    if (strcmp(what, "connections") == 0)
        return print_connections(result);
    if (strcmp(what, "config") == 0)
        return print_config(result);
    return print_pairs(result);
}

static void why_line(FILE *out, const char *label, const json_t *value)
{
    char text[CELL_MAX];

    if (value == NULL || json_is_null(value))
        return;
    scalar_print(value, text, sizeof(text));
    fprintf(out, "  %-16s%s\n", label, text);
}

/* What a plane's call table says; `table`: whether it was asked. */
static void why_call(FILE *out, const char *label, const char *table, const json_t *call)
{
    if (!json_is_object(call)) {
        fprintf(out, "  %-16s%s\n", label,
                table != NULL && strcmp(table, "absent") == 0 ? "not asked" : "does not know it");
        return;
    }
    why_line(out, label, json_object_get(call, "state"));
    why_line(out, "  backend", json_object_get(call, "backend"));
    why_line(out, "  slot", json_object_get(call, "slot"));
    why_line(out, "  seen s ago", json_object_get(call, "last_seen_s"));
    why_line(out, "  left s", json_object_get(call, "left_s"));
    why_line(out, "  challenged", json_object_get(call, "challenged"));
}

/* One pool's answer: the outcome first, then what led to it. Control's own table, that of streams,
 * is told of where there are any. */
static void why_pool(FILE *out, const json_t *pool)
{
    const char *control = json_string_value(json_object_get(pool, "control_call_table"));
    const json_t *note = json_object_get(pool, "note");
    const char *backend = json_string_value(json_object_get(pool, "backend"));
    char name[128], text[CELL_MAX];

    scalar_print(json_object_get(pool, "pool"), name, sizeof(name));
    scalar_print(note, text, sizeof(text));
    if (backend == NULL && json_is_string(note)) {
        fprintf(out, "pool %s: %s\n", name, text);
    } else {
        fprintf(out, "pool %s: %s%s\n", name, backend == NULL ? "no backend" : "backend ",
                backend == NULL ? "" : backend);
        why_line(out, "chosen by", json_object_get(pool, "rule"));
        why_line(out, "plane", json_object_get(pool, "plane"));
        why_line(out, "note", note);
    }
    why_line(out, "key", json_object_get(pool, "key"));
    why_line(out, "hash", json_object_get(pool, "hash"));
    why_line(out, "table position", json_object_get(pool, "table_position"));
    why_line(out, "table says", json_object_get(pool, "table_backend"));
    why_line(out, "slot", json_object_get(pool, "slot"));
    why_call(out, "call table", json_string_value(json_object_get(pool, "call_table")),
             json_object_get(pool, "call"));
    if (control != NULL && strcmp(control, "asked") == 0)
        why_call(out, "control's table", control, json_object_get(pool, "control_call"));
}

char *print_why(const json_t *result)
{
    char *text = NULL;
    size_t size, i;
    FILE *out = open_memstream(&text, &size);
    json_t *pool;

    if (out == NULL)
        return NULL;
    json_array_foreach(result, i, pool) why_pool(out, pool);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
