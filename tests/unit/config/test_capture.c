/* SPDX-License-Identifier: Apache-2.0 */
/* The rings of captured frames: every length, ends, losses, two threads, and hostile owners. */
#include "tests/unit/config/sample.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "config/capture.h"
#include "tests/unit/guard.h"

enum { RINGS = 2, PORTS = 3, LEFT = 5 };

struct shared {
    struct guard guard;
    struct capture_header *h; /* in it */
    struct capture_header copy;
};

static struct shared shared_new(uint32_t ring_bytes)
{
    struct capture_header head = {
        .magic = CAPTURE_MAGIC, .n_rings = RINGS, .n_ports = PORTS, .ring_bytes = ring_bytes};
    uint64_t size = capture_layout(&head);
    void *zeros = calloc(1, size);
    struct shared s;

    assert_non_null(zeros);
    s.guard = guard_new(zeros, size);
    free(zeros);
    s.h = (struct capture_header *)(void *)s.guard.at;
    *s.h = head;
    for (uint32_t i = 0; i < PORTS; i++)
        snprintf(s.guard.at + head.names + (size_t)i * CAPTURE_NAME_MAX, CAPTURE_NAME_MAX, "port%u",
                 i);
    assert_int_equal(capture_open(s.h, size, &s.copy), 0);
    return s;
}

static uint8_t byte_of(uint64_t number, uint32_t i)
{
    return (uint8_t)(number * 31 + i * 7 + (i >> 8));
}

/* Puts a frame of that length whose bytes tell its number, cut in two. */
static void put(struct shared *s, uint32_t ring, uint64_t number, uint32_t length, uint32_t cut)
{
    static _Thread_local uint8_t bytes[CAPTURE_FRAME_MAX + 1];
    const struct capture_record record = {
        .size = 1, .number = 99, .time_ns = number, .call = number, .port = 1, .outbound = 1};

    for (uint32_t i = 0; i < length && i <= CAPTURE_FRAME_MAX; i++)
        bytes[i] = byte_of(number, i);
    capture_put(s->h, s->h, ring, &record, bytes, cut, bytes + cut, length - cut);
}

/* Whether a copy is what put() wrote. */
static bool is_frame(const struct capture_copy *copy, uint64_t number, uint32_t length)
{
    const struct capture_record *r = &copy->record;
    bool good = r->length == length && r->time_ns == number && r->call == number && r->port == 1;

    for (uint32_t i = 0; i < length; i++)
        good &= copy->frame[i] == byte_of(number, i);
    for (uint32_t i = length; i % 8 != 0; i++)
        good &= copy->frame[i] == 0;
    return good;
}

static struct capture_copy copy;

static void test_every_length_and_cut(void **state)
{
    struct shared s = shared_new(1 << 12);
    struct capture_reader reader;
    uint64_t number = 0;

    capture_begin(&s.copy, s.h, 1, &reader);
    for (uint32_t length = 0; length < 70; length++) {
        for (uint32_t cut = 0; cut <= length; cut++) {
            put(&s, 1, number, length, cut);
            assert_int_equal(capture_take(&s.copy, s.h, 1, &reader, &copy), CAPTURE_TAKEN);
            assert_true(is_frame(&copy, number, length));
            assert_int_equal(copy.record.number, number);
            number++;
        }
    }
    assert_int_equal(capture_take(&s.copy, s.h, 1, &reader, &copy), CAPTURE_NONE);
    assert_int_equal(reader.lost, 0);
    capture_begin(&s.copy, s.h, 0, &reader);
    assert_int_equal(capture_take(&s.copy, s.h, 0, &reader, &copy), CAPTURE_NONE);
    guard_free(&s.guard);
}

static void test_longest(void **state)
{
    struct shared s = shared_new(1 << 19);
    struct capture_reader reader;

    capture_begin(&s.copy, s.h, 0, &reader);
    put(&s, 0, 1, CAPTURE_FRAME_MAX, 54);
    put(&s, 0, 2, CAPTURE_FRAME_MAX + 1, 54); /* too long for a reader: left out */
    put(&s, 0, 3, 10, 10);
    assert_int_equal(capture_take(&s.copy, s.h, 0, &reader, &copy), CAPTURE_TAKEN);
    assert_true(is_frame(&copy, 1, CAPTURE_FRAME_MAX));
    assert_int_equal(capture_take(&s.copy, s.h, 0, &reader, &copy), CAPTURE_TAKEN);
    assert_true(is_frame(&copy, 3, 10));
    assert_int_equal(reader.lost, 0);
    guard_free(&s.guard);
    /* And for a ring. */
    s = shared_new(1 << 10);
    capture_begin(&s.copy, s.h, 0, &reader);
    put(&s, 0, 4, 256 - sizeof(struct capture_record) + 1, 5);
    assert_int_equal(capture_take(&s.copy, s.h, 0, &reader, &copy), CAPTURE_NONE);
    put(&s, 0, 5, 256 - sizeof(struct capture_record), 5);
    assert_int_equal(capture_take(&s.copy, s.h, 0, &reader, &copy), CAPTURE_TAKEN);
    guard_free(&s.guard);
}

