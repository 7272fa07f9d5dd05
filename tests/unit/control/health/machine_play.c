/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backend and the clock: see machine_play.h.
 */
#include "tests/unit/control/health/machine_play.h"

struct cfg_health conf_make(void)
{
    struct cfg_health conf = {.probe = CFG_PROBE_OPTIONS,
                              .interval_ms = 1000,
                              .fast_interval_ms = 200,
                              .timeout_ms = 800,
                              .rise = 2,
                              .fall = 3,
                              .retry_after_ms = 5000};

    cfg_statuses_add(&conf.accept, 200, 499);
    cfg_statuses_add(&conf.busy, 503, 503);
    conf.drain_header = "X-Drain";
    return conf;
}

void play_make(struct play *p, enum how (*how)(uint64_t at_ms))
{
    memset(p, 0, sizeof(*p));
    p->conf = conf_make();
    p->how = how;
    p->latency_ms = 2;
    p->now_ms = START;
    machine_init(&p->machine, ID, &p->conf, p->now_ms);
}

struct machine_answer answer_of(enum how how, uint32_t latency_ms)
{
    struct machine_answer answer = {
        .status = 200, .retry_after_s = -1, .latency_us = latency_ms * 1000};

    if (how == SHEDS || how == SHEDS_MUTE)
        answer.status = 503;
    if (how == SHEDS)
        answer.retry_after_s = 5;
    if (how == DRAINS)
        answer.drain = true;
    if (how == BROKEN)
        answer.status = 500;
    return answer;
}

/* Plays what a pending probe meets at this millisecond; true: it is over. */
static bool settle_probe(struct play *p, uint64_t sent_ms, enum how how)
{
    uint64_t age = p->now_ms - sent_ms;
    struct machine_answer answer;

    if (how == GONE) {
        if (age < p->conf.timeout_ms)
            return false;
        machine_timed_out(&p->machine, &p->conf, p->now_ms, sent_ms);
        return true;
    }
    if (how == FROZEN && p->now_ms - START < p->thaws_ms)
        return false;
    if (age < (how == REFUSES ? 1 : p->latency_ms))
        return false;
    answer = answer_of(how, p->latency_ms);
    if (how == REFUSES)
        machine_refused(&p->machine, &p->conf, p->now_ms, sent_ms, "ICMP unreachable");
    else
        machine_answered(&p->machine, &p->conf, p->now_ms, sent_ms, &answer);
    return true;
}

static void send_probe(struct play *p)
{
    for (uint32_t i = 0; i < PENDING_MAX; i++) {
        if (p->pending[i].used)
            continue;
        p->pending[i].used = true;
        p->pending[i].sent_ms = p->now_ms;
        p->pending[i].how = p->how(p->now_ms - START);
        machine_probe_sent(&p->machine, &p->conf, p->now_ms);
        p->n_probes++;
        return;
    }
    fail_msg("too many probes at once");
}

void step(struct play *p)
{
    uint8_t before = p->machine.state;

    for (uint32_t i = 0; i < PENDING_MAX; i++) {
        if (p->pending[i].used && settle_probe(p, p->pending[i].sent_ms, p->pending[i].how))
            p->pending[i].used = false;
    }
    machine_advance(&p->machine, &p->conf, p->now_ms);
    if (machine_may_doubt(&p->machine, p->now_ms) && !p->alone)
        machine_doubt(&p->machine, &p->conf, p->now_ms);
    if (machine_probe_due(&p->machine, &p->conf, p->now_ms))
        send_probe(p);
    assert_true(machine_wake_ms(&p->machine, &p->conf, p->now_ms) > p->now_ms);
    if (p->machine.state != before && p->n_changes < CHANGES_MAX)
        p->changes[p->n_changes++] = (struct change){p->now_ms - START, p->machine.state};
    p->now_ms++;
}

void play(struct play *p, uint64_t until_ms)
{
    while (p->now_ms - START < until_ms)
        step(p);
}

const char *reason(const struct play *p)
{
    static char text[MACHINE_REASON_MAX];
    /* 12:00:00 of some day at START */
    uint64_t wall = UINT64_C(20000) * 86400000 + 12 * 3600000 + (p->now_ms - START);

    machine_reason(&p->machine, &p->conf, p->now_ms, wall, text);
    return text;
}

enum how always_well(uint64_t at_ms)
{
    (void)at_ms;
    return WELL;
}

enum how gone_at_10s(uint64_t at_ms)
{
    return at_ms < 10000 ? WELL : GONE;
}

enum how gone_10s_to_20s(uint64_t at_ms)
{
    return at_ms < 10000 || at_ms >= 20000 ? WELL : GONE;
}

enum how refuses_at_10s(uint64_t at_ms)
{
    return at_ms < 10000 ? WELL : REFUSES;
}

enum how sheds_10s_to_20s(uint64_t at_ms)
{
    return at_ms >= 10000 && at_ms < 20000 ? SHEDS_MUTE : WELL;
}

enum how drains_10s_to_20s(uint64_t at_ms)
{
    return at_ms >= 10000 && at_ms < 20000 ? DRAINS : WELL;
}
