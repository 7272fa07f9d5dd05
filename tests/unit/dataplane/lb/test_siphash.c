/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash against known values, in pieces against in one, and at the edges of readable memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/lb/siphash.h"
#include "tests/unit/dataplane/lb/siphash_vectors.h"

static const struct lb_key key = {.k0 = 0x0706050403020100u, .k1 = 0x0f0e0d0c0b0a0908u};

static void count_up(uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        data[i] = (uint8_t)i;
}

static void known_values(void **state)
{
    uint8_t data[VECTORS];

    count_up(data, sizeof data);
    for (size_t n = 0; n < VECTORS; n++) {
        assert_true(lb_siphash24(&key, data, n) == vectors_24[n]);
        assert_true(lb_siphash13(&key, data, n) == vectors_13[n]);
    }
    assert_true(lb_siphash24(&key, NULL, 0) == vectors_24[0]);
}

/* Every way to cut every message of the vectors in three. */
static void pieces_are_the_whole(void **state)
{
    uint8_t data[VECTORS];

    count_up(data, sizeof data);
    for (size_t n = 0; n < VECTORS; n++)
        for (size_t a = 0; a <= n; a++)
            for (size_t b = a; b <= n; b++) {
                struct lb_siphash h13, h24;

                lb_siphash13_init(&h13, &key);
                lb_siphash24_init(&h24, &key);
                lb_siphash_add(&h13, data, a);
                lb_siphash_add(&h24, data, a);
                lb_siphash_add(&h13, data + a, b - a);
                lb_siphash_add(&h24, data + a, b - a);
                lb_siphash_add(&h13, data + b, n - b);
                lb_siphash_add(&h24, data + b, n - b);
                assert_true(lb_siphash_end(&h13) == vectors_13[n]);
                assert_true(lb_siphash_end(&h24) == vectors_24[n]);
            }
}

static void bytes_one_by_one(void **state)
{
    uint8_t data[VECTORS];
    struct lb_siphash h;

    count_up(data, sizeof data);
    lb_siphash13_init(&h, &key);
    for (size_t n = 0; n < VECTORS; n++) {
        struct lb_siphash so_far = h;

        assert_true(lb_siphash_end(&so_far) == vectors_13[n]);
        lb_siphash_add(&h, NULL, 0);
        lb_siphash_add(&h, data + n, 1);
    }
}

/* Input at both ends of a page between two that may not be read. */
static void reads_nothing_else(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *map = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct lb_siphash h;

    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map, page, PROT_NONE), 0);
    assert_int_equal(mprotect(map + 2 * page, page, PROT_NONE), 0);
    for (size_t n = 0; n < VECTORS; n++) {
        uint8_t *starts[] = {map + page, map + 2 * page - n};

        for (size_t i = 0; i < 2; i++) {
            count_up(starts[i], n);
            assert_true(lb_siphash13(&key, starts[i], n) == vectors_13[n]);
            lb_siphash24_init(&h, &key);
            lb_siphash_add(&h, starts[i], n);
            assert_true(lb_siphash_end(&h) == vectors_24[n]);
        }
    }
    munmap(map, 3 * page);
}

/* Long input is hashed as it comes: the same, wherever it is cut. */
static void long_input(void **state)
{
    static uint8_t data[4 * LB_SIPHASH_HELD];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t n = LB_SIPHASH_HELD - 9; n < sizeof data; n += 13)
        for (size_t cut = 0; cut <= n; cut += 31) {
            struct lb_siphash h;

            lb_siphash24_init(&h, &key);
            lb_siphash_add(&h, data, cut);
            lb_siphash_add(&h, data + cut, n - cut);
            assert_true(lb_siphash_end(&h) == lb_siphash24(&key, data, n));
        }
}

/* Texts in lanes, as many as there may be: as each alone. */
static void texts_in_lanes(void **state)
{
    static char data[600];
    uint64_t ends[LB_LANES];
    struct lb_lanes lanes;

    count_up((uint8_t *)data, sizeof data);
    for (uint32_t round = 0; round < 600; round++) {
        lb_lanes_init(&lanes, 1);
        for (uint32_t i = 0; i < round % (LB_LANES + 1); i++)
            lb_lanes_put_text(&lanes, lb_lanes_add(&lanes, &key, 0), 0, data + 8 + i,
                              (i * 37 + round) % 560);
        lb_siphash13_lanes(&lanes, ends);
        for (uint32_t i = 0; i < lanes.n; i++)
            assert_true(ends[i] == lb_siphash13(&key, data + 8 + i, (i * 37 + round) % 560));
        lb_siphash24_lanes(&lanes, ends);
        for (uint32_t i = 0; i < lanes.n; i++)
            assert_true(ends[i] == lb_siphash24(&key, data + 8 + i, (i * 37 + round) % 560));
    }
}

