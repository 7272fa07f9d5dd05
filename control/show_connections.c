/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections as JSON: see show_connections.h. While they are looked at the threads cannot use the
 * table: they are copied there, and told afterwards.
 */
#include "control/show_connections.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/loop.h"

struct copies {
    const struct show_connections_filter *filter;
    struct table_entry *entries;
    uint32_t n, room;
    bool failed; /* no memory */
};

static bool is_source(const struct sip_ip *ip, const char *text)
{
    struct sip_ip wanted;

    return sip_ip_parse(sip_slice(text, (uint32_t)strlen(text)), &wanted) == 0 &&
           sip_ip_equal(ip, &wanted);
}

static bool fits(const struct show_connections_filter *filter, const struct table_entry *entry)
{
    const char *transport = sip_transport_name((enum sip_transport)entry->transport);

    return (filter->source[0] == '\0' || is_source(&entry->peer.ip, filter->source)) &&
           (filter->transport[0] == '\0' || strcasecmp(filter->transport, transport) == 0) &&
           (filter->sni[0] == '\0' || strcasecmp(filter->sni, entry->sni) == 0);
}

static void copy(void *arg, const struct table_entry *entry)
{
    struct copies *copies = arg;

    if (copies->failed || !fits(copies->filter, entry))
        return;
    if (copies->n == copies->room) {
        uint32_t room = copies->room == 0 ? 64 : copies->room * 2;
        struct table_entry *entries = realloc(copies->entries, room * sizeof(*entries));

        copies->failed = entries == NULL;
        if (copies->failed)
            return;
        copies->entries = entries;
        copies->room = room;
    }
    table_copy(entry, &copies->entries[copies->n++]);
}

static int by_id(const void *a, const void *b)
{
    const struct table_entry *one = a, *other = b;

    return one->id < other->id ? -1 : one->id > other->id;
}

static json_t *address_json(const struct sip_addr *addr)
{
    char text[SIP_ADDR_TEXT_MAX];

    return json_stringn(text, sip_addr_print(addr, text));
}

static json_t *text_json(const char *text)
{
    return *text == '\0' ? json_null() : json_string(text);
}

/* What of its peer's addresses it is reused for (RFC 5923). */
static json_t *alias_json(const struct table_entry *entry)
{
    const struct sip_addr addr = {entry->peer.ip, entry->alias};

    return entry->alias == 0 ? json_null() : address_json(&addr);
}

static json_t *entry_json(const struct table_entry *entry, uint64_t now_ms)
{
    char id[17];

    snprintf(id, sizeof(id), "%016" PRIx64, entry->id);
    return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "id",
                     id, "transport", sip_transport_name((enum sip_transport)entry->transport),
                     "outgoing", entry->outgoing, "local", address_json(&entry->local), "peer",
                     address_json(&entry->peer), "alias", alias_json(entry), "sni", text_json(entry->sni), "cipher",
                     text_json(entry->cipher), "seconds",
                     (json_int_t)((now_ms - entry->since_ms) / 1000), "idle_seconds",
                     (json_int_t)((now_ms - entry->active_ms) / 1000), "messages_in",
                     (json_int_t)entry->messages_in, "messages_out",
                     (json_int_t)entry->messages_out, "bytes_in", (json_int_t)entry->bytes_in,
                     "bytes_out", (json_int_t)entry->bytes_out, "thread", (int)entry->thread);
}

static json_t *counters_json(const struct stream *stream)
{
    char name[COUNTS_NAME_MAX];
    struct counts counts;
    json_t *object = json_object();

    stream_counts(stream, &counts);
    for (uint32_t which = 0; which < COUNT_COUNT; which++)
        json_object_set_new(object, counts_name(which, name),
                            json_integer((json_int_t)counts.values[which]));
    return object;
}

json_t *show_connections(const struct stream *stream, const struct show_connections_filter *filter)
{
    struct copies copies = {.filter = filter};
    json_t *list = json_array();
    uint64_t now_ms;

    stream_each(stream, copy, &copies);
    if (copies.n > 0)
        qsort(copies.entries, copies.n, sizeof(*copies.entries), by_id);
    now_ms = loop_now_ms() + 1; /* what happened meanwhile, too, is past */
    for (uint32_t i = 0; i < copies.n; i++)
        json_array_append_new(list, entry_json(&copies.entries[i], now_ms));
    free(copies.entries);
    if (copies.failed) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:o, s:I, s:o}", "connections", list, "total",
                     (json_int_t)stream_connections(stream), "counters", counters_json(stream));
}

bool show_connections_id(const char *text, uint64_t *ret)
{
    char *end;

    if (strlen(text) != 16 || strspn(text, "0123456789abcdefABCDEF") != 16)
        return false;
    errno = 0;
    *ret = strtoull(text, &end, 16);
    return errno == 0 && *end == '\0';
}
