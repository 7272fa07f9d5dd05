/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections by number, peer and source: see table.h. Buckets of lists; what a peer can choose is
 * hashed under a key of this process.
 */
#include "control/stream/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "dataplane/lb/siphash.h"

enum {
    BUCKETS = 1 << 16,
    OUTGOING_MORE = 16,  /* connections that we make beyond `connections`, */
    OUTGOING_SHARE = 16, /* and one more for so many of these */
    V6_SOURCE_BYTES = 8, /* of IPv6 who has one address has a whole /64 */
};

/* How many connections come from one source. */
struct table_source {
    struct table_source *next;
    struct sip_ip ip;
    uint32_t n;
};

struct table {
    pthread_mutex_t lock;
    struct lb_key key;
    uint64_t last_id;
    uint32_t n;
    struct table_entry *by_id[BUCKETS];
    struct table_entry *by_peer[BUCKETS];
    struct table_entry *by_alias[BUCKETS];
    struct table_source *sources[BUCKETS];
    struct phones *phones;
};

struct table *table_new(void)
{
    struct table *table = calloc(1, sizeof(*table));
    struct timespec now;

    if (table == NULL)
        return NULL;
    table->phones = phones_new();
    if (table->phones == NULL ||
        getrandom(&table->key, sizeof(table->key), 0) != (ssize_t)sizeof(table->key)) {
        phones_free(table->phones);
        free(table);
        return NULL;
    }
    /* Numbers go up more slowly than the clock's nanoseconds: no later start gives one again. */
    clock_gettime(CLOCK_REALTIME, &now);
    table->last_id = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    pthread_mutex_init(&table->lock, NULL);
    return table;
}

int table_remember(struct table *table, const char *directory)
{
    return phones_remember(table->phones, directory);
}

void table_free(struct table *table)
{
    if (table == NULL)
        return;
    pthread_mutex_destroy(&table->lock);
    phones_free(table->phones);
    free(table);
}

static uint32_t home_of_peer(const struct table *table, uint8_t transport,
                             const struct sip_addr *local, const struct sip_addr *peer)
{
    struct {
        struct sip_addr local, peer;
        uint16_t transport;
    } key = {*local, *peer, transport};

    return (uint32_t)lb_siphash13(&table->key, &key, sizeof(key)) % BUCKETS;
}

/* Where a connection is for what is sent to the port that it is the alias of. */
static struct table_entry **home_of_alias(struct table *table, const struct table_entry *entry)
{
    const struct sip_addr peer = {entry->peer.ip, entry->alias};

    return &table->by_alias[home_of_peer(table, entry->transport, &entry->local, &peer)];
}

static void leave_alias(struct table *table, struct table_entry *entry)
{
    struct table_entry **at = home_of_alias(table, entry);

    if (entry->alias == 0)
        return;
    while (*at != entry)
        at = &(*at)->next_by_alias;
    *at = entry->next_by_alias;
    entry->alias = 0;
}

static struct table_source **home_of_source(struct table *table, const struct sip_ip *ip)
{
    return &table->sources[lb_siphash13(&table->key, ip, sizeof(*ip)) % BUCKETS];
}

static struct sip_ip source_of(const struct sip_addr *peer)
{
    struct sip_ip ip = peer->ip;

    if (!sip_ip_is_v4(&ip))
        memset(ip.bytes + V6_SOURCE_BYTES, 0, sizeof(ip.bytes) - V6_SOURCE_BYTES);
    return ip;
}

