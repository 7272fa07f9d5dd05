/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members and names without members as JSON: see show_members.h.
 */
#include "control/show_members.h"

#include <string.h>

#include "control/members.h"

static const char *reason_of(const struct members_view *view)
{
    if (!view->answered)
        return "no answer from DNS yet";
    if (view->outcome == SNAPSHOT_NAME_FAILED)
        return "DNS does not answer";
    return view->n_targets == 0 ? "DNS knows no address of it"
                                : "none of its addresses can be a backend here: see the log";
}

static json_t *dns_json(const struct reload *reload, const struct cfg_backend *name)
{
    static const char *const words[] = {[SNAPSHOT_NAME_FOUND] = "found",
                                        [SNAPSHOT_NAME_NONE] = "none",
                                        [SNAPSHOT_NAME_FAILED] = "failed"};
    json_t *object = json_object();
    struct members_view view;

    members_of(reload_members(reload), name, &view);
    json_object_set_new(object, "name", json_string(name->name));
    json_object_set_new(object, "lookup", json_string(name->lookup));
    json_object_set_new(object, "outcome",
                        view.answered ? json_string(words[view.outcome]) : json_null());
    json_object_set_new(object, "age_s", view.known ? json_integer(view.age_s) : json_null());
    json_object_set_new(object, "seconds_left", json_integer(view.left_s));
    return object;
}

/* The name in a pool whose member is called so; NULL: none. */
static const struct cfg_backend *name_of(const struct cfg_pool *pool, struct sip_slice member)
{
    for (uint32_t i = 0; i < pool->n_backends; i++) {
        const struct cfg_backend *name = &pool->backends[i];
        size_t length = strlen(name->name);

        if (name->lookup != NULL && member.length > length && member.at[length] == '@' &&
            memcmp(member.at, name->name, length) == 0)
            return name;
    }
    return NULL;
}

json_t *show_members_dns(const struct reload *reload, const struct lb_backend *backend)
{
    const struct snapshot *s = reload_snapshot(reload);
    const struct cfg *cfg = reload_cfg(reload);
    const struct cfg_backend *name = NULL;

    if (backend->pool < cfg->n_pools) /* the snapshot's are the configuration's, in its order */
        name = name_of(&cfg->pools[backend->pool], snapshot_text(s, backend->name));
    return name == NULL ? json_null() : dns_json(reload, name);
}

static bool has_member(const struct snapshot *s, const struct cfg_pool *pool, uint32_t p,
                       const struct cfg_backend *name)
{
    const struct lb_pool *in = &snapshot_pools(s)[p];

    for (uint32_t i = 0; i < in->n_backends; i++) {
        const struct lb_backend *b = &snapshot_backends(s)[in->first_backend + i];

        if (!b->lingering && name_of(pool, snapshot_text(s, b->name)) == name)
            return true;
    }
    return false;
}

/* The keys of a backend of which nothing is known but its name, its admin state, and why. */
static json_t *row_json(const struct reload *reload, const struct cfg_pool *pool,
                        const struct cfg_backend *name)
{
    const struct state_backend *word = state_name(reload_state(reload), pool->name, name->name);
    json_t *object = json_object();
    struct members_view view;

    members_of(reload_members(reload), name, &view);
    json_object_set_new(object, "pool", json_string(pool->name));
    json_object_set_new(object, "name", json_string(name->name));
    json_object_set_new(object, "address", json_null());
    json_object_set_new(object, "port", json_null());
    json_object_set_new(object, "state", json_string(state_word(LB_DOWN)));
    json_object_set_new(object, "admin",
                        json_string(state_word(word == NULL ? LB_UP : word->admin)));
    json_object_set_new(object, "lingering", json_false());
    json_object_set_new(object, "share_expected", json_real(0));
    json_object_set_new(object, "dns", dns_json(reload, name));
    json_object_set_new(object, "reason", json_string(reason_of(&view)));
    return object;
}

void show_members_missing(const struct reload *reload, json_t *list)
{
    const struct snapshot *s = reload_snapshot(reload);
    const struct cfg *cfg = reload_cfg(reload);

    for (uint32_t p = 0; p < cfg->n_pools && p < s->pools.n; p++) {
        const struct cfg_pool *pool = &cfg->pools[p];

        for (uint32_t i = 0; i < pool->n_backends; i++) {
            if (pool->backends[i].lookup != NULL && !has_member(s, pool, p, &pool->backends[i]))
                json_array_append_new(list, row_json(reload, pool, &pool->backends[i]));
        }
    }
}
