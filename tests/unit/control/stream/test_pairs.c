/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs of numbers: bounded, the oldest goes, and kept by a file for the next process.
 */
#include "control/stream/pairs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROOM = 64, SETS = ROOM / 8 + 1 };

struct place {
    char dir[32], file[64];
};

static struct place place_make(void)
{
    struct place place = {.dir = "/tmp/pairs-XXXXXX"};

    assert_non_null(mkdtemp(place.dir));
    snprintf(place.file, sizeof(place.file), "%s/pairs", place.dir);
    return place;
}

static void place_remove(const struct place *place)
{
    unlink(place->file);
    assert_int_equal(rmdir(place->dir), 0);
}

static void expect(struct pairs *pairs, uint64_t key, uint64_t value)
{
    const uint64_t *found = pairs_find(pairs, key);

    assert_non_null(found);
    assert_int_equal(*found, value);
}

static void finds_and_changes(void **context)
{
    struct pairs *pairs = pairs_new(ROOM);

    (void)context;
    assert_null(pairs_find(pairs, 7));
    pairs_put(pairs, 7, 70);
    pairs_put(pairs, 8, 80);
    pairs_put(pairs, 7, 71);
    expect(pairs, 7, 71);
    expect(pairs, 8, 80);
    pairs_free(pairs);
}

/* Keys of one set: the ninth takes the place of the first. */
static void oldest_goes(void **context)
{
    struct pairs *pairs = pairs_new(ROOM);

    (void)context;
    for (uint64_t i = 1; i <= 10; i++)
        pairs_put(pairs, i * SETS, i);
    assert_null(pairs_find(pairs, 1 * SETS));
    assert_null(pairs_find(pairs, 2 * SETS));
    for (uint64_t i = 3; i <= 10; i++)
        expect(pairs, i * SETS, i);
    pairs_free(pairs);
}

static void file_keeps(void **context)
{
    struct place place = place_make();
    struct pairs *pairs = pairs_open(place.file, ROOM);

    (void)context;
    assert_non_null(pairs);
    for (uint64_t i = 1; i <= ROOM; i++)
        pairs_put(pairs, i, i * 10);
    pairs_free(pairs);
    pairs = pairs_open(place.file, ROOM);
    for (uint64_t i = 1; i <= ROOM; i++)
        expect(pairs, i, i * 10);
    pairs_free(pairs);
    place_remove(&place);
}

/* Of another size, cut off, or of something else: emptied, and of use again. */
static void strange_file_is_emptied(void **context)
{
    static const char *const strange[] = {"", "short", NULL};
    struct place place = place_make();
    struct pairs *pairs;

    (void)context;
    for (uint32_t i = 0; i < 3; i++) {
        FILE *out = fopen(place.file, strange[i] == NULL ? "r+" : "w");

        assert_non_null(out);
        fputs(strange[i] == NULL ? "other" : strange[i], out);
        assert_int_equal(fclose(out), 0);
        pairs = pairs_open(place.file, ROOM);
        assert_non_null(pairs);
        assert_null(pairs_find(pairs, 5));
        pairs_put(pairs, 5, 50);
        expect(pairs, 5, 50);
        pairs_free(pairs);
    }
    pairs = pairs_open(place.file, 2 * ROOM);
    assert_null(pairs_find(pairs, 5));
    pairs_free(pairs);
    place_remove(&place);
}

static void no_place_is_refused(void **context)
{
    (void)context;
    assert_null(pairs_open("/nowhere/pairs", ROOM));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_and_changes),   cmocka_unit_test(oldest_goes),
        cmocka_unit_test(file_keeps),          cmocka_unit_test(strange_file_is_emptied),
        cmocka_unit_test(no_place_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
