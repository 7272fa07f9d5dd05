/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names become members: see expand.h.
 */
#include "control/expand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/schema.h"
#include "config/trunk.h"
#include "control/log.h"

enum { MEMBER_NAME_MAX = SCHEMA_NAME_MAX + 1 + SIP_ADDR_TEXT_MAX };

/* Members that wait for being found good, with their pools. */
struct candidate {
    uint32_t pool;
    struct cfg_backend backend;
};

struct expansion {
    const struct cfg *cfg;
    const struct members *members;
    const struct state *state;
    struct candidate *all;
    uint32_t n, room;
};

static bool is_member(const struct cfg_backend *backend)
{
    return strchr(backend->name, '@') != NULL; /* no name in a file has it */
}

static void backend_done(struct cfg_backend *backend)
{
    free(backend->name);
    free(backend->ports);
}

void expand_free(struct cfg *expanded)
{
    if (expanded == NULL)
        return;
    for (uint32_t p = 0; expanded->pools != NULL && p < expanded->n_pools; p++) {
        struct cfg_pool *pool = &expanded->pools[p];

        for (uint32_t i = 0; pool->backends != NULL && i < pool->n_backends; i++) {
            if (is_member(&pool->backends[i]))
                backend_done(&pool->backends[i]);
        }
        free(pool->backends);
    }
    free(expanded->pools);
    free(expanded);
}

/* ---- Candidates ---- */

/* Adds a member with copies of name and ports, of which its own is none. False: no memory. */
static bool add(struct expansion *e, uint32_t pool, const char *name,
                const struct cfg_backend *like, const struct sip_addr *addr, uint32_t weight)
{
    struct cfg_backend *b;

    if (e->n == e->room) {
        uint32_t room = e->room * 2 + 16;
        struct candidate *more = realloc(e->all, room * sizeof(*more));

        if (more == NULL)
            return false;
        e->all = more;
        e->room = room;
    }
    b = &e->all[e->n].backend;
    *b = (struct cfg_backend){
        .name = strdup(name), .addr = *addr, .transport = like->transport, .weight = weight};
    b->ports = calloc(like->n_ports + 1u, sizeof(*b->ports));
    if (b->name == NULL || b->ports == NULL) {
        backend_done(b);
        return false;
    }
    for (uint32_t i = 0; i < like->n_ports; i++) {
        if (like->ports[i] != addr->port)
            b->ports[b->n_ports++] = like->ports[i];
    }
    e->all[e->n++].pool = pool;
    return true;
}

/* Whether a service that has the pool can send to that family: from a listener of the transport, or
 * by UDP, what came by a stream, from a node's own address; in mode direct the rules for the file say
 * it. */
static bool is_reachable(const struct cfg *cfg, uint32_t pool, uint8_t transport,
                         const struct sip_ip *ip)
{
    for (uint32_t s = 0; s < cfg->n_services; s++) {
        const struct cfg_service *service = &cfg->services[s];
        uint32_t pools[SNAPSHOT_SERVICE_POOLS_MAX];
        uint32_t n = trunk_pools(cfg, service, pools);
        bool v4 = sip_ip_is_v4(ip), has = false, listens = service->mode == SNAPSHOT_MODE_DIRECT;

        for (uint32_t i = 0; i < n && i < SNAPSHOT_SERVICE_POOLS_MAX; i++)
            has |= pools[i] == pool;
        for (uint32_t i = 0; i < service->n_listen; i++)
            listens |= service->listen[i].transport == transport &&
                       sip_ip_is_v4(&service->listen[i].addr.ip) == v4;
        listens |= transport == SIP_TRANSPORT_UDP && service->stream_port != 0 &&
                   cfg_node_ip(cfg, v4) != NULL;
        if (has && listens)
            return true;
    }
    return false;
}

/* The lowest priority of targets that can be reached, and the greatest weight among its own. */
static bool find_class(const struct cfg *cfg, uint32_t pool, uint8_t transport,
                       const struct members_view *view, uint16_t *ret_priority, uint16_t *ret_most)
{
    bool found = false;

    for (uint32_t i = 0; i < view->n_targets; i++) {
        const struct snapshot_target *t = &view->targets[i]; /* by priority ascending */

        if (!is_reachable(cfg, pool, transport, &t->addr.ip) || (found && t->priority != *ret_priority))
            continue;
        *ret_priority = t->priority;
        *ret_most = found && *ret_most > t->weight ? *ret_most : t->weight;
        found = true;
    }
    return found;
}

static uint32_t scale(uint32_t weight, uint16_t part, uint16_t most)
{
    uint32_t scaled = most == 0 ? weight : (weight * part + most / 2u) / most;

    return weight > 0 && scaled == 0 ? 1 : scaled;
}

/* The members that an answer says; one that it says twice comes once. */
static bool add_answer(struct expansion *e, uint32_t pool, const struct cfg_backend *name,
                       uint32_t weight, const struct members_view *view)
{
    uint16_t priority = 0, most = 0;
    bool good = true;
    uint32_t first = e->n;

    if (!find_class(e->cfg, pool, name->transport, view, &priority, &most))
        return true;
    for (uint32_t i = 0; good && i < view->n_targets; i++) {
        const struct snapshot_target *t = &view->targets[i];
        char text[SIP_ADDR_TEXT_MAX + 1], member[MEMBER_NAME_MAX + 1];
        bool again = false;

        for (uint32_t j = first; j < e->n; j++)
            again |= sip_addr_equal(&e->all[j].backend.addr, &t->addr);
        if (again || t->priority != priority ||
            !is_reachable(e->cfg, pool, name->transport, &t->addr.ip))
            continue;
        text[sip_addr_print(&t->addr, text)] = '\0';
        snprintf(member, sizeof(member), "%s@%s", name->name, text);
        good = add(e, pool, member, name, &t->addr, scale(weight, t->weight, most));
    }
    return good;
}

