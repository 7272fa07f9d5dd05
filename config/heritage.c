/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are in a block of a former data plane's calls. It must not know what they mean.
 */
#include "config/heritage.h"

enum { ALIGN = 128 };   /* of a call table */

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

uint64_t heritage_layout(struct heritage *head)
{
    head->magic = HERITAGE_MAGIC;
    head->ids = sizeof(*head);
    head->table = round_up(head->ids + sizeof(uint32_t) * (uint64_t)head->n_slots);
    head->size = head->table + head->table_size;
    return head->size;
}

const struct lb_call_table *heritage_check(const void *block, uint64_t size)
{
    const struct heritage *h = block;
    struct heritage laid_out;

    if (size < sizeof(*h) || h->magic != HERITAGE_MAGIC || h->n_slots > LB_SLOTS_MAX ||
        h->table_size > size)
        return NULL;
    laid_out = *h;
    if (heritage_layout(&laid_out) != size || h->size != size || h->ids != laid_out.ids ||
        h->table != laid_out.table)
        return NULL;
    return lb_call_table_open((const char *)block + h->table, h->table_size);
}
