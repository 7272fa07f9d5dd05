/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events in, state and the next probe's time out: see machine.h. What it says to people, and what
 * is kept of it, is machine_text.c's.
 */
#include "control/health/machine.h"

#include <stdio.h>
#include <string.h>

enum { LATENCY_SHARE = 8 }; /* a new latency is an eighth of the average */

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* How long one that flaps must answer without a break before it is believed. */
static uint64_t hold_ms(const struct machine *m)
{
    if (m->flaps < 2)
        return m->eject_until_ms != 0 ? MACHINE_HOLD_EJECTED_MS : 0;
    if (m->flaps > 5)
        return MACHINE_HOLD_MAX_MS;
    return smaller((uint64_t)MACHINE_HOLD_MS << (m->flaps - 2), MACHINE_HOLD_MAX_MS);
}

/* The next moment that is this backend's own in each interval: a thousand backends are spread over
 * it by their ids, which are hashes, and stay spread. */
static uint64_t own_moment(const struct machine *m, const struct cfg_health *conf, uint64_t now_ms)
{
    uint64_t at = now_ms - now_ms % conf->interval_ms + m->id % conf->interval_ms;

    return at > now_ms ? at : at + conf->interval_ms;
}

/* Whether the next probe decides something: it may go, or it may be back. */
static bool is_undecided(const struct machine *m)
{
    if (m->down)
        return m->successes > 0 && hold_ms(m) == 0;
    return m->failures > 0 || m->doubted_ms != 0;
}

static uint64_t next_probe(const struct machine *m, const struct cfg_health *conf, uint64_t now_ms)
{
    if (is_undecided(m))
        return greater(m->sent_ms + conf->fast_interval_ms, now_ms);
    return own_moment(m, conf, now_ms);
}

/* The state out of the five facts. */
static void settle(struct machine *m, uint64_t now_ms)
{
    uint8_t state = LB_UP;

    if (m->down || m->deaf)
        state = LB_DOWN;
    else if (m->shedding || m->eject_until_ms != 0 || m->doubted_ms != 0)
        state = LB_BUSY;
    if (state == LB_UP && m->ramp_for_ms > 0 && m->ramp_ms == 0)
        m->ramp_ms = now_ms;
    if (state == m->state)
        return;
    m->state = state;
    m->since_ms = now_ms;
}

/* Whether something was so long ago, or never, that it counts no more. */
static bool is_forgotten(uint64_t at_ms, uint64_t now_ms)
{
    return at_ms == 0 || now_ms - at_ms >= MACHINE_FLAP_MS;
}

/* It went, by its own fault: its return will be slow, and not at once if it flaps. */
static void went(struct machine *m, uint64_t now_ms, uint32_t ramp_for_ms)
{
    if (is_forgotten(m->returned_ms, now_ms))
        m->flaps = 0;
    m->flaps++;
    m->ramp_ms = 0;
    m->ramp_for_ms = ramp_for_ms;
}

/* No probe is missing any more. */
static void end_row(struct machine *m)
{
    m->row = 0;
    m->late_ms = 0;
    m->doubted_ms = 0;
}

static void fall(struct machine *m, const struct cfg_health *conf, uint64_t now_ms)
{
    if (m->down)
        return;
    end_row(m);
    if (m->eject_until_ms == 0 && !m->deaf)
        went(m, now_ms, conf->slow_start_ms);
    m->down = true;
}

static void rise(struct machine *m, const struct cfg_health *conf, uint64_t now_ms)
{
    if (!m->down || m->successes < conf->rise || now_ms - m->passing_ms < hold_ms(m))
        return;
    m->down = false;
    m->returned_ms = now_ms;
}

static void failed(struct machine *m, const struct cfg_health *conf, uint64_t now_ms,
                   uint64_t sent_ms, enum machine_failure how)
{
    if (m->failures == 0)
        m->failing_ms = sent_ms;
    if (m->failures < UINT32_MAX)
        m->failures++;
    if (m->down && m->eject_until_ms != 0 && m->successes > 0 && m->flaps < 2)
        m->flaps = 2;
    m->successes = 0;
    m->well = false;
    m->failure = (uint8_t)how;
    if (how == MACHINE_REFUSED || m->eject_until_ms != 0 ||
        (m->failures >= conf->fall && sent_ms >= m->doubted_ms))
        fall(m, conf, now_ms);
    m->next_ms = next_probe(m, conf, now_ms);
    machine_advance(m, conf, now_ms);
}

static void shed(struct machine *m, uint64_t until_ms)
{
    m->shedding = true;
    m->well = false;
    m->busy_until_ms = until_ms;
}

