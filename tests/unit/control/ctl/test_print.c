/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers as a person reads them: `show config` is a configuration again; counters at 0 are no
 * noise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/ctl/print.h"
#include "control/ctl/yaml.h"
#include "control/show_config.h"

static const char *directory = ".";

static json_t *config_of(const char *file)
{
    struct cfg_error error;
    struct cfg *cfg = cfg_load(file, &error);
    json_t *shown;

    if (cfg == NULL)
        fail_msg("%s:%u: %s: %s", file, error.line, error.key, error.reason);
    shown = show_config(cfg);
    cfg_free(cfg);
    assert_non_null(shown);
    return shown;
}

/* What `show config` prints loads, and means the same. */
static void printed_config_loads_and_is_the_same(void **context)
{
    static const char *const names[] = {"good.yaml", "least.yaml", "direct.yaml", "names.yaml",
                                        "streams.yaml"};

    (void)context;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[512], again[] = "/tmp/tandem-print-XXXXXX";
        json_t *before, *after;
        char *text;
        int fd = mkstemp(again);

        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        before = config_of(path);
        text = print_show("config", before);
        assert_non_null(text);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        close(fd);
        after = config_of(again);
        json_object_del(after, "file");
        if (!json_equal(before, after))
            fail_msg("%s became another configuration:\n%s", path, text);
        unlink(again);
        free(text);
        json_decref(before);
        json_decref(after);
    }
}

/* A key that is shown nowhere would be missing on both sides above. */
static void streams_are_shown(void **context)
{
    char path[512];
    json_t *shown, *listen, *wss, *streams;
    const char *node, *file, *clients, *origin, *limit;
    int port, threads;

    (void)context;
    snprintf(path, sizeof(path), "%s/streams.yaml", directory);
    shown = config_of(path);
    assert_int_equal(json_unpack(shown, "{s:s, s:[o, {s:o, s:i}], s:{s:o}}", "node_address6", &node,
                                 "services", &listen, "listen", &listen, "stream_port", &port,
                                 "control", "streams", &streams),
                     0);
    assert_string_equal(node, "2001:db8::11");
    assert_int_equal(port, 5075);
    assert_int_equal(json_unpack(json_array_get(listen, 3), "{s:[{s:s}], s:s}", "certificates",
                                 "ocsp", &file, "client_certificates", &clients),
                     0);
    assert_non_null(strstr(file, "/rsa.ocsp"));
    assert_string_equal(clients, "required");
    wss = json_array_get(listen, 5);
    assert_int_equal(json_unpack(wss, "{s:[s]}", "origins", &origin), 0);
    assert_string_equal(origin, "https://phone.example.net");
    assert_int_equal(json_object_size(wss), 10);
    assert_int_equal(json_object_size(json_array_get(listen, 1)), 3);
    assert_int_equal(
        json_unpack(streams, "{s:i, s:s}", "threads", &threads, "header_limit", &limit), 0);
    assert_int_equal(threads, 3);
    assert_string_equal(limit, "8KiB");
    assert_int_equal(json_object_size(streams), 10);
    json_decref(shown);
}

static void yaml_quotes_whatever_could_mean_something(void **context)
{
    static const struct {
        const char *json, *yaml;
    } rows[] = {
        {"{\"a\": \"plain-1.2/x_y\", \"b\": null, \"c\": 7, \"d\": true, \"e\": {}}",
         "a: plain-1.2/x_y\nc: 7\nd: true\n"},
        {"{\"a\": \"2001:db8::1\", \"b\": \"\", \"c\": \"- x\", \"d\": \"#x\", \"e\": \"-x\"}",
         "a: \"2001:db8::1\"\nb: \"\"\nc: \"- x\"\nd: \"#x\"\ne: \"-x\"\n"},
        {"{\"a\": [], \"b\": [1, \"x\"], \"c\": [{\"d\": 1, \"e\": null, \"f\": \"{\"}]}",
         "a: []\nb: [1, x]\nc:\n  - {d: 1, f: \"{\"}\n"},
        {"{\"a\": {\"b\": {\"c\": \"q\\\"\\n\"}}}", "a:\n  b:\n    c: \"q\\\"\\n\"\n"},
    };

    (void)context;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *json = json_loads(rows[i].json, 0, NULL);
        char *text = yaml_text(json);

        assert_non_null(json);
        assert_string_equal(text, rows[i].yaml);
        free(text);
        json_decref(json);
    }
}