static void test_lost_records_are_counted(void **state)
{
    struct shared s = shared_new(1 << 10);
    struct capture_reader reader, late;
    uint64_t late_taken = 0;

    put(&s, 0, 0, 100, 0);
    capture_begin(&s.copy, s.h, 0, &reader);
    assert_int_equal(capture_take(&s.copy, s.h, 0, &reader, &copy), CAPTURE_NONE);
    for (uint64_t i = 1; i <= 20; i++) /* 152 bytes each: the ring takes 6 */
        put(&s, 0, i, 100, 3);
    assert_int_equal(capture_take(&s.copy, s.h, 0, &reader, &copy), CAPTURE_LOST);
    /* Those of three quarters at most are still there. */
    for (uint64_t i = 21 - LEFT; i <= 20; i++) {
        assert_int_equal(capture_take(&s.copy, s.h, 0, &reader, &copy), CAPTURE_TAKEN);
        assert_true(is_frame(&copy, i, 100));
    }
    assert_int_equal(capture_take(&s.copy, s.h, 0, &reader, &copy), CAPTURE_NONE);
    assert_int_equal(reader.lost, 20 - LEFT);
    capture_begin(&s.copy, s.h, 0, &late);
    for (uint64_t i = 21; i <= 26; i++)
        put(&s, 0, i, 100, 100);
    for (uint64_t i = 21; i <= 26; i++) {
        assert_int_equal(capture_take(&s.copy, s.h, 0, &reader, &copy), CAPTURE_TAKEN);
        assert_true(is_frame(&copy, i, 100));
    }
    assert_int_equal(reader.lost, 20 - LEFT);
    put(&s, 0, 27, 100, 100);
    assert_int_equal(capture_take(&s.copy, s.h, 0, &late, &copy), CAPTURE_LOST);
    while (capture_take(&s.copy, s.h, 0, &late, &copy) == CAPTURE_TAKEN)
        late_taken++;
    assert_true(late_taken >= 2);
    assert_int_equal(late.lost, 7 - (int64_t)late_taken);
    /* Nothing that could be read on: the end is where it goes on. */
    memset(capture_ring(&s.copy, s.h, 0)->anchors, 0xff, 8 * CAPTURE_ANCHORS);
    late.at = 0;
    late.next = 0;
    late.lost = 0;
    assert_int_equal(capture_take(&s.copy, s.h, 0, &late, &copy), CAPTURE_LOST);
    assert_int_equal(capture_take(&s.copy, s.h, 0, &late, &copy), CAPTURE_NONE);
    assert_int_equal(late.lost, 28);
    guard_free(&s.guard);
}

static void test_names(void **state)
{
    struct shared s = shared_new(1 << 10);
    char name[CAPTURE_NAME_MAX];

    capture_name(&s.copy, s.h, 2, name);
    assert_string_equal(name, "port2");
    memset(s.guard.at + s.copy.names, 'x', CAPTURE_NAME_MAX);
    capture_name(&s.copy, s.h, 0, name);
    assert_int_equal(strlen(name), CAPTURE_NAME_MAX - 1);
    guard_free(&s.guard);
}

/* ---- Two threads ---- */

struct race {
    struct shared shared;
    atomic_bool stop;
};

static uint32_t length_of(uint64_t number)
{
    return (uint32_t)(number * 2654435761u >> 7) % 200;
}

static void *write_frames(void *arg)
{
    struct race *race = arg;
    uint64_t number = 0;

    for (; !atomic_load_explicit(&race->stop, memory_order_relaxed); number++) {
        put(&race->shared, 0, number, length_of(number), length_of(number) / 3);
        if (number % 64 == 0)
            sched_yield(); /* or the reader, on the same CPU, sees nothing but losses */
    }
    return (void *)(uintptr_t)number;
}

/* Whatever is taken is whole, in order, and together with the losses it is all. */
static void test_reader_and_writer(void **state)
{
    struct race race = {.shared = shared_new(1 << 13)};
    struct capture_reader reader;
    uint64_t taken = 0, losses = 0, last = 0, torn = 0;
    enum capture_taken what;
    pthread_t writer;
    void *written;

    capture_begin(&race.shared.copy, race.shared.h, 0, &reader);
    assert_int_equal(pthread_create(&writer, NULL, write_frames, &race), 0);
    while (taken < 50000 || losses < 50) {
        what = capture_take(&race.shared.copy, race.shared.h, 0, &reader, &copy);
        losses += what == CAPTURE_LOST;
        if (what == CAPTURE_NONE && taken % 3 == 0)
            sched_yield();
        if (what != CAPTURE_TAKEN)
            continue;
        torn += !is_frame(&copy, copy.record.number, length_of(copy.record.number));
        torn += taken > 0 && copy.record.number <= last;
        last = copy.record.number;
        taken++;
        if (taken % 100 == 0) { /* be late on purpose, by a whole lap or almost */
            uint64_t *at = &capture_ring(&race.shared.copy, race.shared.h, 0)->written;
            uint64_t end = reader.at + (1 << 13) - taken % 700;

            while (__atomic_load_n(at, __ATOMIC_RELAXED) < end)
                continue;
        }
    }
    atomic_store(&race.stop, true);
    pthread_join(writer, &written);
    do {
        what = capture_take(&race.shared.copy, race.shared.h, 0, &reader, &copy);
        taken += what == CAPTURE_TAKEN;
    } while (what != CAPTURE_NONE);
    assert_int_equal(torn, 0);
    assert_int_equal(taken + (uint64_t)reader.lost, (uint64_t)(uintptr_t)written);
    guard_free(&race.shared.guard);
}

