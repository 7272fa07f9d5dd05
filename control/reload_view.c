/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What others may see of reload, and hang on to it: see reload.h. It changes nothing of what runs.
 */
#include "control/reload_desk.h"

void reload_on_punt(struct reload *r,
                    void (*fn)(void *arg, const struct msg_punt *punt, const char *text), void *arg)
{
    r->on_punt = fn;
    r->punt_arg = arg;
}

void reload_on_adopted(struct reload *r, void (*fn)(void *arg), void *arg)
{
    r->on_adopted = fn;
    r->adopted_arg = arg;
}

void reload_on_counters(struct reload *r, void (*fn)(void *arg, struct counters_header *counters),
                        void *arg)
{
    r->on_counters = fn;
    r->counters_arg = arg;
}

struct counters_header *reload_counters(const struct reload *r)
{
    struct counters_header *counters = link_counters(r->link);

    if (counters != NULL && r->on_counters != NULL)
        r->on_counters(r->counters_arg, counters);
    return counters;
}

struct compile_live *reload_live(struct reload *r)
{
    return &r->live;
}

const struct cfg *reload_cfg(const struct reload *r)
{
    return r->cfg;
}

const struct members *reload_members(const struct reload *r)
{
    return r->members;
}

const struct keys *reload_keys(const struct reload *r)
{
    return r->keys;
}

const struct state *reload_state(const struct reload *r)
{
    return r->state;
}

const struct snapshot *reload_snapshot(const struct reload *r)
{
    return r->snapshot;
}

const struct link *reload_link(const struct reload *r)
{
    return r->link;
}

const struct reload_history *reload_history(const struct reload *r)
{
    return &r->history;
}

uint64_t reload_acknowledged(const struct reload *r)
{
    return r->acknowledged;
}

const char *reload_refusal(const struct reload *r)
{
    return r->refusal;
}
