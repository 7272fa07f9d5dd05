/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Courses of probe calls in simulated time: what is sent at which millisecond, and how it ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "control/health/media_call.h"

enum { TIMEOUT = 5000, FRAMES = 50, START = 1000000 };

/* What was done, as "0:INVITE 500:INVITE …"; frames are counted alone. */
struct play {
    struct call call;
    uint64_t now_ms;
    uint32_t n_frames, n_judged;
    char text[2048];
};

static void note(struct play *p, uint32_t actions)
{
    static const struct {
        uint32_t action;
        const char *name;
    } names[] = {{CALL_DO_INVITE, "INVITE"},
                 {CALL_DO_ACK, "ACK"},
                 {CALL_DO_CANCEL, "CANCEL"},
                 {CALL_DO_BYE, "BYE"},
                 {CALL_DO_JUDGE, "JUDGE"}};

    p->n_frames += (actions & CALL_DO_FRAME) != 0;
    p->n_judged += (actions & CALL_DO_JUDGE) != 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t length = strlen(p->text);

        if ((actions & names[i].action) != 0)
            snprintf(p->text + length, sizeof(p->text) - length, "%s%u:%s", length == 0 ? "" : " ",
                     (unsigned)(p->now_ms - START), names[i].name);
    }
}

/* Plays until `at` ms after the start; every wake is taken at its time. */
static void run_to(struct play *p, uint64_t at)
{
    while (call_wake_ms(&p->call) <= START + at) {
        assert_true(call_wake_ms(&p->call) >= p->now_ms);
        p->now_ms = call_wake_ms(&p->call);
        note(p, call_advance(&p->call, p->now_ms));
    }
    p->now_ms = START + at;
    assert_int_equal(call_advance(&p->call, p->now_ms), 0);
}

static void begin(struct play *p)
{
    memset(p, 0, sizeof(*p));
    p->now_ms = START;
    note(p, call_begin(&p->call, TIMEOUT, FRAMES, START));
}

static void answer(struct play *p, uint64_t at, uint16_t status)
{
    run_to(p, at);
    note(p, call_answered(&p->call, status, true, p->now_ms));
}

static void finish(struct play *p, const char *text, enum call_end end)
{
    run_to(p, 200000);
    assert_string_equal(p->text, text);
    assert_int_equal(p->call.end, end);
    assert_int_equal(p->call.state, CALL_OVER);
    assert_int_equal(p->n_judged, 1);
    assert_int_equal(call_wake_ms(&p->call), UINT64_MAX);
    assert_false(call_is_live(&p->call));
}

static void as_it_should_be(void **context)
{
    struct play p;

    (void)context;
    begin(&p);
    answer(&p, 10, 100);
    answer(&p, 600, 180);
    answer(&p, 1000, 200);
    assert_int_equal(p.call.state, CALL_TALKING);
    run_to(&p, 1000);
    assert_int_equal(p.n_frames, 1);
    run_to(&p, 1500);
    assert_int_equal(p.n_frames, 26);
    note(&p, call_heard_all(&p.call, p.now_ms)); /* too early: more is to be sent */
    run_to(&p, 1990);
    assert_int_equal(p.n_frames, FRAMES);
    run_to(&p, 2010);
    assert_int_equal(p.call.state, CALL_LISTENING);
    note(&p, call_heard_all(&p.call, p.now_ms));
    run_to(&p, 2020);
    assert_true(call_is_live(&p.call));
    call_bye_answered(&p.call, p.now_ms);
    assert_false(call_is_live(&p.call));
    finish(&p, "0:INVITE 1000:ACK 2010:BYE 2010:JUDGE", CALL_END_TALKED);
}

/* RFC 3261 §17.1.1.2: T1, twice that, and so on, until the time is up. */
static void nobody_is_there(void **context)
{
    struct play p;

    (void)context;
    begin(&p);
    run_to(&p, 6000);
    assert_false(call_is_live(&p.call));
    finish(&p, "0:INVITE 500:INVITE 1500:INVITE 3500:INVITE 5000:JUDGE", CALL_END_SILENT);
    assert_int_equal(p.call.provisional, 0);
}

static void it_rings_too_long(void **context)
{
    struct play p;

    (void)context;
    begin(&p);
    answer(&p, 10, 180);
    run_to(&p, 5700);
    assert_true(call_is_live(&p.call));
    call_cancel_answered(&p.call);
    answer(&p, 5800, 487);
    assert_false(call_is_live(&p.call));
    answer(&p, 6300, 487); /* it did not get the ACK */
    finish(&p, "0:INVITE 5000:CANCEL 5000:JUDGE 5500:CANCEL 5800:ACK 6300:ACK", CALL_END_SILENT);
    assert_int_equal(p.call.provisional, 180);
}

