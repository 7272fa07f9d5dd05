/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offers of snapshots, with real memfds: what is refused leaves the old one in place, slots stay
 * with their backends, and nothing is unmapped that a worker may still read. Also the counters'
 * names, which travel with their values.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/compile.h"
#include "dataplane/publish.h"

enum { WORKERS = 2 };

static const char *const HEAD = "node: lb1\n"
                                "dataplane:\n"
                                "  ports:\n"
                                "    - {name: p, driver: af_packet, device: eth0, tap: tap0}\n"
                                "services:\n";
static const char *const POOLS = "pools:\n"
                                 "  - name: proxies\n"
                                 "    backends:\n";

/* Of the n services whose names' numbers begin at `first`: a port each. */
static struct snapshot *compile_services(uint32_t first, uint32_t n, const char *digits,
                                         uint64_t generation)
{
    char path[] = "/tmp/tandem-publish-XXXXXX";
    struct compile_secret secret = {
        .seed = {1, 2}, .mac[SNAPSHOT_MAC_CURRENT] = {.id = 1, .valid = 1, .key = {3, 4}}};
    struct compile_input input = {.secret = &secret, .generation = generation};
    struct snapshot *snapshot = NULL;
    struct cfg_error error;
    struct cfg *cfg;
    FILE *file = fdopen(mkstemp(path), "w");

    assert_non_null(file);
    fputs(HEAD, file);
    for (uint32_t i = 0; i < n; i++)
        fprintf(file,
                "  - name: calls%u\n"
                "    pool: proxies\n"
                "    listen: [{transport: udp, address: 192.0.2.10, port: %u}]\n",
                first + i, 5060 + i);
    fputs(POOLS, file);
    for (; *digits != '\0'; digits++)
        fprintf(file, "      - {name: b%c, address: 10.0.0.1%c, port: 5060}\n", *digits, *digits);
    fclose(file);
    cfg = cfg_load(path, &error);
    unlink(path);
    if (cfg == NULL)
        fail_msg("line %u: %s: %s", error.line, error.key, error.reason);
    input.cfg = cfg;
    assert_int_equal(compile_snapshot(&input, &snapshot), 0);
    cfg_free(cfg);
    return snapshot;
}

/* A snapshot of the backends with these last digits, for free(). */
static struct snapshot *compile(const char *digits, uint64_t generation)
{
    return compile_services(0, 1, digits, generation);
}

/* What a test stands on: counters and a publish without workers online. */
struct stage {
    struct counters_header *counters;
    struct publish *publish;
};

static struct stage stage_new(void)
{
    uint64_t bytes = counters_bytes(WORKERS);
    void *memory = aligned_alloc(64, bytes);
    struct stage stage;

    assert_non_null(memory);
    memset(memory, 0, bytes);
    stage.counters = counters_init(memory, WORKERS, 7, 8, 9);
    stage.publish = publish_new(WORKERS, stage.counters);
    assert_non_null(stage.publish);
    return stage;
}

static void stage_free(struct stage *stage)
{
    publish_free(stage->publish);
    free(stage->counters);
}

static const struct snapshot *in_use(const struct stage *stage)
{
    const struct proxy_view *view = publish_read(stage->publish).view;

    return view == NULL ? NULL : view->snapshot;
}

/* Offers a snapshot in a sealed memfd; frees it. */
static int offer(struct stage *stage, struct snapshot *snapshot, uint64_t size, uint64_t generation)
{
    const char *reason = NULL;
    int fd = compile_memfd(snapshot), status;

    assert_true(fd >= 0);
    status = publish_snapshot(stage->publish, fd, size, generation, &reason);
    if (status < 0)
        assert_non_null(reason);
    close(fd);
    free(snapshot);
    return status;
}

static int offer_good(struct stage *stage, const char *digits, uint64_t generation)
{
    struct snapshot *snapshot = compile(digits, generation);

    return offer(stage, snapshot, snapshot->size, generation);
}

