/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Echoes of many kinds: whole packets, packets cut anew, late ones, lossy ones, strangers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "control/health/echo.h"

enum { FRAMES = 50, ALL = FRAMES * ECHO_FRAME, FRAME_US = 20000 };

/* All sent, frame i at i × 20 ms; what was sent. */
static struct echo *sent_make(uint64_t seed)
{
    struct echo *echo = malloc(sizeof(*echo));

    assert_non_null(echo);
    echo_init(echo, seed, FRAMES);
    for (uint32_t i = 0; i < FRAMES; i++)
        assert_ptr_equal(echo_send(echo, i * FRAME_US), echo->samples + i * ECHO_FRAME);
    assert_null(echo_send(echo, FRAMES * FRAME_US));
    return echo;
}

static void whole_packets(void **context)
{
    struct echo *echo = sent_make(1);

    (void)context;
    assert_int_equal(echo_loss(echo), 1000);
    assert_int_equal(echo_round_trip_us(echo), 0);
    for (uint32_t i = 0; i < FRAMES; i++) {
        assert_false(echo_is_over(echo));
        echo_heard(echo, echo->samples + i * ECHO_FRAME, ECHO_FRAME, i * FRAME_US + 3000);
    }
    assert_true(echo_is_over(echo));
    assert_int_equal(echo_loss(echo), 0);
    assert_int_equal(echo->n_back, ALL);
    assert_int_equal(echo_round_trip_us(echo), 3000);
    assert_int_equal(echo->foreign, 0);
    free(echo);
}

/* An echo that decodes and plays: silence first, then all, in packets of another length. */
static void cut_anew(void **context)
{
    static const uint32_t lengths[] = {80, 160, 240, 320, 37, 1000};
    static const uint32_t silences[] = {0, 1, 7, 100, 161, 480};

    (void)context;
    for (size_t i = 0; i < 6; i++) {
        for (size_t j = 0; j < 6; j++) {
            struct echo *echo = sent_make(i * 10 + j);
            uint32_t n = silences[j] + ALL, length;
            uint8_t *stream = malloc(n);

            memset(stream, 0xff, silences[j]);
            memcpy(stream + silences[j], echo->samples, ALL);
            for (uint32_t at = 0; at < n; at += length) {
                length = lengths[i] < n - at ? lengths[i] : n - at;
                echo_heard(echo, stream + at, length, FRAMES * FRAME_US);
            }
            /* Pieces that are shorter than a window cannot be told. */
            assert_in_range(echo->n_back, ALL - 2 * ECHO_WINDOW, ALL);
            assert_in_range(echo->foreign, silences[j], silences[j] + 2 * ECHO_WINDOW);
            assert_in_range(echo_loss(echo), 0, 4);
            free(stream);
            free(echo);
        }
    }
}

/* It begins late (no loss), and loses every fifth packet of what follows. */
static void late_and_lossy(void **context)
{
    struct echo *echo = sent_make(3);

    (void)context;
    for (uint32_t i = 10; i < FRAMES; i++) {
        if (i % 5 != 4)
            echo_heard(echo, echo->samples + i * ECHO_FRAME, ECHO_FRAME, i * FRAME_US + 90000);
    }
    assert_int_equal(echo->first, 10 * ECHO_FRAME);
    assert_int_equal(echo_loss(echo), 200);
    assert_int_equal(echo_round_trip_us(echo), 90000);
    free(echo);
}

static void twice_counts_once(void **context)
{
    struct echo *echo = sent_make(4);

    (void)context;
    for (uint32_t i = 0; i < 2 * FRAMES; i++)
        echo_heard(echo, echo->samples + i / 2 * ECHO_FRAME, ECHO_FRAME, FRAMES * FRAME_US);
    assert_int_equal(echo->n_back, ALL);
    free(echo);
}

/* Silence, another call's noise, and what is yet to be sent are nothing of ours. */
static void strangers(void **context)
{
    struct echo *echo = sent_make(5), *other = sent_make(6);
    uint8_t silence[ECHO_FRAME];

    (void)context;
    memset(silence, 0xff, sizeof(silence));
    echo_heard(echo, silence, sizeof(silence), 0);
    for (uint32_t i = 0; i < FRAMES; i++)
        echo_heard(echo, other->samples + i * ECHO_FRAME, ECHO_FRAME, FRAMES * FRAME_US);
    assert_int_equal(echo->n_back, 0);
    assert_int_equal(echo->foreign, ALL + ECHO_FRAME);
    assert_int_equal(echo_loss(echo), 1000);
    echo_init(echo, 5, FRAMES);
    echo_send(echo, 0);
    echo_heard(echo, echo->samples + ECHO_FRAME, ECHO_FRAME, 1);
    assert_int_equal(echo->n_back, 0);
    echo_heard(echo, silence, 3, 2); /* shorter than a window */
    assert_int_equal(echo->n_back, 0);
    free(echo);
    free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_packets),  cmocka_unit_test(cut_anew),
        cmocka_unit_test(late_and_lossy), cmocka_unit_test(twice_counts_once),
        cmocka_unit_test(strangers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
