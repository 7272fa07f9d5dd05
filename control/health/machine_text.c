/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine says to a person, and what is kept of it over a restart of control: see machine.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/health/machine.h"

enum { CLOCK_TEXT_MAX = 48, MS_PER_DAY = 24 * 3600 * 1000 };

/* A moment as 12:01:05 UTC, and how many days ago. */
static void clock_print(uint64_t at_ms, uint64_t now_ms, uint64_t wall_ms,
                        char ret_text[CLOCK_TEXT_MAX])
{
    uint64_t ago_ms = now_ms > at_ms ? now_ms - at_ms : 0;
    uint64_t day_s = (wall_ms > ago_ms ? wall_ms - ago_ms : 0) % MS_PER_DAY / 1000;
    int length = snprintf(ret_text, CLOCK_TEXT_MAX, "%02u:%02u:%02u UTC", (unsigned)(day_s / 3600),
                          (unsigned)(day_s / 60 % 60), (unsigned)(day_s % 60));

    if (ago_ms >= MS_PER_DAY)
        snprintf(ret_text + length, CLOCK_TEXT_MAX - (size_t)length, ", %" PRIu64 " d ago",
                 ago_ms / MS_PER_DAY);
}

/* Seconds until a moment, at least 1. */
static unsigned seconds_left(uint64_t until_ms, uint64_t now_ms)
{
    return until_ms > now_ms + 1000 ? (unsigned)((until_ms - now_ms + 999) / 1000) : 1;
}

static void down_print(const struct machine *m, const struct cfg_health *conf, uint64_t now_ms,
                       uint64_t wall_ms, char *ret_text)
{
    char since[CLOCK_TEXT_MAX];

    if (!m->down) {
        clock_print(m->since_ms, now_ms, wall_ms, since);
        snprintf(ret_text, MACHINE_REASON_MAX, "signalling, but no media since %s: %s", since,
                 m->deaf_why);
        return;
    }
    clock_print(m->failures > 0 ? m->failing_ms : m->since_ms, now_ms, wall_ms, since);
    if (m->successes >= conf->rise)
        snprintf(ret_text, MACHINE_REASON_MAX,
                 "answers since %u probes, but flapped %u times: kept out a while longer",
                 m->successes, m->flaps);
    else if (m->successes > 0)
        snprintf(ret_text, MACHINE_REASON_MAX, "down since %s; answers again, %u of %u probes",
                 since, m->successes, conf->rise);
    else if (m->failures == 0)
        snprintf(ret_text, MACHINE_REASON_MAX, "down since %s, before control started", since);
    else if (m->failure == MACHINE_REFUSED)
        snprintf(ret_text, MACHINE_REASON_MAX, "refused (%s) since %s", m->refusal, since);
    else if (m->failure == MACHINE_STATUS)
        snprintf(ret_text, MACHINE_REASON_MAX, "answers probes with %u since %s", m->failure_status,
                 since);
    else
        snprintf(ret_text, MACHINE_REASON_MAX, "%u probe%s without answer since %s", m->failures,
                 m->failures == 1 ? "" : "s", since);
}

static void doubt_print(const struct machine *m, char *ret_text)
{
    if (m->row == 0)
        snprintf(ret_text, MACHINE_REASON_MAX, "in doubt since before control started");
    else
        snprintf(ret_text, MACHINE_REASON_MAX,
                 "in doubt: no answer to its last %u probes, usually within %.1f ms", m->row,
                 (m->latency_us + 99) / 100 / 10.0); /* rounded up: it is within */
}

static void busy_print(const struct machine *m, uint64_t now_ms, char *ret_text)
{
    const char *why = m->eject_until_ms != 0 ? m->eject_why : m->busy_why;
    uint64_t until_ms = m->eject_until_ms != 0 ? m->eject_until_ms : m->busy_until_ms;

    if (until_ms > now_ms)
        snprintf(ret_text, MACHINE_REASON_MAX, "%s; no new calls for %u s", why,
                 seconds_left(until_ms, now_ms));
    else
        snprintf(ret_text, MACHINE_REASON_MAX, "%s", why);
}

void machine_reason(const struct machine *m, const struct cfg_health *conf, uint64_t now_ms,
                    uint64_t wall_ms, char ret_text[MACHINE_REASON_MAX])
{
    char since[CLOCK_TEXT_MAX];

    ret_text[0] = '\0';
    if (m->state == LB_DOWN) {
        down_print(m, conf, now_ms, wall_ms, ret_text);
    } else if (m->doubted_ms != 0 && m->eject_until_ms == 0) {
        doubt_print(m, ret_text);
    } else if (m->state == LB_BUSY) {
        busy_print(m, now_ms, ret_text);
    } else if (m->failures > 0) {
        clock_print(m->failing_ms, now_ms, wall_ms, since);
        snprintf(ret_text, MACHINE_REASON_MAX, "in doubt: %u of %u probes failed since %s",
                 m->failures, conf->fall, since);
    } else if (m->ramp_ms != 0) {
        snprintf(ret_text, MACHINE_REASON_MAX, "slow start: %u %% of its weight, all of it in %u s",
                 machine_weight(m, now_ms) / 10, seconds_left(m->ramp_ms + m->ramp_for_ms, now_ms));
    }
}