static void test_refused(void **state)
{
    struct stage stage = stage_new();
    struct snapshot *snapshot;
    const struct snapshot *before;
    const char *reason;
    int fd;

    assert_null(in_use(&stage));
    assert_int_equal(offer_good(&stage, "12", 5), 0);
    before = in_use(&stage);
    assert_int_equal(before->generation, 5);
    assert_int_equal(stage.counters->generation, 5);

    snapshot = compile("12", 6); /* another size than the memfd's */
    assert_true(offer(&stage, snapshot, snapshot->size - 8, 6) < 0);
    snapshot = compile("12", 6); /* another generation than the snapshot's */
    assert_true(offer(&stage, snapshot, snapshot->size, 7) < 0);
    snapshot = compile("12", 6); /* an offset out of the block */
    snapshot->services.offset = 1 << 29;
    assert_true(offer(&stage, snapshot, snapshot->size, 6) < 0);

    snapshot = compile("12", 6); /* a memfd that its owner can still write */
    fd = memfd_create("unsealed", MFD_ALLOW_SEALING);
    assert_int_equal(write(fd, snapshot, snapshot->size), snapshot->size);
    assert_int_equal(publish_snapshot(stage.publish, fd, snapshot->size, 6, &reason), -EPERM);
    close(fd);
    free(snapshot);

    assert_ptr_equal(in_use(&stage), before);
    assert_int_equal(before->generation, 5);
    assert_int_equal(stage.counters->generation, 5);
    stage_free(&stage);
}

/* The slot of a backend by its last digit, as the view has it both ways; -1: not there. */
static int32_t slot_of(const struct stage *stage, char digit)
{
    const struct proxy_view *view = publish_read(stage->publish).view;
    const char name[2] = {'b', digit};
    uint32_t id = snapshot_backend_id(sip_slice_of("proxies"), sip_slice(name, 2));
    int32_t backend = snapshot_backend_by_id(view->snapshot, id);

    if (backend < 0)
        return -1;
    assert_int_equal(view->backend_of[view->slot_of[backend]], backend);
    assert_int_equal(counters_slot_ids(stage->counters)[view->slot_of[backend]], id);
    return view->slot_of[backend];
}

/* A slot stays with its backend, and is free for another only after a sweep that began later. */
static void test_slots(void **state)
{
    struct stage stage = stage_new();
    uint32_t *used = calloc(COUNTERS_SLOTS, sizeof(*used));
    int32_t one, two;

    assert_int_equal(offer_good(&stage, "12", 1), 0);
    one = slot_of(&stage, '1');
    two = slot_of(&stage, '2');
    assert_int_equal(offer_good(&stage, "32", 2), 0);
    assert_int_equal(slot_of(&stage, '2'), two);
    assert_int_equal(slot_of(&stage, '1'), -1);
    assert_int_not_equal(slot_of(&stage, '3'), one);
    assert_int_equal(publish_read(stage.publish).view->backend_of[one], LB_NO_BACKEND);

    publish_sweep_begin(stage.publish);
    used[one] = 1; /* a call of it goes on */
    publish_sweep_end(stage.publish, used);
    assert_int_equal(offer_good(&stage, "324", 3), 0);
    assert_int_not_equal(slot_of(&stage, '4'), one);

    publish_sweep_begin(stage.publish);
    used[one] = 0;
    publish_sweep_end(stage.publish, used);
    assert_int_equal(counters_slot_ids(stage.counters)[one], 0);
    assert_int_equal(offer_good(&stage, "3245", 4), 0);
    assert_int_equal(slot_of(&stage, '5'), one);
    free(used);
    stage_free(&stage);
}

/* Nor by a sweep that began while a worker could still make entries by the old snapshot. */
static void test_slots_and_grace(void **state)
{
    struct stage stage = stage_new();
    uint32_t *used = calloc(COUNTERS_SLOTS, sizeof(*used));
    const uint32_t *slot_ids = counters_slot_ids(stage.counters);
    int32_t one;

    assert_int_equal(offer_good(&stage, "12", 1), 0);
    one = slot_of(&stage, '1');
    publish_online(stage.publish, 0);
    assert_int_equal(offer_good(&stage, "2", 2), 0);
    publish_sweep_begin(stage.publish);
    publish_quiescent(stage.publish, 0); /* its entry may lie behind the sweep */
    publish_sweep_end(stage.publish, used);
    assert_int_not_equal(slot_ids[one], 0);

    publish_sweep_begin(stage.publish);
    publish_sweep_end(stage.publish, used);
    assert_int_equal(slot_ids[one], 0);
    publish_offline(stage.publish, 0);
    free(used);
    stage_free(&stage);
}

