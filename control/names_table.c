/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table of names with chains: see names_table.h.
 */
#include "control/names_table.h"

#include <stdlib.h>
#include <string.h>

#include "control/names.h"

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static void name_free(struct name *name)
{
    free(name->targets);
    free(name);
}

void names_table_done(struct names_table *table)
{
    for (uint32_t b = 0; b < NAMES_BUCKETS; b++) {
        while (table->buckets[b] != NULL) {
            struct name *name = table->buckets[b];

            table->buckets[b] = name->next;
            name_free(name);
        }
    }
    table->n = 0;
}

struct name *names_table_find(const struct names_table *table, uint64_t hash)
{
    struct name *name = table->buckets[hash % NAMES_BUCKETS];

    while (name != NULL && name->hash != hash)
        name = name->next;
    return name;
}

static void remove_name(struct names_table *table, struct name *name)
{
    struct name **at = &table->buckets[name->hash % NAMES_BUCKETS];

    while (*at != name)
        at = &(*at)->next;
    *at = name->next;
    table->n--;
    name_free(name);
}

/* Nobody is asked for it, and no message waits. */
static bool is_idle(const struct name *name)
{
    return !name->asking && name->waiting == NULL;
}

/* The one to go: NULL when all are waited for. */
static struct name *oldest(const struct names_table *table)
{
    struct name *oldest = NULL;

    for (uint32_t b = 0; b < NAMES_BUCKETS; b++) {
        for (struct name *name = table->buckets[b]; name != NULL; name = name->next) {
            if (is_idle(name) && (oldest == NULL || name->answered_ms < oldest->answered_ms))
                oldest = name;
        }
    }
    return oldest;
}

struct name *names_table_add(struct names_table *table, uint64_t hash, struct sip_slice host,
                             uint16_t port, uint8_t transport)
{
    struct name *gone = table->n >= SNAPSHOT_NAMES_MAX ? oldest(table) : NULL, *name;

    if (table->n >= SNAPSHOT_NAMES_MAX && gone == NULL)
        return NULL;
    name = calloc(1, sizeof(*name) + host.length + 1);
    if (name == NULL)
        return NULL;
    if (gone != NULL)
        remove_name(table, gone);
    if (host.length > 0 && host.at[host.length - 1] == '.')
        host.length--;
    for (uint32_t i = 0; i < host.length; i++)
        name->host[i] = lower(host.at[i]);
    name->hash = hash;
    name->port = port;
    name->transport = transport;
    name->waiting_end = &name->waiting;
    name->next = table->buckets[hash % NAMES_BUCKETS];
    table->buckets[hash % NAMES_BUCKETS] = name;
    table->n++;
    return name;
}

bool names_use_stale(struct name *name, uint64_t now_ms)
{
    if (name->good_until_ms <= now_ms)
        return false;
    name->stale = true;
    name->until_ms = now_ms + NAMES_RETRY_S * 1000u;
    return true;
}

bool names_answer(struct name *name, const struct dns_result *result, uint64_t now_ms)
{
    struct snapshot_target *targets;

    targets = calloc(result->n_targets + 1u, sizeof(*targets));
    if (targets == NULL)
        return false;
    if (result->n_targets > 0)
        memcpy(targets, result->targets, result->n_targets * sizeof(*targets));
    free(name->targets);
    name->targets = targets;
    name->n_targets = result->n_targets;
    name->outcome = result->outcome;
    name->answered = true;
    name->stale = name->said = false;
    name->answered_ms = now_ms;
    name->until_ms = now_ms + result->ttl_s * 1000u;
    name->good_until_ms = result->outcome == SNAPSHOT_NAME_FOUND
                              ? name->until_ms + NAMES_STALE_S * UINT64_C(1000)
                              : 0;
    return true;
}

bool names_table_sweep(struct names_table *table, uint64_t now_ms)
{
    bool over = false;

    for (uint32_t b = 0; b < NAMES_BUCKETS; b++) {
        struct name *name = table->buckets[b], *next;

        for (; name != NULL; name = next) {
            next = name->next;
            if (names_holds(name, now_ms))
                continue;
            over |= name->published;
            if (is_idle(name) && name->good_until_ms <= now_ms)
                remove_name(table, name);
        }
    }
    return over;
}

/* How much the block takes that holds those of the table that hold. */
static size_t block_size(const struct names_table *table, uint64_t now_ms)
{
    size_t size = sizeof(struct names_block);

    for (uint32_t b = 0; b < NAMES_BUCKETS; b++) {
        for (const struct name *name = table->buckets[b]; name != NULL; name = name->next) {
            if (names_holds(name, now_ms))
                size += sizeof(struct compile_name) +
                        name->n_targets * sizeof(struct snapshot_target) + strlen(name->host) + 1;
        }
    }
    return size;
}

/* Copies `size` bytes to *at and moves it behind them. */
static const void *add(char **at, const void *from, size_t size)
{
    void *to = *at;

    if (size > 0)
        memcpy(to, from, size);
    *at += size;
    return to;
}

/* The block: names first, then all targets, then all texts, which need no alignment. */
struct names_block *names_table_publish(struct names_table *table, uint64_t now_ms)
{
    struct names_block *block = calloc(1, block_size(table, now_ms));
    char *at;
    uint32_t i = 0;

    if (block == NULL)
        return NULL;
    for (uint32_t b = 0; b < NAMES_BUCKETS; b++) {
        for (struct name *name = table->buckets[b]; name != NULL; name = name->next) {
            name->published = names_holds(name, now_ms);
            if (name->published)
                block->names[block->n++] = (struct compile_name){.host = name->host,
                                                                 .port = name->port,
                                                                 .transport = name->transport,
                                                                 .outcome = name->outcome,
                                                                 .targets = name->targets,
                                                                 .n_targets = name->n_targets};
        }
    }
    at = (char *)&block->names[block->n];
    for (i = 0; i < block->n; i++)
        block->names[i].targets = add(&at, block->names[i].targets,
                                      block->names[i].n_targets * sizeof(struct snapshot_target));
    for (i = 0; i < block->n; i++)
        block->names[i].host = add(&at, block->names[i].host, strlen(block->names[i].host) + 1);
    return block;
}
