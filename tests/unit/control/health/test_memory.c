/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of what was observed: it comes back as it was, and one that is damaged does no harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/health/memory.h"

static char dir[64], file[128];

static int setup(void **context)
{
    (void)context;
    strcpy(dir, "/tmp/tandem-memory-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(file, sizeof(file), "%s/health.json", dir);
    return 0;
}

static int teardown(void **context)
{
    (void)context;
    unlink(file);
    return rmdir(dir);
}

static void assert_same(const struct machine_memory *a, const struct machine_memory *b)
{
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->down, b->down);
    assert_int_equal(a->doubted, b->doubted);
    assert_int_equal(a->flaps, b->flaps);
    assert_int_equal(a->since_ms, b->since_ms);
    assert_int_equal(a->returned_ms, b->returned_ms);
    assert_int_equal(a->busy_until_ms, b->busy_until_ms);
    assert_int_equal(a->eject_until_ms, b->eject_until_ms);
    assert_int_equal(a->ramp_ms, b->ramp_ms);
    assert_int_equal(a->ramp_for_ms, b->ramp_for_ms);
    assert_string_equal(a->busy_why, b->busy_why);
    assert_string_equal(a->eject_why, b->eject_why);
    assert_string_equal(a->deaf_why, b->deaf_why);
}

static void comes_back_as_it_was(void **context)
{
    struct machine_memory one = {.id = UINT32_MAX,
                                 .down = true,
                                 .doubted = true,
                                 .flaps = 3,
                                 .since_ms = UINT64_C(1790000000001),
                                 .returned_ms = 7,
                                 .busy_until_ms = UINT64_C(1790000000002),
                                 .eject_until_ms = UINT64_C(1790000000003),
                                 .ramp_ms = UINT64_C(1790000000004),
                                 .ramp_for_ms = 30000,
                                 .busy_why = "answered 503, Retry-After 5 s",
                                 .eject_why = "20 \"calls\"",
                                 .deaf_why = "answered 486"};
    struct machine_memory both[] = {one, {.id = 5}}, *read;
    struct stat st;
    uint32_t n;

    (void)context;
    assert_int_equal(memory_save(file, both, 2), 0);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(memory_load(file, &read, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(read[0].id, 5); /* sorted */
    assert_same(memory_find(read, n, UINT32_MAX), &one);
    assert_null(memory_find(read, n, 6));
    free(read);
    assert_int_equal(memory_save(file, NULL, 0), 0);
    assert_int_equal(memory_load(file, &read, &n), 0);
    assert_int_equal(n, 0);
    free(read);
}

static void no_file_is_nothing(void **context)
{
    struct machine_memory *read;
    uint32_t n;

    (void)context;
    unlink(file);
    assert_int_equal(memory_load(file, &read, &n), 0);
    assert_null(read);
    assert_null(memory_find(read, n, 1));
}

static void damage_is_told(void **context)
{
    static const char *const texts[] = {
        "", "{", "{}", "7", "[7]", "[{}]", "[{\"id\": 5}]",
    };
    struct machine_memory one = {.id = 5}, *read;
    char text[1024];
    uint32_t n;
    size_t length;
    FILE *io;

    (void)context;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        io = fopen(file, "w");
        fputs(texts[i], io);
        fclose(io);
        assert_int_equal(memory_load(file, &read, &n), -EBADMSG);
        assert_null(read);
    }
    assert_int_equal(memory_save(file, &one, 1), 0);
    io = fopen(file, "r");
    length = fread(text, 1, sizeof(text) - 1, io);
    fclose(io);
    text[length] = '\0';
    strstr(text, "\"flaps\": 0")[9] = '-'; /* "flaps": - is none */
    io = fopen(file, "w");
    fputs(text, io);
    fclose(io);
    assert_int_equal(memory_load(file, &read, &n), -EBADMSG);
}

static void where_it_cannot_be_written_is_told(void **context)
{
    struct machine_memory one = {.id = 5};

    (void)context;
    assert_int_equal(memory_save("/nonexistent/health.json", &one, 1), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(no_file_is_nothing),
        cmocka_unit_test(damage_is_told),
        cmocka_unit_test(where_it_cannot_be_written_is_told),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
