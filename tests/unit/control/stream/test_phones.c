/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where phones are: here by a connection, or at a node; and whose a connection was.
 */
#include "control/stream/phones.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { NODE_B = 0xfffffff0, NODE_C = 7 };

/* Phones are random numbers, odd (relay.c); this one is in the last part. */
static const uint64_t ANN = 0xfedcba9876543211, BOB = 0x0123456789abcdef;

/* Numbers of connections as they are now. */
enum { FIRST = 1700000000, SECOND, THIRD, FOURTH };

static void is_here(struct phones *phones, uint64_t phone, uint64_t connection)
{
    struct phones_place place;

    assert_true(phones_find(phones, phone, &place));
    assert_int_equal(place.phone, phone);
    assert_int_equal(place.connection, connection);
    assert_int_equal(place.node, 0);
}

static void is_at(struct phones *phones, uint64_t phone, uint32_t node)
{
    struct phones_place place;

    assert_true(phones_find(phones, phone, &place));
    assert_int_equal(place.connection, 0);
    assert_int_equal(place.node, node);
}

static void leads_to(struct phones *phones, uint64_t connection, uint64_t phone, uint64_t now,
                     uint32_t node)
{
    struct phones_place place;

    assert_true(phones_find_after(phones, connection, &place));
    assert_int_equal(place.phone, phone);
    assert_int_equal(place.connection, now);
    assert_int_equal(place.node, node);
}

/* From connection to connection, to another node, to a third, and back. */
static void goes_and_comes(void **context)
{
    struct phones *phones = phones_new();
    struct phones_place place;

    (void)context;
    assert_non_null(phones);
    assert_false(phones_find(phones, ANN, &place));
    assert_int_equal(phones_go(phones, ANN, NODE_B), 0); /* was never here */
    assert_false(phones_find(phones, ANN, &place));
    assert_int_equal(phones_come(phones, ANN, FIRST), 0);
    assert_int_equal(phones_come(phones, ANN, FIRST), 0);
    is_here(phones, ANN, FIRST);
    assert_false(phones_find_after(phones, FIRST, &place));
    assert_int_equal(phones_come(phones, ANN, SECOND), FIRST);
    leads_to(phones, FIRST, ANN, SECOND, 0);
    assert_int_equal(phones_go(phones, ANN, NODE_B), SECOND);
    is_at(phones, ANN, NODE_B);
    assert_int_equal(phones_go(phones, ANN, NODE_B), 0);
    leads_to(phones, FIRST, ANN, 0, NODE_B);
    leads_to(phones, SECOND, ANN, 0, NODE_B);
    assert_int_equal(phones_go(phones, ANN, NODE_C), 0);
    leads_to(phones, FIRST, ANN, 0, NODE_C);
    assert_int_equal(phones_come(phones, BOB, FOURTH), 0);
    assert_int_equal(phones_come(phones, ANN, THIRD), 0);
    is_here(phones, ANN, THIRD);
    leads_to(phones, SECOND, ANN, THIRD, 0);
    is_here(phones, BOB, FOURTH);
    assert_false(phones_find_after(phones, FOURTH, &place));
    phones_free(phones);
}

static void whose_register(void **context)
{
    struct phones *phones = phones_new();

    (void)context;
    assert_int_equal(phones_asked(phones, 77), 0);
    phones_ask(phones, 77, ANN);
    assert_int_equal(phones_asked(phones, 77), ANN);
    phones_free(phones);
}

static void count(void *arg, uint64_t phone, uint64_t connection)
{
    uint64_t *sums = arg;

    sums[0]++;
    sums[1] += connection;
    assert_int_equal(phone & 1, 1);
}

/* Every phone that is here is in one part, and none that is elsewhere. */
static void parts(void **context)
{
    struct phones *phones = phones_new();
    uint64_t all[2] = {0, 0}, sum = 0;
    enum { N = 100000 };

    (void)context;
    for (uint64_t i = 1; i <= N; i++) {
        uint64_t phone = i * 0x9e3779b97f4a7c15 | 1;

        assert_int_equal(phones_come(phones, phone, i), 0);
        if (i % 4 == 0)
            assert_int_equal(phones_go(phones, phone, NODE_B), i);
        else
            sum += i;
    }
    for (uint32_t part = 0; part < PHONES_PARTS; part++) {
        uint64_t some[2] = {0, 0};

        phones_each(phones, part, count, some);
        assert_in_range(some[0], N * 3 / 4 / PHONES_PARTS * 8 / 10, PHONES_PART_MAX);
        all[0] += some[0];
        all[1] += some[1];
    }
    assert_int_equal(all[0], N - N / 4);
    assert_int_equal(all[1], sum);
    phones_free(phones);
}

/* What the next process finds: also that a phone is elsewhere. */
static void remembered(void **context)
{
    char dir[] = "/tmp/phones-XXXXXX", file[64];
    struct phones *phones = phones_new();

    (void)context;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(phones_remember(phones, dir), 0);
    phones_come(phones, ANN, FIRST);
    phones_come(phones, BOB, SECOND);
    phones_go(phones, BOB, NODE_B);
    phones_free(phones);
    phones = phones_new();
    assert_int_equal(phones_remember(phones, dir), 0);
    is_here(phones, ANN, FIRST);
    is_at(phones, BOB, NODE_B);
    leads_to(phones, SECOND, BOB, 0, NODE_B);
    phones_free(phones);
    phones = phones_new();
    assert_true(phones_remember(phones, "/nowhere") < 0);
    phones_free(phones);
    snprintf(file, sizeof(file), "%s/phones", dir);
    assert_int_equal(unlink(file), 0);
    snprintf(file, sizeof(file), "%s/former", dir);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_and_comes),
        cmocka_unit_test(whose_register),
        cmocka_unit_test(parts),
        cmocka_unit_test(remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
