/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of another process's call table, taken over with its slots and its clock. */
#include "tests/unit/dataplane/lb/call_fixture.h"

static const uint16_t slot_of[SLOTS] = {[0] = LB_NO_SLOT, [1] = 5, [2] = 6, [3] = LB_NO_SLOT};

static uint64_t adopt(struct fixture *to, const struct fixture *from, uint32_t shift_s,
                      uint32_t now_s)
{
    return lb_call_table_adopt(to->table, from->table, shift_s, slot_of, 4, now_s, &to->counts);
}

static void adopts_calls_at_their_new_slots(void **state)
{
    struct fixture *old = fixture_new(64), *f = fixture_new(64);
    struct lb_call call = put(old, hash_of(1), 1, LB_CALL_BEGUN, T0);

    lb_call_note(old->table, &call, 0x123, true, T0);
    put(old, hash_of(2), 2, LB_CALL_LIVE, T0);
    put(old, hash_of(3), 2, LB_CALL_OTHER, T0);
    put(old, hash_of(4), 3, LB_CALL_LIVE, T0);  /* of a backend that is not here */
    put(old, hash_of(5), 9, LB_CALL_LIVE, T0);  /* of a slot that was never told */
    put(old, hash_of(6), 1, LB_CALL_ENDED, T0 - 100); /* over */
    assert_int_equal(adopt(f, old, (uint32_t)-T0, 7), 3);
    assert_true(lb_call_find(f->table, hash_of(1), 7, &call));
    assert_int_equal(call.slot, 5);
    assert_int_equal(call.state, LB_CALL_BEGUN);
    assert_int_equal(call.transaction, 0x123);
    assert_true(call.challenged);
    assert_int_equal(call.seen_s, 0); /* its second T0 is ours 0 */
    assert_true(lb_call_find(f->table, hash_of(2), 7, &call));
    assert_int_equal(call.slot, 6);
    assert_true(has(f, hash_of(3), 7));
    for (uint32_t i = 4; i <= 6; i++)
        assert_false(has(f, hash_of(i), 7));
    assert_int_equal(f->started[5], 1);
    assert_int_equal(f->started[6], 1); /* LB_CALL_OTHER is no call */
    assert_int_equal(f->ended[5] + f->ended[6], 0);
    fixture_free(old);
    fixture_free(f);
}

/* On our clock, which began an hour later, they end when they would have. */
static void adopted_registrations_end_as_granted(void **state)
{
    enum { SHIFT_S = -3600 };
    struct fixture *old = fixture_new(64), *f = fixture_new(64);
    struct lb_call call = put(old, hash_of(1), 1, LB_CALL_OTHER, 3605);

    lb_call_register(old->table, &call, 600, 3605, &old->counts);
    lb_call_note(old->table, &call, 0x42, true, 3605);
    call = put(old, hash_of(2), 1, LB_CALL_OTHER, 3000);
    lb_call_register(old->table, &call, 600, 3000, &old->counts); /* expired by now */
    call = put(old, hash_of(3), 2, LB_CALL_OTHER, 3605);
    lb_call_register(old->table, &call, LB_CALL_REGISTRATION_S, 3605, &old->counts);
    assert_int_equal(adopt(f, old, (uint32_t)SHIFT_S, 7), 2);
    assert_true(lb_call_find(f->table, hash_of(1), 605, &call));
    assert_int_equal(lb_call_left_s(&call, 7), 598);
    assert_int_equal(call.transaction, 0x42);
    assert_false(call.challenged);
    assert_false(has(f, hash_of(1), 606));
    assert_true(has(f, hash_of(3), 5 + LB_CALL_REGISTRATION_S));
    assert_false(has(f, hash_of(3), 6 + LB_CALL_REGISTRATION_S));
    assert_int_equal(f->registered[5], 1);
    assert_int_equal(f->registered[6], 1);
    assert_int_equal(f->started[5] + f->started[6], 0);
    fixture_free(old);
    fixture_free(f);
}

static void adopting_leaves_what_is_known_here(void **state)
{
    struct fixture *old = fixture_new(64), *f = fixture_new(64);
    struct lb_call call;

    put(old, hash_of(1), 1, LB_CALL_LIVE, T0);
    put(f, hash_of(1), 2, LB_CALL_BEGUN, T0);
    adopt(f, old, 0, T0);
    assert_true(lb_call_find(f->table, hash_of(1), T0, &call));
    assert_int_equal(call.slot, 2);
    assert_int_equal(call.state, LB_CALL_BEGUN);
    assert_int_equal(f->started[5], 0);
    fixture_free(old);
    fixture_free(f);
}

static void adopts_nothing_of_another_size(void **state)
{
    struct fixture *old = fixture_new(128), *f = fixture_new(64);

    put(old, hash_of(1), 1, LB_CALL_LIVE, T0);
    assert_int_equal(adopt(f, old, 0, T0), 0);
    assert_false(has(f, hash_of(1), T0));
    fixture_free(old);
    fixture_free(f);
}

/* A clock that was ahead of ours must not keep an entry for ever. */
static void adopts_what_is_ahead_as_seen_now(void **state)
{
    struct fixture *old = fixture_new(64), *f = fixture_new(64);
    struct lb_call call;

    put(old, hash_of(1), 1, LB_CALL_ENDED, T0 + 1000000);
    assert_int_equal(adopt(f, old, 0, T0), 1);
    assert_true(lb_call_find(f->table, hash_of(1), T0, &call));
    assert_int_equal(call.seen_s, T0);
    assert_false(has(f, hash_of(1), T0 + LB_CALL_ENDED_S + 1));
    fixture_free(old);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adopts_calls_at_their_new_slots),
        cmocka_unit_test(adopted_registrations_end_as_granted),
        cmocka_unit_test(adopting_leaves_what_is_known_here),
        cmocka_unit_test(adopts_nothing_of_another_size),
        cmocka_unit_test(adopts_what_is_ahead_as_seen_now),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
