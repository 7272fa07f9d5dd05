/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noise, and its coming back: see echo.h.
 */
#include "control/health/echo.h"

#include <string.h>

enum { STEP = 8 }; /* samples between two places where a window is looked for */

/* SplitMix64: what matters is that calls differ. */
static uint64_t noise(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Codes 0x30 to 0x6f of either sign: by either law neither silence nor loud. */
void echo_init(struct echo *echo, uint64_t seed, uint32_t n_frames)
{
    memset(echo, 0, sizeof(*echo));
    echo->n_frames = n_frames;
    for (uint32_t i = 0; i < n_frames * ECHO_FRAME; i++) {
        uint64_t bits = noise(&seed);

        echo->samples[i] = (uint8_t)((0x30 + (bits & 0x3f)) | (bits & 0x80));
    }
}

const uint8_t *echo_send(struct echo *echo, uint64_t now_us)
{
    if (echo->n_sent == echo->n_frames)
        return NULL;
    echo->sent_us[echo->n_sent] = now_us;
    return &echo->samples[(size_t)ECHO_FRAME * echo->n_sent++];
}

/* Where a window is among what was sent; UINT32_MAX: nowhere. Where the last one ended is likely.
 */
static uint32_t find(const struct echo *echo, const uint8_t *window)
{
    uint32_t n = echo->n_sent * ECHO_FRAME;
    const uint8_t *at;

    if (echo->next + ECHO_WINDOW <= n &&
        memcmp(&echo->samples[echo->next], window, ECHO_WINDOW) == 0)
        return echo->next;
    at = memmem(echo->samples, n, window, ECHO_WINDOW);
    return at == NULL ? UINT32_MAX : (uint32_t)(at - echo->samples);
}

static void mark(struct echo *echo, uint32_t place, uint32_t length)
{
    if (echo->n_back == 0 || place < echo->first)
        echo->first = place;
    for (uint32_t i = place; i < place + length; i++) {
        echo->n_back += !echo->back[i];
        echo->back[i] = true;
    }
    echo->next = place + length;
}

/* It could not be sent back before its last sample was there. */
static void measure(struct echo *echo, uint32_t last, uint64_t now_us)
{
    uint64_t trip = now_us - echo->sent_us[last / ECHO_FRAME];

    if (echo->n_trips == 0 || trip < echo->least_us)
        echo->least_us = (uint32_t)trip;
    echo->sum_us += trip;
    echo->n_trips++;
}

/* The codes next to zero, of either sign and by either law: some decode and encode zero like that.
 */
static bool is_silence(uint8_t sample)
{
    sample |= 0x80;
    return sample == ECHO_SILENCE_U || sample == ECHO_SILENCE_A || sample == 0xfe;
}

void echo_heard(struct echo *echo, const uint8_t *samples, uint32_t n, uint64_t now_us)
{
    uint32_t sent = echo->n_sent * ECHO_FRAME, at = 0, ours = 0, last = UINT32_MAX;

    for (uint32_t i = 0; i < n; i++)
        echo->silent += is_silence(samples[i]);
    while (at + ECHO_WINDOW <= n) {
        uint32_t place = find(echo, samples + at), length = ECHO_WINDOW;

        if (place == UINT32_MAX) {
            at += STEP;
            continue;
        }
        while (at > 0 && place > 0 && !echo->back[place - 1] &&
               samples[at - 1] == echo->samples[place - 1]) { /* a step may have been too far */
            at--;
            place--;
            length++;
        }
        while (at + length < n && place + length < sent &&
               samples[at + length] == echo->samples[place + length])
            length++;
        mark(echo, place, length);
        last = place + length - 1;
        at += length;
        ours += length;
    }
    echo->foreign += n > ours ? n - ours : 0;
    if (last != UINT32_MAX)
        measure(echo, last, now_us);
}

bool echo_is_over(const struct echo *echo)
{
    return echo->back[echo->n_frames * ECHO_FRAME - 1];
}

uint32_t echo_loss(const struct echo *echo)
{
    uint32_t expected = echo->n_sent * ECHO_FRAME - echo->first;

    if (echo->n_back == 0)
        return 1000;
    return (uint32_t)((uint64_t)(expected - echo->n_back) * 1000 / expected);
}

uint32_t echo_round_trip_us(const struct echo *echo)
{
    return echo->n_trips == 0 ? 0 : (uint32_t)(echo->sum_us / echo->n_trips);
}
