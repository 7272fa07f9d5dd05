/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names as JSON: see show_names.h. What a URI did not say (port, transport) is null.
 */
#include "control/show_names.h"

#include "control/show.h"

static json_t *transport_json(uint8_t transport)
{
    return transport == SIP_TRANSPORT_NONE
               ? json_null()
               : json_string(sip_transport_name((enum sip_transport)transport));
}

static json_t *target_json(const struct snapshot_target *target)
{
    json_t *object = json_object();

    json_object_set_new(object, "address", show_ip(&target->addr.ip));
    json_object_set_new(object, "port", json_integer(target->addr.port));
    json_object_set_new(object, "transport", transport_json(target->transport));
    json_object_set_new(object, "priority", json_integer(target->priority));
    json_object_set_new(object, "weight", json_integer(target->weight));
    return object;
}

static const char *outcome_word(const struct names_entry *entry)
{
    static const char *const words[] = {[SNAPSHOT_NAME_FOUND] = "found",
                                        [SNAPSHOT_NAME_NONE] = "none",
                                        [SNAPSHOT_NAME_FAILED] = "failed"};

    return entry->answered ? words[entry->outcome] : NULL;
}

/* Appends a name to the list that is `arg`. */
static void add_name(void *arg, const struct names_entry *entry)
{
    const char *word = outcome_word(entry);
    json_t *object = json_object(), *targets = json_array();

    for (uint32_t i = 0; i < entry->n_targets; i++)
        json_array_append_new(targets, target_json(&entry->targets[i]));
    json_object_set_new(object, "name", json_string(entry->host));
    json_object_set_new(object, "port", entry->port == 0 ? json_null() : json_integer(entry->port));
    json_object_set_new(object, "transport", transport_json(entry->transport));
    json_object_set_new(object, "outcome", word == NULL ? json_null() : json_string(word));
    json_object_set_new(object, "asking", json_boolean(entry->asking));
    json_object_set_new(object, "stale", json_boolean(entry->stale));
    json_object_set_new(object, "published", json_boolean(entry->published));
    json_object_set_new(object, "seconds_left", json_integer(entry->left_s));
    json_object_set_new(object, "targets", targets);
    json_array_append_new(arg, object);
}

static void set_count(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_t *counts_json(const struct names_counts *counts)
{
    json_t *object = json_object();

    set_count(object, "received", counts->received);
    for (int result = 0; result < RELAY_RESULTS; result++) {
        if (result != RELAY_NAME && result != RELAY_HEARD)
            set_count(object, relay_result_name((enum relay_result)result),
                      counts->results[result]);
    }
    set_count(object, "repeated", counts->repeated);
    set_count(object, "dropped_full", counts->dropped_full);
    set_count(object, "dropped_unasked", counts->dropped_unasked);
    set_count(object, "dropped_unoffered", counts->dropped_unoffered);
    set_count(object, "questions", counts->questions);
    set_count(object, "found", counts->found);
    set_count(object, "none", counts->none);
    set_count(object, "failed", counts->failed);
    set_count(object, "stale", counts->stale);
    return object;
}

json_t *show_names(const struct names *names)
{
    json_t *answer = json_object(), *list = json_array();

    if (answer == NULL || list == NULL) {
        json_decref(answer);
        json_decref(list);
        return NULL;
    }
    names_each(names, add_name, list);
    json_object_set_new(answer, "names", list);
    set_count(answer, "waiting", names_waiting(names));
    json_object_set_new(answer, "counters", counts_json(names_counts(names)));
    return answer;
}
