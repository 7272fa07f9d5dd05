/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of `top`: rates and shares of two answers, and their order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "control/ctl/top.h"

static json_t *backend(const char *pool, const char *name, const char *state, int calls,
                       int counted, double share)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:f}", "pool", pool, "name", name,
                     "state", state, "calls", calls, "started", counted, "new", counted, "requests",
                     3 * counted, "responses", 2 * counted, "share_expected", share);
}

static void expect(const json_t *before, const json_t *now, double seconds, const char *table)
{
    char *text = top_table(before, now, seconds);

    assert_string_equal(text, table);
    free(text);
}

static void rates_are_of_the_time_between(void **context)
{
    json_t *before = json_array(), *now = json_array();

    (void)context;
    json_array_append_new(before, backend("p", "a", "up", 1, 100, 0.5));
    json_array_append_new(before, backend("p", "b", "up", 9, 200, 0.5));
    json_array_append_new(before, backend("q", "a", "up", 5, 7, 1));
    json_array_append_new(now, backend("p", "a", "up", 4, 103, 0.5));
    json_array_append_new(now, backend("p", "b", "up", 8, 201, 0.5));
    json_array_append_new(now, backend("q", "a", "up", 5, 7, 1));
    expect(before, now, 2,
           "POOL  BACKEND  STATE  CALLS  CALLS/S  REQUESTS/S  RESPONSES/S  SHARE  EXPECTED\n"
           "p     b        up         8      0.5         1.5          1.0  25.0%     50.0%\n"
           "q     a        up         5      0.0         0.0          0.0      -    100.0%\n"
           "p     a        up         4      1.5         4.5          3.0  75.0%     50.0%\n");
    json_decref(before);
    json_decref(now);
}

static void worst_come_first(void **context)
{
    json_t *now = json_array();
    const char *at;
    char *text;

    (void)context;
    json_array_append_new(now, backend("p", "idle", "up", 1, 0, 0));
    json_array_append_new(now, backend("p", "out", "disabled", 99, 0, 0));
    json_array_append_new(now, backend("p", "shedding", "busy", 0, 0, 0));
    json_array_append_new(now, backend("p", "leaving", "draining", 0, 0, 0));
    json_array_append_new(now, backend("p", "dead", "down", 0, 0, 0));
    json_array_append_new(now, backend("p", "full", "up", 2, 0, 0));
    text = top_table(now, now, 1);
    at = text;
    for (const char *const *name =
             (const char *const[]){"dead", "shedding", "leaving", "out", "full", "idle", NULL};
         *name != NULL; name++) {
        at = strstr(at, *name);
        if (at == NULL)
            fail_msg("%s is not in its place:\n%s", *name, text);
    }
    free(text);
    json_decref(now);
}

/* A backend that came, one whose counts began anew, and a data plane that is absent. */
static void what_is_not_known_is_no_number(void **context)
{
    json_t *before = json_array(), *now = json_array();

    (void)context;
    json_array_append_new(before, backend("p", "anew", "up", 1, 100, 0.5));
    json_array_append_new(now, backend("p", "anew", "up", 3, 1, 0.5));
    json_array_append_new(now, backend("p", "came", "up", 2, 1, 0.5));
    json_array_append_new(now, json_pack("{s:s, s:s, s:s, s:n, s:n}", "pool", "p", "name", "x",
                                         "state", "up", "calls", "started"));
    expect(before, now, 1,
           "POOL  BACKEND  STATE  CALLS  CALLS/S  REQUESTS/S  RESPONSES/S  SHARE  EXPECTED\n"
           "p     anew     up         3        -           -            -      -     50.0%\n"
           "p     came     up         2        -           -            -      -     50.0%\n"
           "p     x        up         -        -           -            -      -      0.0%\n");
    json_decref(before);
    json_decref(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_of_the_time_between),
        cmocka_unit_test(worst_come_first),
        cmocka_unit_test(what_is_not_known_is_no_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