/* A service's slot is given to no other while a worker may still count in it. */
static void test_services_and_grace(void **state)
{
    struct stage stage = stage_new();
    struct snapshot *snapshot;
    uint16_t slot;

    snapshot = compile_services(0, SNAPSHOT_SERVICES_MAX, "1", 1);
    assert_int_equal(offer(&stage, snapshot, snapshot->size, 1), 0);
    slot = publish_read(stage.publish).service_slots[0];
    publish_online(stage.publish, 0); /* and reads that one */
    snapshot = compile_services(SNAPSHOT_SERVICES_MAX, SNAPSHOT_SERVICES_MAX, "1", 2);
    assert_int_equal(offer(&stage, snapshot, snapshot->size, 2), 0);
    snapshot = compile_services(2 * SNAPSHOT_SERVICES_MAX, 1, "1", 3);
    assert_int_equal(offer(&stage, snapshot, snapshot->size, 3), -EBUSY);
    assert_int_equal(in_use(&stage)->generation, 2);
    counters_service_block(stage.counters, 1, slot)[COUNTERS_SERVICE_DROPPED] = 9;

    publish_quiescent(stage.publish, 0);
    snapshot = compile_services(2 * SNAPSHOT_SERVICES_MAX, 1, "1", 3);
    publish_offline(stage.publish, 0);
    assert_int_equal(offer(&stage, snapshot, snapshot->size, 3), 0);
    assert_int_equal(counters_service_sum(stage.counters, slot, COUNTERS_SERVICE_DROPPED), 0);
    assert_int_equal(
        counters_service_sum(stage.counters, COUNTERS_SERVICE_GONE, COUNTERS_SERVICE_DROPPED), 9);
    stage_free(&stage);
}

/* While a worker is stuck, fibs are refused rather than the one that it reads freed. */
static void test_stuck(void **state)
{
    struct stage stage = stage_new();
    uint32_t taken = 0;

    publish_online(stage.publish, 0);
    while (taken < 1000 && publish_fib(stage.publish, io_fib_new(NULL, 0, NULL, 0)))
        taken++;
    assert_in_range(taken, 2, 999);
    publish_quiescent(stage.publish, 0);
    assert_true(publish_fib(stage.publish, io_fib_new(NULL, 0, NULL, 0)));
    publish_offline(stage.publish, 0);
    stage_free(&stage);
}

static bool is_mapped(const void *at)
{
    return msync((void *)((uintptr_t)at & ~(uintptr_t)4095), 4096, MS_ASYNC) == 0;
}

/* The old snapshot stays mapped until each worker that is online has been quiescent. */
static void test_grace(void **state)
{
    struct stage stage = stage_new();
    const struct snapshot *old;

    assert_int_equal(offer_good(&stage, "12", 1), 0);
    old = in_use(&stage);
    publish_online(stage.publish, 0);
    publish_online(stage.publish, 1);
    assert_int_equal(offer_good(&stage, "1", 2), 0);
    assert_int_equal(in_use(&stage)->generation, 2);
    publish_reap(stage.publish);
    assert_true(is_mapped(old));
    assert_int_equal(old->generation, 1);

    publish_quiescent(stage.publish, 0);
    publish_reap(stage.publish);
    assert_true(is_mapped(old));
    publish_offline(stage.publish, 1); /* who is away reads nothing */
    publish_reap(stage.publish);
    assert_false(is_mapped(old));
    publish_offline(stage.publish, 0);
    stage_free(&stage);
}

/* Each counter has a name of its own, in memory that readers accept. */
static void test_counter_names(void **state)
{
    struct stage stage = stage_new();
    const struct counters_header *h = stage.counters;

    assert_int_equal(counters_check(h, counters_bytes(WORKERS)), 0);
    assert_int_equal(h->n_blocks, 1 + WORKERS);
    for (uint32_t i = 0; i < COUNTER_COUNT; i++) {
        assert_true(counters_name(h, i)[0] != '\0');
        assert_true(strlen(counters_name(h, i)) < COUNTERS_NAME_MAX - 1);
        for (uint32_t j = 0; j < i; j++)
            assert_string_not_equal(counters_name(h, i), counters_name(h, j));
    }
    stage_free(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_slots),
        cmocka_unit_test(test_slots_and_grace), cmocka_unit_test(test_services_and_grace),
        cmocka_unit_test(test_stuck),           cmocka_unit_test(test_grace),
        cmocka_unit_test(test_counter_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