/* Counts a connection of a source. NULL in *ret: nobody's. */
static enum table_verdict source_add(struct table *table, const struct table_entry *entry,
                                     uint32_t max, struct table_source **ret)
{
    struct sip_ip ip = source_of(&entry->peer);
    struct table_source **home = home_of_source(table, &ip), *source = *home;

    *ret = NULL;
    if (entry->outgoing)
        return TABLE_ADDED;
    while (source != NULL && !sip_ip_equal(&source->ip, &ip))
        source = source->next;
    if (source != NULL && source->n >= max)
        return TABLE_SOURCE_FULL;
    if (source == NULL) {
        source = malloc(sizeof(*source));
        if (source == NULL)
            return TABLE_NO_MEMORY;
        *source = (struct table_source){.next = *home, .ip = ip};
        *home = source;
    }
    source->n++;
    *ret = source;
    return TABLE_ADDED;
}

static void source_remove(struct table *table, struct table_source *source)
{
    struct table_source **at;

    if (source == NULL || --source->n > 0)
        return;
    at = home_of_source(table, &source->ip);
    while (*at != source)
        at = &(*at)->next;
    *at = source->next;
    free(source);
}

/* What we make is for those who are connected: whoever takes all the room there is does not keep us
 * from our backends. */
static uint32_t more_for(const struct table_entry *entry, const struct cfg_streams *limits)
{
    return entry->outgoing ? OUTGOING_MORE + limits->connections / OUTGOING_SHARE : 0;
}

enum table_verdict table_add(struct table *table, struct table_entry *entry,
                             const struct cfg_streams *limits)
{
    uint32_t home = home_of_peer(table, entry->transport, &entry->local, &entry->peer);
    enum table_verdict verdict = TABLE_FULL;

    pthread_mutex_lock(&table->lock);
    if (table->n < limits->connections + more_for(entry, limits))
        verdict = source_add(table, entry, limits->connections_per_source, &entry->source);
    if (verdict == TABLE_ADDED) {
        struct table_entry **by_id = &table->by_id[++table->last_id % BUCKETS];

        table->n++;
        entry->id = table->last_id;
        entry->next_by_id = *by_id;
        *by_id = entry;
        entry->next_by_peer = table->by_peer[home];
        table->by_peer[home] = entry;
    }
    pthread_mutex_unlock(&table->lock);
    return verdict;
}

void table_remove(struct table *table, struct table_entry *entry)
{
    uint32_t home = home_of_peer(table, entry->transport, &entry->local, &entry->peer);
    struct table_entry **at;

    pthread_mutex_lock(&table->lock);
    for (at = &table->by_id[entry->id % BUCKETS]; *at != entry; at = &(*at)->next_by_id)
        ;
    *at = entry->next_by_id;
    for (at = &table->by_peer[home]; *at != entry; at = &(*at)->next_by_peer)
        ;
    *at = entry->next_by_peer;
    leave_alias(table, entry);
    source_remove(table, entry->source);
    table->n--;
    free(entry->names);
    entry->names = NULL;
    pthread_mutex_unlock(&table->lock);
}

static bool place(const struct table_entry *entry, struct table_place *ret)
{
    if (entry == NULL)
        return false;
    *ret = (struct table_place){entry->id, entry->thread, entry->transport,
                                (struct table_entry *)(uintptr_t)entry};
    return true;
}

static struct table_entry *by_id(const struct table *table, uint64_t id)
{
    struct table_entry *entry = table->by_id[id % BUCKETS];

    while (entry != NULL && entry->id != id)
        entry = entry->next_by_id;
    return entry;
}

void table_registers(struct table *table, uint64_t id, uint64_t phone, uint64_t request)
{
    struct table_entry *entry;

    pthread_mutex_lock(&table->lock);
    entry = by_id(table, id);
    if (entry != NULL) {
        entry->shared |= entry->registers && entry->phone != phone;
        entry->registers = true;
        entry->phone = phone;
        if (phone != 0)
            phones_ask(table->phones, request, phone);
    }
    pthread_mutex_unlock(&table->lock);
}

/* A phone has left that connection (0: none), which nobody may have told of its end. */
static void leave(struct table *table, uint64_t id)
{
    struct table_entry *entry = by_id(table, id);

    if (entry != NULL)
        entry->former = !entry->shared;
}

