/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `drain --wait` reads out of an answer, and its estimate.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "control/ctl/wait.h"

static const char ANSWER[] =
    "[{\"pool\":\"p\",\"name\":\"a\",\"admin\":\"draining\",\"lingering\":false,\"calls\":3,"
    "  \"registrations\":8},"
    " {\"pool\":\"p\",\"name\":\"b\",\"admin\":\"up\",\"lingering\":false,\"calls\":5},"
    " {\"pool\":\"q\",\"name\":\"a\",\"admin\":\"up\",\"lingering\":true,\"calls\":7,"
    "  \"registrations\":2},"
    " {\"pool\":\"q\",\"name\":\"c\",\"admin\":\"disabled\",\"lingering\":false,\"calls\":null},"
    " {\"pool\":\"q\",\"name\":\"d\",\"admin\":\"up\",\"lingering\":true,\"calls\":0},"
    " {\"pool\":\"r\",\"name\":\"n@10.0.0.1:5060\",\"address\":\"10.0.0.1\","
    "  \"admin\":\"draining\",\"lingering\":false,\"calls\":1},"
    " {\"pool\":\"r\",\"name\":\"n@10.0.0.2:5060\",\"address\":\"10.0.0.2\","
    "  \"admin\":\"draining\",\"lingering\":true,\"calls\":2},"
    " {\"pool\":\"r\",\"name\":\"empty\",\"address\":null,\"admin\":\"draining\","
    "  \"lingering\":false}]";

static void targets_are_found_as_control_reads_them(void **context)
{
    static const struct {
        const char *target;
        uint32_t n_backends;
        int64_t calls;
        bool known, taken_back;
    } rows[] = {
        {"a", 1, 3, true, false}, /* the one that lingers is not meant */
        {"p/a", 1, 3, true, false}, {"q/a", 1, 7, true, false}, {"b", 1, 5, true, true},
        {"c", 1, 0, false, false},  {"d", 1, 0, true, false}, /* left the configuration: nobody can
                                                                 take it back */
        {"x", 0, 0, true, false},   {"p/d", 0, 0, true, false}, {"node", 8, 18, false, false},
        /* A name: all its members, those that left DNS too; and one of them. */
        {"n", 2, 3, true, false},   {"r/n", 2, 3, true, false},
        {"n@10.0.0.1:5060", 1, 1, true, false},
        {"empty", 1, 0, true, false},
    };
    json_t *backends = json_loads(ANSWER, 0, NULL);

    (void)context;
    assert_non_null(backends);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wait_left left = wait_left_of(backends, rows[i].target);

        if (left.n_backends != rows[i].n_backends || left.calls != rows[i].calls ||
            left.known != rows[i].known || left.taken_back != rows[i].taken_back)
            fail_msg("%s: %u backends, %d calls, known %d, taken back %d", rows[i].target,
                     left.n_backends, (int)left.calls, left.known, left.taken_back);
    }
    json_decref(backends);
}

/* 100 calls, 2 a second end: after each second the estimate is what is left. Then none ends, and as
 * the window passes on there is no estimate any more. */
static void estimate_follows_the_pace(void **context)
{
    struct wait_pace pace = {.n = 0};
    double estimate = 0;
    int64_t calls = 100;

    (void)context;
    assert_true(wait_pace_note(&pace, 0, calls) < 0);
    assert_true(wait_pace_note(&pace, 1, calls -= 2) < 0);
    for (int s = 2; s < 40; s++) {
        estimate = wait_pace_note(&pace, s, calls -= 2);
        assert_true(fabs(estimate - (double)calls / 2) < 0.001);
    }
    assert_true(wait_pace_note(&pace, 40, calls) > estimate);
    for (int s = 41; s < 41 + WAIT_WINDOW_S; s++)
        estimate = wait_pace_note(&pace, s, calls);
    assert_true(estimate < 0);
    assert_true(wait_pace_note(&pace, 80, calls + 1) < 0); /* more of them */
}

/* The node's do not count: its draining moves no phone. */
static void registrations_are_left_at_backends(void **context)
{
    static const struct {
        const char *target, *text;
        int64_t registrations;
    } rows[] = {
        {"a", "3 calls left, 8 registrations left", 8},
        {"q/a", "7 calls left, 2 registrations left", 2},
        {"b", "5 calls left", 0},
        {"node", "18 calls left", 0},
    };
    json_t *backends = json_loads(ANSWER, 0, NULL);

    (void)context;
    assert_non_null(backends);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wait_left left = wait_left_of(backends, rows[i].target);
        char text[WAIT_TEXT_MAX];

        assert_int_equal(left.registrations, rows[i].registrations);
        wait_left_print(&left, text);
        assert_string_equal(text, rows[i].text);
    }
    json_decref(backends);
}

static void durations_are_short(void **context)
{
    static const struct {
        double seconds;
        const char *text;
    } rows[] = {{0, "0 s"},          {0.6, "1 s"},          {59.4, "59 s"},     {59.6, "1 min 0 s"},
                {200, "3 min 20 s"}, {3599.7, "1 h 0 min"}, {7500, "2 h 5 min"}};

    (void)context;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[WAIT_TEXT_MAX];

        wait_duration_print(rows[i].seconds, text);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_found_as_control_reads_them),
        cmocka_unit_test(estimate_follows_the_pace),
        cmocka_unit_test(registrations_are_left_at_backends),
        cmocka_unit_test(durations_are_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
