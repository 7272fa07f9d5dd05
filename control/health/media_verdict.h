/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a probe call says of the backend's media, in a word and in a line for a person; and what
 * several in a row say. Pure: times are parameters, milliseconds of a clock that never goes back.
 */
#ifndef TANDEM_CONTROL_HEALTH_MEDIA_VERDICT_H
#define TANDEM_CONTROL_HEALTH_MEDIA_VERDICT_H

#include "config/health.h"
#include "control/health/echo.h"
#include "control/health/media_call.h"
#include "control/health/rtp.h"
#include "control/health/sdp.h"

enum {
    MEDIA_WHY_MAX = 96,
    MEDIA_LOSS_BAD = 500,             /* permille of the audio: nobody can talk like that */
};

enum media_word {
    MEDIA_NONE,                       /* not asked yet */
    MEDIA_GOOD,
    MEDIA_BAD,
    MEDIA_UNKNOWN,                    /* it lives, and does not let us try: it sheds, or wants a password */
    MEDIA_WORDS,
};

/* What came in. */
struct media_heard {
    struct rtp_stats stats;           /* of what was authentic */
    uint32_t packets;                 /* all authentic ones */
    uint32_t forged;                  /* with SRTP: those whose authentication failed */
};

struct media_result {
    uint8_t word;                     /* enum media_word */
    uint16_t status;                  /* final response to INVITE; 0: none */
    uint32_t answer_ms;               /* until the call was accepted; 0: it was not */
    uint32_t sent, received;          /* packets */
    uint32_t forged;
    uint32_t lost;                    /* packets, on the way back */
    uint32_t loss_permille;           /* of the audio, there and back; 1000: nothing came */
    uint32_t jitter_us;               /* on the way back, RFC 3550 §6.4.1 */
    uint32_t round_trip_us;           /* of the audio, the echo's buffers included */
    char why[MEDIA_WHY_MAX];          /* "" when it is good */
};

/* Judges a call that has come to its end; fault: of a 2xx's answer. */
void media_judge(const struct call *call, enum sdp_fault fault, const struct echo *echo,
                 const struct media_heard *heard, const struct cfg_statuses *busy,
                 struct media_result *ret);

/* What is known of one backend. */
struct media_track {
    bool known;                       /* the rest says something */
    bool calling;                     /* a probe call is on its way */
    bool down;                        /* several bad ones in a row */
    uint32_t failures, successes;     /* in a row, one of them is 0 */
    uint64_t next_ms;                 /* when the next one is due */
    uint64_t heard_ms;                /* when `last` came */
    struct media_result last;
    uint64_t calls[MEDIA_WORDS];      /* that were judged so */
};

const char *media_word_name(enum media_word word);   /* "" of MEDIA_NONE */

/* What is configured, now. Without calls nothing is known; the first one is due within an interval,
 * at a time that is the backend's own. down: it was, before a restart. */
void media_track_follow(struct media_track *track, uint32_t id, bool down,
                        const struct cfg_media *conf, uint64_t now_ms);
bool media_track_is_due(const struct media_track *track, uint64_t now_ms);
/* It was begun; or it could not be, or nobody can tell what it means: it is due again later. */
void media_track_begun(struct media_track *track);
void media_track_put_off(struct media_track *track, const struct cfg_media *conf, uint64_t now_ms);
/* It is over. True: track->down changed. */
bool media_track_take(struct media_track *track, const struct cfg_media *conf,
                      const struct media_result *result, uint64_t now_ms);

#endif