/* ---- Hostile owners ---- */

static void test_headers_are_checked(void **state)
{
    struct shared s = shared_new(1 << 10);
    const struct capture_header good = s.copy;
    const uint64_t wild[] = {0,
                             1,
                             7,
                             63,
                             good.size - 1,
                             good.size,
                             good.size + 1,
                             (uint64_t)1 << 31,
                             (uint64_t)1 << 32,
                             (uint64_t)1 << 63,
                             UINT64_MAX - 7,
                             UINT64_MAX};
    struct capture_header got = {0};

    assert_int_equal(capture_open(s.h, sizeof(good) - 1, &got), -EINVAL);
    assert_int_equal(capture_open(s.h, good.size - 8, &got), -EINVAL);
    for (size_t field = 0; field < sizeof(good) / 4; field++) {
        for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
            uint32_t value = (uint32_t)wild[i];
            struct capture_reader reader;
            char name[CAPTURE_NAME_MAX];

            *s.h = good;
            memcpy((char *)s.h + 4 * field, &value, 4);
            if (capture_open(s.h, good.size, &got) != 0)
                continue;
            /* What is let through stays inside: the guard page watches. */
            for (uint32_t p = 0; p < got.n_ports; p++)
                capture_name(&got, s.h, p, name);
            for (uint32_t r = 0; r < got.n_rings; r++) {
                capture_begin(&got, s.h, r, &reader);
                capture_take(&got, s.h, r, &reader, &copy);
            }
        }
    }
    got.magic = 7; /* untouched on failure */
    s.h->magic++;
    assert_int_equal(capture_open(s.h, good.size, &got), -EINVAL);
    assert_int_equal(got.magic, 7);
    for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
        *s.h = good;
        s.h->rings = s.h->stride = wild[i];
        assert_int_equal(capture_open(s.h, good.size, &got), -EINVAL);
        *s.h = good;
        s.h->names = wild[i] & ~(uint64_t)7;
        if (capture_open(s.h, good.size, &got) == 0)
            capture_name(&got, s.h, PORTS - 1, (char[CAPTURE_NAME_MAX]){0});
    }
    guard_free(&s.guard);
}

/* Random words everywhere: nothing outside is read, what is taken keeps its promises. */
static void test_nonsense_in_a_ring(void **state)
{
    struct shared s = shared_new(1 << 10);
    struct capture_ring *ring = capture_ring(&s.copy, s.h, RINGS - 1);
    uint64_t seed = 12345, taken = 0;

    for (uint32_t turn = 0; turn < 20000; turn++) {
        struct capture_reader reader = {.at = ring->written & ~(uint64_t)1023};
        uint64_t *words = (uint64_t *)(void *)ring;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        words[turn % (8 + 1024 / 8)] = seed >> (seed >> 58);
        if (turn % 3 == 0) { /* a record that looks good, of a wild length */
            struct capture_record record = {.length = (uint32_t)(seed >> 40) % 2048,
                                            .port = (uint8_t)(turn % 5)};

            ring->written = ring->reserved = seed & 0xfffff8;
            reader.at = ring->written - (turn % 9) * 128;
            record.size = (uint32_t)(sizeof(record) + record.length + 7) / 8 * 8;
            memcpy(&ring->words[reader.at / 8 % 120], &record, sizeof(record));
        }
        for (uint32_t i = 0; i < 4; i++) {
            if (capture_take(&s.copy, s.h, RINGS - 1, &reader, &copy) != CAPTURE_TAKEN)
                continue;
            taken++;
            assert_true(copy.record.length <= CAPTURE_FRAME_MAX && copy.record.port < PORTS);
        }
    }
    assert_true(taken > 0);
    guard_free(&s.guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_length_and_cut),     cmocka_unit_test(test_longest),
        cmocka_unit_test(test_lost_records_are_counted), cmocka_unit_test(test_names),
        cmocka_unit_test(test_reader_and_writer),        cmocka_unit_test(test_headers_are_checked),
        cmocka_unit_test(test_nonsense_in_a_ring),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
