/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `top`: see top.h.
 */
#include "control/ctl/top.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/ctl/ask.h"
#include "control/ctl/screen.h"
#include "control/ctl/table.h"

enum { FRAME_MS = 1000, CELL_MAX = 128 };

enum column {
    POOL,
    NAME,
    STATE,
    CALLS,
    CALL_RATE,
    REQUEST_RATE,
    RESPONSE_RATE,
    SHARE,
    EXPECTED,
    COLUMNS
};

static const char *const HEADERS[COLUMNS] = {"POOL",        "BACKEND", "STATE",
                                             "CALLS",       "CALLS/S", "REQUESTS/S",
                                             "RESPONSES/S", "SHARE",   "EXPECTED"};

/* A backend in both answers. */
struct row {
    const json_t *before, *now; /* before NULL: it came just now */
    int badness;
    json_int_t calls;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text == NULL ? "" : text;
}

static bool same_backend(const json_t *a, const json_t *b)
{
    return strcmp(text_of(a, "name"), text_of(b, "name")) == 0 &&
           strcmp(text_of(a, "pool"), text_of(b, "pool")) == 0;
}

/* What is broken before what is shed, and that before what an operator wanted. */
static int badness_of(const json_t *backend)
{
    static const char *const states[] = {"up", "disabled", "draining", "busy", "down"};
    const char *state = text_of(backend, "state");

    for (int i = 0; i < (int)(sizeof(states) / sizeof(states[0])); i++) {
        if (strcmp(state, states[i]) == 0)
            return i;
    }
    return 0;
}

static int by_badness(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    int order;

    if (a->badness != b->badness)
        return b->badness - a->badness;
    if (a->calls != b->calls)
        return a->calls < b->calls ? 1 : -1;
    order = strcmp(text_of(a->now, "pool"), text_of(b->now, "pool"));
    return order != 0 ? order : strcmp(text_of(a->now, "name"), text_of(b->now, "name"));
}

/* The rows, sorted, for free(); NULL: no memory. Answers keep their order but for who comes and
 * goes, so that one is mostly found at its place. */
static struct row *rows_of(const json_t *before, const json_t *now)
{
    size_t n = json_array_size(now), n_before = json_array_size(before);
    struct row *rows = calloc(n + 1, sizeof(*rows));

    for (size_t i = 0; rows != NULL && i < n; i++) {
        const json_t *backend = json_array_get(now, i);

        rows[i] = (struct row){.now = backend,
                               .badness = badness_of(backend),
                               .calls = json_integer_value(json_object_get(backend, "calls"))};
        for (size_t j = 0; j < n_before && rows[i].before == NULL; j++) {
            const json_t *candidate = json_array_get(before, (i + j) % n_before);

            if (same_backend(candidate, backend))
                rows[i].before = candidate;
        }
    }
    if (rows != NULL)
        qsort(rows, n, sizeof(*rows), by_badness);
    return rows;
}

/* How much a count grew; -1: cannot be told. */
static json_int_t growth(const struct row *row, const char *key)
{
    const json_t *before = json_object_get(row->before, key), *now = json_object_get(row->now, key);

    if (!json_is_integer(before) || !json_is_integer(now) ||
        json_integer_value(now) < json_integer_value(before))
        return -1;
    return json_integer_value(now) - json_integer_value(before);
}

static void print_rate(char ret[CELL_MAX], json_int_t n, double seconds)
{
    if (n < 0 || seconds <= 0)
        snprintf(ret, CELL_MAX, "-");
    else
        snprintf(ret, CELL_MAX, "%.1f", (double)n / seconds);
}

/* Its part of what the tables of its pool's backends were asked for. */
static void print_share(char ret[CELL_MAX], const struct row *rows, size_t n, const struct row *row)
{
    json_int_t mine = growth(row, "new"), all = 0;

    for (size_t i = 0; i < n; i++) {
        json_int_t one = growth(&rows[i], "new");

        if (strcmp(text_of(rows[i].now, "pool"), text_of(row->now, "pool")) == 0 && one > 0)
            all += one;
    }
    if (mine < 0 || all == 0)
        snprintf(ret, CELL_MAX, "-");
    else
        snprintf(ret, CELL_MAX, "%.1f%%", 100.0 * (double)mine / (double)all);
}

static int add_row(struct table *table, const struct row *rows, size_t n, const struct row *row,
                   double seconds)
{
    char texts[COLUMNS][CELL_MAX];
    const json_t *calls = json_object_get(row->now, "calls");
    const char *cells[COLUMNS];

    for (int i = 0; i < COLUMNS; i++)
        cells[i] = texts[i];
    cells[POOL] = text_of(row->now, "pool");
    cells[NAME] = text_of(row->now, "name");
    cells[STATE] = text_of(row->now, "state");
    if (json_is_integer(calls))
        snprintf(texts[CALLS], CELL_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(calls));
    else
        strcpy(texts[CALLS], "-");
    print_rate(texts[CALL_RATE], growth(row, "started"), seconds);
    print_rate(texts[REQUEST_RATE], growth(row, "requests"), seconds);
    print_rate(texts[RESPONSE_RATE], growth(row, "responses"), seconds);
    print_share(texts[SHARE], rows, n, row);
    snprintf(texts[EXPECTED], CELL_MAX, "%.1f%%",
             100 * json_number_value(json_object_get(row->now, "share_expected")));
    return table_add(table, cells);
}

char *top_table(const json_t *before, const json_t *now, double seconds)
{
    size_t n = json_array_size(now);
    struct row *rows = rows_of(before, now);
    struct table *table = rows == NULL ? NULL : table_new(HEADERS, COLUMNS);
    bool good = table != NULL;
    char *text;

    for (size_t i = 0; good && i < n; i++)
        good = add_row(table, rows, n, &rows[i], seconds) == 0;
    text = good ? table_text(table) : NULL;
    table_free(table);
    free(rows);
    return text;
}

/* A frame: the time, then the table. */
static bool draw(const json_t *before, const json_t *now, double seconds)
{
    char *table = top_table(before, now, seconds), *text = NULL;
    char clock[16];
    time_t wall = time(NULL);
    struct tm local;
    bool good;

    strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&wall, &local));
    good = table != NULL &&
           asprintf(&text, "%s  %zu backends\n%s\n", clock, json_array_size(now), table) >= 0;
    good = good && screen_draw(text);
    free(table);
    if (good)
        free(text);
    return good;
}

int top_run(const char *socket, uint32_t frames)
{
    char reason[ASK_REASON_MAX] = "";
    json_t *before = ask_show(socket, "backends", reason);
    double then = screen_now();
    bool good = before != NULL;

    if (good)
        screen_begin(SCREEN_WHOLE);
    for (uint32_t i = 0; good && (frames == 0 || i < frames) && !screen_wait(FRAME_MS); i++) {
        json_t *now = ask_show(socket, "backends", reason);
        double at = screen_now();

        good = now != NULL && draw(before, now, at - then);
        json_decref(before);
        before = now;
        then = at;
    }
    screen_end();
    json_decref(before);
    if (!good && reason[0] != '\0')
        fprintf(stderr, "tandemctl: %s\n", reason);
    return good ? 0 : -1;
}