static void answered_busy(struct machine *m, const struct cfg_health *conf, uint64_t now_ms,
                          const struct machine_answer *answer)
{
    uint64_t for_ms = conf->retry_after_ms;

    if (answer->retry_after_s >= 0) {
        for_ms = smaller((uint64_t)answer->retry_after_s, MACHINE_BUSY_MAX_MS / 1000) * 1000;
        snprintf(m->busy_why, sizeof(m->busy_why), "answered %u, Retry-After %llu s",
                 answer->status, (unsigned long long)(for_ms / 1000));
    } else if (answer->drain) {
        for_ms = 0; /* until it says otherwise */
        snprintf(m->busy_why, sizeof(m->busy_why), "asks for no new calls: %.40s in its answer %u",
                 conf->drain_header, answer->status);
    } else {
        snprintf(m->busy_why, sizeof(m->busy_why), "answered %u without Retry-After",
                 answer->status);
    }
    shed(m, now_ms + for_ms);
}

static void passed(struct machine *m, const struct cfg_health *conf, uint64_t now_ms,
                   uint64_t sent_ms)
{
    if (m->successes == 0)
        m->passing_ms = sent_ms;
    if (m->successes < UINT32_MAX)
        m->successes++;
    m->failures = 0;
    rise(m, conf, now_ms);
}

void machine_init(struct machine *m, uint32_t id, const struct cfg_health *conf, uint64_t now_ms)
{
    memset(m, 0, sizeof(*m));
    m->id = id;
    m->state = LB_UP;
    m->since_ms = now_ms;
    m->next_ms = own_moment(m, conf, now_ms);
}

/* Whether it would be doubted, if it were late. */
static bool is_doubtful(const struct machine *m, uint64_t now_ms)
{
    return m->latency_us > 0 && m->doubted_ms == 0 && is_forgotten(m->returned_ms, now_ms) &&
           is_forgotten(m->wronged_ms, now_ms);
}

void machine_probe_sent(struct machine *m, const struct cfg_health *conf, uint64_t now_ms)
{
    bool doubtful = is_doubtful(m, now_ms);
    uint64_t late_ms = greater(conf->fast_interval_ms / (doubtful ? MACHINE_LATE_SHARE : 1),
                               (uint64_t)m->latency_us * MACHINE_LATE_TIMES / 1000);

    m->sent_ms = now_ms;
    m->next_ms = next_probe(m, conf, now_ms);
    if (m->down)
        return;
    if (m->row == 0)
        m->row_ms = now_ms;
    if (m->row < UINT32_MAX)
        m->row++;
    if (m->row == conf->fall && doubtful)
        m->late_ms = now_ms + late_ms;
    m->next_ms = smaller(m->next_ms, now_ms + (m->row == 1 ? late_ms : conf->fast_interval_ms));
}

void machine_probe_unsent(struct machine *m, const struct cfg_health *conf, uint64_t now_ms)
{
    m->sent_ms = now_ms;
    m->row = 0;
    m->late_ms = 0;
    m->next_ms = next_probe(m, conf, now_ms);
}

void machine_answered(struct machine *m, const struct cfg_health *conf, uint64_t now_ms,
                      uint64_t sent_ms, const struct machine_answer *answer)
{
    if (sent_ms < m->answered_ms)
        return;
    m->answered_ms = sent_ms;
    if (m->doubted_ms != 0)
        m->wronged_ms = now_ms;
    end_row(m);
    if (m->latency_us == 0)
        m->latency_us = answer->latency_us;
    else
        m->latency_us =
            (uint32_t)(((uint64_t)m->latency_us * (LATENCY_SHARE - 1) + answer->latency_us) /
                       LATENCY_SHARE);
    if (answer->drain || cfg_statuses_have(&conf->busy, answer->status)) {
        answered_busy(m, conf, now_ms, answer);
        passed(m, conf, now_ms, sent_ms);
    } else if (cfg_statuses_have(&conf->accept, answer->status)) {
        m->well = true;
        passed(m, conf, now_ms, sent_ms);
    } else {
        m->failure_status = answer->status;
        failed(m, conf, now_ms, sent_ms, MACHINE_STATUS);
        return;
    }
    m->next_ms = next_probe(m, conf, now_ms);
    machine_advance(m, conf, now_ms);
}

void machine_timed_out(struct machine *m, const struct cfg_health *conf, uint64_t now_ms,
                       uint64_t sent_ms)
{
    if (sent_ms > m->answered_ms)
        failed(m, conf, now_ms, sent_ms, MACHINE_SILENT);
}

void machine_refused(struct machine *m, const struct cfg_health *conf, uint64_t now_ms,
                     uint64_t sent_ms, const char *why)
{
    if (sent_ms <= m->answered_ms)
        return;
    m->refusal = why;
    failed(m, conf, now_ms, sent_ms, MACHINE_REFUSED);
}

void machine_suspect(struct machine *m, const struct cfg_health *conf, uint64_t now_ms,
                     uint32_t for_ms, const char *why)
{
    if (conf->probe == CFG_PROBE_NONE)
        machine_eject(m, conf, now_ms, for_ms, why);
    else
        m->next_ms = smaller(m->next_ms, greater(m->sent_ms + conf->fast_interval_ms, now_ms));
}

