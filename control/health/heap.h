/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times of numbered items, and which is the next: a binary heap in which an item's time can be
 * changed. It knows nothing of clocks.
 */
#ifndef TANDEM_CONTROL_HEALTH_HEAP_H
#define TANDEM_CONTROL_HEALTH_HEAP_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: empty, with room for nobody. */
struct heap {
    uint64_t *when;               /* [room], by item */
    uint32_t *place;              /* [room], by item: where it is in order, + 1; 0: not there */
    uint32_t *order;              /* [room]: items, those with the least times first, as heaps are */
    uint32_t n, room;
};

/* Makes room for items 0 to n - 1; items stay. 0 or -ENOMEM. */
int heap_reserve(struct heap *heap, uint32_t n);
/* Frees what it holds. */
void heap_done(struct heap *heap);

/* Gives an item, below the room, its time; UINT64_MAX takes it out. */
void heap_set(struct heap *heap, uint32_t item, uint64_t when);

/* The item with the least time; false when there is none. */
bool heap_first(const struct heap *heap, uint32_t *ret_item, uint64_t *ret_when);

#endif
