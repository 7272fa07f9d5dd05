/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A binary heap of numbered items: see heap.h.
 */
#include "control/health/heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An array of n elements with more room; false: no memory, and the old one stays. */
static bool grow(void *array, uint32_t n, size_t bytes)
{
    void *old, *grown;

    memcpy(&old, array, sizeof(old));
    grown = reallocarray(old, n, bytes);
    if (grown == NULL)
        return false;
    memcpy(array, &grown, sizeof(grown));
    return true;
}

int heap_reserve(struct heap *heap, uint32_t n)
{
    if (n <= heap->room)
        return 0;
    if (!grow(&heap->when, n, sizeof(*heap->when)) ||
        !grow(&heap->place, n, sizeof(*heap->place)) ||
        !grow(&heap->order, n, sizeof(*heap->order)))
        return -ENOMEM;
    memset(heap->place + heap->room, 0, (n - heap->room) * sizeof(*heap->place));
    heap->room = n;
    return 0;
}

void heap_done(struct heap *heap)
{
    free(heap->when);
    free(heap->place);
    free(heap->order);
    memset(heap, 0, sizeof(*heap));
}

static void put(struct heap *heap, uint32_t at, uint32_t item)
{
    heap->order[at] = item;
    heap->place[item] = at + 1;
}

static uint64_t when_at(const struct heap *heap, uint32_t at)
{
    return heap->when[heap->order[at]];
}

static void sift_up(struct heap *heap, uint32_t at)
{
    uint32_t item = heap->order[at];

    while (at > 0 && when_at(heap, (at - 1) / 2) > heap->when[item]) {
        put(heap, at, heap->order[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(heap, at, item);
}

static void sift_down(struct heap *heap, uint32_t at)
{
    uint32_t item = heap->order[at];

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < heap->n && when_at(heap, child + 1) < when_at(heap, child))
            child++;
        if (child >= heap->n || when_at(heap, child) >= heap->when[item])
            break;
        put(heap, at, heap->order[child]);
        at = child;
    }
    put(heap, at, item);
}

static void take_out(struct heap *heap, uint32_t item)
{
    uint32_t at = heap->place[item] - 1, last = heap->order[heap->n - 1];

    heap->place[item] = 0;
    heap->n--;
    if (last == item)
        return;
    put(heap, at, last);
    sift_up(heap, at);
    sift_down(heap, heap->place[last] - 1);
}

void heap_set(struct heap *heap, uint32_t item, uint64_t when)
{
    if (when == UINT64_MAX) {
        if (heap->place[item] != 0)
            take_out(heap, item);
        return;
    }
    heap->when[item] = when;
    if (heap->place[item] == 0)
        put(heap, heap->n++, item);
    sift_up(heap, heap->place[item] - 1);
    sift_down(heap, heap->place[item] - 1);
}

bool heap_first(const struct heap *heap, uint32_t *ret_item, uint64_t *ret_when)
{
    if (heap->n == 0)
        return false;
    *ret_item = heap->order[0];
    *ret_when = when_at(heap, 0);
    return true;
}
