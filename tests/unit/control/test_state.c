/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state: file round trip, damaged files, who lingers, whom a name means.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/state.h"

enum { HOUR_S = 3600 };

/* A configuration of up to two pools with backends by name, one letter each: {"ab", "a"}. */
struct few {
    struct cfg cfg;
    struct cfg_pool pools[2];
    struct cfg_backend backends[2][8];
    char names[2][8][2];
    uint16_t ports[2];
};

static const struct cfg *few(struct few *f, const char *p, const char *q)
{
    const char *members[2] = {p, q};
    static char *const pool_names[2] = {(char *)"p", (char *)"q"};
    static const uint8_t transports[] = {SIP_TRANSPORT_UDP, SIP_TRANSPORT_TCP, SIP_TRANSPORT_TLS};

    memset(f, 0, sizeof(*f));
    f->cfg.linger_ms = HOUR_S * 1000;
    f->cfg.pools = f->pools;
    f->ports[0] = 5062;
    f->ports[1] = 5064;
    for (uint32_t i = 0; i < 2 && members[i] != NULL; i++) {
        f->cfg.n_pools++;
        f->pools[i].name = pool_names[i];
        f->pools[i].backends = f->backends[i];
        for (const char *c = members[i]; *c != '\0'; c++) {
            uint32_t n = f->pools[i].n_backends++;

            f->names[i][n][0] = *c;
            f->backends[i][n] = (struct cfg_backend){.name = f->names[i][n],
                                                     .weight = 100,
                                                     .transport = transports[n % 3],
                                                     .ports = f->ports,
                                                     .n_ports = 2};
            assert_int_equal(
                sip_ip_parse(sip_slice_of("[2001:db8::1]"), &f->backends[i][n].addr.ip), 0);
            f->backends[i][n].addr.port = 5060;
        }
    }
    return &f->cfg;
}

/* "p/a up, p/b lingering": all backends of a state, for comparing. */
static const char *describe(const struct state *state)
{
    static char text[512];
    size_t length = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < state->n_backends; i++)
        length += (size_t)snprintf(
            text + length, sizeof(text) - length, "%s%s/%s %s", i > 0 ? ", " : "",
            state->backends[i].pool, state->backends[i].backend.name,
            state->backends[i].lingering ? "lingers" : state_word(state->backends[i].admin));
    return text;
}

static struct state *adopt(struct state *state, const struct cfg *cfg, uint64_t now_s)
{
    struct state *next = state_adopt(state, cfg, now_s);

    assert_non_null(next);
    state_free(state);
    return next;
}

static void backends_come_leave_linger_and_return(void **context)
{
    static const struct {
        const char *p, *q;
        uint64_t now_s;
        const char *expected;
    } steps[] = {
        {"ab", NULL, 1000, "p/a draining, p/b up"},
        {"ac", NULL, 1001, "p/a draining, p/c up, p/b lingers"},
        {"ab", "a", 1002, "p/a draining, p/b up, q/a up, p/c lingers"},
        {"ab", NULL, 1003, "p/a draining, p/b up, q/a lingers, p/c lingers"},
        {"b", NULL, 1004, "p/b up, p/a lingers, q/a lingers, p/c lingers"},
        {"b", NULL, 900, "p/b up, p/a lingers, q/a lingers, p/c lingers"}, /* the clock went back */
        {"ab", NULL, 1005, "p/a draining, p/b up, q/a lingers, p/c lingers"},
        {"ab", NULL, 1002 + HOUR_S - 1, "p/a draining, p/b up, q/a lingers, p/c lingers"},
        {"ab", NULL, 1002 + HOUR_S, "p/a draining, p/b up, q/a lingers"},
        {"b", NULL, 9000, "p/b up, p/a lingers"},
        {"b", NULL, 9000 + HOUR_S, "p/b up"},
        {"ab", NULL, 9001 + HOUR_S, "p/a up, p/b up"}, /* forgotten: the word too */
    };
    struct state *state = state_new();
    struct few f;

    (void)context;
    state = adopt(state, few(&f, "ab", NULL), 0);
    state->backends[0].admin = LB_DRAINING;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        state = adopt(state, few(&f, steps[i].p, steps[i].q), steps[i].now_s);
        assert_string_equal(describe(state), steps[i].expected);
    }
    state_free(state);
}

