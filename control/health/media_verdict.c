/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judgement: see media_verdict.h.
 */
#include "control/health/media_verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { UNAUTHORIZED = 401, PROXY_AUTHENTICATION = 407 };

__attribute__((format(printf, 3, 4))) static void say(struct media_result *result,
                                                      enum media_word word, const char *format, ...)
{
    va_list arguments;

    result->word = (uint8_t)word;
    va_start(arguments, format);
    vsnprintf(result->why, sizeof(result->why), format, arguments);
    va_end(arguments);
}

static void judge_refusal(const struct call *call, const struct cfg_statuses *busy,
                          struct media_result *ret)
{
    if (call->status == UNAUTHORIZED || call->status == PROXY_AUTHENTICATION)
        say(ret, MEDIA_UNKNOWN, "answered %u: the echo wants a password", call->status);
    else if (cfg_statuses_have(busy, call->status))
        say(ret, MEDIA_UNKNOWN, "answered %u: it sheds calls", call->status);
    else
        say(ret, MEDIA_BAD, "answered %u", call->status);
}

static void judge_media(const struct call *call, const struct echo *echo,
                        const struct media_heard *heard, struct media_result *ret)
{
    if (call->end == CALL_END_HUNG_UP)
        say(ret, MEDIA_BAD, "hung up after %u ms", call->n_sent * CALL_FRAME_MS);
    else if (echo->n_back == 0 && heard->forged > 0)
        say(ret, MEDIA_BAD, "SRTP authentication failed");
    else if (echo->n_back == 0 && heard->packets > 0 && echo->silent >= echo->foreign)
        say(ret, MEDIA_BAD, "%u, but only silence came back", call->status);
    else if (echo->n_back == 0 && heard->packets > 0)
        say(ret, MEDIA_BAD, "%u, but other media came back than was sent", call->status);
    else if (echo->n_back == 0)
        say(ret, MEDIA_BAD, "%u, but no media came back", call->status);
    else if (ret->loss_permille > MEDIA_LOSS_BAD)
        say(ret, MEDIA_BAD, "%u%% of the audio got lost", ret->loss_permille / 10);
    else
        say(ret, MEDIA_GOOD, "%s", "");
}

void media_judge(const struct call *call, enum sdp_fault fault, const struct echo *echo,
                 const struct media_heard *heard, const struct cfg_statuses *busy,
                 struct media_result *ret)
{
    *ret = (struct media_result){
        .status = call->status,
        .answer_ms = call->answered_ms == 0 ? 0 : (uint32_t)(call->answered_ms - call->begun_ms),
        .sent = echo->n_sent,
        .received = heard->packets,
        .forged = heard->forged,
        .lost = rtp_stats_lost(&heard->stats),
        .loss_permille = echo_loss(echo),
        .jitter_us = rtp_stats_jitter_us(&heard->stats),
        .round_trip_us = echo_round_trip_us(echo)};
    switch (call->end) {
    case CALL_END_SILENT:
        if (call->provisional == 0)
            say(ret, MEDIA_BAD, "no answer to INVITE");
        else
            say(ret, MEDIA_BAD, "no answer to INVITE but %u", call->provisional);
        return;
    case CALL_END_REFUSED:
        judge_refusal(call, busy, ret);
        return;
    case CALL_END_UNUSABLE:
        if (fault == SDP_OK)
            say(ret, MEDIA_UNKNOWN, "there was no memory for SRTP");
        else
            say(ret, MEDIA_BAD, "%u, %s", call->status, sdp_fault_phrase(fault));
        return;
    default:
        judge_media(call, echo, heard, ret);
    }
}

const char *media_word_name(enum media_word word)
{
    static const char *const names[MEDIA_WORDS] = {
        [MEDIA_NONE] = "", [MEDIA_GOOD] = "good", [MEDIA_BAD] = "bad", [MEDIA_UNKNOWN] = "unknown"};

    return names[word];
}

void media_track_follow(struct media_track *track, uint32_t id, bool down,
                        const struct cfg_media *conf, uint64_t now_ms)
{
    if (conf->uri == NULL)
        *track = (struct media_track){.known = false};
    else if (!track->known) /* ids are hashes: they spread over the interval */
        *track =
            (struct media_track){.known = true,
                                 .down = down,
                                 .next_ms = now_ms + (uint64_t)id * conf->interval_ms / UINT32_MAX};
    else if (track->next_ms > now_ms + conf->interval_ms) /* it was shortened */
        track->next_ms = now_ms + conf->interval_ms;
}

bool media_track_is_due(const struct media_track *track, uint64_t now_ms)
{
    return track->known && !track->calling && track->next_ms <= now_ms;
}

void media_track_begun(struct media_track *track)
{
    track->calling = true;
}

void media_track_put_off(struct media_track *track, const struct cfg_media *conf, uint64_t now_ms)
{
    track->calling = false;
    track->next_ms = now_ms + conf->fast_interval_ms;
}

bool media_track_take(struct media_track *track, const struct cfg_media *conf,
                      const struct media_result *result, uint64_t now_ms)
{
    bool was = track->down, doubt;

    track->calling = false;
    track->last = *result;
    track->calls[result->word]++;
    track->heard_ms = now_ms;
    if (result->word == MEDIA_GOOD) {
        track->failures = 0;
        track->successes++;
        if (track->successes >= conf->rise)
            track->down = false;
    } else if (result->word == MEDIA_BAD) {
        track->successes = 0;
        track->failures++;
        if (track->failures >= conf->fall)
            track->down = true;
    }
    doubt = track->down || track->failures > 0;
    track->next_ms = now_ms + (doubt ? conf->fast_interval_ms : conf->interval_ms);
    return track->down != was;
}