/* The members that the state has, which do not linger. */
static bool add_former(struct expansion *e, uint32_t pool, const struct cfg_backend *name)
{
    bool good = true;

    for (uint32_t i = 0; good && i < e->state->n_backends; i++) {
        const struct state_backend *b = &e->state->backends[i];

        if (!b->lingering && state_is_member(b, e->cfg->pools[pool].name, name->name))
            good = add(e, pool, b->backend.name, name, &b->backend.addr, b->backend.weight);
    }
    return good;
}

static bool add_name(struct expansion *e, uint32_t pool, const struct cfg_backend *name)
{
    const struct state_backend *word = state_name(e->state, e->cfg->pools[pool].name, name->name);
    uint32_t weight = name->weight;
    struct members_view view;

    if (word != NULL && word->weight != STATE_WEIGHT_CONFIGURED)
        weight = word->weight;
    members_of(e->members, name, &view);
    return view.known ? add_answer(e, pool, name, weight, &view) : add_former(e, pool, name);
}

static bool add_all(struct expansion *e, const struct cfg *cfg)
{
    bool good = true;

    for (uint32_t p = 0; good && p < cfg->n_pools; p++) {
        for (uint32_t i = 0; good && i < cfg->pools[p].n_backends; i++) {
            if (cfg->pools[p].backends[i].lookup != NULL)
                good = add_name(e, p, &cfg->pools[p].backends[i]);
        }
    }
    return good;
}

/* ---- The configuration ---- */

/* A copy whose pools have room for all candidates; NULL: no memory. */
static struct cfg *copy(const struct cfg *cfg, const struct expansion *e)
{
    struct cfg *out = malloc(sizeof(*out));

    if (out == NULL)
        return NULL;
    *out = *cfg;
    out->pools = calloc(cfg->n_pools + 1u, sizeof(*out->pools));
    for (uint32_t p = 0; out->pools != NULL && p < cfg->n_pools; p++) {
        const struct cfg_pool *from = &cfg->pools[p];
        uint32_t n = from->n_backends;

        for (uint32_t i = 0; i < e->n; i++)
            n += e->all[i].pool == p;
        out->pools[p] = *from;
        out->pools[p].backends = calloc(n + 1u, sizeof(*from->backends));
        if (out->pools[p].backends == NULL) {
            expand_free(out);
            return NULL;
        }
        if (from->n_backends > 0)
            memcpy(out->pools[p].backends, from->backends,
                   from->n_backends * sizeof(*from->backends));
    }
    if (out->pools == NULL) {
        free(out);
        return NULL;
    }
    return out;
}

static void append(struct cfg *cfg, const struct candidate *candidate)
{
    struct cfg_pool *pool = &cfg->pools[candidate->pool];

    pool->backends[pool->n_backends++] = candidate->backend;
}

/* Appends all that the rules for the file allow, and frees the rest. Together first: nearly always
 * all are good. */
static void append_good(struct cfg *cfg, struct expansion *e)
{
    struct cfg_error error;

    for (uint32_t i = 0; i < e->n; i++)
        append(cfg, &e->all[i]);
    if (e->n == 0 || check_services(cfg, &error) == 0)
        return;
    for (uint32_t i = e->n; i-- > 0;)
        cfg->pools[e->all[i].pool].n_backends--;
    for (uint32_t i = 0; i < e->n; i++) {
        struct candidate *candidate = &e->all[i];

        append(cfg, candidate);
        if (check_services(cfg, &error) == 0)
            continue;
        cfg->pools[candidate->pool].n_backends--;
        log_warning("pool %s: %s is left out: %s", cfg->pools[candidate->pool].name,
                    candidate->backend.name, error.reason);
        backend_done(&candidate->backend);
    }
}

struct cfg *expand_new(const struct cfg *cfg, const struct members *members,
                       const struct state *state)
{
    struct expansion e = {.cfg = cfg, .members = members, .state = state};
    struct cfg *out = add_all(&e, cfg) ? copy(cfg, &e) : NULL;

    if (out != NULL)
        append_good(out, &e);
    for (uint32_t i = 0; out == NULL && i < e.n; i++)
        backend_done(&e.all[i].backend);
    free(e.all);
    return out;
}

/* ---- What changed ---- */

static void print_missing(FILE *out, const struct state *from, const struct state *in, char sign,
                          bool *any)
{
    for (uint32_t i = 0; i < from->n_backends; i++) {
        const struct state_backend *b = &from->backends[i], *other;

        if (b->lingering || b->backend.lookup != NULL || !is_member(&b->backend))
            continue;
        other = state_by_id(in, b->id);
        if (other != NULL && !other->lingering)
            continue;
        fprintf(out, "%s%c%s", *any ? " " : "", sign, b->backend.name);
        *any = true;
    }
}

void expand_difference(const struct state *before, const struct state *after, char *ret_text,
                       size_t size)
{
    FILE *out = fmemopen(ret_text, size, "w");
    bool any = false;

    ret_text[0] = '\0';
    if (out == NULL)
        return;
    print_missing(out, after, before, '+', &any);
    print_missing(out, before, after, '-', &any);
    fclose(out);
    ret_text[size - 1] = '\0';
}