/* The words of a text, closed by its length, in whose place it may stand. */
static uint32_t put_words(struct lb_lanes *lanes, uint32_t lane, uint32_t first, const char *at,
                          uint32_t length)
{
    uint32_t last = length / 8;

    for (uint32_t i = 0; i < length; i++)
        ((uint8_t *)&lanes->words[first + i / 8][lane])[i % 8] = (uint8_t)at[i];
    lanes->words[first + last][lane] |= (uint64_t)length << 56;
    return first + last + 1;
}

/* Words, then two texts: as the texts' words. */
static void words_in_lanes(void **state)
{
    static const char data[] = "12345678 a text, and what lies behind it";
    uint64_t of_texts[LB_LANES], of_words[LB_LANES];
    static struct lb_lanes texts, words;

    for (uint32_t round = 0; round < 400; round++) {
        lb_lanes_init(&texts, 2);
        lb_lanes_init(&words, 0);
        memset(words.words, 0, sizeof words.words);
        for (uint32_t i = 0; i < 1 + round % LB_LANES; i++) {
            uint32_t n = (round + i) % 4, a = (round / 3 + i) % 20, b = (round / 7 + 3 * i) % 24;
            uint32_t at = n, lane = lb_lanes_add(&texts, &key, n);

            lb_lanes_add(&words, &key, 0);
            for (uint32_t j = 0; j < n; j++)
                words.words[j][lane] = texts.words[j][lane] = round * 0x123456789abcdefu + j;
            lb_lanes_put_text(&texts, lane, 0, data + 8, a);
            lb_lanes_put_text(&texts, lane, 1, data + 9, b);
            at = put_words(&words, lane, at, data + 8, a);
            words.n_words[lane] = put_words(&words, lane, at, data + 9, b);
        }
        lb_siphash24_lanes(&texts, of_texts);
        lb_siphash24_lanes(&words, of_words);
        assert_memory_equal(of_texts, of_words, texts.n * sizeof *of_texts);
    }
}

static uint64_t two_fields(const char *a, const char *b)
{
    struct lb_siphash h;

    lb_siphash24_init(&h, &key);
    lb_siphash_add_field(&h, a, (uint32_t)strlen(a));
    lb_siphash_add_field(&h, b, (uint32_t)strlen(b));
    return lb_siphash_end(&h);
}

static void fields_have_borders(void **state)
{
    static const uint8_t laid_out[] = {2, 0, 0, 0, 'a', 'b', 1, 0, 0, 0, 'c'};

    assert_true(two_fields("ab", "c") != two_fields("a", "bc"));
    assert_true(two_fields("", "abc") != two_fields("abc", ""));
    assert_true(two_fields("ab", "c") == lb_siphash24(&key, laid_out, sizeof laid_out));
}

static void derived_keys_differ(void **state)
{
    static const char *const labels[] = {"", "hash", "branch", "token", "tokens"};
    struct lb_key other = {.k0 = key.k0, .k1 = key.k1 ^ 1}, keys[5];

    for (int i = 0; i < 5; i++) {
        struct lb_key again = lb_key_derive(&key, labels[i]);

        keys[i] = again;
        assert_true(keys[i].k0 != keys[i].k1);
        assert_true(lb_key_derive(&other, labels[i]).k0 != keys[i].k0);
        again = lb_key_derive(&key, labels[i]);
        assert_memory_equal(&again, &keys[i], sizeof again);
        for (int j = 0; j < i; j++)
            assert_true(keys[i].k0 != keys[j].k0 && keys[i].k1 != keys[j].k1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),        cmocka_unit_test(pieces_are_the_whole),
        cmocka_unit_test(bytes_one_by_one),    cmocka_unit_test(reads_nothing_else),
        cmocka_unit_test(long_input),          cmocka_unit_test(texts_in_lanes),
        cmocka_unit_test(words_in_lanes),      cmocka_unit_test(fields_have_borders),
        cmocka_unit_test(derived_keys_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
