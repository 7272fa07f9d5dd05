/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of names and until when, and its copy for snapshots. No clock: the time is a
 * parameter, in milliseconds. For names.c alone.
 */
#ifndef TANDEM_CONTROL_NAMES_TABLE_H
#define TANDEM_CONTROL_NAMES_TABLE_H

#include "config/compile.h"
#include "control/dns.h"

enum { NAMES_BUCKETS = 1024 };

struct message;
struct names;

struct name {
    struct name *next;                /* in its bucket */
    uint64_t hash;
    uint16_t port;
    uint8_t transport;
    /* The answer. */
    bool answered;
    bool stale;                       /* its time was over, and DNS did not answer */
    uint8_t outcome;
    uint32_t n_targets;
    struct snapshot_target *targets;
    uint64_t answered_ms;             /* 0: not yet */
    uint64_t until_ms;                /* it is in snapshots until then; 0: in none */
    uint64_t good_until_ms;           /* it may be used until then, since it has targets; 0: not */
    /* names.c's. */
    struct names *names;
    bool asking, said;                /* said: that it is stale, to the log */
    bool published;                   /* in the block made last */
    uint64_t asked_ms;
    struct message *waiting, **waiting_end;
    char host[];                      /* lower case, no dot at its end */
};

struct names_table {
    struct name *buckets[NAMES_BUCKETS];
    uint32_t n;                       /* at most SNAPSHOT_NAMES_MAX */
};

/* A copy of all that hold, for compile_live. One block for free(). */
struct names_block {
    uint32_t n;
    struct compile_name names[];
};

void names_table_done(struct names_table *table);

/* The name of that hash (snapshot_name_hash); NULL: not there. */
struct name *names_table_find(const struct names_table *table, uint64_t hash);

/* Adds one. When there is no room, the one that was answered longest ago and that nobody waits for
 * goes. NULL: no memory, or all are waited for. */
struct name *names_table_add(struct names_table *table, uint64_t hash, struct sip_slice host,
                             uint16_t port, uint8_t transport);

/* Takes an answer in the place of the one before. False: no memory; nothing changed. */
bool names_answer(struct name *name, const struct dns_result *result, uint64_t now_ms);

/* Uses the last good answer a while longer. False: there is none. */
bool names_use_stale(struct name *name, uint64_t now_ms);

static inline bool names_holds(const struct name *name, uint64_t now_ms)
{
    return name->until_ms > now_ms;
}

/* Forgets those that are of no use any more. Returns whether a published one is over. */
bool names_table_sweep(struct names_table *table, uint64_t now_ms);

/* Copies those that hold and notes which are in it. NULL: no memory; nothing changed. */
struct names_block *names_table_publish(struct names_table *table, uint64_t now_ms);

#endif
