/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots of services: they stay with their names over snapshots that number services anew, and what
 * was counted never becomes another service's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/services.h"

enum { WORKERS = 2, NAME_BYTES = 8 };

/* What services.c reads of a snapshot: service i, of the i-th name, has listener n - 1 - i. */
struct block {
    struct snapshot s;
    struct snapshot_service services[SNAPSHOT_SERVICES_MAX];
    struct snapshot_listener listeners[SNAPSHOT_SERVICES_MAX];
    char text[SNAPSHOT_SERVICES_MAX * NAME_BYTES];
};

struct stage {
    struct counters_header *counters;
    struct services *services;
    struct block block;
    uint16_t slots[SNAPSHOT_SERVICES_MAX]; /* of the listeners */
};

static struct stage *stage_new(void)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    uint64_t bytes = counters_bytes(WORKERS);
    void *memory = aligned_alloc(64, bytes);

    assert_non_null(stage);
    assert_non_null(memory);
    memset(memory, 0, bytes);
    stage->counters = counters_init(memory, WORKERS, 7, 8, 9);
    stage->services = services_new(stage->counters);
    assert_non_null(stage->services);
    return stage;
}

static void stage_free(struct stage *stage)
{
    services_free(stage->services);
    free(stage->counters);
    free(stage);
}

/* Names a snapshot's services by numbers: first, first + step… */
static const struct snapshot *snapshot_of(struct stage *stage, uint32_t first, int32_t step,
                                          uint32_t n)
{
    struct block *block = &stage->block;

    memset(block, 0, sizeof(*block));
    block->s.services = (struct snapshot_array){(uint32_t)offsetof(struct block, services), n};
    block->s.listeners = (struct snapshot_array){(uint32_t)offsetof(struct block, listeners), n};
    block->s.text.offset = (uint32_t)offsetof(struct block, text);
    for (uint32_t i = 0; i < n; i++) {
        char name[NAME_BYTES + 1];

        snprintf(name, sizeof(name), "%08u", first + (uint32_t)(step * (int32_t)i));
        memcpy(block->text + i * NAME_BYTES, name, NAME_BYTES);
        block->services[i].name = (struct lb_text){i * NAME_BYTES, NAME_BYTES};
        block->listeners[n - 1 - i].service = i;
    }
    return &block->s;
}

static void assign(struct stage *stage, uint32_t first, int32_t step, uint32_t n)
{
    const struct snapshot *s = snapshot_of(stage, first, step, n);

    if (!services_fit(stage->services, s))
        services_reclaim(stage->services);
    assert_true(services_fit(stage->services, s));
    services_assign(stage->services, s, stage->slots);
}

/* The slot of the i-th service of n. */
static uint16_t slot_of(const struct stage *stage, uint32_t i, uint32_t n)
{
    return stage->slots[n - 1 - i];
}

/* As a worker does it. */
static void count(struct stage *stage, uint32_t worker, uint16_t slot, enum counters_service what,
                  uint64_t n)
{
    counters_add(&counters_service_block(stage->counters, 1 + worker, slot)[what], n);
}

static void slots_follow_names(void **state)
{
    struct stage *stage = stage_new();
    uint16_t before[3];

    assign(stage, 0, 1, 3);
    for (uint32_t i = 0; i < 3; i++) {
        before[i] = slot_of(stage, i, 3);
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(before[i], before[j]);
    }
    assign(stage, 2, -1, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(slot_of(stage, i, 3), before[2 - i]);
    assign(stage, 3, 1, 1); /* all others left */
    for (uint32_t i = 0; i < 3; i++)
        assert_int_not_equal(slot_of(stage, 0, 1), before[i]);
    count(stage, 0, before[1], COUNTERS_SERVICE_DROPPED, 4);
    assign(stage, 1, 1, 1); /* one is back: it counts on */
    assert_int_equal(slot_of(stage, 0, 1), before[1]);
    assert_int_equal(counters_service_sum(stage->counters, before[1], COUNTERS_SERVICE_DROPPED), 4);
    stage_free(stage);
}

static uint64_t sum_of_all(const struct stage *stage, enum counters_service what)
{
    uint64_t sum = 0;

    for (uint32_t slot = 0; slot < stage->counters->n_services; slot++)
        sum += counters_service_sum(stage->counters, slot, what);
    return sum;
}

/* Where all slots were given out, those of services that left are, from 0; nothing is lost. */
static void given_away_slots_begin_at_zero(void **state)
{
    struct stage *stage = stage_new();
    const uint32_t n = SNAPSHOT_SERVICES_MAX;
    const uint32_t *ids = counters_service_ids(stage->counters);
    uint64_t counted = 0;

    for (uint32_t turn = 0; turn < 7; turn++) {
        assign(stage, turn * n, 1, n);
        for (uint32_t i = 0; i < n; i++) {
            uint16_t slot = slot_of(stage, i, n);

            assert_int_equal(ids[slot], snapshot_service_id(snapshot_text(
                                            &stage->block.s, stage->block.services[i].name)));
            for (int what = 0; what < COUNTERS_SERVICE_COUNT; what++)
                assert_int_equal(
                    counters_service_sum(stage->counters, slot, (enum counters_service)what), 0);
            count(stage, i % WORKERS, slot, COUNTERS_SERVICE_REQUESTS, 1 + turn + i);
            count(stage, 1 - i % WORKERS, slot, COUNTERS_SERVICE_PUNTED, 2);
            counted += 1 + turn + i;
        }
        assert_int_equal(sum_of_all(stage, COUNTERS_SERVICE_REQUESTS), counted);
        assert_int_equal(sum_of_all(stage, COUNTERS_SERVICE_PUNTED), 2 * n * (turn + 1));
    }
    assert_int_equal(
        counters_service_sum(stage->counters, COUNTERS_SERVICE_GONE, COUNTERS_SERVICE_PUNTED),
        2 * n * 5);
    assert_int_equal(ids[COUNTERS_SERVICE_GONE], 0);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_follow_names),
        cmocka_unit_test(given_away_slots_begin_at_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
