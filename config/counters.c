/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are in the memfd of counters, the check of a layout that another process wrote, and
 * sums over its blocks. It must not know what any counter means.
 */
#include "config/counters.h"

#include <errno.h>
#include <string.h>

enum { LINE_BYTES = 64 }; /* a block has its cache lines for itself: one writer each */

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
}

uint64_t counters_layout(struct counters_header *header)
{
    uint64_t slot_bytes = sizeof(uint64_t) * COUNTERS_SLOT_COUNT * header->n_slots;
    uint64_t service_bytes = sizeof(uint64_t) * COUNTERS_SERVICE_WORDS * header->n_services;

    header->names = round_up(sizeof(*header));
    header->slot_ids = round_up(header->names + (uint64_t)header->n_counters * COUNTERS_NAME_MAX);
    header->service_ids = round_up(header->slot_ids + sizeof(uint32_t) * (uint64_t)header->n_slots);
    header->blocks =
        round_up(header->service_ids + sizeof(uint32_t) * (uint64_t)header->n_services);
    header->slot_values = round_up(sizeof(uint64_t) * (uint64_t)header->n_counters);
    header->service_values = round_up(header->slot_values + slot_bytes);
    header->block_stride = header->service_values + service_bytes;
    header->size = header->blocks + header->n_blocks * header->block_stride;
    return header->size;
}

/* Whether n items of item_bytes at an aligned offset lie within `size` and behind the header. */
static int lies_within(uint64_t offset, uint64_t n, uint64_t item_bytes, uint64_t align,
                       uint64_t size)
{
    if (offset % align != 0 || offset < sizeof(struct counters_header) || offset > size)
        return 0;
    return item_bytes == 0 || n <= (size - offset) / item_bytes;
}

/* Whether a block's own parts lie within its stride. */
static int block_holds(const struct counters_header *h)
{
    uint64_t slot_bytes = sizeof(uint64_t) * COUNTERS_SLOT_COUNT * (uint64_t)h->n_slots;
    uint64_t service_bytes = sizeof(uint64_t) * COUNTERS_SERVICE_WORDS * (uint64_t)h->n_services;

    return h->block_stride != 0 && h->block_stride % LINE_BYTES == 0 &&
           h->slot_values % sizeof(uint64_t) == 0 &&
           h->slot_values >= sizeof(uint64_t) * (uint64_t)h->n_counters &&
           h->slot_values <= h->service_values && slot_bytes <= h->service_values - h->slot_values &&
           h->service_values % sizeof(uint64_t) == 0 && h->service_values <= h->block_stride &&
           service_bytes <= h->block_stride - h->service_values;
}

int counters_check(const void *memory, uint64_t size)
{
    const struct counters_header *h = memory;

    if ((uintptr_t)memory % sizeof(uint64_t) != 0 || size < sizeof(*h))
        return -EINVAL;
    if (h->magic != COUNTERS_MAGIC || h->size != size || h->n_blocks == 0)
        return -EINVAL;
    if (!lies_within(h->names, h->n_counters, COUNTERS_NAME_MAX, 1, size) ||
        !lies_within(h->slot_ids, h->n_slots, sizeof(uint32_t), sizeof(uint32_t), size) ||
        !lies_within(h->service_ids, h->n_services, sizeof(uint32_t), sizeof(uint32_t), size) ||
        !block_holds(h) ||
        !lies_within(h->blocks, h->n_blocks, h->block_stride, sizeof(uint64_t), size))
        return -EINVAL;
    for (uint32_t i = 0; i < h->n_counters; i++) {
        if (memchr(counters_name(h, i), '\0', COUNTERS_NAME_MAX) == NULL)
            return -EINVAL;
    }
    return 0;
}

bool counters_is_time(const struct counters_header *h, uint32_t counter)
{
    static const char end[] = "cycles";
    const char *name = counters_name(h, counter);
    size_t length = strlen(name);

    return length >= sizeof(end) - 1 && strcmp(name + length - (sizeof(end) - 1), end) == 0;
}

uint64_t counters_sum(const struct counters_header *h, uint32_t counter)
{
    uint64_t sum = 0;

    for (uint32_t block = 0; block < h->n_blocks; block++)
        sum += __atomic_load_n(&counters_block(h, block)[counter], __ATOMIC_RELAXED);
    return sum;
}

uint64_t counters_slot_sum(const struct counters_header *h, uint32_t slot, enum counters_slot what)
{
    uint64_t sum = 0;

    for (uint32_t block = 0; block < h->n_blocks; block++)
        sum += __atomic_load_n(&counters_slot_block(h, block, what)[slot], __ATOMIC_RELAXED);
    return sum;
}

const char *counters_service_name(enum counters_service what)
{
    static const char *const names[COUNTERS_SERVICE_COUNT] = {
        [COUNTERS_SERVICE_REQUESTS] = "forwarded_request",
        [COUNTERS_SERVICE_RESPONSES] = "forwarded_response",
        [COUNTERS_SERVICE_REPLIED] = "replied",
        [COUNTERS_SERVICE_DROPPED] = "dropped",
        [COUNTERS_SERVICE_PUNTED] = "punted",
    };

    return names[what];
}

uint64_t counters_service_sum(const struct counters_header *h, uint32_t slot,
                              enum counters_service what)
{
    uint64_t sum = 0;

    for (uint32_t block = 0; block < h->n_blocks; block++)
        sum += __atomic_load_n(&counters_service_block(h, block, slot)[what], __ATOMIC_RELAXED);
    return sum;
}
