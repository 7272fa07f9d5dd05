/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a block of former calls: see heritage.h. It does not look into the table.
 */
#include "control/heritage.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/heritage.h"
#include "config/msg.h"

/* Fills a block that is laid out and mapped. */
static void fill(char *block, const struct heritage *head, const struct counters_header *counters,
                 const void *calls)
{
    uint32_t *ids = (uint32_t *)(void *)(block + head->ids);

    memcpy(block, head, sizeof(*head));
    for (uint32_t slot = 0; slot < head->n_slots; slot++)
        ids[slot] = __atomic_load_n(&counters_slot_ids(counters)[slot], __ATOMIC_RELAXED);
    memcpy(block + head->table, calls, head->table_size);
}

static int write_block(int fd, const struct heritage *head, const struct counters_header *counters,
                       const void *calls)
{
    char *block;

    if (ftruncate(fd, (off_t)head->size) != 0)
        return -errno;
    block = mmap(NULL, head->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (block == MAP_FAILED)
        return -errno;
    fill(block, head, counters, calls);
    munmap(block, head->size);   /* before the seal against writing */
    return fcntl(fd, F_ADD_SEALS, msg_snapshot_seals()) == 0 ? 0 : -errno;
}

int heritage_keep(const struct counters_header *counters, int calls_fd, size_t calls_size)
{
    struct heritage head = {.n_slots = counters->n_slots,
                            .start_mono_s = counters->start_mono_s,
                            .table_size = calls_size};
    const void *calls = mmap(NULL, calls_size, PROT_READ, MAP_SHARED, calls_fd, 0);
    int fd, status = -EBADMSG;

    if (calls == MAP_FAILED)
        return -errno;
    heritage_layout(&head);
    fd = memfd_create("tandem-former-calls", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        status = -errno;
    else if (lb_call_table_open(calls, calls_size) != NULL && head.n_slots <= LB_SLOTS_MAX)
        status = write_block(fd, &head, counters, calls);
    munmap((void *)(uintptr_t)calls, calls_size);
    if (status == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return status;
}