/* An acceptance crosses our CANCEL, or comes when nobody expects one. */
static void accepted_too_late(void **context)
{
    struct play p;

    (void)context;
    begin(&p);
    answer(&p, 10, 100);
    answer(&p, 5100, 200);
    call_bye_answered(&p.call, p.now_ms);
    finish(&p, "0:INVITE 5000:CANCEL 5000:JUDGE 5100:ACK 5100:BYE", CALL_END_SILENT);
    assert_int_equal(p.n_frames, 0);
    begin(&p);
    answer(&p, 20000, 200);
    call_bye_answered(&p.call, p.now_ms);
    finish(&p, "0:INVITE 500:INVITE 1500:INVITE 3500:INVITE 5000:JUDGE 20000:ACK 20000:BYE",
           CALL_END_SILENT);
    begin(&p); /* a slow one says at last that it rings */
    answer(&p, 20000, 180);
    call_cancel_answered(&p.call);
    answer(&p, 20010, 487);
    finish(&p, "0:INVITE 500:INVITE 1500:INVITE 3500:INVITE 5000:JUDGE 20000:CANCEL 20010:ACK",
           CALL_END_SILENT);
}

static void refused(void **context)
{
    struct play p;

    (void)context;
    begin(&p);
    answer(&p, 30, 486);
    answer(&p, 530, 486);
    finish(&p, "0:INVITE 30:ACK 30:JUDGE 530:ACK", CALL_END_REFUSED);
    assert_int_equal(p.call.status, 486);
}

static void of_no_use(void **context)
{
    struct play p;

    (void)context;
    begin(&p);
    run_to(&p, 40);
    note(&p, call_answered(&p.call, 200, false, p.now_ms));
    run_to(&p, 50);
    call_bye_answered(&p.call, p.now_ms);
    finish(&p, "0:INVITE 40:ACK 40:BYE 40:JUDGE", CALL_END_UNUSABLE);
    assert_int_equal(p.n_frames, 0);
}

/* Its ACK was lost, and so is every answer to BYE. §17.1.2.2: up to T2. */
static void answers_get_lost(void **context)
{
    struct play p;

    (void)context;
    begin(&p);
    answer(&p, 100, 200);
    answer(&p, 600, 200);
    run_to(&p, 5000);
    finish(&p, "0:INVITE 100:ACK 600:ACK 2080:BYE 2080:JUDGE 2580:BYE 3580:BYE 5580:BYE",
           CALL_END_TALKED);
    assert_int_equal(p.n_frames, 2 * FRAMES - 1); /* silence, while it listened */
}

static void the_other_side_hangs_up(void **context)
{
    struct play p;

    (void)context;
    begin(&p);
    answer(&p, 100, 200);
    run_to(&p, 399);
    note(&p, call_hung_up(&p.call, p.now_ms));
    finish(&p, "0:INVITE 100:ACK 399:JUDGE", CALL_END_HUNG_UP);
    assert_int_equal(p.n_frames, 15);
    begin(&p); /* after all was said */
    answer(&p, 100, 200);
    run_to(&p, 1200);
    note(&p, call_hung_up(&p.call, p.now_ms));
    finish(&p, "0:INVITE 100:ACK 1200:JUDGE", CALL_END_TALKED);
}

/* Whoever was late, by the clock, sends all that is due. */
static void catches_up(void **context)
{
    struct play p;
    uint32_t n = 0;

    (void)context;
    begin(&p);
    answer(&p, 100, 200);
    p.now_ms = START + 300;
    while (call_wake_ms(&p.call) <= p.now_ms) {
        note(&p, call_advance(&p.call, p.now_ms));
        n++;
    }
    assert_int_equal(n, 11);
    assert_int_equal(p.n_frames, 11);
}

static void dropped(void **context)
{
    struct play p;

    (void)context;
    begin(&p);
    assert_int_equal(call_drop(&p.call, p.now_ms), 0);
    begin(&p);
    answer(&p, 10, 180);
    assert_int_equal(call_drop(&p.call, p.now_ms), CALL_DO_CANCEL);
    begin(&p);
    answer(&p, 10, 200);
    assert_int_equal(call_drop(&p.call, p.now_ms), CALL_DO_BYE);
    assert_int_equal(call_drop(&p.call, p.now_ms), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_it_should_be),   cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(it_rings_too_long), cmocka_unit_test(accepted_too_late),
        cmocka_unit_test(refused),           cmocka_unit_test(of_no_use),
        cmocka_unit_test(answers_get_lost),  cmocka_unit_test(the_other_side_hangs_up),
        cmocka_unit_test(catches_up),        cmocka_unit_test(dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
