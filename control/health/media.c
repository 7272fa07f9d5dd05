/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probe calls: see media.h. A call is freed in the loop's next round, never within what it does.
 */
#include "control/health/media.h"

#include <errno.h>
#include <stdlib.h>

#include "control/health/media_talk.h"

struct media {
    struct loop *loop;
    struct media_conf conf;
    struct address_own own;
    struct talk *first;
    struct loop_event *sweep;
};

/* Frees those that are over, and the oldest of those that linger when they are too many. */
static void on_sweep(void *arg)
{
    struct media *m = arg;
    struct talk **at = &m->first;
    uint32_t n = 0;

    while (*at != NULL) { /* the newest first */
        struct talk *t = *at;

        n++;
        if (t->call.state != CALL_OVER && (n <= MEDIA_LINGERING_MAX || call_is_live(&t->call))) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        talk_end(t);
        free(t);
    }
}

static void on_change(void *arg, struct talk *talk, bool judged)
{
    struct media *m = arg;
    struct media_result result;

    if (talk->call.state == CALL_OVER)
        loop_timer_start(m->sweep, 0);
    if (judged) {
        talk_judge(talk, &result);
        m->conf.on_result(m->conf.arg, talk->id, talk->call.begun_ms, &result);
    }
    if (talk->live && !call_is_live(&talk->call)) {
        talk->live = false;
        m->conf.on_room(m->conf.arg);
    }
}

struct media *media_new(struct loop *loop, const struct media_conf *conf)
{
    struct media *m = calloc(1, sizeof(*m));

    if (m == NULL)
        return NULL;
    m->loop = loop;
    m->conf = *conf;
    m->sweep = loop_timer_new(loop, on_sweep, m);
    if (m->sweep == NULL) {
        free(m);
        return NULL;
    }
    return m;
}

void media_free(struct media *m)
{
    if (m == NULL)
        return;
    while (m->first != NULL) {
        struct talk *t = m->first;

        m->first = t->next;
        talk_end(t);
        free(t);
    }
    loop_event_free(m->sweep);
    free(m);
}

void media_from(struct media *m, const struct address_own *own)
{
    m->own = *own;
}

uint32_t media_live(const struct media *m)
{
    uint32_t n = 0;

    for (const struct talk *t = m->first; t != NULL; t = t->next)
        n += call_is_live(&t->call);
    return n;
}

int media_place(struct media *m, uint32_t id, const struct sip_addr *backend,
                const struct cfg_health *health)
{
    struct talk *t;
    int status;

    if (media_live(m) >= health->media.max)
        return -EBUSY;
    t = calloc(1, sizeof(*t));
    if (t == NULL)
        return -ENOMEM;
    t->on_change = on_change;
    t->arg = m;
    status = talk_begin(t, m->loop, address_own_for(&m->own, &backend->ip), id, backend, health);
    if (status != 0) {
        free(t);
        return status;
    }
    t->next = m->first;
    t->live = true;
    m->first = t;
    loop_timer_start(m->sweep, 0);
    return 0;
}
