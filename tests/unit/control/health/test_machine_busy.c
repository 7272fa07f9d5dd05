/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not a probe's success or failure: the backend's own word, its traffic's verdict, its
 * media.
 */
#include "tests/unit/control/health/machine_play.h"

static enum how sheds_once_at_10s(uint64_t at_ms)
{
    return at_ms >= 10000 && at_ms < 11000 ? SHEDS : WELL;
}

static void retry_after_is_honoured(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, sheds_once_at_10s);
    p.conf.slow_start_ms = 30000;
    play(&p, 12000);
    assert_int_equal(p.machine.state, LB_BUSY);
    assert_memory_equal(reason(&p), "answered 503, Retry-After 5 s; no new calls for ", 47);
    play(&p, 30000);
    assert_int_equal(p.n_changes, 2);
    assert_int_equal(p.changes[0].state, LB_BUSY);
    assert_int_equal(p.changes[1].state, LB_UP);
    assert_int_equal(p.changes[1].at_ms - p.changes[0].at_ms, 5000);
    assert_int_equal(machine_weight(&p.machine, p.now_ms), MACHINE_WEIGHT_FULL); /* it was alive */
}

static void a_busy_answer_without_retry_after_has_a_default(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, sheds_10s_to_20s);
    play(&p, 12000);
    assert_memory_equal(reason(&p), "answered 503 without Retry-After; no new calls for ", 50);
    play(&p, 40000);
    assert_int_equal(p.n_changes, 2);
    assert_in_range(p.changes[1].at_ms, 24000, 25010); /* 5 s after the last of them */
}

static void an_absurd_retry_after_is_cut(void **context)
{
    struct play p;
    struct machine_answer answer = answer_of(SHEDS, 2);

    (void)context;
    play_make(&p, always_well);
    answer.retry_after_s = INT64_MAX;
    machine_answered(&p.machine, &p.conf, p.now_ms, p.now_ms, &answer);
    assert_int_equal(p.machine.busy_until_ms, START + MACHINE_BUSY_MAX_MS);
}

static void its_own_word_counts_until_it_is_taken_back(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, drains_10s_to_20s);
    play(&p, 15000);
    assert_string_equal(reason(&p), "asks for no new calls: X-Drain in its answer 200");
    play(&p, 30000);
    assert_int_equal(p.n_changes, 2);
    assert_int_equal(p.changes[0].state, LB_BUSY);
    assert_in_range(p.changes[0].at_ms, 10000, 11003);
    assert_int_equal(p.changes[1].state, LB_UP);
    assert_in_range(p.changes[1].at_ms, 20000, 21003);
}

static enum how sheds_then_dies(uint64_t at_ms)
{
    return at_ms < 10000 ? WELL : at_ms < 15000 ? SHEDS : at_ms < 40000 ? GONE : SHEDS;
}

static void one_that_sheds_may_die_and_come_back_shedding(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, sheds_then_dies);
    play(&p, 50000);
    assert_int_equal(p.n_changes, 3);
    assert_int_equal(p.changes[0].state, LB_BUSY);
    assert_int_equal(p.changes[1].state, LB_DOWN);
    assert_int_equal(p.changes[2].state, LB_BUSY);
}

static void ejected_is_busy_and_one_lost_probe_makes_it_down(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, gone_at_10s);
    play(&p, 10100);
    machine_eject(&p.machine, &p.conf, p.now_ms, 10000, "20 requests without an answer");
    assert_int_equal(p.machine.state, LB_BUSY);
    assert_true(machine_probe_due(&p.machine, &p.conf, p.now_ms)); /* at once */
    assert_string_equal(reason(&p), "20 requests without an answer; no new calls for 10 s");
    play(&p, 10100 + 810);
    assert_int_equal(p.machine.state, LB_DOWN);
}

static void refused_calls_are_a_word_too(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, always_well);
    p.conf.slow_start_ms = 30000;
    play(&p, 10100);
    machine_shed(&p.machine, &p.conf, p.now_ms, "answered 503 10 times, to 10 calls");
    assert_int_equal(p.machine.state, LB_BUSY);
    assert_string_equal(reason(&p), "answered 503 10 times, to 10 calls; no new calls for 5 s");
    play(&p, 10100 + 4999);
    assert_int_equal(p.machine.state, LB_BUSY); /* though it answers probes */
    play(&p, 10100 + 5001);
    assert_int_equal(p.machine.state, LB_UP);
    assert_int_equal(machine_weight(&p.machine, p.now_ms), MACHINE_WEIGHT_FULL);
}

static void without_probes_refused_calls_eject(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, always_well);
    p.conf.probe = CFG_PROBE_NONE;
    machine_shed(&p.machine, &p.conf, p.now_ms, "answered 503 10 times, to 10 calls");
    assert_int_equal(p.machine.state, LB_BUSY);
    machine_advance(&p.machine, &p.conf, p.now_ms + 4999);
    assert_int_equal(p.machine.state, LB_BUSY);
    machine_advance(&p.machine, &p.conf, p.now_ms + 5000);
    assert_int_equal(p.machine.state, LB_UP);
}

