/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `show` and `why` say: counts of the data plane joined with what runs, and its absence.
 */
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "control/show.h"
#include "control/why.h"
#include "dataplane/proxy/proxy.h"
#include "tests/unit/control/fake.h"

#define A "{name: a, address: 10.0.0.1, port: 5060, weight: 300}"
#define B "{name: b, address: 10.0.0.2, port: 5060}"

enum { SLOT_B = 5, SLOT_S = 1 };

static void count(struct fake *fake, enum counters_slot what, uint32_t block, uint64_t value)
{
    counters_slot_block(fake->counters, block, what)[SLOT_B] = value;
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value == NULL ? "" : value;
}

static struct reload *connected(struct fake *fake)
{
    uint32_t ready = 0;
    struct reload *reload;

    fake_setup(fake, A "," B);
    fake_start(fake);
    counters_slot_ids(fake->counters)[SLOT_B] =
        snapshot_backend_id(sip_slice_of("p"), sip_slice_of("b"));
    reload = fake_reload(fake, &ready);
    fake_until(fake, &ready, 1);
    return reload;
}

static void backends_have_states_shares_and_counts(void **context)
{
    struct fake fake;
    struct reload *reload = connected(&fake);
    json_t *list, *a, *b;

    (void)context;
    count(&fake, COUNTERS_SLOT_STARTED, 1, 10);
    count(&fake, COUNTERS_SLOT_STARTED, 2, 5);
    count(&fake, COUNTERS_SLOT_ENDED, 2, 12);
    count(&fake, COUNTERS_SLOT_REQUESTS, 1, 77);
    count(&fake, COUNTERS_SLOT_FINALS, 2, 9);
    count(&fake, COUNTERS_SLOT_BUSY, 1, 2);
    count(&fake, COUNTERS_SLOT_ERRORS, 2, 3);
    count(&fake, COUNTERS_SLOT_UNREACHABLE, 0, 4); /* main's */
    count(&fake, COUNTERS_SLOT_REGISTRATIONS_STARTED, 1, 40);
    count(&fake, COUNTERS_SLOT_REGISTRATIONS_ENDED, 0, 15);
    count(&fake, COUNTERS_SLOT_SUBSCRIPTIONS_STARTED, 2, 8);
    count(&fake, COUNTERS_SLOT_SUBSCRIPTIONS_ENDED, 1, 1);
    list = show_answer(reload, "backends");
    assert_int_equal(json_array_size(list), 2);
    a = json_array_get(list, 0);
    b = json_array_get(list, 1);
    assert_string_equal(text(b, "name"), "b");
    assert_string_equal(text(b, "state"), "up");
    assert_string_equal(text(b, "address"), "10.0.0.2");
    assert_int_equal(number(b, "calls"), 3);
    assert_int_equal(number(b, "registrations"), 25);
    assert_int_equal(number(b, "subscriptions"), 7);
    assert_int_equal(number(b, "requests"), 77);
    assert_int_equal(number(b, "finals"), 9);
    assert_int_equal(number(b, "busy"), 2);
    assert_int_equal(number(b, "errors"), 3);
    assert_int_equal(number(b, "unreachable"), 4);
    assert_int_equal(number(b, "slot"), SLOT_B);
    assert_true(json_is_null(json_object_get(a, "slot")));
    assert_true(json_is_null(json_object_get(a, "calls")));
    assert_true(json_real_value(json_object_get(a, "share_expected")) > 0.74);
    assert_true(json_real_value(json_object_get(a, "share_expected")) < 0.76);
    json_decref(list);
    count(&fake, COUNTERS_SLOT_ENDED, 1, 99); /* more ended than begun: 0, not 2^64 */
    list = show_answer(reload, "calls");
    assert_int_equal(number(json_array_get(list, 1), "calls"), 0);
    assert_int_equal(number(json_array_get(list, 1), "ended"), 111);
    json_decref(list);
    reload_free(reload);
    fake_teardown(&fake);
}

/* A slot's old backend goes, another gets the slot: what the old one counted is not the new one's,
 * over a restart of control too. */
