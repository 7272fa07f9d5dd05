/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of tandemctl: which request it becomes, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl/args.h"

enum { WORDS_MAX = 10 };

/* Splits a line at blanks and reads it as a command line. */
static int parse(const char *line, struct args *ret, char *buffer)
{
    char *argv[WORDS_MAX] = {(char *)"tandemctl"};
    const char *reason = NULL;
    int argc = 1, status;

    strcpy(buffer, line);
    for (char *word = strtok(buffer, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    status = args_parse(argc, argv, ret, &reason);
    assert_true(status == 0 || reason != NULL);
    return status;
}

static void commands_become_requests(void **context)
{
    static const struct {
        const char *line, *request;
        bool json;
    } rows[] = {
        {"show names", "{\"request\":\"show\",\"what\":\"names\"}", false},
        {"show stats", "{\"request\":\"show\",\"what\":\"stats\"}", false},
        {"show connections --sni a.example --transport tls --source 192.0.2.7",
         "{\"request\":\"show\",\"what\":\"connections\",\"source\":\"192.0.2.7\","
         "\"transport\":\"tls\",\"sni\":\"a.example\"}",
         false},
        {"kill connection 0123456789abcdef",
         "{\"request\":\"kill\",\"connection\":\"0123456789abcdef\"}", false},
        {"--json show backends", "{\"request\":\"show\",\"what\":\"backends\"}", true},
        {"show generation --json", "{\"request\":\"show\",\"what\":\"generation\"}", true},
        {"drain p/a", "{\"request\":\"drain\",\"backend\":\"p/a\"}", false},
        {"drain node", "{\"request\":\"drain\",\"backend\":\"node\"}", false},
        {"drain a --wait --calls-only", "{\"request\":\"drain\",\"backend\":\"a\"}", false},
        {"drain a --wait --timeout 5m", "{\"request\":\"drain\",\"backend\":\"a\"}", false},
        {"drain --dry-run a", "{\"request\":\"drain\",\"backend\":\"a\",\"dry_run\":true}", false},
        {"weight a 0", "{\"request\":\"weight\",\"backend\":\"a\",\"weight\":0}", false},
        {"weight a default", "{\"request\":\"weight\",\"backend\":\"a\",\"weight\":null}", false},
        {"stages on", "{\"request\":\"stages\",\"on\":true}", false},
        {"stages off", "{\"request\":\"stages\",\"on\":false}", false},
        {"reload", "{\"request\":\"reload\"}", false},
        {"rotate-secret", "{\"request\":\"rotate-secret\",\"dry_run\":false}", false},
        {"--dry-run rotate-secret", "{\"request\":\"rotate-secret\",\"dry_run\":true}", false},
        {"why --json x@y", "{\"request\":\"why\",\"call_id\":\"x@y\"}", true},
        {"why x@y p", "{\"request\":\"why\",\"call_id\":\"x@y\",\"pool\":\"p\"}", false},
        {"capture f", "{\"request\":\"capture\",\"call_id\":null}", false},
        {"capture --count 7 --call-id x@y -",
         "{\"request\":\"capture\",\"call_id\":\"x@y\",\"count\":7}", false},
        {"why -- --json", "{\"request\":\"why\",\"call_id\":\"--json\"}", false},
    };

    (void)context;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct args args;
        char buffer[128], *text;

        assert_int_equal(parse(rows[i].line, &args, buffer), 0);
        assert_int_equal(args.action, ARGS_REQUEST);
        assert_int_equal(args.json, rows[i].json);
        text = json_dumps(args.request, JSON_COMPACT);
        assert_string_equal(text, rows[i].request);
        free(text);
        json_decref(args.request);
    }
}

static void socket_is_named_or_the_usual_one(void **context)
{
    struct args args;
    char buffer[128];

    (void)context;
    assert_int_equal(parse("reload --socket /x/y", &args, buffer), 0);
    assert_string_equal(args.socket, "/x/y");
    json_decref(args.request);
    assert_int_equal(parse("reload", &args, buffer), 0);
    assert_string_equal(args.socket, "/run/tandem/control.sock");
    json_decref(args.request);
    assert_int_equal(parse("--help", &args, buffer), 0);
    assert_int_equal(args.action, ARGS_HELP);
}

static void times_and_counts_have_their_units(void **context)
{
    static const struct {
        const char *line;
        uint64_t timeout_s;
        uint32_t frames;
    } rows[] = {
        {"drain a --wait", 0, 0},
        {"drain a --wait --timeout 7", 7, 0},
        {"drain a --calls-only --wait --timeout 7", 7, 0},
        {"drain a --wait --timeout 30s", 30, 0},
        {"drain a --wait --timeout 5m", 300, 0},
        {"--timeout 744h --wait drain p/a", 31 * 86400, 0},
        {"top", 0, 0},
        {"top --count 3", 0, 3},
    };

    (void)context;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct args args;
        char buffer[128];

        assert_int_equal(parse(rows[i].line, &args, buffer), 0);
        assert_int_equal(args.timeout_s, rows[i].timeout_s);
        assert_int_equal(args.frames, rows[i].frames);
        assert_int_equal(args.wait, strstr(rows[i].line, "--wait") != NULL);
        assert_int_equal(args.calls_only, strstr(rows[i].line, "--calls-only") != NULL);
        assert_int_equal(args.target != NULL, strncmp(rows[i].line, "top", 3) != 0);
        json_decref(args.request);
    }
}