uint64_t table_registered(struct table *table, uint64_t id, uint64_t request)
{
    struct table_entry *entry;
    uint64_t phone = 0;

    pthread_mutex_lock(&table->lock);
    entry = by_id(table, id);
    if (entry != NULL)
        phone = phones_asked(table->phones, request);
    if (phone != 0) {
        entry->former = false;
        leave(table, phones_come(table->phones, phone, id));
    }
    pthread_mutex_unlock(&table->lock);
    return phone;
}

void table_phone_went(struct table *table, uint64_t phone, uint32_t node, bool sure)
{
    struct phones_place now;

    pthread_mutex_lock(&table->lock);
    if (sure || !phones_find(table->phones, phone, &now) || by_id(table, now.connection) == NULL)
        leave(table, phones_go(table->phones, phone, node));
    pthread_mutex_unlock(&table->lock);
}

bool table_find_node(struct table *table, uint64_t id, uint64_t *ret_phone, uint32_t *ret_node)
{
    struct phones_place now;
    bool found;

    pthread_mutex_lock(&table->lock);
    found = phones_find_after(table->phones, id, &now) && now.connection == 0;
    pthread_mutex_unlock(&table->lock);
    if (found) {
        *ret_phone = now.phone;
        *ret_node = now.node;
    }
    return found;
}

bool table_find_here(struct table *table, uint64_t phone, struct table_place *ret)
{
    struct phones_place now;
    bool found;

    pthread_mutex_lock(&table->lock);
    found = phones_find(table->phones, phone, &now) && place(by_id(table, now.connection), ret);
    pthread_mutex_unlock(&table->lock);
    return found;
}

struct gathering {
    const struct table *table;
    uint64_t *phones;
    uint32_t n;
};

static void gather(void *arg, uint64_t phone, uint64_t connection)
{
    struct gathering *g = arg;

    if (g->n < PHONES_PART_MAX && by_id(g->table, connection) != NULL)
        g->phones[g->n++] = phone;
}

uint32_t table_phones(struct table *table, uint32_t part, uint64_t ret[PHONES_PART_MAX])
{
    struct gathering g = {table, ret, 0};

    pthread_mutex_lock(&table->lock);
    phones_each(table->phones, part, gather, &g);
    pthread_mutex_unlock(&table->lock);
    return g.n;
}

bool table_find(struct table *table, uint64_t id, struct table_place *ret)
{
    const struct table_entry *entry;
    struct phones_place now;
    bool found;

    pthread_mutex_lock(&table->lock);
    entry = by_id(table, id);
    if (entry == NULL && phones_find_after(table->phones, id, &now))
        entry = by_id(table, now.connection);
    found = place(entry, ret);
    pthread_mutex_unlock(&table->lock);
    return found;
}

bool table_find_phone(struct table *table, uint64_t id, struct table_place *ret)
{
    const struct table_entry *entry, *newer;
    struct phones_place now;
    bool found;

    pthread_mutex_lock(&table->lock);
    entry = by_id(table, id);
    if ((entry == NULL || entry->former) && phones_find_after(table->phones, id, &now)) {
        newer = by_id(table, now.connection);
        if (newer != NULL || now.connection == 0)
            entry = newer;
    }
    found = place(entry, ret);
    pthread_mutex_unlock(&table->lock);
    return found;
}

bool table_alias(struct table *table, uint64_t id, uint16_t port)
{
    struct table_entry *entry, **home;
    bool taken;

    pthread_mutex_lock(&table->lock);
    entry = by_id(table, id);
    taken = entry != NULL && !entry->outgoing && entry->alias != port &&
            (entry->transport != SIP_TRANSPORT_TLS || entry->names != NULL);
    if (taken) {
        leave_alias(table, entry);
        entry->alias = port;
        home = home_of_alias(table, entry);
        entry->next_by_alias = *home;
        *home = entry;
    }
    pthread_mutex_unlock(&table->lock);
    return taken;
}