void machine_eject(struct machine *m, const struct cfg_health *conf, uint64_t now_ms,
                   uint32_t for_ms, const char *why)
{
    if (m->eject_until_ms == 0 && !m->down)
        went(m, now_ms, (uint32_t)greater(conf->slow_start_ms, MACHINE_EJECTED_RAMP_MS));
    m->eject_until_ms = now_ms + greater(for_ms, hold_ms(m));
    snprintf(m->eject_why, sizeof(m->eject_why), "%s", why);
    m->next_ms = now_ms;
    machine_advance(m, conf, now_ms);
}

bool machine_may_doubt(const struct machine *m, uint64_t now_ms)
{
    return m->late_ms != 0 && now_ms >= m->late_ms && m->doubted_ms == 0;
}

void machine_doubt(struct machine *m, const struct cfg_health *conf, uint64_t now_ms)
{
    m->doubted_ms = now_ms;
    machine_advance(m, conf, now_ms);
}

void machine_shed(struct machine *m, const struct cfg_health *conf, uint64_t now_ms,
                  const char *why)
{
    if (conf->probe == CFG_PROBE_NONE) { /* nobody would hear that it does no more */
        machine_eject(m, conf, now_ms, conf->retry_after_ms, why);
        return;
    }
    shed(m, now_ms + conf->retry_after_ms);
    snprintf(m->busy_why, sizeof(m->busy_why), "%s", why);
    machine_advance(m, conf, now_ms);
}

void machine_media(struct machine *m, const struct cfg_health *conf, uint64_t now_ms, bool deaf,
                   const char *why)
{
    if (deaf && !m->deaf && !m->down && m->eject_until_ms == 0)
        went(m, now_ms, conf->slow_start_ms);
    if (!deaf && m->deaf && !m->down)
        m->returned_ms = now_ms;
    m->deaf = deaf;
    if (!deaf || why[0] != '\0') /* it may be on its way back */
        snprintf(m->deaf_why, sizeof(m->deaf_why), "%s", deaf ? why : "");
    machine_advance(m, conf, now_ms);
}

void machine_advance(struct machine *m, const struct cfg_health *conf, uint64_t now_ms)
{
    if (m->eject_until_ms != 0 && now_ms >= m->eject_until_ms) {
        m->eject_until_ms = 0;
        m->returned_ms = now_ms;
    }
    if (m->shedding && m->well && now_ms >= m->busy_until_ms)
        m->shedding = false;
    if (conf->media.uri == NULL) /* nobody would ever find it again */
        m->deaf = false;
    if (conf->probe == CFG_PROBE_NONE) { /* nobody would ever take these back */
        m->down = false;
        m->shedding = false;
        end_row(m);
    } else if (m->next_ms > now_ms + conf->interval_ms) { /* it was shortened */
        m->next_ms = own_moment(m, conf, now_ms);
    }
    if (m->ramp_ms != 0 && now_ms - m->ramp_ms >= m->ramp_for_ms)
        m->ramp_ms = m->ramp_for_ms = 0;
    settle(m, now_ms);
}

/* Which step of the slow start it is in, 0 to MACHINE_RAMP_STEPS - 1. */
static uint64_t ramp_step(const struct machine *m, uint64_t now_ms)
{
    uint64_t step = (now_ms - m->ramp_ms) * MACHINE_RAMP_STEPS / m->ramp_for_ms;

    return smaller(step, MACHINE_RAMP_STEPS - 1);
}

uint64_t machine_wake_ms(const struct machine *m, const struct cfg_health *conf, uint64_t now_ms)
{
    uint64_t wake = conf->probe == CFG_PROBE_NONE ? UINT64_MAX : m->next_ms;

    if (m->late_ms > now_ms)
        wake = smaller(wake, m->late_ms);
    if (m->eject_until_ms != 0)
        wake = smaller(wake, m->eject_until_ms);
    if (m->shedding && m->well)
        wake = smaller(wake, m->busy_until_ms);
    if (m->ramp_ms != 0) /* rounded up, so that the step has come then */
        wake = smaller(wake, m->ramp_ms + ((ramp_step(m, now_ms) + 1) * m->ramp_for_ms +
                                           MACHINE_RAMP_STEPS - 1) /
                                              MACHINE_RAMP_STEPS);
    return wake;
}

bool machine_probe_due(const struct machine *m, const struct cfg_health *conf, uint64_t now_ms)
{
    return conf->probe != CFG_PROBE_NONE && now_ms >= m->next_ms;
}

uint32_t machine_weight(const struct machine *m, uint64_t now_ms)
{
    if (m->ramp_ms == 0)
        return MACHINE_WEIGHT_FULL;
    return (uint32_t)(ramp_step(m, now_ms) + 1) * (MACHINE_WEIGHT_FULL / MACHINE_RAMP_STEPS);
}