/* What of a state goes into a snapshot. */
struct compiled {
    struct compile_state *states;
    struct compile_lingering *lingering;
    uint32_t n_states, n_lingering;
};

static struct compiled compile(const struct state *state, const struct cfg *cfg)
{
    struct compiled c;

    assert_int_equal(
        state_compile(state, cfg, &c.states, &c.n_states, &c.lingering, &c.n_lingering), 0);
    return c;
}

static void compiled_free(struct compiled *c)
{
    free(c->states);
    free(c->lingering);
}

static void pool_that_left_lingers_in_the_state_but_in_no_snapshot(void **context)
{
    struct state *state = state_new();
    struct compiled c;
    struct few f;

    (void)context;
    state = adopt(state, few(&f, "ab", "c"), 1);
    state = adopt(state, few(&f, "a", NULL), 2);
    c = compile(state, few(&f, "a", NULL));
    assert_int_equal(c.n_states, 1);
    assert_int_equal(c.n_lingering, 1);
    assert_string_equal(c.lingering[0].pool, "p");
    assert_string_equal(c.lingering[0].backend.name, "b");
    compiled_free(&c);
    state_free(state);
}

/* compile_snapshot looks them up so. */
static void states_are_in_the_order_of_ids(void **context)
{
    struct state *state = state_new();
    struct compiled c;
    struct few f;

    (void)context;
    state = adopt(state, few(&f, "abcdefgh", NULL), 1);
    c = compile(state, few(&f, "abcdefgh", NULL));
    assert_int_equal(c.n_states, 8);
    for (uint32_t i = 1; i < c.n_states; i++)
        assert_true(c.states[i - 1].id < c.states[i].id);
    compiled_free(&c);
    state_free(state);
}

static struct state *sample(void)
{
    struct state *state = state_new();
    struct few f;

    state = adopt(state, few(&f, "abc", NULL), 1);
    state->epoch = UINT64_MAX;
    state->generation = UINT64_MAX - 1;
    state->backends[0].admin = LB_DISABLED;
    state->backends[1].weight = 0;
    return adopt(state, few(&f, "ab", NULL), 77);
}

static void assert_same(const struct state *a, const struct state *b)
{
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->n_backends, b->n_backends);
    for (uint32_t i = 0; i < a->n_backends; i++) {
        const struct state_backend *x = &a->backends[i], *y = &b->backends[i];

        assert_int_equal(x->id, y->id);
        assert_string_equal(x->pool, y->pool);
        assert_string_equal(x->backend.name, y->backend.name);
        assert_true(sip_addr_equal(&x->backend.addr, &y->backend.addr));
        assert_int_equal(x->backend.weight, y->backend.weight);
        assert_int_equal(x->backend.n_ports, y->backend.n_ports);
        assert_int_equal(x->backend.transport, y->backend.transport);
        assert_memory_equal(x->backend.ports, y->backend.ports, 2 * x->backend.n_ports);
        assert_int_equal(x->admin, y->admin);
        assert_int_equal(x->weight, y->weight);
        assert_int_equal(x->lingering, y->lingering);
        assert_int_equal(x->left_s, y->left_s);
        assert_int_equal(x->epoch, y->epoch);
    }
}

static char dir[64], file[96];

static int make_directory(void **context)
{
    (void)context;
    strcpy(dir, "/tmp/tandem-test-XXXXXX");
    snprintf(file, sizeof(file), "%s/state.json", mkdtemp(dir));
    return 0;
}

