/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rings merged: see rings.h. One record of each is held ready; the oldest goes first.
 */
#include "control/rings.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "control/log.h"

struct ring {
    struct capture_reader reader;
    bool ready; /* `copy` is the next one */
    bool empty; /* of what this look may see */
    bool gap;   /* before `copy`, or before what comes next */
    struct capture_copy copy;
};

struct rings {
    void *memory;
    size_t size;
    struct capture_header header; /* checked, and ours */
    uint64_t epoch;
    char (*names)[CAPTURE_NAME_MAX];
    struct ring *rings;
};

struct rings *rings_open(const struct link *link, bool from_beginning)
{
    struct rings *rings = calloc(1, sizeof(*rings));

    if (rings == NULL)
        return NULL;
    rings->memory = link_capture_map(link, &rings->size);
    if (rings->memory == NULL)
        goto failed;
    if (capture_open(rings->memory, rings->size, &rings->header) != 0) {
        log_error("the data plane's rings of captured messages are malformed");
        goto failed;
    }
    rings->epoch = link_hello(link)->epoch;
    rings->names = calloc(rings->header.n_ports, sizeof(*rings->names));
    rings->rings = calloc(rings->header.n_rings, sizeof(*rings->rings));
    if (rings->names == NULL || rings->rings == NULL)
        goto failed;
    for (uint32_t i = 0; i < rings->header.n_ports; i++)
        capture_name(&rings->header, rings->memory, i, rings->names[i]);
    for (uint32_t i = 0; i < rings->header.n_rings && !from_beginning; i++)
        capture_begin(&rings->header, rings->memory, i, &rings->rings[i].reader);
    return rings;
failed:
    rings_close(rings);
    return NULL;
}

void rings_close(struct rings *rings)
{
    if (rings == NULL)
        return;
    if (rings->memory != NULL)
        munmap(rings->memory, rings->size);
    free(rings->names);
    free(rings->rings);
    free(rings);
}

uint64_t rings_epoch(const struct rings *rings)
{
    return rings->epoch;
}

uint32_t rings_ports(const struct rings *rings)
{
    return rings->header.n_ports;
}

const char *rings_port_name(const struct rings *rings, uint32_t port)
{
    return rings->names[port];
}

void rings_look(struct rings *rings)
{
    for (uint32_t i = 0; i < rings->header.n_rings; i++)
        rings->rings[i].empty = false;
}

/* Has the next record of a ring ready, if there is one. */
static bool prepare(struct rings *rings, uint32_t i)
{
    struct ring *ring = &rings->rings[i];
    int64_t lost = ring->reader.lost;
    enum capture_taken taken;

    if (ring->ready || ring->empty)
        return ring->ready;
    taken = capture_take(&rings->header, rings->memory, i, &ring->reader, &ring->copy);
    if (taken == CAPTURE_LOST) { /* what is still there would be lost too by the next look */
        ring->gap = true;
        taken = capture_take(&rings->header, rings->memory, i, &ring->reader, &ring->copy);
    }
    ring->ready = taken == CAPTURE_TAKEN;
    ring->empty = !ring->ready;
    ring->gap |= taken == CAPTURE_LOST || ring->reader.lost != lost;
    return ring->ready;
}

const struct capture_copy *rings_next(struct rings *rings, uint32_t *ret_ring, bool *ret_gap)
{
    struct ring *oldest = NULL;

    for (uint32_t i = 0; i < rings->header.n_rings; i++) {
        struct ring *ring = &rings->rings[i];

        if (!prepare(rings, i) ||
            (oldest != NULL && ring->copy.record.time_ns >= oldest->copy.record.time_ns))
            continue;
        oldest = ring;
        *ret_ring = i;
    }
    if (oldest == NULL)
        return NULL;
    *ret_gap = oldest->gap;
    oldest->ready = oldest->gap = false;
    return &oldest->copy;
}

uint64_t rings_lost(const struct rings *rings)
{
    int64_t lost = 0;

    for (uint32_t i = 0; i < rings->header.n_rings; i++)
        lost += rings->rings[i].reader.lost;
    return lost < 0 ? 0 : (uint64_t)lost;
}
