/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables for a person: widths, sides, no blanks at line ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/ctl/print.h"
#include "control/ctl/table.h"

static void columns_are_aligned(void **context)
{
    static const char *const headers[] = {"NAME", "N", "NOTE"};
    static const char *const rows[][3] = {
        {"a", "5", "x"}, {"longest", "12345", ""}, {"é", NULL, "66.7%"}};
    struct table *table = table_new(headers, 3);
    char *text;

    (void)context;
    assert_non_null(table);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(table_add(table, rows[i]), 0);
    text = table_text(table);
    assert_string_equal(text, "NAME         N  NOTE\n"
                              "a            5  x\n"
                              "longest  12345\n"
                              "é            -  66.7%\n");
    free(text);
    table_free(table);
    table_free(NULL);
}

static void table_without_rows_is_its_headers(void **context)
{
    static const char *const headers[] = {"A", "B"};
    struct table *table = table_new(headers, 2);
    char *text = table_text(table);

    (void)context;
    assert_string_equal(text, "A  B\n");
    free(text);
    table_free(table);
}

/* Whatever JSON comes, something is printed and nothing breaks. */
static void odd_answers_are_printed(void **context)
{
    static const char *const words[] = {"backends", "calls", "services", "stats", "names", "config"};
    static const char *const answers[] = {
        "null",
        "[]",
        "{}",
        "[null]",
        "[7]",
        "[{}]",
        "[{\"name\":[1,2],\"listen\":7}]",
        "{\"epoch\":\"1\",\"counters\":{\"x\":1},\"workers\":[null,{}]}",
        "[[[{\"a\":[]}]]]"};

    (void)context;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        json_t *answer = json_loads(answers[i], JSON_DECODE_ANY, NULL);
        char *text;

        assert_non_null(answer);
        for (size_t j = 0; j < sizeof(words) / sizeof(words[0]); j++) {
            text = print_show(words[j], answer);
            assert_non_null(text);
            free(text);
        }
        text = print_why(answer);
        assert_non_null(text);
        free(text);
        json_decref(answer);
    }
}

static void pairs_are_aligned(void **context)
{
    json_t *value =
        json_loads("{\"generation\":1,\"refusal\":null,\"dataplane\":\"absent\"}", 0, NULL);
    char *text = print_show("generation", value);

    (void)context;
    assert_string_equal(text,
                        "generation        1\nrefusal           -\ndataplane         absent\n");
    free(text);
    json_decref(value);
}

/* It once measured every column anew for every cell: 30 s for this many. */
static void long_table_takes_no_longer_than_its_rows(void **context)
{
    static const char *const headers[] = {"POOL", "BACKEND", "CALLS"};
    struct table *table = table_new(headers, 3);
    char cells[3][32];
    const char *row[] = {cells[0], cells[1], cells[2]};
    clock_t begun = clock();
    char *text;

    (void)context;
    assert_non_null(table);
    for (int i = 0; i < 20000; i++) {
        for (int j = 0; j < 3; j++)
            snprintf(cells[j], sizeof(cells[j]), "%s%d", j == 2 ? "" : "name-", i * 7919 % 10007);
        assert_int_equal(table_add(table, row), 0);
    }
    text = table_text(table);
    assert_non_null(text);
    assert_true(clock() - begun < 2 * CLOCKS_PER_SEC);
    free(text);
    table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_aligned),
        cmocka_unit_test(table_without_rows_is_its_headers),
        cmocka_unit_test(odd_answers_are_printed),
        cmocka_unit_test(pairs_are_aligned),
        cmocka_unit_test(long_table_takes_no_longer_than_its_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
