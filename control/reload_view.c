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

void reload_on_counters(struct reload *r,
                        void (*fn)(void *arg, uint32_t id, uint64_t ret[COUNTERS_SLOT_COUNT]),
                        void *arg)
{
    r->on_counters = fn;
    r->counters_arg = arg;
}

struct counters_header *reload_counters(const struct reload *r)
{
    struct counters_header *counters = link_counters(r->link);

    if (counters == NULL || r->on_counters == NULL)
        return counters;
    for (uint32_t slot = 0; slot < counters->n_slots; slot++) {
        uint64_t more[COUNTERS_SLOT_COUNT] = {0};

        if (counters_slot_ids(counters)[slot] != 0)
            r->on_counters(r->counters_arg, counters_slot_ids(counters)[slot], more);
        for (int what = 0; what < COUNTERS_SLOT_COUNT; what++) {
            if (more[what] != 0)
                counters_slot_block(counters, 0, (enum counters_slot)what)[slot] += more[what];
        }
    }
    return counters;
}

bool reload_slot(const struct reload *r, uint32_t slot, uint32_t id,
                 uint64_t ret[COUNTERS_SLOT_COUNT])
{
    if (!link_slot(r->link, slot, id, ret))
        return false;
    if (r->on_counters != NULL)
        r->on_counters(r->counters_arg, id, ret);
    return true;
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