/* A moment of one clock as one of another, given both clocks' now; 0 stays 0, and what would be
 * before either clock's beginning is 1. */
static uint64_t moved(uint64_t at_ms, uint64_t from_now_ms, uint64_t to_now_ms)
{
    uint64_t ago_ms;

    if (at_ms == 0)
        return 0;
    if (at_ms > from_now_ms)
        return to_now_ms + (at_ms - from_now_ms);
    ago_ms = from_now_ms - at_ms;
    return to_now_ms > ago_ms ? to_now_ms - ago_ms : 1;
}

void machine_remember(const struct machine *m, uint64_t now_ms, uint64_t wall_ms,
                      struct machine_memory *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->id = m->id;
    ret->down = m->down;
    ret->doubted = m->doubted_ms != 0;
    ret->flaps = m->flaps;
    ret->since_ms = moved(m->since_ms, now_ms, wall_ms);
    ret->returned_ms = moved(m->returned_ms, now_ms, wall_ms);
    ret->busy_until_ms = m->shedding ? moved(m->busy_until_ms, now_ms, wall_ms) : 0;
    ret->eject_until_ms = moved(m->eject_until_ms, now_ms, wall_ms);
    ret->ramp_ms = moved(m->ramp_ms, now_ms, wall_ms);
    ret->ramp_for_ms = m->ramp_for_ms;
    memcpy(ret->busy_why, m->busy_why, sizeof(ret->busy_why));
    memcpy(ret->eject_why, m->eject_why, sizeof(ret->eject_why));
    if (m->deaf)
        memcpy(ret->deaf_why, m->deaf_why, sizeof(ret->deaf_why));
}

/* The same for a moment that has been: not later than now, whatever the clock did meanwhile. */
static uint64_t been(uint64_t at_ms, uint64_t wall_ms, uint64_t now_ms)
{
    return moved(at_ms < wall_ms ? at_ms : wall_ms, wall_ms, now_ms);
}

/* And for one that is to come, within `most_ms`; 0 when it is over. */
static uint64_t to_come(uint64_t at_ms, uint64_t wall_ms, uint64_t now_ms, uint64_t most_ms)
{
    if (at_ms <= wall_ms)
        return 0;
    return now_ms + (at_ms - wall_ms < most_ms ? at_ms - wall_ms : most_ms);
}

void machine_inherit(struct machine *m, const struct machine_memory *memory,
                     const struct cfg_health *conf, uint64_t now_ms, uint64_t wall_ms)
{
    machine_init(m, memory->id, conf, now_ms);
    m->flaps = memory->flaps;
    m->since_ms = been(memory->since_ms, wall_ms, now_ms);
    m->returned_ms = been(memory->returned_ms, wall_ms, now_ms);
    m->down = memory->down;
    m->doubted_ms = memory->doubted && !m->down ? now_ms : 0;
    m->shedding = memory->busy_until_ms != 0;
    m->busy_until_ms = to_come(memory->busy_until_ms, wall_ms, now_ms, MACHINE_BUSY_MAX_MS);
    if (m->shedding && m->busy_until_ms == 0)
        m->busy_until_ms = now_ms; /* until its next word */
    m->eject_until_ms = to_come(memory->eject_until_ms, wall_ms, now_ms, MACHINE_BUSY_MAX_MS);
    if (memory->ramp_for_ms <= MACHINE_RAMP_MAX_MS) {
        m->ramp_for_ms = memory->ramp_for_ms;
        m->ramp_ms = m->ramp_for_ms == 0 ? 0 : been(memory->ramp_ms, wall_ms, now_ms);
    }
    m->deaf = memory->deaf_why[0] != '\0';
    memcpy(m->deaf_why, memory->deaf_why, sizeof(m->deaf_why));
    m->deaf_why[MACHINE_WHY_MAX - 1] = '\0';
    m->state = LB_UP;
    if (m->down || m->deaf)
        m->state = LB_DOWN;
    else if (m->shedding || m->eject_until_ms != 0 || m->doubted_ms != 0)
        m->state = LB_BUSY;
    memcpy(m->busy_why, memory->busy_why, sizeof(m->busy_why));
    memcpy(m->eject_why, memory->eject_why, sizeof(m->eject_why));
    m->busy_why[MACHINE_WHY_MAX - 1] = m->eject_why[MACHINE_WHY_MAX - 1] = '\0';
    machine_advance(m, conf, now_ms);
}
