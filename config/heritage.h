/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What control hands from a data plane that is gone to the one that comes: its call table and which
 * backend each slot meant, in one immutable block (the seals of a snapshot). So a call that rings
 * while the data plane is restarted stays with its backend, also when the table of backends changed
 * meanwhile, and counts of calls go on.
 */
#ifndef TANDEM_CONFIG_HERITAGE_H
#define TANDEM_CONFIG_HERITAGE_H

#include <assert.h>
#include <stdint.h>

#include "dataplane/lb/call_table.h"

enum { HERITAGE_MAGIC = 0x54444833 };  /* "TDH3": raised with every change, also of the call table's
                                         hash: entries of another one are never found */

struct heritage {
    uint32_t magic;
    uint32_t n_slots;
    uint64_t size;                 /* of the block in bytes */
    uint64_t start_mono_s;         /* CLOCK_MONOTONIC second that is second 0 of the table */
    uint64_t ids;                  /* offset of uint32_t[n_slots]: backend id of each slot, 0: none */
    uint64_t table;                /* offset of the call table, a multiple of 128 */
    uint64_t table_size;           /* bytes */
};

static_assert(sizeof(struct heritage) == 48, "crosses a process");

/* Fills the offsets and the size in from n_slots and table_size, and returns the size. */
uint64_t heritage_layout(struct heritage *head);

/* Checks a block of another process's. Returns its call table, or NULL: it is malformed. */
const struct lb_call_table *heritage_check(const void *block, uint64_t size);

static inline const uint32_t *heritage_ids(const struct heritage *h)
{
    return (const uint32_t *)(const void *)((const char *)h + h->ids);
}

#endif