static void wrong_usage_is_refused(void **context)
{
    static const char *const lines[] = {"",
                                        "--json",
                                        "show",
                                        "show nothing",
                                        "show stats calls",
                                        "show stats --sni a",
                                        "reload --source 192.0.2.1",
                                        "show connections --transport",
                                        "kill",
                                        "kill connection",
                                        "kill 0123456789abcdef",
                                        "drain",
                                        "drain a b",
                                        "weight a",
                                        "weight a b",
                                        "weight a 1001",
                                        "weight a -1",
                                        "weight a 5x",
                                        "reload now",
                                        "stages",
                                        "stages maybe",
                                        "stages on off",
                                        "reload --dry-run",
                                        "rotate-secret now",
                                        "why",
                                        "why a b c",
                                        "halt",
                                        "--unknown reload",
                                        "reload --socket",
                                        "why a b c d e",
                                        "capture",
                                        "capture a b",
                                        "capture --count",
                                        "capture --count 0 a",
                                        "capture --count 5x a",
                                        "capture --count 1000000001 a",
                                        "capture --call-id",
                                        "why --call-id x y",
                                        "reload --count 1",
                                        "top now",
                                        "top --count 0",
                                        "top --json",
                                        "drain a --wait --dry-run",
                                        "drain a --wait --json",
                                        "drain a --timeout 5s",
                                        "drain a --wait --timeout",
                                        "drain a --wait --timeout 0",
                                        "drain a --wait --timeout 5x",
                                        "drain a --wait --timeout 5ss",
                                        "drain a --wait --timeout -5s",
                                        "drain a --wait --timeout s",
                                        "drain a --wait --timeout 32d",
                                        "drain a --wait --timeout 745h",
                                        "drain a --calls-only",
                                        "enable a --calls-only",
                                        "enable a --wait",
                                        "disable a --dry-run",
                                        "weight a 5 --dry-run",
                                        "drain \xff"};

    (void)context;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct args args;
        char buffer[128];

        if (parse(lines[i], &args, buffer) != -EINVAL)
            fail_msg("taken: %s", lines[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_become_requests),
        cmocka_unit_test(socket_is_named_or_the_usual_one),
        cmocka_unit_test(times_and_counts_have_their_units),
        cmocka_unit_test(wrong_usage_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
