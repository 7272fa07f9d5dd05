/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers to `show`: see show.h. `show config` is show_config.c's.
 */
#include "control/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/service_counts.h"
#include "control/share.h"
#include "control/show_config.h"
#include "control/show_members.h"
#include "control/totals.h"

enum { STATS_TRIES = 5, STATS_PAUSE_NS = 1000000 };

json_t *show_ip(const struct sip_ip *ip)
{
    char text[SIP_IP_TEXT_MAX];
    uint32_t length = sip_ip_print(ip, text);
    bool brackets = length > 2 && text[0] == '['; /* SIP's way to write IPv6, not the file's */

    return json_stringn(text + brackets, length - 2u * brackets);
}

/* Values are far below 2^63, where jansson's integers end; a broken one wraps, it never traps. */
static json_t *count_json(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* What was counted for a backend; null when it has no slot. */
static json_t *total_json(const struct totals *totals, uint32_t id, enum counters_slot what)
{
    return totals_slot(totals, id) == LB_NO_SLOT ? json_null()
                                                 : count_json(totals_of(totals, id, what));
}

/* What is there now; null when it has no slot. */
static json_t *now_json(const struct totals *totals, uint32_t id,
                        uint64_t (*count)(const struct totals *, uint32_t))
{
    return totals_slot(totals, id) == LB_NO_SLOT ? json_null() : count_json(count(totals, id));
}

static json_t *text_json(const struct snapshot *s, struct lb_text text)
{
    struct sip_slice slice = snapshot_text(s, text);

    return json_stringn(slice.at, slice.length);
}

static void add_counts(json_t *object, const struct totals *totals, uint32_t id)
{
    json_object_set_new(object, "started", total_json(totals, id, COUNTERS_SLOT_STARTED));
    json_object_set_new(object, "ended", total_json(totals, id, COUNTERS_SLOT_ENDED));
    json_object_set_new(object, "calls", now_json(totals, id, totals_calls));
    json_object_set_new(object, "registrations", now_json(totals, id, totals_registrations));
    json_object_set_new(object, "subscriptions", now_json(totals, id, totals_subscriptions));
    json_object_set_new(object, "requests", total_json(totals, id, COUNTERS_SLOT_REQUESTS));
    json_object_set_new(object, "new", total_json(totals, id, COUNTERS_SLOT_NEW));
    json_object_set_new(object, "responses", total_json(totals, id, COUNTERS_SLOT_RESPONSES));
    json_object_set_new(object, "finals", total_json(totals, id, COUNTERS_SLOT_FINALS));
    json_object_set_new(object, "busy", total_json(totals, id, COUNTERS_SLOT_BUSY));
    json_object_set_new(object, "errors", total_json(totals, id, COUNTERS_SLOT_ERRORS));
    json_object_set_new(object, "unreachable", total_json(totals, id, COUNTERS_SLOT_UNREACHABLE));
}

/* What the last probe call found; null before there was one. */
static json_t *media_json(const struct health_view *view)
{
    const struct media_result *media = &view->media;
    bool heard = media->received > 0;

    if (!view->has_media || media->word == MEDIA_NONE)
        return json_null();
    return json_pack(
        "{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:i}", "verdict",
        media_word_name(media->word), "why", media->why, "status", (int)media->status, "answer_ms",
        (int)media->answer_ms, "sent", (int)media->sent, "received", (int)media->received, "forged",
        (int)media->forged, "lost", (int)media->lost, "loss",
        heard ? json_real(media->loss_permille / 1000.0) : json_null(), "jitter_ms",
        heard ? json_real(media->jitter_us / 1000.0) : json_null(), "round_trip_ms",
        media->round_trip_us > 0 ? json_real(media->round_trip_us / 1000.0) : json_null(), "age_s",
        (int)view->media_age_s);
}

/* What is observed of it; null where that is nothing. */
static void add_health(json_t *object, struct health *health, uint32_t id)
{
    struct health_view view;
    bool known = health != NULL && health_of(health, id, &view);

    json_object_set_new(object, "latency_ms",
                        known && view.latency_us > 0 ? json_real(view.latency_us / 1000.0)
                                                     : json_null());
    json_object_set_new(object, "slow_start",
                        known ? json_real(view.weight_permille / 1000.0) : json_null());
    json_object_set_new(object, "since_s", known ? json_integer(view.since_s) : json_null());
    json_object_set_new(object, "media", known ? media_json(&view) : json_null());
    json_object_set_new(object, "reason",
                        known && view.reason[0] != '\0' ? json_string(view.reason) : json_null());
}

static json_t *backend_json(const struct reload *reload, const struct lb_backend *b,
                            uint32_t entries, const struct totals *totals, struct health *health)
{
    const struct snapshot *s = reload_snapshot(reload);
    const struct lb_pool *pool = &snapshot_pools(s)[b->pool];
    uint32_t slot = totals_slot(totals, b->id);
    json_t *object = json_object();

    json_object_set_new(object, "pool", text_json(s, pool->name));
    json_object_set_new(object, "name", text_json(s, b->name));
    json_object_set_new(object, "address", show_ip(&b->ip));
    json_object_set_new(object, "port", json_integer(b->port));
    json_object_set_new(object, "state", json_string(state_word(b->state)));
    json_object_set_new(object, "admin", json_string(state_word(b->admin)));
    json_object_set_new(object, "health", json_string(state_word(b->health)));
    json_object_set_new(object, "weight", json_integer(b->weight));
    json_object_set_new(object, "lingering", json_boolean(b->lingering));
    add_counts(object, totals, b->id);
    json_object_set_new(object, "slot",
                        slot == LB_NO_SLOT ? json_null() : json_integer((json_int_t)slot));
    json_object_set_new(object, "share_expected",
                        json_real(entries / (double)pool->table_size)); /* of new calls */
    add_health(object, health, b->id);
    json_object_set_new(object, "dns", show_members_dns(reload, b));
    return object;
}

json_t *show_backends(const struct reload *reload, struct health *health)
{
    const struct snapshot *s = reload_snapshot(reload);
    struct counters_header *counters = reload_counters(reload);
    struct totals *totals = totals_new(reload_state(reload), counters);
    uint32_t *entries = share_entries(s);
    json_t *list = totals == NULL || entries == NULL ? NULL : json_array();

    for (uint32_t i = 0; list != NULL && i < s->backends.n; i++)
        json_array_append_new(
            list, backend_json(reload, &snapshot_backends(s)[i], entries[i], totals, health));
    if (list != NULL)
        show_members_missing(reload, list);
    totals_free(totals);
    free(entries);
    free(counters);
    return list;
}

static json_t *call_json(const struct snapshot *s, const struct lb_backend *b,
                         const struct totals *totals)
{
    json_t *object = json_object();

    json_object_set_new(object, "pool", text_json(s, snapshot_pools(s)[b->pool].name));
    json_object_set_new(object, "name", text_json(s, b->name));
    add_counts(object, totals, b->id);
    return object;
}

/* Per backend: calls in progress, and what was counted since the data plane started. NULL: no
 * memory. */
static json_t *show_calls(const struct reload *reload)
{
    const struct snapshot *s = reload_snapshot(reload);
    struct counters_header *counters = reload_counters(reload);
    struct totals *totals = totals_new(reload_state(reload), counters);
    json_t *list = totals == NULL ? NULL : json_array();

    for (uint32_t i = 0; list != NULL && i < s->backends.n; i++)
        json_array_append_new(list, call_json(s, &snapshot_backends(s)[i], totals));
    totals_free(totals);
    free(counters);
    return list;
}

static bool blocks_agree(const struct counters_header *a, const struct counters_header *b,
                         uint32_t block)
{
    for (uint32_t i = 0; i < a->n_counters; i++) {
        if (!counters_is_time(a, i) && counters_block(a, block)[i] != counters_block(b, block)[i])
            return false;
    }
    return memcmp((const char *)counters_block(a, block) + a->slot_values,
                  (const char *)counters_block(b, block) + b->slot_values,
                  a->block_stride - a->slot_values) == 0;
}

/* Whether two reads agree in all but time: nothing was in mid-step between them. */
static bool agree(const struct counters_header *a, const struct counters_header *b)
{
    if (a->size != b->size || memcmp(a, b, a->blocks) != 0)
        return false;
    for (uint32_t block = 0; block < a->n_blocks; block++) {
        if (!blocks_agree(a, b, block))
            return false;
    }
    return true;
}

/* Two reads that agree, or the last one. NULL: the data plane is absent. */
static struct counters_header *read_stable(const struct link *link, bool *ret_stable)
{
    const struct timespec pause = {.tv_nsec = STATS_PAUSE_NS};
    struct counters_header *last = link_counters(link);

    *ret_stable = false;
    for (int i = 1; last != NULL && i < STATS_TRIES && !*ret_stable; i++) {
        struct counters_header *next;

        nanosleep(&pause, NULL);
        next = link_counters(link);
        if (next == NULL)
            break;
        *ret_stable = agree(last, next);
        free(last);
        last = next;
    }
    return last;
}

static json_t *block_json(const struct counters_header *counters, uint32_t block)
{
    json_t *object = json_object();

    for (uint32_t i = 0; i < counters->n_counters; i++)
        json_object_set_new(object, counters_name(counters, i),
                            count_json(counters_block(counters, block)[i]));
    return object;
}

/* 64 bits as text, so that no reader's floating point bends it. */
static json_t *epoch_json(uint64_t epoch)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, epoch);
    return json_string(text);
}

