/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of what runs, against a data plane that acknowledges, refuses, is silent, dies or is not
 * there: what is offered, what is kept, and what who asked is told.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/control/fake.h"

#define A "{name: a, address: 10.0.0.1, port: 5060}"
#define B "{name: b, address: 10.0.0.2, port: 5060}"
#define C "{name: c, address: 10.0.0.3, port: 5060}"

enum { LINGERS = 100 + LB_DRAINING };

/* A reload that is connected and acknowledged. */
static struct reload *connected(struct fake *fake, uint32_t *ready)
{
    struct reload *reload = fake_reload(fake, ready);

    fake_until(fake, ready, 1);
    return reload;
}

static void first_snapshot_is_offered_and_ready_said_once(void **context)
{
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;

    (void)context;
    fake_setup(&fake, A "," B);
    reload = fake_reload(&fake, &ready);
    for (int i = 0; i < 3; i++)
        loop_step(fake.loop); /* nobody is there: it tries again */
    assert_int_equal(ready, 0);
    assert_int_equal(reload_acknowledged(reload), 0);
    fake_start(&fake);
    fake_until(&fake, &ready, 1);
    assert_int_equal(fake.n_offers, 1);
    assert_int_equal(reload_acknowledged(reload), fake.generation);
    assert_int_equal(reload_snapshot(reload)->generation, fake.generation);
    assert_int_equal(fake_state_of(&fake, "a"), LB_UP);
    fake_ask(&fake, reload, PLAN_FILE, "", 0);
    assert_int_equal(ready, 1);
    reload_free(reload);
    fake_teardown(&fake);
}

static void backend_that_leaves_lingers_and_one_that_returns_does_not(void **context)
{
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;
    struct fake_outcome outcome;

    (void)context;
    fake_setup(&fake, A "," B);
    fake_start(&fake);
    reload = connected(&fake, &ready);
    fake_configure(&fake, A "," C, "");
    outcome = fake_ask(&fake, reload, PLAN_FILE, "", 0);
    assert_int_equal(outcome.status, RELOAD_DONE);
    assert_int_equal(outcome.generation, fake.generation);
    assert_int_equal(fake_state_of(&fake, "b"), LINGERS);
    assert_int_equal(fake_state_of(&fake, "c"), LB_UP);
    /* Over a restart too. */
    reload_free(reload);
    reload = fake_reload(&fake, &ready);
    fake_until(&fake, &ready, 2);
    assert_int_equal(fake_state_of(&fake, "b"), LINGERS);
    fake_configure(&fake, A "," B "," C, "");
    fake_ask(&fake, reload, PLAN_FILE, "", 0);
    assert_int_equal(fake_state_of(&fake, "b"), LB_UP);
    reload_free(reload);
    fake_teardown(&fake);
}

static void operators_word_and_generation_survive_a_restart(void **context)
{
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;
    uint64_t before;

    (void)context;
    fake_setup(&fake, A "," B);
    fake_start(&fake);
    reload = connected(&fake, &ready);
    assert_int_equal(fake_ask(&fake, reload, PLAN_ADMIN, "p/a", LB_DRAINING).status, RELOAD_DONE);
    assert_int_equal(fake_state_of(&fake, "a"), LB_DRAINING);
    assert_int_equal(fake_ask(&fake, reload, PLAN_WEIGHT, "b", 7).status, RELOAD_DONE);
    before = fake.generation;
    reload_free(reload); /* nothing is written on the way out: as good as kill -9 */
    reload = fake_reload(&fake, &ready);
    fake_until(&fake, &ready, 2);
    assert_true(fake.generation > before);
    assert_int_equal(fake_state_of(&fake, "a"), LB_DRAINING);
    assert_int_equal(snapshot_backends(fake.offered)[1].weight, 7);
    reload_free(reload);
    fake_teardown(&fake);
}

