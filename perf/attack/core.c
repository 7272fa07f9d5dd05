/* SPDX-License-Identifier: Apache-2.0 */
/* See core.h. */
#include "perf/attack/core.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    HEADROOM = 512,
    TAILROOM = 2048,
    LINE_BYTES = 64,
    FRAME_HEADERS = 42, /* Ethernet, IPv4, UDP */
    FRAME_MIN = 60,
};

struct message {
    struct sip_addr from, to;
    char *text;
    uint32_t length;
};

/* As in a worker's job. */
struct job {
    struct sip_msg msg;
    struct proxy_input input;
    struct proxy_prepared prepared;
    struct proxy_output output;
};

struct core {
    struct world *world;
    char *bytes;
    uint32_t used; /* of bytes */
    uint32_t n;
    struct message messages[CORE_BATCH_MAX];
    struct job jobs[CORE_BURST];
    char sent[CORE_MESSAGE_MAX + SIP_EDIT_TEXT + SIP_EDIT_ROOM];
};

struct core *core_new(struct world *world)
{
    struct core *core = calloc(1, sizeof(*core));

    if (core == NULL)
        return NULL;
    core->world = world;
    core->bytes = aligned_alloc(LINE_BYTES, CORE_BATCH_BYTES);
    if (core->bytes != NULL)
        return core;
    free(core);
    return NULL;
}

void core_free(struct core *core)
{
    if (core == NULL)
        return;
    free(core->bytes);
    free(core);
}

void core_clear(struct core *core)
{
    core->n = 0;
    core->used = 0;
}

bool core_add(struct core *core, const struct sip_addr *from, const struct sip_addr *to,
              const char *text, uint32_t length)
{
    uint32_t bytes = HEADROOM + length + TAILROOM;

    bytes = (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    if (core->n == CORE_BATCH_MAX || bytes > CORE_BATCH_BYTES - core->used)
        return false;
    core->messages[core->n++] =
        (struct message){*from, *to, core->bytes + core->used + HEADROOM, length};
    memcpy(core->bytes + core->used + HEADROOM, text, length);
    core->used += bytes;
    return true;
}

/* As a worker's parse. */
static void index_burst(struct core *core, const struct message *messages, uint32_t n)
{
    const struct proxy_input *inputs[CORE_BURST];
    struct proxy_prepared *prepared[CORE_BURST];

    for (uint32_t i = 0; i < n; i++) {
        struct job *job = &core->jobs[i];
        const struct message *m = &messages[i];

        sip_msg_index(m->text, m->length, &job->msg);
        job->input = world_input(core->world, &job->msg, &m->from, &m->to);
        job->input.prepared = &job->prepared;
        prepared[i] = &job->prepared;
        inputs[i] = &job->input;
    }
    proxy_prepare(&core->world->view, inputs, n, prepared);
}

/* What is sent because of a message; whether it was forwarded. A message that does not fit the room
 * around it is copied, as a worker does. */
static bool rewrite(struct core *core, struct job *job, char *text)
{
    int32_t start, length;

    if (job->output.verdict == PROXY_REPLY)
        proxy_reply_print(&core->world->view, &job->input, &job->output, core->sent,
                          sizeof(core->sent));
    if (job->output.verdict != PROXY_FORWARD)
        return false;
    length =
        sip_edit_in_place(&job->output.edit, text, job->msg.length, HEADROOM, TAILROOM, &start);
    if (length < 0)
        length = sip_edit_copy(&job->output.edit, job->msg.buf, job->msg.length, core->sent,
                               sizeof(core->sent));
    return length >= 0;
}

static uint32_t run_burst(struct core *core, const struct message *messages, uint32_t n)
{
    uint32_t forwarded = 0;

    index_burst(core, messages, n);
    for (uint32_t i = 0; i < n; i++)
        proxy_decide(&core->world->view, &core->jobs[i].input, &core->jobs[i].output);
    for (uint32_t i = 0; i < n; i++)
        forwarded += rewrite(core, &core->jobs[i], (char *)(uintptr_t)core->jobs[i].msg.buf);
    return forwarded;
}

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void core_run(struct core *core, struct core_outcome *ret)
{
    uint64_t began;

    *ret = (struct core_outcome){.n = core->n};
    for (uint32_t i = 0; i < core->n; i++) {
        uint32_t bytes = FRAME_HEADERS + core->messages[i].length;

        ret->frame_bytes += bytes < FRAME_MIN ? FRAME_MIN : bytes;
    }
    began = cpu_ns();
    for (uint32_t i = 0; i < core->n; i += CORE_BURST) {
        uint32_t left = core->n - i, n = left < CORE_BURST ? left : CORE_BURST;

        ret->forwarded += run_burst(core, core->messages + i, n);
        ret->reason = core->jobs[n - 1].output.reason;
    }
    ret->cpu_ns = cpu_ns() - began;
}
