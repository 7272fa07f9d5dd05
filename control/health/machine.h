/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is observed of one backend: up, busy or down, out of probes and of verdicts on its traffic,
 * and when the next probe is due. Pure: times are parameters, milliseconds of a clock that never
 * goes back. It must not know sockets, nor how an operator's word is combined with it.
 *
 * Five facts are kept apart, the worst of them counts:
 *   down      probes: `fall` in a row failed, or one was refused at once; back after `rise`
 *   shedding  the backend's own word: 503, Retry-After, or the configured header, to a probe; or 503
 *             to most of its calls → busy
 *   deaf      media: probe calls are answered and nobody hears anything → down
 *   doubted   the last `fall` probes are late, though none of them needs to be over → busy until it
 *             answers (then as if nothing had been), or one sent after that fails, too (down)
 *   ejected   passive detection took it out for a while → busy, and one failed probe is enough then
 *
 * Flaps are damped: who went down again less than MACHINE_FLAP_MS after it had come back must
 * answer without a break for MACHINE_HOLD_MS, twice that the next time, and so on; who is down and
 * ejected, for MACHINE_HOLD_EJECTED_MS, and who breaks off meanwhile has flapped. Nor is it
 * doubted in that time, nor whoever was doubted wrongly: their probes' own time is waited for.
 *
 * A probe is late after half of fast_interval (all of it, for who is not doubted), or four times
 * what answers take, if that is longer. One that is late is followed by others, each fast_interval.
 */
#ifndef TANDEM_CONTROL_HEALTH_MACHINE_H
#define TANDEM_CONTROL_HEALTH_MACHINE_H

#include <stddef.h>

#include "config/health.h"
#include "dataplane/lb/backend.h"

enum {
    MACHINE_FLAP_MS = 60000,          /* up for so long: what was before is forgotten */
    MACHINE_LATE_SHARE = 2,           /* of fast_interval: half of it is late… */
    MACHINE_LATE_TIMES = 4,           /* …or so many times the latency */
    MACHINE_HOLD_EJECTED_MS = 3000,   /* of one that both traffic and probes found ill */
    MACHINE_HOLD_MS = 10000,          /* of the second time */
    MACHINE_HOLD_MAX_MS = 60000,
    MACHINE_BUSY_MAX_MS = 600000,     /* a longer Retry-After is not believed */
    MACHINE_RAMP_MAX_MS = 3600000,    /* no slow start takes longer */
    MACHINE_RAMP_STEPS = 10,          /* a slow start's: a tenth of the weight, two, three… */
    MACHINE_EJECTED_RAMP_MS = 10000,  /* after an ejection at least */
    MACHINE_WHY_MAX = 96,
    MACHINE_REASON_MAX = 256,
    MACHINE_WEIGHT_FULL = 1000,       /* permille */
};

enum machine_failure { MACHINE_SILENT, MACHINE_REFUSED, MACHINE_STATUS };

struct machine {
    uint32_t id;
    uint8_t state;                    /* enum lb_state: UP, BUSY or DOWN */
    uint64_t since_ms;                /* in this state */
    /* Probes. */
    uint64_t next_ms;                 /* when the next is due */
    uint64_t sent_ms;                 /* the last one */
    uint64_t answered_ms;             /* when the one was sent that was answered last; 0: none */
    uint64_t failing_ms, passing_ms;  /* when the first of these in a row was sent */
    uint32_t failures, successes;     /* in a row, one of them is 0 */
    uint8_t failure;                  /* enum machine_failure: the last one */
    const char *refusal;              /* of REFUSED: why */
    uint16_t failure_status;          /* of MACHINE_STATUS */
    bool down;
    uint32_t flaps;                   /* times it went, and had not been back for long */
    uint64_t returned_ms;             /* when it came back last; 0: it never went */
    uint32_t latency_us;              /* moving average of answers; 0: none yet */
    uint32_t row;                     /* probes sent since its last answer, while it was not down */
    uint64_t row_ms;                  /* when the first of them was sent */
    uint64_t late_ms;                 /* when the fall-th of them is late; 0: there are less,
                                         or it may not be doubted */
    uint64_t doubted_ms;              /* in doubt since; 0: it is not */
    uint64_t wronged_ms;              /* when an answer ended a doubt last; 0: never */
    /* The backend's own word. */
    bool shedding;
    bool well;                        /* its last answer was an accepted one */
    uint64_t busy_until_ms;           /* shedding until then at least */
    /* Passive detection. */
    uint64_t eject_until_ms;          /* 0: not ejected */
    bool deaf;
    /* Slow start: since when (0: not begun) and for how long (0: none to come). */
    uint64_t ramp_ms;
    uint32_t ramp_for_ms;
    char busy_why[MACHINE_WHY_MAX], eject_why[MACHINE_WHY_MAX], deaf_why[MACHINE_WHY_MAX];
};