static void refused_snapshot_changes_nothing(void **context)
{
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;
    struct fake_outcome outcome;
    uint64_t running;

    (void)context;
    fake_setup(&fake, A "," B);
    fake_start(&fake);
    reload = connected(&fake, &ready);
    running = reload_snapshot(reload)->generation;
    fake.answer = -28;
    fake.reason = "no slot left";
    fake_configure(&fake, A, "");
    outcome = fake_ask(&fake, reload, PLAN_FILE, "", 0);
    assert_int_equal(outcome.status, RELOAD_REFUSED);
    assert_non_null(strstr(outcome.text, "no slot left"));
    assert_int_equal(reload_snapshot(reload)->generation, running);
    assert_int_equal(reload_acknowledged(reload), running);
    assert_int_equal(reload_cfg(reload)->pools[0].n_backends, 2);
    assert_false(reload_state(reload)->backends[1].lingering);
    assert_non_null(strstr(reload_refusal(reload), "no slot left"));
    reload_free(reload);
    fake_teardown(&fake);
}

static void broken_file_is_refused_without_an_offer(void **context)
{
    static const struct {
        const char *backends, *more, *reason;
    } rows[] = {
        {"{nome: a}", "", "tandem.yaml:"},
        {A "," A, "", "tandem.yaml:"},
        {A "," B, "  memory: 512MiB\n", "dataplane.memory: needs a restart of tandem-dataplane"},
    };
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;

    (void)context;
    fake_setup(&fake, A "," B);
    fake_start(&fake);
    reload = connected(&fake, &ready);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fake_outcome outcome;

        fake_configure(&fake, rows[i].backends, rows[i].more);
        outcome = fake_ask(&fake, reload, PLAN_FILE, "", 0);
        assert_int_equal(outcome.status, RELOAD_REFUSED);
        if (strstr(outcome.text, rows[i].reason) == NULL)
            fail_msg("%s: %s", rows[i].reason, outcome.text);
    }
    assert_int_equal(fake.n_offers, 1);
    assert_int_equal(fake_ask(&fake, reload, PLAN_ADMIN, "x", LB_UP).status, RELOAD_REFUSED);
    /* A data plane that was restarted has read the memory: now it is no change any more. */
    fake_stop(&fake);
    fake_start(&fake);
    fake.counters->epoch = ++fake.hello.epoch;
    fake_until(&fake, &fake.n_offers, 2);
    assert_int_equal(fake_ask(&fake, reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    assert_true(reload_cfg(reload)->dataplane.memory_bytes == UINT64_C(512) << 20);
    fake_configure(&fake, A "," B, "");
    assert_int_equal(fake_ask(&fake, reload, PLAN_FILE, "", 0).status, RELOAD_REFUSED);
    reload_free(reload);
    fake_teardown(&fake);
}

/* The same with a listener for TCP and a number of threads. */
static void configure_streams(const struct fake *fake, const char *threads)
{
    static const char listen[] = "listen: [", control[] = "control: {";
    char text[4096];
    FILE *file = fopen(fake->config, "r");
    size_t length = fread(text, 1, sizeof(text) - 1, file), head, middle;

    fclose(file);
    text[length] = '\0';
    head = (size_t)(strstr(text, listen) - text) + strlen(listen);
    middle = (size_t)(strstr(text, control) - text) + strlen(control);
    file = fopen(fake->config, "w");
    fprintf(file,
            "%.*s{transport: tcp, address: 192.0.2.10, port: 5060}, %.*sstreams: {threads: %s}, %s",
            (int)head, text, (int)(middle - head), text + head, threads, text + middle);
    fclose(file);
}

static void threads_that_run_are_changed_by_a_restart_only(void **context)
{
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;
    struct fake_outcome outcome;

    (void)context;
    fake_setup(&fake, A);
    fake_start(&fake);
    reload = connected(&fake, &ready);
    configure_streams(&fake, "2"); /* they begin with the first listener */
    assert_int_equal(fake_ask(&fake, reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    fake_configure(&fake, A, "");
    configure_streams(&fake, "3");
    outcome = fake_ask(&fake, reload, PLAN_FILE, "", 0);
    assert_int_equal(outcome.status, RELOAD_REFUSED);
    assert_non_null(
        strstr(outcome.text, "control.streams.threads: needs a restart of tandem-control"));
    assert_int_equal(reload_cfg(reload)->control.streams.threads, 2);
    fake_configure(&fake, A "," B, "");
    configure_streams(&fake, "2");
    assert_int_equal(fake_ask(&fake, reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    reload_free(reload);
    fake_teardown(&fake);
}

static void data_plane_that_dies_gets_the_change_when_it_returns(void **context)
{
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;
    struct fake_outcome outcome = {0};
    struct plan_change change = {.kind = PLAN_ADMIN, .admin = LB_DISABLED, .backend = "b"};

    (void)context;
    fake_setup(&fake, A "," B);
    fake_start(&fake);
    reload = connected(&fake, &ready);
    fake.answer = 1;
    reload_ask(reload, &change, fake_done, &outcome);
    fake_until(&fake, &fake.n_offers, 2);
    assert_int_equal(outcome.n, 0);
    fake_stop(&fake);
    fake_until(&fake, &outcome.n, 1);
    assert_int_equal(outcome.status, RELOAD_PENDING);
    assert_int_equal(fake_ask(&fake, reload, PLAN_ADMIN, "a", LB_DRAINING).status, RELOAD_PENDING);
    fake.answer = 0;
    fake_start(&fake);
    fake_until(&fake, &fake.n_offers, 3);
    assert_int_equal(fake_state_of(&fake, "a"), LB_DRAINING);
    assert_int_equal(fake_state_of(&fake, "b"), LB_DISABLED);
    reload_free(reload);
    fake_teardown(&fake);
}

static void two_changes_at_once_take_turns(void **context)
{
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;
    struct fake_outcome first = {0}, second = {0}, left = {0};
    struct plan_change change = {.kind = PLAN_FILE};

    (void)context;
    fake_setup(&fake, A "," B);
    fake_start(&fake);
    reload = connected(&fake, &ready);
    reload_ask(reload, &change, fake_done, &first);
    reload_ask(reload, &change, fake_done, &left);
    reload_ask(reload, &change, fake_done, &second);
    reload_cancel(reload, &left);
    fake_until(&fake, &second.n, 1);
    assert_int_equal(first.n, 1);
    assert_int_equal(left.n, 0);
    assert_int_equal(first.status, RELOAD_DONE);
    assert_int_equal(second.generation, first.generation + 2);
    assert_int_equal(fake.n_offers, 4);
    reload_free(reload);
    fake_teardown(&fake);
}

/* The change that came while what runs was offered again must not be taken for the one offered. */
static void change_during_a_repeated_offer_waits(void **context)
{
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;
    struct fake_outcome outcome = {0};
    struct plan_change change = {.kind = PLAN_ADMIN, .admin = LB_DRAINING, .backend = "a"};
    struct msg_answer answer = {.magic = MSG_MAGIC, .kind = MSG_ANSWER};

    (void)context;
    fake_setup(&fake, A "," B);
    fake_start(&fake);
    fake.answer = 1;
    reload = fake_reload(&fake, &ready);
    fake_until(&fake, &fake.n_offers, 1);
    reload_ask(reload, &change, fake_done, &outcome);
    fake.answer = 0;
    answer.generation = fake.generation + 99; /* of no offer: ignored */
    assert_int_equal(msg_send(fake.fd, &answer, sizeof(answer), NULL, 0), 0);
    answer.generation = fake.generation;
    assert_int_equal(msg_send(fake.fd, &answer, sizeof(answer), NULL, 0), 0);
    fake_until(&fake, &outcome.n, 1);
    assert_int_equal(fake.n_offers, 2);
    assert_int_equal(outcome.status, RELOAD_DONE);
    assert_int_equal(fake_state_of(&fake, "a"), LB_DRAINING);
    reload_free(reload);
    fake_teardown(&fake);
}

/* Control lost its state directory; the data plane knows a greater generation. */
static void generation_grows_beyond_the_data_planes(void **context)
{
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;

    (void)context;
    fake_setup(&fake, A);
    fake_start(&fake);
    fake.hello.generation = 5000;
    reload = connected(&fake, &ready);
    assert_int_equal(fake.generation, 5001);
    reload_free(reload);
    reload = fake_reload(&fake, &ready);
    fake_until(&fake, &ready, 2);
    assert_true(fake.generation > 5001);
    reload_free(reload);
    fake_teardown(&fake);
}

static void damaged_state_is_kept_aside_and_does_not_stop_a_start(void **context)
{
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;
    char aside[160];
    FILE *out;

    (void)context;
    fake_setup(&fake, A);
    out = fopen(fake.state, "w");
    assert_non_null(out);
    fputs("{\"version\": 1, \"gener", out);
    fclose(out);
    fake_start(&fake);
    reload = connected(&fake, &ready);
    snprintf(aside, sizeof(aside), "%s.damaged", fake.state);
    assert_int_equal(access(aside, F_OK), 0);
    assert_int_equal(access(fake.state, F_OK), 0);
    reload_free(reload);
    fake_teardown(&fake);
}

/* Nothing may be written: the change is refused with the reason, before the data plane hears of it.
 */
static void full_disk_refuses_changes_and_nothing_else(void **context)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = RLIM_INFINITY};
    const struct rlimit all = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;
    struct fake_outcome outcome;
    char unfinished[160];

    (void)context;
    fake_setup(&fake, A "," B);
    fake_start(&fake);
    reload = connected(&fake, &ready);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    outcome = fake_ask(&fake, reload, PLAN_ADMIN, "a", LB_DRAINING);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    assert_int_equal(outcome.status, RELOAD_REFUSED);
    assert_non_null(strstr(outcome.text, strerror(EFBIG)));
    assert_non_null(strstr(outcome.text, fake.state));
    assert_int_equal(fake.n_offers, 1);
    assert_int_equal(reload_state(reload)->backends[0].admin, LB_UP);
    snprintf(unfinished, sizeof(unfinished), "%s.new", fake.state);
    assert_int_equal(access(unfinished, F_OK), -1);
    assert_int_equal(fake_ask(&fake, reload, PLAN_ADMIN, "a", LB_DRAINING).status, RELOAD_DONE);
    assert_int_equal(fake_state_of(&fake, "a"), LB_DRAINING);
    assert_int_equal(access(unfinished, F_OK), -1);
    reload_free(reload);
    fake_teardown(&fake);
}

/* It takes the offer and says nothing: it is left, the change is kept for when it is back. */
static void silent_data_plane_does_not_hold_changes_for_ever(void **context)
{
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;
    struct fake_outcome first = {0}, second = {0};
    struct plan_change change = {.kind = PLAN_ADMIN, .admin = LB_DRAINING, .backend = "a"};

    (void)context;
    fake_setup(&fake, A "," B);
    fake_start(&fake);
    reload = connected(&fake, &ready);
    fake.answer = 1;
    reload_ask(reload, &change, fake_done, &first);
    strcpy(change.backend, "b");
    reload_ask(reload, &change, fake_done, &second);
    fake_until(&fake, &second.n, 1);
    assert_int_equal(first.status, RELOAD_PENDING);
    assert_int_equal(second.status, RELOAD_PENDING);
    fake.answer = 0;
    fake_until(&fake, &fake.n_connections, 2);
    fake_until(&fake, &fake.n_offers, 3);
    assert_int_equal(fake_state_of(&fake, "a"), LB_DRAINING);
    assert_int_equal(fake_state_of(&fake, "b"), LB_DRAINING);
    reload_free(reload);
    fake_teardown(&fake);
}

/* A change refused, then a good one; and what a data plane that came refused is offered again. */
static void refusal_is_followed_by_a_good_change(void **context)
{
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;

    (void)context;
    fake_setup(&fake, A "," B);
    fake_start(&fake);
    fake.answer = -16;
    fake.reason = "a worker still reads older snapshots";
    reload = fake_reload(&fake, &ready);
    fake_until(&fake, &fake.n_offers, 1);
    assert_int_equal(fake_ask(&fake, reload, PLAN_ADMIN, "a", LB_DRAINING).status, RELOAD_REFUSED);
    assert_int_equal(ready, 0);
    fake.answer = 0;
    assert_int_equal(fake_ask(&fake, reload, PLAN_ADMIN, "b", LB_DRAINING).status, RELOAD_DONE);
    assert_int_equal(fake_state_of(&fake, "a"), LB_UP);
    assert_int_equal(fake_state_of(&fake, "b"), LB_DRAINING);
    assert_int_equal(ready, 1);
    assert_string_equal(reload_refusal(reload), "");
    reload_free(reload);
    fake_teardown(&fake);
}

/* Which file lies there: each that is written is a new one. */
static ino_t inode_of(const char *file)
{
    struct stat st;

    assert_int_equal(stat(file, &st), 0);
    return st.st_ino;
}

static void what_changes_by_itself_is_offered_and_not_written(void **context)
{
    const struct compile_name name = {.host = "a.test", .outcome = SNAPSHOT_NAME_NONE};
    struct fake fake;
    uint32_t ready = 0;
    struct reload *reload;
    struct fake_outcome outcome;
    ino_t inode;

    (void)context;
    fake_setup(&fake, A "," B);
    fake_start(&fake);
    reload = connected(&fake, &ready);
    fake_ask(&fake, reload, PLAN_ADMIN, "b", LB_DRAINING);
    inode = inode_of(fake.state);
    reload_live(reload)->names = &name;
    reload_live(reload)->n_names = 1;
    outcome = fake_ask(&fake, reload, PLAN_LIVE, "", 0);
    assert_int_equal(outcome.status, RELOAD_DONE);
    assert_int_equal(reload_snapshot(reload)->generation, fake.generation);
    assert_int_equal(fake_state_of(&fake, "b"), LB_DRAINING);
    fake.answer = -EINVAL;
    assert_int_equal(fake_ask(&fake, reload, PLAN_LIVE, "", 0).status, RELOAD_REFUSED);
    fake_stop(&fake);
    loop_step(fake.loop);
    assert_int_equal(fake_ask(&fake, reload, PLAN_LIVE, "", 0).status, RELOAD_PENDING);
    assert_int_equal(inode_of(fake.state), inode);
    reload_free(reload);
    fake_teardown(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_snapshot_is_offered_and_ready_said_once),
        cmocka_unit_test(backend_that_leaves_lingers_and_one_that_returns_does_not),
        cmocka_unit_test(operators_word_and_generation_survive_a_restart),
        cmocka_unit_test(refused_snapshot_changes_nothing),
        cmocka_unit_test(broken_file_is_refused_without_an_offer),
        cmocka_unit_test(threads_that_run_are_changed_by_a_restart_only),
        cmocka_unit_test(data_plane_that_dies_gets_the_change_when_it_returns),
        cmocka_unit_test(two_changes_at_once_take_turns),
        cmocka_unit_test(change_during_a_repeated_offer_waits),
        cmocka_unit_test(generation_grows_beyond_the_data_planes),
        cmocka_unit_test(full_disk_refuses_changes_and_nothing_else),
        cmocka_unit_test(silent_data_plane_does_not_hold_changes_for_ever),
        cmocka_unit_test(refusal_is_followed_by_a_good_change),
        cmocka_unit_test(what_changes_by_itself_is_offered_and_not_written),
        cmocka_unit_test(damaged_state_is_kept_aside_and_does_not_stop_a_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