/* What became of messages, over all services and those that are gone; empty without counters. */
static json_t *all_services_json(const struct counters_header *counters)
{
    json_t *object = json_object();

    for (int what = 0; counters != NULL && what < COUNTERS_SERVICE_COUNT; what++) {
        uint64_t sum = 0;

        for (uint32_t slot = 0; slot < counters->n_services; slot++)
            sum += counters_service_sum(counters, slot, (enum counters_service)what);
        json_object_set_new(object, counters_service_name((enum counters_service)what),
                            count_json(sum));
    }
    return object;
}

static json_t *show_stats(const struct reload *reload)
{
    json_t *answer = json_object(), *sums = json_object(), *workers = json_array();
    bool stable;
    struct counters_header *counters = read_stable(reload_link(reload), &stable);

    if (counters == NULL) {
        json_object_set_new(answer, "epoch", json_null());
    } else {
        json_object_set_new(answer, "epoch", epoch_json(counters->epoch));
        json_object_set_new(answer, "main", block_json(counters, 0));
        for (uint32_t i = 0; i < counters->n_counters; i++)
            json_object_set_new(sums, counters_name(counters, i),
                                count_json(counters_sum(counters, i)));
        for (uint32_t block = 1; block < counters->n_blocks; block++)
            json_array_append_new(workers, block_json(counters, block));
    }
    json_object_set_new(answer, "stable", json_boolean(stable));
    json_object_set_new(answer, "counters", sums);
    json_object_set_new(answer, "services", all_services_json(counters));
    json_object_set_new(answer, "workers", workers);
    free(counters);
    return answer;
}

