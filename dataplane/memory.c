/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed shared memory. It must not know what lies in it.
 */
#include "dataplane/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/msg.h"

enum { HUGE_PAGE_BYTES = 2 << 20 }; /* x86-64's and arm64's with 4 KiB pages; asked for by size */

int memory_new(const char *name, size_t bytes, bool huge, struct memory *ret)
{
    size_t unit = huge ? HUGE_PAGE_BYTES : 1;
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0);
    struct memory made = {.fd = memfd_create(name, flags), .at = MAP_FAILED};
    int error = 0;

    if (made.fd < 0)
        return -errno;
    made.size = (bytes + unit - 1) / unit * unit;
    if (ftruncate(made.fd, (off_t)made.size) < 0) {
        error = -errno;
        goto out;
    }
    made.at = mmap(NULL, made.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, made.fd, 0);
    if (made.at == MAP_FAILED) {
        error = -errno;
        goto out;
    }
    /* The mapping above stays writable: FUTURE_WRITE forbids new ones. */
    if (fcntl(made.fd, F_ADD_SEALS, msg_shared_seals()) < 0)
        error = -errno;
out:
    if (error == 0)
        *ret = made;
    else
        memory_free(&made);
    return error;
}

void memory_free(struct memory *memory)
{
    if (memory->fd < 0)
        return;
    if (memory->at != MAP_FAILED)
        munmap(memory->at, memory->size);
    close(memory->fd);
    memory->fd = -1;
}