static void ejected_stays_out_though_it_answers_probes(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, always_well);
    play(&p, 10100);
    machine_eject(&p.machine, &p.conf, p.now_ms, 10000, "test");
    play(&p, 10100 + 9999);
    assert_int_equal(p.machine.state, LB_BUSY);
    play(&p, 10100 + 10001);
    assert_int_equal(p.machine.state, LB_UP);
    assert_int_equal(machine_weight(&p.machine, p.now_ms), 100); /* gradually, slow_start or not */
    play(&p, 10100 + 10001 + MACHINE_EJECTED_RAMP_MS);
    assert_int_equal(machine_weight(&p.machine, p.now_ms), MACHINE_WEIGHT_FULL);
}

static void a_suspect_is_probed_soon(void **context)
{
    struct play p;

    (void)context;
    play_make(&p, refuses_at_10s);
    play(&p, 9900);
    p.machine.next_ms = p.now_ms + 900;
    play(&p, 10010);
    machine_suspect(&p.machine, &p.conf, p.now_ms, 10000, "test");
    assert_int_equal(p.machine.state, LB_UP);
    play(&p, 10220);
    assert_int_equal(p.machine.state, LB_DOWN);
    p.conf.probe = CFG_PROBE_NONE; /* who cannot be probed is ejected at once */
    machine_init(&p.machine, ID, &p.conf, p.now_ms);
    machine_suspect(&p.machine, &p.conf, p.now_ms, 10000, "test");
    assert_int_equal(p.machine.state, LB_BUSY);
}

/* No media: down, whatever probes say; and back, with a slow start. */
static void no_media(void **context)
{
    static char uri[] = "sip:echo@{backend}";
    const struct machine_answer answer = answer_of(WELL, 2);
    char text[MACHINE_REASON_MAX];
    struct machine_memory memory;
    struct cfg_health conf = conf_make();
    struct machine m, later;

    (void)context;
    conf.media.uri = uri;
    conf.slow_start_ms = 10000;
    machine_init(&m, ID, &conf, START);
    machine_answered(&m, &conf, START + 10, START, &answer);
    machine_media(&m, &conf, START + 20, true, "200, but no media came back");
    assert_int_equal(m.state, LB_DOWN);
    machine_answered(&m, &conf, START + 1000, START + 990, &answer);
    assert_int_equal(m.state, LB_DOWN);
    machine_media(&m, &conf, START + 2000, true, ""); /* a good one, of two */
    machine_reason(&m, &conf, START + 2000, START + 2000, text);
    assert_non_null(strstr(text, "signalling, but no media since"));
    assert_non_null(strstr(text, ": 200, but no media came back"));

    machine_remember(&m, START + 3000, 5000000, &memory);
    machine_inherit(&later, &memory, &conf, 77000, 5000000);
    assert_int_equal(later.state, LB_DOWN);
    assert_true(later.deaf);
    assert_string_equal(later.deaf_why, "200, but no media came back");
    conf.media.uri = NULL; /* no calls any more: nobody would find it well */
    machine_advance(&later, &conf, 77001);
    assert_int_equal(later.state, LB_UP);
    conf.media.uri = uri;

    machine_media(&m, &conf, START + 4000, false, "");
    assert_int_equal(m.state, LB_UP);
    assert_int_equal(machine_weight(&m, START + 4000), 100);
    assert_int_equal(m.flaps, 1);

    machine_media(&m, &conf, START + 5000, true, "answered 486"); /* both: until both are over */
    machine_refused(&m, &conf, START + 5100, START + 5090, "ICMP unreachable");
    machine_media(&m, &conf, START + 5200, false, "");
    assert_int_equal(m.state, LB_DOWN);
    assert_int_equal(m.flaps, 2);
    machine_reason(&m, &conf, START + 5200, START + 5200, text);
    assert_non_null(strstr(text, "refused"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry_after_is_honoured),
        cmocka_unit_test(a_busy_answer_without_retry_after_has_a_default),
        cmocka_unit_test(an_absurd_retry_after_is_cut),
        cmocka_unit_test(its_own_word_counts_until_it_is_taken_back),
        cmocka_unit_test(one_that_sheds_may_die_and_come_back_shedding),
        cmocka_unit_test(ejected_is_busy_and_one_lost_probe_makes_it_down),
        cmocka_unit_test(refused_calls_are_a_word_too),
        cmocka_unit_test(without_probes_refused_calls_eject),
        cmocka_unit_test(ejected_stays_out_though_it_answers_probes),
        cmocka_unit_test(a_suspect_is_probed_soon),
        cmocka_unit_test(no_media),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
