/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer to `why CALL-ID`: see why.h.
 */
#include "control/why.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/loop.h"
#include "control/show.h"
#include "control/show_config.h"
#include "control/stream/stream.h"
#include "dataplane/proxy/proxy.h"

/* What is asked once for all pools. */
struct question {
    const struct snapshot *snapshot;
    const struct lb_call_table *calls; /* NULL: the data plane is absent */
    struct proxy_view view;
    bool has_streams; /* and a call table for them: */
    struct stream_calls streams;
    uint16_t *slot_of;
    int32_t *backend_of;
    uint32_t now_s;
};

/* How the data plane numbers backends, from its counters. False: no memory. */
static bool view_make(struct question *q, const struct counters_header *counters)
{
    uint32_t n_slots = counters == NULL ? 0 : counters->n_slots;

    if (n_slots > LB_SLOTS_MAX)
        n_slots = LB_SLOTS_MAX;
    q->slot_of = malloc(sizeof(*q->slot_of) * (q->snapshot->backends.n + 1u));
    q->backend_of = malloc(sizeof(*q->backend_of) * (n_slots + 1u));
    if (q->slot_of == NULL || q->backend_of == NULL)
        return false;
    for (uint32_t i = 0; i < q->snapshot->backends.n; i++)
        q->slot_of[i] = LB_NO_SLOT;
    for (uint32_t slot = 0; slot < n_slots; slot++) {
        uint32_t id = counters_slot_ids(counters)[slot];

        q->backend_of[slot] = id == 0 ? LB_NO_BACKEND : snapshot_backend_by_id(q->snapshot, id);
        if (q->backend_of[slot] != LB_NO_BACKEND)
            q->slot_of[q->backend_of[slot]] = (uint16_t)slot;
    }
    q->view = (struct proxy_view){.snapshot = q->snapshot,
                                  .slot_of = q->slot_of,
                                  .backend_of = q->backend_of,
                                  .n_slots = n_slots};
    return true;
}

/* The call table's second: since the data plane's start. */
static uint32_t table_now_s(const struct counters_header *counters)
{
    uint64_t now_s = loop_now_ms() / 1000;

    if (counters == NULL || now_s < counters->start_mono_s)
        return 0;
    return (uint32_t)(now_s - counters->start_mono_s);
}

static json_t *hash_json(uint64_t hash)
{
    char text[24];

    snprintf(text, sizeof(text), "0x%016" PRIx64, hash);
    return json_string(text);
}

static json_t *name_json(const struct question *q, int32_t backend)
{
    struct sip_slice name;

    if (backend == LB_NO_BACKEND)
        return json_null();
    name = snapshot_text(q->snapshot, snapshot_backends(q->snapshot)[backend].name);
    return json_stringn(name.at, name.length);
}

/* Of a registration only its end is known. */
static json_t *seen_json(const struct lb_call *call, uint32_t now_s)
{
    if (call->state == LB_CALL_REGISTRATION)
        return json_null();
    return json_integer(now_s > call->seen_s ? (json_int_t)(now_s - call->seen_s) : 0);
}

/* What a call table says; now_s: its second. */
static json_t *call_json(const struct question *q, const struct proxy_why *why, uint32_t now_s)
{
    json_t *object;

    if (!why->in_table)
        return json_null();
    object = json_object();
    json_object_set_new(object, "state",
                        json_string(lb_call_state_name((enum lb_call_state)why->call.state)));
    json_object_set_new(object, "slot", json_integer(why->call.slot));
    json_object_set_new(object, "backend", name_json(q, why->call_backend));
    json_object_set_new(object, "last_seen_s", seen_json(&why->call, now_s));
    json_object_set_new(object, "left_s",
                        json_integer((json_int_t)lb_call_left_s(&why->call, now_s)));
    json_object_set_new(object, "challenged", json_boolean(why->call.challenged));
    return object;
}

/* Which planes have the call; NULL: none. */
static const char *plane_of(bool dataplane, bool control)
{
    if (dataplane)
        return control ? "both" : "dataplane";
    return control ? "control" : NULL;
}

/* What a person must know beside the numbers; NULL: nothing. */
static const char *note_of(const struct question *q, const struct lb_pool *pool,
                           const struct proxy_why *why)
{
    if (q->calls == NULL && !why->in_table)
        return "the data plane is absent: what its call table knows is not considered";
    if (pool->keys[SIP_INVITE] != LB_KEY_CALL_ID)
        return why->in_table
                   ? "the Call-ID alone does not choose in this pool, but the call table knows it"
                   : "the Call-ID alone does not choose in this pool, and the call table does not "
                     "know it";
    if (why->backend == LB_NO_BACKEND)
        return "no backend of the pool takes new calls";
    return NULL;
}