static void slot_given_to_another_backend_starts_at_zero(void **context)
{
    struct fake fake;
    struct reload *reload = connected(&fake);
    struct fake_outcome outcome;
    uint32_t ready = 0;
    json_t *list, *c;

    (void)context;
    count(&fake, COUNTERS_SLOT_REQUESTS, 1, 70);
    count(&fake, COUNTERS_SLOT_REQUESTS, 2, 7);
    count(&fake, COUNTERS_SLOT_STARTED, 1, 9);
    count(&fake, COUNTERS_SLOT_ENDED, 1, 9);
    counters_slot_ids(fake.counters)[SLOT_B] = 0; /* swept: b is gone */
    fake_configure(&fake, A ", {name: c, address: 10.0.0.3}", "");
    fake.give_slot = SLOT_B;
    fake.give_id = snapshot_backend_id(sip_slice_of("p"), sip_slice_of("c"));
    outcome = fake_ask(&fake, reload, PLAN_FILE, "", 0);
    assert_int_equal(outcome.status, RELOAD_DONE);
    count(&fake, COUNTERS_SLOT_REQUESTS, 2, 12);
    count(&fake, COUNTERS_SLOT_STARTED, 2, 1);
    for (int restarted = 0; restarted < 2; restarted++) {
        list = show_answer(reload, "calls");
        c = json_array_get(list, 1);
        assert_string_equal(text(c, "name"), "c");
        assert_int_equal(number(c, "requests"), 5);
        assert_int_equal(number(c, "started"), 1);
        assert_int_equal(number(c, "ended"), 0);
        assert_int_equal(number(c, "calls"), 1);
        json_decref(list);
        if (restarted != 0)
            break;
        reload_free(reload);
        reload = fake_reload(&fake, &ready);
        fake_until(&fake, &ready, 1);
    }
    reload_free(reload);
    fake_teardown(&fake);
}

static void services_say_what_became_of_their_messages(void **context)
{
    struct fake fake;
    struct reload *reload = connected(&fake);
    json_t *list, *service, *stats, *sums;

    (void)context;
    list = show_answer(reload, "services");
    service = json_array_get(list, 0);
    assert_true(json_is_null(json_object_get(service, "messages"))); /* no slot */
    assert_true(json_is_null(json_object_get(service, "dropped")));
    json_decref(list);
    counters_service_ids(fake.counters)[SLOT_S] = snapshot_service_id(sip_slice_of("s"));
    counters_service_block(fake.counters, 1, SLOT_S)[COUNTERS_SERVICE_REQUESTS] = 100;
    counters_service_block(fake.counters, 2, SLOT_S)[COUNTERS_SERVICE_REQUESTS] = 20;
    counters_service_block(fake.counters, 0, SLOT_S)[COUNTERS_SERVICE_REQUESTS] = -(uint64_t)3;
    counters_service_block(fake.counters, 2, SLOT_S)[COUNTERS_SERVICE_RESPONSES] = 4000;
    counters_service_block(fake.counters, 1, SLOT_S)[COUNTERS_SERVICE_PUNTED] = 50000;
    counters_service_block(fake.counters, 0, FAKE_SERVICES - 1)[COUNTERS_SERVICE_REQUESTS] = 3;
    list = show_answer(reload, "services");
    service = json_array_get(list, 0);
    assert_string_equal(text(service, "name"), "s");
    assert_int_equal(number(service, "forwarded_request"), 117);
    assert_int_equal(number(service, "forwarded_response"), 4000);
    assert_int_equal(number(service, "replied"), 0);
    assert_int_equal(number(service, "punted"), 50000);
    assert_int_equal(number(service, "messages"), 54117);
    json_decref(list);
    stats = show_answer(reload, "stats");
    sums = json_object_get(stats, "services");
    assert_int_equal(number(sums, "forwarded_request"), 120);
    assert_int_equal(number(sums, "punted"), 50000);
    json_decref(stats);
    reload_free(reload);
    fake_teardown(&fake);
}

static void stats_are_summed_and_known_to_be_still(void **context)
{
    struct fake fake;
    struct reload *reload = connected(&fake);
    json_t *stats;

    (void)context;
    counters_block(fake.counters, 0)[0] = 1;
    counters_block(fake.counters, 1)[0] = 20;
    counters_block(fake.counters, 2)[0] = 300;
    stats = show_answer(reload, "stats");
    assert_true(json_is_true(json_object_get(stats, "stable")));
    assert_string_equal(text(stats, "epoch"), "7");
    assert_int_equal(number(json_object_get(stats, "counters"), "messages"), 321);
    assert_int_equal(json_array_size(json_object_get(stats, "workers")), FAKE_WORKERS);
    assert_int_equal(number(json_array_get(json_object_get(stats, "workers"), 1), "messages"), 300);
    json_decref(stats);
    fake_stop(&fake);
    while (link_hello(reload_link(reload)) != NULL)
        loop_step(fake.loop);
    stats = show_answer(reload, "stats");
    assert_true(json_is_null(json_object_get(stats, "epoch")));
    assert_false(json_is_true(json_object_get(stats, "stable")));
    json_decref(stats);
    reload_free(reload);
    fake_teardown(&fake);
}

/* A value that moves all the time. */
struct moving {
    uint64_t *value;
    atomic_bool stop;
};

static void *move(void *context)
{
    struct moving *moving = context;

    while (!atomic_load(&moving->stop))
        __atomic_fetch_add(moving->value, 1, __ATOMIC_RELAXED);
    return NULL;
}