static int remove_directory(void **context)
{
    char path[128];

    (void)context;
    unlink(file);
    snprintf(path, sizeof(path), "%s.new", file);
    unlink(path);
    snprintf(path, sizeof(path), "%s/d/lock", dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/d", dir);
    rmdir(path);
    return rmdir(dir);
}

static void file_brings_back_what_was_saved(void **context)
{
    struct state *state = sample(), *copy, *loaded;
    char reason[200];

    (void)context;
    assert_int_equal(state_load(file, &loaded, reason), 0); /* none yet: empty */
    assert_int_equal(loaded->n_backends, 0);
    state_free(loaded);
    assert_int_equal(state_save(state, file), 0);
    assert_int_equal(state_load(file, &loaded, reason), 0);
    assert_same(state, loaded);
    copy = state_copy(loaded);
    state_free(loaded);
    assert_same(state, copy);
    assert_int_equal(state_save(copy, "/nowhere/state.json"), -ENOENT);
    state_free(copy);
    state_free(state);
}

static char *file_text(size_t *ret_length)
{
    FILE *in = fopen(file, "r");
    char *text = calloc(1, 65536);

    assert_non_null(in);
    assert_non_null(text);
    *ret_length = fread(text, 1, 65535, in);
    fclose(in);
    return text;
}

static void put_file(const char *text, size_t length)
{
    FILE *out = fopen(file, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, length, out), length);
    fclose(out);
}

static void file_cut_anywhere_is_refused(void **context)
{
    struct state *state = sample(), *loaded;
    char reason[200];
    size_t length;
    char *text;

    (void)context;
    assert_int_equal(state_save(state, file), 0);
    text = file_text(&length);
    for (size_t n = 0; n + 1 < length; n++) {
        put_file(text, n);
        reason[0] = '\0';
        assert_int_equal(state_load(file, &loaded, reason), -EBADMSG);
        assert_true(reason[0] != '\0');
    }
    free(text);
    state_free(state);
}

static void values_out_of_range_are_refused(void **context)
{
#define STATE(backend) \
    "{\"version\":1,\"generation\":\"1\",\"epoch\":\"0\",\"backends\":[" backend "]}"
#define GOOD "\"pool\":\"p\",\"name\":\"a\",\"address\":\"10.0.0.1\""
    static const char *const texts[] = {
        "[]",
        "null",
        "{}",
        "{\"version\":2,\"generation\":\"1\",\"epoch\":\"0\",\"backends\":[]}",
        "{\"version\":1,\"generation\":1,\"epoch\":\"0\",\"backends\":[]}",
        "{\"version\":1,\"generation\":\"99999999999999999999\",\"epoch\":\"0\",\"backends\":[]}",
        "{\"version\":1,\"generation\":\"1\",\"epoch\":\"0\",\"backends\":{}}",
        STATE("7"),
        STATE("{" GOOD ",\"port\":65536,\"weight\":1,\"ports\":[],\"admin\":\"up\"}"),
        STATE("{" GOOD ",\"port\":-1,\"weight\":1,\"ports\":[],\"admin\":\"up\"}"),
        STATE("{" GOOD ",\"port\":1,\"weight\":1001,\"ports\":[],\"admin\":\"up\"}"),
        STATE("{" GOOD ",\"port\":1,\"weight\":1,\"ports\":[0],\"admin\":\"up\"}"),
        STATE("{" GOOD
              ",\"port\":1,\"weight\":1,\"ports\":[],\"admin\":\"up\",\"transport\":\"ws\"}"),
        STATE("{" GOOD ",\"port\":1,\"weight\":1,\"ports\":[1,2,3,4,5,6,7,8,9],\"admin\":\"up\"}"),
        STATE("{" GOOD ",\"port\":1,\"weight\":1,\"ports\":[],\"admin\":\"down\"}"),
        STATE("{" GOOD ",\"port\":1,\"weight\":1,\"ports\":[],\"admin\":\"up\",\"left_s\":\"x\"}"),
        STATE("{\"pool\":\"p\",\"name\":\"a\",\"address\":\"ten\",\"port\":1,\"weight\":1,"
              "\"ports\":[],\"admin\":\"up\"}"),
    };
    struct state *loaded;
    char reason[200];

    (void)context;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put_file(texts[i], strlen(texts[i]));
        if (state_load(file, &loaded, reason) != -EBADMSG)
            fail_msg("taken: %s", texts[i]);
    }
    put_file(STATE("{" GOOD ",\"port\":1,\"weight\":1,\"ports\":[],\"admin\":\"up\"}"),
             strlen(STATE("{" GOOD ",\"port\":1,\"weight\":1,\"ports\":[],\"admin\":\"up\"}")));
    assert_int_equal(state_load(file, &loaded, reason), 0);
    state_free(loaded);
}

