/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is played to an echo, and how much of it comes back: a noise of G.711 that no two calls share
 * and in which every few samples tell their place, so that it is found again however the echo cuts it
 * into packets, and with how much silence before it. Pure. It must not know RTP.
 *
 * Codes of G.711 are kept by whoever decodes and encodes them again by the same law; the one code
 * for which that does not hold (the negative zero of the μ-law) is not used.
 */
#ifndef TANDEM_CONTROL_HEALTH_ECHO_H
#define TANDEM_CONTROL_HEALTH_ECHO_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ECHO_FRAME = 160,                 /* samples, a byte each: 20 ms */
    ECHO_FRAMES_MAX = 250,            /* 5 s */
    ECHO_WINDOW = 16,                 /* samples that tell their place */
    ECHO_SILENCE_U = 0xff,            /* a sample of no sound, by the μ-law */
    ECHO_SILENCE_A = 0xd5,            /* and by the A-law */
};

struct echo {
    uint32_t n_frames;                /* to be sent */
    uint32_t n_sent;                  /* frames */
    uint32_t next;                    /* place where what came last ended */
    uint32_t first;                   /* place of the earliest sample that came back */
    uint32_t n_back;                  /* samples that came back, each counted once */
    uint32_t foreign;                 /* samples that came and are not ours, */
    uint32_t silent;                  /* and all samples that were of no sound */
    uint32_t least_us;                /* round trip: the shortest, */
    uint64_t sum_us;                  /* and all of them */
    uint32_t n_trips;
    uint64_t sent_us[ECHO_FRAMES_MAX];
    uint8_t samples[ECHO_FRAMES_MAX * ECHO_FRAME];
    bool back[ECHO_FRAMES_MAX * ECHO_FRAME];
};

/* n_frames: 1 to ECHO_FRAMES_MAX. */
void echo_init(struct echo *echo, uint64_t seed, uint32_t n_frames);

/* The next frame, sent at now_us: ECHO_FRAME samples; NULL: all were sent. */
const uint8_t *echo_send(struct echo *echo, uint64_t now_us);

/* Looks for it in what came. */
void echo_heard(struct echo *echo, const uint8_t *samples, uint32_t n, uint64_t now_us);

/* Whether the last sample of all came back. */
bool echo_is_over(const struct echo *echo);

/* How much of what was sent is missing from the first sample that came back on, permille: what an
 * echo swallows while it begins is no loss. 1000: nothing came back. */
uint32_t echo_loss(const struct echo *echo);
/* The mean time from a sample's being sent to its coming back, buffers of the echo included; 0: none
 * came. */
uint32_t echo_round_trip_us(const struct echo *echo);

#endif