/* Whether a connection's peer showed to be that one. */
static bool is_of(const struct table_entry *entry, const char *name)
{
    size_t length = strlen(name), n;

    if (entry->transport != SIP_TRANSPORT_TLS)
        return true;
    for (const char *at = entry->names; *at != '\0'; at += n + (at[n] == ' ')) {
        n = strcspn(at, " ");
        if (n == length && strncasecmp(at, name, n) == 0)
            return true;
    }
    return false;
}

/* The latest of the connections that peers made and said to have that address. */
static const struct table_entry *alias_of(const struct table *table, uint32_t home,
                                          enum sip_transport transport,
                                          const struct sip_addr *local, const struct sip_addr *peer,
                                          const char *name)
{
    const struct table_entry *entry = table->by_alias[home];

    while (entry != NULL && (entry->transport != (uint8_t)transport || entry->alias != peer->port ||
                             !sip_ip_equal(&entry->peer.ip, &peer->ip) ||
                             !sip_addr_equal(&entry->local, local) || !is_of(entry, name)))
        entry = entry->next_by_alias;
    return entry;
}

bool table_find_peer(struct table *table, enum sip_transport transport,
                     const struct sip_addr *local, const struct sip_addr *peer, const char *name,
                     struct table_place *ret)
{
    uint32_t home = home_of_peer(table, (uint8_t)transport, local, peer);
    const struct table_entry *entry;
    bool found;

    pthread_mutex_lock(&table->lock);
    entry = table->by_peer[home];
    while (entry != NULL &&
           (entry->transport != (uint8_t)transport || !sip_addr_equal(&entry->peer, peer) ||
            !sip_addr_equal(&entry->local, local) ||
            (*name != '\0' && strcasecmp(entry->name, name) != 0)))
        entry = entry->next_by_peer;
    if (entry == NULL)
        entry = alias_of(table, home, transport, local, peer, name);
    found = place(entry, ret);
    pthread_mutex_unlock(&table->lock);
    return found;
}

void table_note(struct table *table, struct table_entry *entry, const char *sni, const char *cipher,
                const char *names)
{
    pthread_mutex_lock(&table->lock);
    snprintf(entry->sni, sizeof(entry->sni), "%s", sni);
    snprintf(entry->cipher, sizeof(entry->cipher), "%s", cipher);
    if (*names != '\0')
        entry->names = strdup(names);
    pthread_mutex_unlock(&table->lock);
}

static uint64_t word(const uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_RELAXED);
}

void table_copy(const struct table_entry *entry, struct table_entry *ret)
{
    *ret = (struct table_entry){.id = entry->id,
                                .thread = entry->thread,
                                .transport = entry->transport,
                                .outgoing = entry->outgoing,
                                .local = entry->local,
                                .peer = entry->peer,
                                .alias = entry->alias,
                                .since_ms = entry->since_ms,
                                .active_ms = word(&entry->active_ms),
                                .bytes_in = word(&entry->bytes_in),
                                .bytes_out = word(&entry->bytes_out),
                                .messages_in = word(&entry->messages_in),
                                .messages_out = word(&entry->messages_out)};
    memcpy(ret->sni, entry->sni, sizeof(ret->sni));
    memcpy(ret->cipher, entry->cipher, sizeof(ret->cipher));
}

uint32_t table_size(struct table *table)
{
    uint32_t n;

    pthread_mutex_lock(&table->lock);
    n = table->n;
    pthread_mutex_unlock(&table->lock);
    return n;
}

void table_each(struct table *table, void (*fn)(void *arg, const struct table_entry *entry),
                void *arg)
{
    pthread_mutex_lock(&table->lock);
    for (uint32_t home = 0; home < BUCKETS; home++) {
        for (const struct table_entry *e = table->by_id[home]; e != NULL; e = e->next_by_id)
            fn(arg, e);
    }
    pthread_mutex_unlock(&table->lock);
}
