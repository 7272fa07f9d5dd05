/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places bytes flush against an unreadable page, so that a parser that reads one byte too many
 * dies at once, in builds without a sanitizer too. For tests only.
 */
#ifndef TANDEM_TESTS_UNIT_GUARD_H
#define TANDEM_TESTS_UNIT_GUARD_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
    char *at;            /* the bytes; at[length] is unreadable */
    size_t length;
    void *map;
    size_t map_size;
};

/* Copies the bytes; guard_free unmaps them. A test that gets no memory is at its end: aborts. */
static inline struct guard guard_new(const void *bytes, size_t length)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (length + page - 1) / page * page;
    struct guard guard = {.length = length, .map_size = room + page};

    guard.map = mmap(NULL, guard.map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                     -1, 0);
    if (guard.map == MAP_FAILED || mprotect((char *)guard.map + room, page, PROT_NONE) != 0)
        abort();
    guard.at = (char *)guard.map + room - length;
    if (length > 0)
        memcpy(guard.at, bytes, length);
    return guard;
}

static inline struct guard guard_new_text(const char *text)
{
    return guard_new(text, strlen(text));
}

static inline void guard_free(struct guard *guard)
{
    if (guard->map != NULL)
        munmap(guard->map, guard->map_size);
    guard->map = NULL;
}

#endif
