/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call table under threads that want the same few sets at once. Afterwards, for each slot,
 * started minus ended is the number of its BEGUN and LIVE entries, and no hash has two entries;
 * meanwhile no find returns another hash's slot. Failures are counted and asserted at the end:
 * cmocka's asserts belong to the main thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/lb/call_table.h"
#include "dataplane/lb/siphash.h"

enum { THREADS = 4, ENTRIES_MAX = 32, HASHES_MAX = 48, SLOTS = 2 * HASHES_MAX, T0 = 50000 };

struct job {
    struct lb_call_table *table;
    struct lb_call_counts counts;
    uint64_t started[SLOTS], ended[SLOTS];
    uint64_t seed;
    uint64_t foreign; /* finds and puts that returned another hash's slot */
    uint64_t found;
    uint32_t n_hashes;
    uint32_t steps;
    bool sweeps;
};

static uint64_t hash_of(uint32_t i)
{
    static const struct lb_key key = {1, 2};

    return lb_siphash13(&key, &i, sizeof i);
}

/* Xorshift (Marsaglia 2003): a thread's own sequence. */
static uint32_t next_random(struct job *job)
{
    job->seed ^= job->seed << 13;
    job->seed ^= job->seed >> 7;
    job->seed ^= job->seed << 17;
    return (uint32_t)(job->seed >> 32);
}

/* One step: hash i only ever gets the slots 2i and 2i + 1. */
static void step(struct job *job, uint32_t now_s)
{
    uint32_t r = next_random(job), i = (r >> 8) % job->n_hashes;
    enum lb_call_state state = (enum lb_call_state)(1 + (r >> 20) % (LB_CALL_STATE_COUNT - 1));
    struct lb_call call;

    if (r % 8 < 3) {
        lb_call_put(job->table, hash_of(i), (uint16_t)(2 * i + (r >> 30) % 2), state, r, now_s,
                    &job->counts, &call);
        job->foreign += call.slot / 2 != i;
        return;
    }
    if (!lb_call_find(job->table, hash_of(i), now_s, &call))
        return;
    job->found++;
    job->foreign += call.slot / 2 != i;
    if (r % 8 < 5)
        (void)lb_call_change(job->table, &call, state, now_s, &job->counts);
    else if (r % 8 < 7)
        (void)lb_call_change(job->table, &call, LB_CALL_FREE, now_s, &job->counts);
    else
        lb_call_note(job->table, &call, r, r & 1, now_s);
}

static void *run(void *arg)
{
    struct job *job = arg;

    for (uint32_t n = 0; n < job->steps; n++) {
        /* Some seconds pass, a few at a time, so that ENDED and OTHER expire in between. */
        uint32_t now_s = T0 + n / 256;

        step(job, now_s);
        if (job->sweeps && n % 64 == 0)
            lb_call_sweep(job->table, n / 8, 8, now_s, &job->counts, NULL, 0);
    }
    return NULL;
}

/* What is in the table at the end against what the threads counted. */
static void assert_balanced(struct job jobs[THREADS], uint32_t now_s)
{
    struct lb_call_table *table = jobs[0].table;
    uint32_t used[SLOTS] = {0}, counted[SLOTS] = {0};
    uint64_t entries = lb_call_table_entries(table);

    lb_call_sweep(table, 0, entries, now_s, &jobs[0].counts, used, SLOTS);
    for (uint32_t i = 0; i < jobs[0].n_hashes; i++) {
        struct lb_call call;

        assert_true(used[2 * i] + used[2 * i + 1] <= 1);
        if (!lb_call_find(table, hash_of(i), now_s, &call))
            continue;
        assert_int_equal(used[call.slot], 1);
        counted[call.slot] += call.state == LB_CALL_BEGUN || call.state == LB_CALL_LIVE;
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        uint64_t balance = 0;

        for (int t = 0; t < THREADS; t++)
            balance += jobs[t].started[slot] - jobs[t].ended[slot];
        assert_true(balance == counted[slot]);
    }
}

static void hammer(uint64_t entries, uint32_t n_hashes, uint32_t steps)
{
    struct job *jobs = calloc(THREADS, sizeof *jobs);
    void *memory = aligned_alloc(128, lb_call_table_bytes(entries));
    struct lb_call_table *table;
    pthread_t threads[THREADS];

    assert_non_null(jobs);
    assert_non_null(memory);
    memset(memory, 0, lb_call_table_bytes(entries));
    table = lb_call_table_init(memory, entries);
    assert_non_null(table);
    for (int t = 0; t < THREADS; t++) {
        jobs[t].table = table;
        jobs[t].counts = (struct lb_call_counts){{jobs[t].started}, {jobs[t].ended}, SLOTS};
        jobs[t].seed = 88172645463325252u + (uint64_t)t * 7777;
        jobs[t].n_hashes = n_hashes;
        jobs[t].steps = steps;
        jobs[t].sweeps = t == 0;
        assert_int_equal(pthread_create(&threads[t], NULL, run, &jobs[t]), 0);
    }
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    for (int t = 0; t < THREADS; t++) {
        assert_int_equal(jobs[t].foreign, 0);
        assert_true(jobs[t].found > 0);
    }
    assert_balanced(jobs, T0 + steps / 256);
    free(memory);
    free(jobs);
}

/* More hashes than ways: entries are pushed out all the time. */
static void crowded_sets(void **state)
{
    hammer(ENTRIES_MAX, HASHES_MAX, 200000);
}

/* Few hashes in one set, with room: the same hash is put and dropped by several threads at once,
 * while other ways become free, so that two may insert it in different ways. */
static void same_hash_inserted_at_once(void **state)
{
    for (int round = 0; round < 40; round++)
        hammer(8, 7, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crowded_sets),
        cmocka_unit_test(same_hash_inserted_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