/* Asks the tables about a pool: *ret is what the plane says that has the call. */
static void ask(const struct question *q, uint32_t index, const char *call_id,
                struct proxy_why *ret, struct proxy_why *ret_dataplane,
                struct proxy_why *ret_control)
{
    struct sip_slice id = sip_slice_of(call_id);

    proxy_why(&q->view, index, id, q->calls, q->now_s, ret_dataplane);
    *ret_control = (struct proxy_why){.in_table = false};
    if (q->has_streams)
        proxy_why(q->streams.view, index, id, q->streams.table, q->streams.now_s, ret_control);
    *ret = ret_control->in_table && !ret_dataplane->in_table ? *ret_control : *ret_dataplane;
}

static json_t *pool_json(const struct question *q, uint32_t index, const char *call_id)
{
    const struct lb_pool *pool = &snapshot_pools(q->snapshot)[index];
    struct sip_slice name = snapshot_text(q->snapshot, pool->name);
    bool by_call_id = pool->keys[SIP_INVITE] == LB_KEY_CALL_ID;
    json_t *object = json_object();
    struct proxy_why why, dataplane, control;
    const char *note, *plane;
    uint32_t slot;

    ask(q, index, call_id, &why, &dataplane, &control);
    note = note_of(q, pool, &why);
    plane = plane_of(dataplane.in_table, control.in_table);
    slot = why.backend == LB_NO_BACKEND ? LB_NO_SLOT : q->slot_of[why.backend];
    json_object_set_new(object, "pool", json_stringn(name.at, name.length));
    json_object_set_new(object, "call_id", json_string(call_id));
    json_object_set_new(
        object, "key",
        show_config_key(pool->keys[SIP_INVITE], snapshot_text(q->snapshot, pool->key_header)));
    json_object_set_new(object, "hash", hash_json(why.hash));
    json_object_set_new(object, "key_hash", by_call_id ? hash_json(why.key_hash) : json_null());
    json_object_set_new(object, "table_position",
                        by_call_id ? json_integer(why.table_position) : json_null());
    json_object_set_new(object, "table_backend",
                        by_call_id ? name_json(q, why.table_backend) : json_null());
    json_object_set_new(object, "slot",
                        slot == LB_NO_SLOT ? json_null() : json_integer((json_int_t)slot));
    json_object_set_new(object, "backend", name_json(q, why.backend));
    json_object_set_new(object, "rule",
                        why.rule == PROXY_RULE_NONE ? json_null()
                                                    : json_string(proxy_rule_name(why.rule)));
    json_object_set_new(object, "call_table", json_string(q->calls == NULL ? "absent" : "asked"));
    json_object_set_new(object, "call", call_json(q, &dataplane, q->now_s));
    json_object_set_new(object, "control_call_table",
                        json_string(q->has_streams ? "asked" : "absent"));
    json_object_set_new(object, "control_call", call_json(q, &control, q->streams.now_s));
    json_object_set_new(object, "plane", plane == NULL ? json_null() : json_string(plane));
    json_object_set_new(object, "note", note == NULL ? json_null() : json_string(note));
    return object;
}

/* All pools, or the one that is named. */
static json_t *pools_json(const struct question *q, const char *call_id, const char *pool)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < q->snapshot->pools.n; i++) {
        struct sip_slice name = snapshot_text(q->snapshot, snapshot_pools(q->snapshot)[i].name);

        if (pool == NULL || sip_slice_equal(name, sip_slice_of(pool)))
            json_array_append_new(list, pool_json(q, i, call_id));
    }
    return list;
}

json_t *why_answer(const struct reload *reload, struct stream *stream, const char *call_id,
                   const char *pool, char *ret_text)
{
    const struct link *link = reload_link(reload);
    struct counters_header *counters = link_counters(link);
    struct question q = {
        .snapshot = reload_snapshot(reload),
        .calls = counters == NULL ? NULL : link_calls_open(link),
        .now_s = table_now_s(counters),
    };
    json_t *answer = NULL;

    q.has_streams = stream != NULL && stream_calls(stream, &q.streams);
    snprintf(ret_text, PLAN_TEXT_MAX, "no memory");
    if (view_make(&q, counters))
        answer = pools_json(&q, call_id, pool);
    if (pool != NULL && answer != NULL && json_array_size(answer) == 0) {
        snprintf(ret_text, PLAN_TEXT_MAX, "no pool %.100s", pool);
        json_decref(answer);
        answer = NULL;
    }
    link_calls_close(link, q.calls);
    free(counters);
    free(q.slot_of);
    free(q.backend_of);
    return answer;
}