/* A key's id, or null. */
static json_t *key_json(const struct keys *keys, int which)
{
    const struct snapshot_mac_key *mac = &keys->secret.mac[which];

    return mac->valid ? json_integer(mac->id) : json_null();
}

static json_t *time_json(uint64_t wall_s)
{
    char text[KEYS_TIME_MAX];

    keys_time_print(wall_s, text);
    return json_string(text);
}

/* Which keys sign and verify, by their ids, and when the next rotation may be (null: now). */
static void add_keys(json_t *answer, const struct reload *reload)
{
    const struct keys *keys = reload_keys(reload);
    const struct keys_time now = keys_now();
    uint64_t wait = keys_wait_s(keys, reload_cfg(reload)->token_lifetime_ms, &now);

    json_object_set_new(answer, "key", key_json(keys, SNAPSHOT_MAC_CURRENT));
    json_object_set_new(answer, "next_key", key_json(keys, SNAPSHOT_MAC_NEXT));
    json_object_set_new(answer, "previous_key", key_json(keys, SNAPSHOT_MAC_PREVIOUS));
    json_object_set_new(answer, "rotated",
                        keys->secret.rotated_s == 0 ? json_null()
                                                    : time_json(keys->secret.rotated_s));
    json_object_set_new(answer, "rotation_from",
                        wait == 0 ? json_null() : time_json(now.wall_s + wait));
}

