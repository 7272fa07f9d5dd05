/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that the data plane writes and another process may only read: a memfd, mapped for writing
 * here before it is sealed against any other writer.
 */
#ifndef TANDEM_MEMORY_H
#define TANDEM_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

struct memory {
    int fd;      /* -1: none */
    void *at;    /* zeroed, page-aligned, all pages present */
    size_t size; /* of the memfd: what was asked for, or whole huge pages */
};

/*
 * Makes one of at least `bytes`. With huge, in huge pages; -ENOMEM when there are too few of them.
 * Returns 0 or a negative errno; *ret is untouched then. Main only.
 */
int memory_new(const char *name, size_t bytes, bool huge, struct memory *ret);

/* Unmaps and closes. Does nothing for .fd = -1. */
void memory_free(struct memory *memory);

#endif
