/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of the call table share: a table in memory of its own, with counts. */
#ifndef TANDEM_TESTS_LB_CALL_FIXTURE_H
#define TANDEM_TESTS_LB_CALL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/lb/call_table.h"

enum { SLOTS = 16, T0 = 1000000 };

struct fixture {
    struct lb_call_table *table;
    struct lb_call_counts counts;
    uint64_t started[SLOTS], ended[SLOTS];
    uint64_t registered[SLOTS], unregistered[SLOTS];
    uint64_t subscribed[SLOTS], unsubscribed[SLOTS];
};

static inline struct fixture *fixture_new(uint64_t entries)
{
    struct fixture *f = calloc(1, sizeof *f);
    void *memory = aligned_alloc(128, lb_call_table_bytes(entries));

    assert_non_null(f);
    assert_non_null(memory);
    memset(memory, 0, lb_call_table_bytes(entries));
    f->table = lb_call_table_init(memory, entries);
    assert_non_null(f->table);
    f->counts = (struct lb_call_counts){.started = {f->started, f->registered, f->subscribed},
                                        .ended = {f->ended, f->unregistered, f->unsubscribed},
                                        .n_slots = SLOTS};
    return f;
}

static inline void fixture_free(struct fixture *f)
{
    free(f->table);
    free(f);
}

/* Hashes of one set: the low bits choose it, the high ones tell them apart. */
static inline uint64_t hash_of(uint32_t i)
{
    return (uint64_t)(i + 1) << 24;
}

static inline struct lb_call put(struct fixture *f, uint64_t hash, uint16_t slot, enum lb_call_state state,
                          uint32_t now_s)
{
    struct lb_call call;

    lb_call_put(f->table, hash, slot, state, 0xabc, now_s, &f->counts, &call);
    return call;
}

static inline bool has(const struct fixture *f, uint64_t hash, uint32_t now_s)
{
    struct lb_call call;

    return lb_call_find(f->table, hash, now_s, &call);
}

#endif