/* What is kept of it over a restart: times are CLOCK_REALTIME milliseconds. */
struct machine_memory {
    uint32_t id;
    bool down, doubted;
    uint32_t flaps;
    uint64_t since_ms;
    uint64_t returned_ms;             /* 0: it never went */
    uint64_t busy_until_ms, eject_until_ms;   /* 0: it is not */
    uint64_t ramp_ms;                 /* 0: not begun */
    uint32_t ramp_for_ms;
    char busy_why[MACHINE_WHY_MAX], eject_why[MACHINE_WHY_MAX];
    char deaf_why[MACHINE_WHY_MAX];   /* "": it is not */
};

/* One final answer to a probe. */
struct machine_answer {
    uint16_t status;                  /* 200..699 */
    bool drain;                       /* the configured header was there */
    int64_t retry_after_s;            /* -1: not said */
    uint32_t latency_us;
};

/* One that nothing is known of: up, its first probe within an interval, at a time of its own. */
void machine_init(struct machine *machine, uint32_t id, const struct cfg_health *conf,
                  uint64_t now_ms);

/* The same with what was known before a restart; wall_ms: the clock's time at now_ms. A memory from
 * the future, or with times that cannot be, is believed as if it were from now. */
void machine_inherit(struct machine *machine, const struct machine_memory *memory,
                     const struct cfg_health *conf, uint64_t now_ms, uint64_t wall_ms);
void machine_remember(const struct machine *machine, uint64_t now_ms, uint64_t wall_ms,
                      struct machine_memory *ret);

/* Events. sent_ms is when the probe was sent: what is older than an answer counts no more. */
void machine_probe_sent(struct machine *machine, const struct cfg_health *conf, uint64_t now_ms);
/* The one that was due could not be sent, which says nothing. */
void machine_probe_unsent(struct machine *machine, const struct cfg_health *conf, uint64_t now_ms);
void machine_answered(struct machine *machine, const struct cfg_health *conf, uint64_t now_ms,
                      uint64_t sent_ms, const struct machine_answer *answer);
void machine_timed_out(struct machine *machine, const struct cfg_health *conf, uint64_t now_ms,
                       uint64_t sent_ms);
/* ICMP said that nobody is there, or no connection could be had; why: a text that is there for ever. */
void machine_refused(struct machine *machine, const struct cfg_health *conf, uint64_t now_ms,
                     uint64_t sent_ms, const char *why);
/* Traffic to it was refused: with probes the next one is sent soon, without it is ejected. */
void machine_suspect(struct machine *machine, const struct cfg_health *conf, uint64_t now_ms,
                     uint32_t for_ms, const char *why);
/* Passive detection takes it out for a while; why is copied. */
void machine_eject(struct machine *machine, const struct cfg_health *conf, uint64_t now_ms,
                   uint32_t for_ms, const char *why);
/* Its calls are answered with 503: it sheds for retry_after at least; why is copied. */
void machine_shed(struct machine *machine, const struct cfg_health *conf, uint64_t now_ms,
                  const char *why);
/* machine_may_doubt held, and whoever called it believes it. */
void machine_doubt(struct machine *machine, const struct cfg_health *conf, uint64_t now_ms);
/* Several probe calls in a row found no media (why is copied), or found it again. */
void machine_media(struct machine *machine, const struct cfg_health *conf, uint64_t now_ms, bool deaf,
                   const char *why);
/* Time passed. Every other call but those about a probe's sending does this too. */
void machine_advance(struct machine *machine, const struct cfg_health *conf, uint64_t now_ms);

/* Whether its last `fall` probes are late, of one that may be doubted: it answered before, and none
 * of the above speaks against it. */
bool machine_may_doubt(const struct machine *machine, uint64_t now_ms);

/* When machine_advance has something to do next, machine_may_doubt may become true, or a probe is
 * due; UINT64_MAX: never. */
uint64_t machine_wake_ms(const struct machine *machine, const struct cfg_health *conf,
                         uint64_t now_ms);
bool machine_probe_due(const struct machine *machine, const struct cfg_health *conf,
                       uint64_t now_ms);

/* How much of its weight it gets now, 100..1000 permille. */
uint32_t machine_weight(const struct machine *machine, uint64_t now_ms);

/* One line for a person: why it is not up, or what is remarkable; "" when nothing is. wall_ms: the
 * clock's time at now_ms. */
void machine_reason(const struct machine *machine, const struct cfg_health *conf, uint64_t now_ms,
                    uint64_t wall_ms, char ret_text[MACHINE_REASON_MAX]);

#endif
