/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The course of one probe call: see media_call.h.
 */
#include "control/health/media_call.h"

static void enter(struct call *call, enum call_state state, uint64_t until_ms)
{
    call->state = (uint8_t)state;
    call->until_ms = until_ms;
    call->again_ms = UINT64_MAX;
}

/* From now on something is sent again, after T1, twice that, and so on. */
static void repeat(struct call *call, uint64_t now_ms)
{
    call->interval_ms = CALL_T1_MS;
    call->again_ms = now_ms + CALL_T1_MS;
}

/* A call is judged once. */
static uint32_t judge(struct call *call, enum call_end end)
{
    if (call->end != CALL_END_NONE)
        return 0;
    call->end = (uint8_t)end;
    return CALL_DO_JUDGE;
}

static uint32_t hang_up(struct call *call, uint64_t now_ms)
{
    enter(call, CALL_HANGING_UP, now_ms + CALL_BYE_MS);
    repeat(call, now_ms);
    return CALL_DO_BYE;
}

static uint32_t cancel(struct call *call, uint64_t now_ms)
{
    enter(call, CALL_CANCELLING, now_ms + CALL_GIVE_UP_MS);
    repeat(call, now_ms);
    return CALL_DO_CANCEL;
}

static void linger(struct call *call, uint64_t now_ms)
{
    enter(call, CALL_LINGERING, now_ms + CALL_LINGER_MS);
}

uint32_t call_begin(struct call *call, uint32_t timeout_ms, uint32_t n_frames, uint64_t now_ms)
{
    *call = (struct call){.n_frames = n_frames, .timeout_ms = timeout_ms, .begun_ms = now_ms};
    enter(call, CALL_CALLING, now_ms + timeout_ms);
    repeat(call, now_ms);
    return CALL_DO_INVITE;
}

/* The state's time is over. */
static uint32_t expire(struct call *call, uint64_t now_ms)
{
    switch (call->state) {
    case CALL_CALLING: /* before a provisional response there is nothing to cancel, §9.1 */
        enter(call, CALL_ABANDONED, now_ms + CALL_GIVE_UP_MS);
        return judge(call, CALL_END_SILENT);
    case CALL_PROCEEDING:
        return cancel(call, now_ms) | judge(call, CALL_END_SILENT);
    case CALL_LISTENING:
        return hang_up(call, now_ms) | judge(call, CALL_END_TALKED);
    case CALL_HANGING_UP:
        linger(call, now_ms);
        return 0;
    default:
        enter(call, CALL_OVER, UINT64_MAX);
        return 0;
    }
}

/* What is sent again in this state. INVITE without T2, §17.1.1.2; the others up to it, §17.1.2.2.
 */
static uint32_t send_again(struct call *call, uint64_t now_ms)
{
    call->interval_ms *= 2;
    if (call->state != CALL_CALLING && call->interval_ms > CALL_T2_MS)
        call->interval_ms = CALL_T2_MS;
    call->again_ms = now_ms + call->interval_ms;
    if (call->state == CALL_CALLING)
        return CALL_DO_INVITE;
    return call->state == CALL_CANCELLING ? CALL_DO_CANCEL : CALL_DO_BYE;
}

static uint64_t next_frame_ms(const struct call *call)
{
    return call->answered_ms + (uint64_t)call->n_sent * CALL_FRAME_MS;
}

/* The stream goes on while we listen: an echo that buffers needs something to push the rest out. */
static uint32_t talk(struct call *call, uint64_t now_ms)
{
    if (next_frame_ms(call) > now_ms)
        return 0;
    call->n_sent++;
    if (call->n_sent == call->n_frames)
        enter(call, CALL_LISTENING, now_ms + CALL_LISTEN_MS);
    return CALL_DO_FRAME;
}

uint32_t call_advance(struct call *call, uint64_t now_ms)
{
    if (call->until_ms <= now_ms)
        return expire(call, now_ms);
    if (call->state == CALL_TALKING || call->state == CALL_LISTENING)
        return talk(call, now_ms);
    if (call->again_ms <= now_ms)
        return send_again(call, now_ms);
    return 0;
}

static uint32_t accepted(struct call *call, bool can_talk, uint64_t now_ms)
{
    switch (call->state) {
    case CALL_CALLING:
    case CALL_PROCEEDING:
        call->answered_ms = now_ms;
        if (!can_talk)
            return CALL_DO_ACK | hang_up(call, now_ms) | judge(call, CALL_END_UNUSABLE);
        enter(call, CALL_TALKING, UINT64_MAX);
        return CALL_DO_ACK;
    case CALL_CANCELLING: /* they had crossed */
    case CALL_ABANDONED:
        return CALL_DO_ACK | hang_up(call, now_ms);
    default: /* it did not get our ACK */
        return CALL_DO_ACK;
    }
}

uint32_t call_answered(struct call *call, uint16_t status, bool can_talk, uint64_t now_ms)
{
    bool open = call->state <= CALL_ABANDONED;

    if (status < 200) {
        call->provisional = status;
        if (call->state == CALL_CALLING)
            enter(call, CALL_PROCEEDING, call->until_ms);
        return call->state == CALL_ABANDONED ? cancel(call, now_ms) : 0;
    }
    if (open)
        call->status = status;
    if (status < 300)
        return accepted(call, can_talk, now_ms);
    if (!open)
        return CALL_DO_ACK;
    linger(call, now_ms);
    return CALL_DO_ACK | judge(call, CALL_END_REFUSED);
}

uint32_t call_cancel_answered(struct call *call)
{
    if (call->state == CALL_CANCELLING)
        call->again_ms = UINT64_MAX;
    return 0;
}

uint32_t call_bye_answered(struct call *call, uint64_t now_ms)
{
    if (call->state == CALL_HANGING_UP)
        linger(call, now_ms);
    return 0;
}

uint32_t call_hung_up(struct call *call, uint64_t now_ms)
{
    bool heard = call->state == CALL_LISTENING;

    if (call->state != CALL_TALKING && call->state != CALL_LISTENING)
        return 0;
    linger(call, now_ms);
    return judge(call, heard ? CALL_END_TALKED : CALL_END_HUNG_UP);
}

uint32_t call_heard_all(struct call *call, uint64_t now_ms)
{
    if (call->state != CALL_LISTENING)
        return 0;
    return hang_up(call, now_ms) | judge(call, CALL_END_TALKED);
}

uint32_t call_drop(struct call *call, uint64_t now_ms)
{
    switch (call->state) {
    case CALL_PROCEEDING:
        return cancel(call, now_ms);
    case CALL_CALLING:
        enter(call, CALL_ABANDONED, now_ms + CALL_GIVE_UP_MS);
        return 0;
    case CALL_TALKING:
    case CALL_LISTENING:
        return hang_up(call, now_ms);
    default:
        return 0;
    }
}

uint64_t call_wake_ms(const struct call *call)
{
    uint64_t next = call->again_ms;

    if (call->state == CALL_TALKING || call->state == CALL_LISTENING)
        next = next_frame_ms(call);
    return next < call->until_ms ? next : call->until_ms;
}

bool call_is_live(const struct call *call)
{
    return call->state != CALL_ABANDONED && call->state != CALL_LINGERING &&
           call->state != CALL_OVER;
}