static json_t *show_generation(const struct reload *reload)
{
    const struct msg_hello *hello = link_hello(reload_link(reload));
    struct counters_header *counters = link_counters(reload_link(reload));
    json_t *answer = json_object();

    json_object_set_new(answer, "generation", count_json(reload_snapshot(reload)->generation));
    json_object_set_new(answer, "acknowledged", count_json(reload_acknowledged(reload)));
    json_object_set_new(answer, "used_by_workers",
                        counters == NULL ? json_null() : count_json(counters->generation));
    json_object_set_new(answer, "node",
                        json_string(reload_snapshot(reload)->draining ? "draining" : "up"));
    json_object_set_new(answer, "dataplane", json_string(hello == NULL ? "absent" : "connected"));
    json_object_set_new(answer, "epoch", hello == NULL ? json_null() : epoch_json(hello->epoch));
    json_object_set_new(answer, "pid", hello == NULL ? json_null() : json_integer(hello->pid));
    json_object_set_new(answer, "refusal",
                        reload_refusal(reload)[0] == '\0' ? json_null()
                                                          : json_string(reload_refusal(reload)));
    add_keys(answer, reload);
    free(counters);
    return answer;
}

/* How many messages a service had, and what became of them; null when it has no slot. */
static void add_messages(json_t *service, const struct service_counts *counts)
{
    struct sip_slice name = sip_slice_of(json_string_value(json_object_get(service, "name")));
    uint64_t values[COUNTERS_SERVICE_COUNT], sum = 0;
    bool known = service_counts_of(counts, name, values);

    for (int what = 0; known && what < COUNTERS_SERVICE_COUNT; what++)
        sum += values[what];
    json_object_set_new(service, "messages", known ? count_json(sum) : json_null());
    for (int what = 0; what < COUNTERS_SERVICE_COUNT; what++)
        json_object_set_new(service, counters_service_name((enum counters_service)what),
                            known ? count_json(values[what]) : json_null());
}

/* With the node's state: each service's OPTIONS are answered by it. */
static json_t *show_services(const struct reload *reload)
{
    const char *state = reload_snapshot(reload)->draining ? "draining" : "up";
    struct counters_header *counters = link_counters(reload_link(reload));
    struct service_counts *counts = service_counts_new(counters);
    json_t *list = counts == NULL ? NULL : show_config_services(reload_cfg(reload)), *service;
    size_t i;

    json_array_foreach(list, i, service)
    {
        json_object_set_new(service, "state", json_string(state));
        add_messages(service, counts);
    }
    service_counts_free(counts);
    free(counters);
    return list;
}

static json_t *show_config_of(const struct reload *reload)
{
    return show_config(reload_cfg(reload));
}

static json_t *show_backends_alone(const struct reload *reload)
{
    return show_backends(reload, NULL);
}

const char *const show_words[] = {"backends", "services",   "stats", "calls",
                                  "config",   "generation", NULL};

json_t *show_answer(const struct reload *reload, const char *what)
{
    static json_t *(*const answers[])(const struct reload *) = {
        show_backends_alone, show_services,  show_stats,
        show_calls,          show_config_of, show_generation};

    for (uint32_t i = 0; show_words[i] != NULL; i++) {
        if (strcmp(what, show_words[i]) == 0)
            return answers[i](reload);
    }
    return NULL;
}