/* Time never stands still, and must not hide that all else does. */
static void stats_are_still_while_time_passes(void **context)
{
    struct fake fake;
    struct reload *reload = connected(&fake);

    (void)context;
    for (uint32_t counter = 0; counter < FAKE_COUNTERS; counter++) {
        struct moving moving = {.value = &counters_block(fake.counters, 2)[counter]};
        bool time = counter == FAKE_COUNTERS - 1;
        bool still = true;
        pthread_t thread;

        assert_int_equal(counters_is_time(fake.counters, counter), time);
        assert_int_equal(pthread_create(&thread, NULL, move, &moving), 0);
        while (__atomic_load_n(moving.value, __ATOMIC_RELAXED) == 0)
            ;
        for (uint32_t i = 0; still && i < 50; i++) { /* where the CPU is short, it may pause */
            json_t *stats = show_answer(reload, "stats");

            still = json_is_true(json_object_get(stats, "stable"));
            json_decref(stats);
        }
        assert_int_equal(still, time);
        atomic_store(&moving.stop, true);
        pthread_join(thread, NULL);
    }
    reload_free(reload);
    fake_teardown(&fake);
}

static void generation_says_who_is_there(void **context)
{
    struct fake fake;
    struct reload *reload = connected(&fake);
    json_t *answer = show_answer(reload, "generation");

    (void)context;
    assert_int_equal(number(answer, "generation"), fake.generation);
    assert_int_equal(number(answer, "acknowledged"), fake.generation);
    assert_string_equal(text(answer, "dataplane"), "connected");
    assert_string_equal(text(answer, "epoch"), "7");
    json_decref(answer);
    for (uint32_t i = 0; show_words[i] != NULL; i++) {
        answer = show_answer(reload, show_words[i]);
        assert_non_null(answer);
        json_decref(answer);
    }
    assert_null(show_answer(reload, "secrets"));
    reload_free(reload);
    fake_teardown(&fake);
}

/* A Call-ID that the table of backends gives to a, for which the call table says b. */
static void why_tells_table_from_call_table(void **context)
{
    struct fake fake;
    struct reload *reload = connected(&fake);
    uint64_t started[FAKE_SLOTS] = {0}, ended[FAKE_SLOTS] = {0};
    struct lb_call_counts counts = {{started}, {ended}, FAKE_SLOTS};
    struct lb_call call;
    char call_id[32], reason[PLAN_TEXT_MAX];
    json_t *list = NULL, *why;
    uint64_t hash;

    (void)context;
    for (int i = 0; list == NULL; i++) {
        snprintf(call_id, sizeof(call_id), "call-%d@x", i);
        list = why_answer(reload, NULL, call_id, NULL, reason);
        assert_int_equal(json_array_size(list), 1);
        if (strcmp(text(json_array_get(list, 0), "backend"), "a") != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    why = json_array_get(list, 0);
    assert_string_equal(text(why, "rule"), proxy_rule_name(PROXY_RULE_TABLE));
    assert_true(json_is_null(json_object_get(why, "call")));
    assert_true(json_is_null(json_object_get(why, "plane")));
    hash = strtoull(text(why, "hash"), NULL, 16);
    json_decref(list);
    /* Second 100 of the call table is now: the fake says that it started 100 s ago. */
    lb_call_put(fake.calls, hash, SLOT_B, LB_CALL_LIVE, 1, 90, &counts, &call);
    list = why_answer(reload, NULL, call_id, "p", reason);
    why = json_array_get(list, 0);
    assert_string_equal(text(why, "rule"), proxy_rule_name(PROXY_RULE_CALL));
    assert_string_equal(text(why, "backend"), "b");
    assert_string_equal(text(why, "plane"), "dataplane");
    assert_string_equal(text(why, "control_call_table"), "absent");
    assert_string_equal(text(why, "table_backend"), "a");
    assert_int_equal(number(why, "slot"), SLOT_B);
    assert_string_equal(text(json_object_get(why, "call"), "state"),
                        lb_call_state_name(LB_CALL_LIVE));
    assert_in_range(number(json_object_get(why, "call"), "last_seen_s"), 9, 15);
    json_decref(list);
    assert_null(why_answer(reload, NULL, call_id, "q", reason));
    assert_string_equal(reason, "no pool q");
    reload_free(reload);
    fake_teardown(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_have_states_shares_and_counts),
        cmocka_unit_test(slot_given_to_another_backend_starts_at_zero),
        cmocka_unit_test(services_say_what_became_of_their_messages),
        cmocka_unit_test(stats_are_summed_and_known_to_be_still),
        cmocka_unit_test(stats_are_still_while_time_passes),
        cmocka_unit_test(generation_says_who_is_there),
        cmocka_unit_test(why_tells_table_from_call_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
