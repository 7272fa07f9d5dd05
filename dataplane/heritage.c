/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a former data plane's slots and seconds to ours. It must not know where the block came from.
 */
#include "dataplane/heritage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "config/heritage.h"
#include "config/msg.h"

struct heritage_block {
    void *at;
    size_t size;
    const struct lb_call_table *table; /* in it */
};

struct heritage_block *heritage_open(int fd, uint64_t size, const char **ret_reason)
{
    struct heritage_block *block = calloc(1, sizeof(*block));
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat status;

    *ret_reason = "no memory";
    if (block == NULL)
        return NULL;
    *ret_reason = "the former calls are no sealed memfd of that size";
    if (seals < 0 || (seals & msg_snapshot_seals()) != msg_snapshot_seals() ||
        fstat(fd, &status) < 0 || (uint64_t)status.st_size != size)
        goto fail;
    *ret_reason = "the former calls cannot be mapped";
    block->size = size;
    block->at = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (block->at == MAP_FAILED)
        goto fail;
    *ret_reason = "the former calls are malformed";
    block->table = heritage_check(block->at, size);
    if (block->table != NULL)
        return block;
    munmap(block->at, size);
fail:
    free(block);
    return NULL;
}

void heritage_close(struct heritage_block *block)
{
    if (block == NULL)
        return;
    munmap(block->at, block->size);
    free(block);
}

uint64_t heritage_adopt(const struct heritage_block *block, const struct proxy_view *view,
                        struct lb_call_table *calls, uint64_t start_mono_s, uint32_t now_s,
                        struct lb_call_counts *counts)
{
    const struct heritage *head = block->at;
    const uint32_t *ids = heritage_ids(head);
    uint16_t *slot_of = malloc(((size_t)head->n_slots + 1) * sizeof(*slot_of));
    uint64_t adopted;

    if (slot_of == NULL)
        return 0;
    for (uint32_t slot = 0; slot < head->n_slots; slot++) {
        int32_t backend =
            ids[slot] == 0 ? LB_NO_BACKEND : snapshot_backend_by_id(view->snapshot, ids[slot]);

        slot_of[slot] = backend < 0 ? LB_NO_SLOT : view->slot_of[backend];
    }
    adopted = lb_call_table_adopt(calls, block->table,
                                  (uint32_t)(head->start_mono_s - start_mono_s), slot_of,
                                  head->n_slots, now_s, counts);
    free(slot_of);
    return adopted;
}
