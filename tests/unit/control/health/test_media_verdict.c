/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ends of calls mean, and what several in a row do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "control/health/media_verdict.h"

enum { FRAMES = 50 };

static void ends(void **context)
{
    static const struct {
        enum call_end end;
        uint16_t status, provisional;
        enum sdp_fault fault;
        uint32_t back, packets, forged; /* frames that came back; packets */
        enum media_word word;
        const char *why;
    } cases[] = {
        {CALL_END_SILENT, 0, 0, SDP_OK, 0, 0, 0, MEDIA_BAD, "no answer to INVITE"},
        {CALL_END_SILENT, 0, 180, SDP_OK, 0, 0, 0, MEDIA_BAD, "no answer to INVITE but 180"},
        {CALL_END_REFUSED, 486, 100, SDP_OK, 0, 0, 0, MEDIA_BAD, "answered 486"},
        {CALL_END_REFUSED, 404, 0, SDP_OK, 0, 0, 0, MEDIA_BAD, "answered 404"},
        {CALL_END_REFUSED, 503, 0, SDP_OK, 0, 0, 0, MEDIA_UNKNOWN, "answered 503: it sheds calls"},
        {CALL_END_REFUSED, 407, 0, SDP_OK, 0, 0, 0, MEDIA_UNKNOWN,
         "answered 407: the echo wants a password"},
        {CALL_END_UNUSABLE, 200, 0, SDP_CRYPTO, 0, 0, 0, MEDIA_BAD, "200, without a key for SRTP"},
        {CALL_END_HUNG_UP, 200, 0, SDP_OK, 10, 10, 0, MEDIA_BAD, "hung up after 1000 ms"},
        {CALL_END_TALKED, 200, 0, SDP_OK, 0, 0, 0, MEDIA_BAD, "200, but no media came back"},
        {CALL_END_TALKED, 200, 0, SDP_OK, 0, 1, 0, MEDIA_BAD, "200, but only silence came back"},
        {CALL_END_TALKED, 200, 0, SDP_OK, 0, 50, 0, MEDIA_BAD,
         "200, but other media came back than was sent"},
        {CALL_END_TALKED, 200, 0, SDP_OK, 0, 0, 50, MEDIA_BAD, "SRTP authentication failed"},
        {CALL_END_TALKED, 200, 0, SDP_OK, 50, 50, 0, MEDIA_GOOD, ""},
        {CALL_END_TALKED, 200, 0, SDP_OK, 25, 25, 3, MEDIA_GOOD, ""},
        {CALL_END_TALKED, 200, 0, SDP_OK, 20, 20, 0, MEDIA_BAD, "60% of the audio got lost"},
    };
    struct echo *echo = malloc(sizeof(*echo));
    uint8_t silence[ECHO_FRAME], other[ECHO_FRAME];
    struct cfg_statuses busy = {{0}};

    (void)context;
    memset(silence, ECHO_SILENCE_U, sizeof(silence));
    memset(other, 'x', sizeof(other));
    cfg_statuses_add(&busy, 503, 503);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct call call = {.end = (uint8_t)cases[i].end,
                            .status = cases[i].status,
                            .provisional = cases[i].provisional,
                            .n_sent = FRAMES};
        struct media_heard heard = {.packets = cases[i].packets, .forged = cases[i].forged};
        struct media_result result;

        echo_init(echo, i, FRAMES);
        for (uint32_t j = 0; j < FRAMES; j++)
            echo_send(echo, 0);
        for (uint32_t j = 0; j < cases[i].back; j++)
            echo_heard(echo, echo->samples + j * ECHO_FRAME, ECHO_FRAME, 5000);
        for (uint32_t j = cases[i].back; j < cases[i].packets; j++) /* one: of silence */
            echo_heard(echo, cases[i].packets == 1 ? silence : other, ECHO_FRAME, 5000);
        media_judge(&call, cases[i].fault, echo, &heard, &busy, &result);
        assert_int_equal(result.word, cases[i].word);
        assert_string_equal(result.why, cases[i].why);
        assert_int_equal(result.status, cases[i].status);
        assert_int_equal(result.loss_permille,
                         cases[i].back == 0 ? 1000 : 1000 - cases[i].back * 20);
        assert_int_equal(result.round_trip_us, cases[i].back == 0 ? 0 : 5000);
    }
    free(echo);
}

static char uri[] = "sip:echo@{backend}";
static const struct cfg_media conf = {
    .uri = uri, .interval_ms = 30000, .fast_interval_ms = 5000, .rise = 2, .fall = 3};

static bool take(struct media_track *track, enum media_word word, uint64_t now_ms)
{
    const struct media_result result = {.word = (uint8_t)word};
    bool changed;

    assert_true(media_track_is_due(track, now_ms));
    media_track_begun(track);
    assert_false(media_track_is_due(track, now_ms));
    changed = media_track_take(track, &conf, &result, now_ms);
    assert_false(media_track_is_due(track, now_ms));
    return changed;
}

static void several_in_a_row(void **context)
{
    struct media_track track = {.known = false};

    (void)context;
    media_track_follow(&track, 0, false, &conf, 1000);
    assert_false(take(&track, MEDIA_GOOD, 1000));
    assert_int_equal(track.next_ms, 31000);
    assert_false(take(&track, MEDIA_BAD, 31000));
    assert_int_equal(track.next_ms, 36000);
    assert_false(take(&track, MEDIA_BAD, 36000));
    assert_false(take(&track, MEDIA_GOOD, 41000)); /* not in a row */
    assert_int_equal(track.next_ms, 71000);
    assert_false(take(&track, MEDIA_BAD, 71000));
    assert_false(take(&track, MEDIA_BAD, 76000));
    assert_false(take(&track, MEDIA_UNKNOWN, 81000)); /* says nothing */
    assert_true(take(&track, MEDIA_BAD, 86000));
    assert_true(track.down);
    assert_false(take(&track, MEDIA_GOOD, 91000));
    assert_int_equal(track.next_ms, 96000);
    assert_true(take(&track, MEDIA_GOOD, 96000));
    assert_false(track.down);
    assert_int_equal(track.next_ms, 126000);
    assert_int_equal(track.calls[MEDIA_GOOD], 4);
    assert_int_equal(track.calls[MEDIA_BAD], 5);
    assert_int_equal(track.calls[MEDIA_UNKNOWN], 1);
    media_track_put_off(&track, &conf, 126000);
    assert_int_equal(track.next_ms, 131000);
}

static void spread_over_the_interval(void **context)
{
    static const struct cfg_media without = {.uri = NULL},
                                  shorter = {.uri = uri, .interval_ms = 100};
    struct media_track track = {.known = false};

    (void)context;
    media_track_follow(&track, UINT32_MAX / 2, true, &conf, 1000);
    assert_int_equal(track.next_ms, 15999);
    assert_true(track.down);
    media_track_follow(&track, UINT32_MAX, false, &conf, 2000); /* it is known */
    assert_int_equal(track.next_ms, 15999);
    media_track_follow(&track, UINT32_MAX, false, &without, 2000);
    assert_false(track.down);
    assert_false(media_track_is_due(&track, UINT64_MAX));
    media_track_follow(&track, UINT32_MAX, false, &conf, 3000);
    assert_int_equal(track.next_ms, 33000);
    media_track_follow(&track, UINT32_MAX, false, &shorter, 3000);
    assert_int_equal(track.next_ms, 3100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends),
        cmocka_unit_test(several_in_a_row),
        cmocka_unit_test(spread_over_the_interval),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