/* A base is an array by place. An older version wrote the first few numbers, a newer one more. */
static void bases_of_other_versions_are_read(void **context)
{
#define BASE(numbers)                                                        \
    STATE("{" GOOD ",\"port\":1,\"weight\":1,\"ports\":[],\"admin\":\"up\"," \
          "\"base_epoch\":\"9\",\"base\":" numbers "}")
    static const char *const good[] = {
        BASE("[\"7\",\"6\",\"5\",\"4\",\"3\"]"),
        BASE("[\"7\",\"6\",\"5\",\"4\",\"3\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"2\","
             "\"1\"]"),
    };
    static const char *const bad[] = {BASE("\"7\""), BASE("[7]"), BASE("{}"), BASE("[\"-1\"]")};
    struct state *loaded, *again;
    char reason[200];

    (void)context;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        put_file(good[i], strlen(good[i]));
        assert_int_equal(state_load(file, &loaded, reason), 0);
        assert_int_equal(loaded->backends[0].base_epoch, 9);
        for (int what = 0; what < COUNTERS_SLOT_COUNT; what++)
            assert_int_equal(loaded->backends[0].base[what], what < 5 ? 7 - what : 0);
        assert_int_equal(state_save(loaded, file), 0);
        assert_int_equal(state_load(file, &again, reason), 0);
        assert_memory_equal(again->backends[0].base, loaded->backends[0].base,
                            sizeof(loaded->backends[0].base));
        state_free(again);
        state_free(loaded);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        put_file(bad[i], strlen(bad[i]));
        assert_int_equal(state_load(file, &loaded, reason), -EBADMSG);
    }
}

/* kill -9 at any instant: a writer is killed again and again, a reader never finds a broken file.
 */
static void killed_writer_leaves_a_readable_file(void **context)
{
    struct state *state = sample(), *loaded;
    char reason[200];

    (void)context;
    assert_int_equal(state_save(state, file), 0);
    for (int i = 0; i < 25; i++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            for (;;)
                state_save(state, file);
        }
        usleep(1000 + 731 * (useconds_t)i);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        assert_int_equal(state_load(file, &loaded, reason), 0);
        assert_same(state, loaded);
        state_free(loaded);
    }
    state_free(state);
}

static void names_mean_one_backend_or_none(void **context)
{
    static const struct {
        const char *text, *found, *reason;
    } rows[] = {
        {"p/a", "p", NULL},
        {"q/a", "q", NULL},
        {"b", "p", NULL},
        {"a", NULL, "several pools"},
        {"x", NULL, "no backend x"},
        {"p/", NULL, "no backend"},
        {"", NULL, "no backend"},
        {"c", NULL, "left the configuration"},
        {"p/c", NULL, "left the configuration"},
    };
    struct state *state = state_new();
    struct few f;

    (void)context;
    state = adopt(state, few(&f, "abc", "a"), 1);
    state = adopt(state, few(&f, "ab", "a"), 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char reason[200] = "";
        struct state_backend *b = state_resolve(state, rows[i].text, reason);

        if (rows[i].found != NULL)
            assert_string_equal(b->pool, rows[i].found);
        else
            assert_true(b == NULL && strstr(reason, rows[i].reason) != NULL);
    }
    state_free(state);
}

static void directory_is_locked_for_one_process(void **context)
{
    char path[128];
    int first, second;

    (void)context;
    snprintf(path, sizeof(path), "%s/d", dir);
    first = state_lock(path);
    assert_true(first >= 0);
    second = state_lock(path);
    assert_int_equal(second, -EWOULDBLOCK);
    close(first);
    second = state_lock(path);
    assert_true(second >= 0);
    close(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_come_leave_linger_and_return),
        cmocka_unit_test(pool_that_left_lingers_in_the_state_but_in_no_snapshot),
        cmocka_unit_test(states_are_in_the_order_of_ids),
        cmocka_unit_test(file_brings_back_what_was_saved),
        cmocka_unit_test(file_cut_anywhere_is_refused),
        cmocka_unit_test(bases_of_other_versions_are_read),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(killed_writer_leaves_a_readable_file),
        cmocka_unit_test(names_mean_one_backend_or_none),
        cmocka_unit_test(directory_is_locked_for_one_process),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
