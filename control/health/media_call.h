/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The course of one probe call: what is sent when, what is sent again, when it is over. Pure: times
 * are parameters, milliseconds of a clock that never goes back; what is to be done comes back as a
 * set of actions. It must not know messages, media or sockets. RFC 3261 §13, §15, §17.1 over UDP.
 *
 *   CALLING ─1xx→ PROCEEDING ─2xx→ TALKING ─all sent→ LISTENING ─→ HANGING_UP ─200→ LINGERING → OVER
 *      │ time is up   │ time is up → CANCELLING ──final───────────────────────────────↗
 *      └→ ABANDONED (32 s)            a 2xx that comes too late gets ACK and BYE, in every state
 */
#ifndef TANDEM_CONTROL_HEALTH_MEDIA_CALL_H
#define TANDEM_CONTROL_HEALTH_MEDIA_CALL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CALL_T1_MS = 500,                 /* RFC 3261 §17.1.1.1 */
    CALL_T2_MS = 4000,
    CALL_LINGER_MS = 5000,            /* T4: what is sent again for so long is answered */
    CALL_GIVE_UP_MS = 32000,          /* 64 × T1 */
    CALL_BYE_MS = 4000,               /* so long a BYE is sent again: the backend may be gone */
    CALL_FRAME_MS = 20,
    CALL_LISTEN_MS = 1000,            /* after the last frame, for what is still in buffers */
};

enum call_state {
    CALL_CALLING,
    CALL_PROCEEDING,
    CALL_CANCELLING,
    CALL_ABANDONED,
    CALL_TALKING,
    CALL_LISTENING,
    CALL_HANGING_UP,
    CALL_LINGERING,
    CALL_OVER,
};

/* What is to be done; several at once, in this order. */
enum call_action {
    CALL_DO_INVITE = 1,
    CALL_DO_ACK = 2,                  /* to the final response that just came */
    CALL_DO_CANCEL = 4,
    CALL_DO_FRAME = 8,                /* one; call_advance says it again while more are due. After
                                         n_frames of them: of silence */
    CALL_DO_BYE = 16,                 /* in the dialog of the 2xx that came (last) */
    CALL_DO_JUDGE = 32,               /* once in each call */
};

/* How it came to its judgement. */
enum call_end {
    CALL_END_NONE,                    /* it goes on */
    CALL_END_TALKED,                  /* media was exchanged, to the end */
    CALL_END_SILENT,                  /* no final response in time */
    CALL_END_REFUSED,                 /* call.status: 300..699 */
    CALL_END_UNUSABLE,                /* 2xx, and media cannot be sent */
    CALL_END_HUNG_UP,                 /* by the other side, too early */
};

struct call {
    uint8_t state;                    /* enum call_state */
    uint8_t end;                      /* enum call_end */
    uint16_t status;                  /* of the final response to INVITE; 0: none yet */
    uint16_t provisional;             /* the last one; 0: none */
    uint32_t n_frames;                /* that matter */
    uint32_t n_sent;                  /* of all */
    uint32_t timeout_ms;
    uint64_t begun_ms, answered_ms;
    uint64_t until_ms;                /* the state's end */
    uint64_t again_ms;                /* when something is sent again; UINT64_MAX: nothing is */
    uint32_t interval_ms;             /* then the next time after so long */
};

/* Begins; n_frames: at least 1. All the following return what is to be done: enum call_action. */
uint32_t call_begin(struct call *call, uint32_t timeout_ms, uint32_t n_frames, uint64_t now_ms);
/* Time passed. */
uint32_t call_advance(struct call *call, uint64_t now_ms);
/* A response to INVITE came; can_talk: a 2xx whose answer was understood. */
uint32_t call_answered(struct call *call, uint16_t status, bool can_talk, uint64_t now_ms);
/* A final response to CANCEL, to BYE. */
uint32_t call_cancel_answered(struct call *call);
uint32_t call_bye_answered(struct call *call, uint64_t now_ms);
/* A BYE from the other side, in the dialog. */
uint32_t call_hung_up(struct call *call, uint64_t now_ms);
/* Nothing more has to be waited for: all came back. */
uint32_t call_heard_all(struct call *call, uint64_t now_ms);
/* Whatever it is at, it ends: nobody wants to know any more. */
uint32_t call_drop(struct call *call, uint64_t now_ms);

/* When call_advance has something to do; UINT64_MAX: never. */
uint64_t call_wake_ms(const struct call *call);
/* Whether somebody may be occupied by it: of these there are only so many at once. */
bool call_is_live(const struct call *call);

#endif