static void counters_at_zero_are_counted_not_listed(void **context)
{
    json_t *stats =
        json_loads("{\"epoch\": \"7\", \"stable\": true, \"main\": {\"a\": 0, \"b\": 0},"
                   " \"counters\": {\"a\": 0, \"b\": 5},"
                   " \"workers\": [{\"a\": 0, \"b\": 5}]}",
                   0, NULL);
    char *text = print_show("stats", stats);

    (void)context;
    assert_string_equal(text, "COUNTER  SUM  MAIN  WORKER 0\n"
                              "b          5     0         5\n"
                              "epoch 7\n1 counters are 0 (--json shows them)\n");
    free(text);
    json_decref(stats);
}

static void stages_are_told_by_the_message(void **context)
{
    json_t *stats = json_loads("{\"epoch\": \"7\", \"stable\": true, \"main\": {}, \"workers\": [],"
                               " \"counters\": {\"stage_messages\": 4, \"stage_cycles_receive\": 0,"
                               " \"stage_cycles_parse\": 1001, \"stage_cycles_route\": 402}}",
                               0, NULL);
    char *text = print_show("stats", stats);

    (void)context;
    assert_non_null(strstr(text, "\ncycles a message: receive 0, parse 250, route 100, all 351\n"));
    free(text);
    json_decref(stats);
}

static void addresses_of_both_families_are_told_from_ports(void **context)
{
    json_t *services = json_loads("[{\"name\": \"s\", \"mode\": \"proxy\", \"pool\": \"p\","
                                  " \"listen\": [{\"transport\": \"udp\", \"address\": \"::1\","
                                  " \"port\": 5060}, {\"transport\": \"udp\","
                                  " \"address\": \"192.0.2.1\", \"port\": 5061}]}]",
                                  0, NULL);
    char *text = print_show("services", services);

    (void)context;
    assert_non_null(strstr(text, "udp [::1]:5060, udp 192.0.2.1:5061"));
    free(text);
    json_decref(services);
}

static void names_tell_their_targets(void **context)
{
    json_t *names = json_loads(
        "{\"names\": [{\"name\": \"a.test\", \"port\": null, \"transport\": null,"
        " \"outcome\": \"found\", \"stale\": false, \"seconds_left\": 7, \"targets\": ["
        "{\"address\": \"192.0.2.1\", \"port\": 5060, \"priority\": 10, \"weight\": 75},"
        "{\"address\": \"2001:db8::1\", \"port\": 5070, \"priority\": 20, \"weight\": 0}]}],"
        " \"waiting\": 2, \"counters\": {\"received\": 3}}",
        0, NULL);
    char *text = print_show("names", names);

    (void)context;
    assert_non_null(text);
    assert_non_null(strstr(text, "10/75 192.0.2.1:5060, 20/0 [2001:db8::1]:5070"));
    assert_non_null(strstr(text, "received          3\n"));
    assert_non_null(strstr(text, "waiting           2\n"));
    free(text);
    json_decref(names);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printed_config_loads_and_is_the_same),
        cmocka_unit_test(streams_are_shown),
        cmocka_unit_test(yaml_quotes_whatever_could_mean_something),
        cmocka_unit_test(names_tell_their_targets),
        cmocka_unit_test(counters_at_zero_are_counted_not_listed),
        cmocka_unit_test(stages_are_told_by_the_message),
        cmocka_unit_test(addresses_of_both_families_are_told_from_ports),
    };

    if (argc > 1)
        directory = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
