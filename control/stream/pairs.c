/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs by sets of a few ways, the newest last: see pairs.h. In a file they lie as in memory, and
 * what one process wrote the next one reads, however the first one ended: a pair is never seen with
 * another one's value.
 */
#include "control/stream/pairs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAYS = 8, HEAD_BYTES = 4096 }; /* a set is within a page */

static const char MAGIC[16] = "tandem pairs 1\n";

struct pair {
    uint64_t key, value; /* key 0: none */
};

struct pairs {
    uint32_t n_sets;
    size_t bytes;
    char *memory; /* the file's head, then: */
    struct pair (*sets)[WAYS];
};

/* Maps a file, -1: no file. NULL: no memory. */
static struct pairs *map(uint32_t room, int fd)
{
    struct pairs *pairs = calloc(1, sizeof(*pairs));

    if (pairs == NULL)
        return NULL;
    pairs->n_sets = room / WAYS + 1;
    pairs->bytes = HEAD_BYTES + (size_t)pairs->n_sets * sizeof(*pairs->sets);
    errno = fd < 0 ? 0 : posix_fallocate(fd, 0, (off_t)pairs->bytes);
    if (errno == 0)
        pairs->memory = mmap(NULL, pairs->bytes, PROT_READ | PROT_WRITE,
                             fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
    if (pairs->memory == NULL || pairs->memory == MAP_FAILED) {
        free(pairs);
        return NULL;
    }
    pairs->sets = (struct pair(*)[WAYS])(void *)(pairs->memory + HEAD_BYTES);
    return pairs;
}

struct pairs *pairs_new(uint32_t room)
{
    return map(room, -1);
}

struct pairs *pairs_open(const char *file, uint32_t room)
{
    const off_t bytes = HEAD_BYTES + (off_t)(room / WAYS + 1) * (off_t)sizeof(struct pair[WAYS]);
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct pairs *pairs = NULL;
    struct stat found;

    if (fd < 0)
        return NULL;
    /* One of another size is of another version: nothing in it is where it is looked for. */
    if (fstat(fd, &found) == 0 && (found.st_size == bytes || ftruncate(fd, 0) == 0))
        pairs = map(room, fd);
    if (pairs != NULL && memcmp(pairs->memory, MAGIC, sizeof(MAGIC)) != 0) {
        memset(pairs->memory, 0, pairs->bytes);
        memcpy(pairs->memory, MAGIC, sizeof(MAGIC));
    }
    close(fd);
    return pairs;
}

void pairs_free(struct pairs *pairs)
{
    if (pairs == NULL)
        return;
    munmap(pairs->memory, pairs->bytes);
    free(pairs);
}

uint64_t *pairs_find(struct pairs *pairs, uint64_t key)
{
    struct pair *set = pairs->sets[key % pairs->n_sets];

    for (uint32_t way = 0; way < WAYS; way++) {
        if (set[way].key == key)
            return &set[way].value;
    }
    return NULL;
}

/* Whenever this process ends, the pair is the one before, none, or the new one. */
static void write_pair(struct pair *at, struct pair pair)
{
    __atomic_store_n(&at->key, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&at->value, pair.value, __ATOMIC_RELEASE);
    __atomic_store_n(&at->key, pair.key, __ATOMIC_RELEASE);
}

void pairs_put(struct pairs *pairs, uint64_t key, uint64_t value)
{
    struct pair *set = pairs->sets[key % pairs->n_sets];
    uint64_t *known = pairs_find(pairs, key);
    uint32_t way = 0;

    if (known != NULL) {
        __atomic_store_n(known, value, __ATOMIC_RELEASE);
        return;
    }
    while (way < WAYS && set[way].key != 0)
        way++;
    if (way == WAYS) {
        way--;
        for (uint32_t i = 0; i < way; i++)
            write_pair(&set[i], set[i + 1]);
    }
    write_pair(&set[way], (struct pair){key, value});
}

void pairs_each(const struct pairs *pairs, uint32_t part, uint32_t parts,
                void (*fn)(void *arg, uint64_t key, uint64_t value), void *arg)
{
    const uint32_t first = (uint32_t)((uint64_t)pairs->n_sets * part / parts),
                   end = (uint32_t)((uint64_t)pairs->n_sets * (part + 1) / parts);

    for (uint32_t i = first; i < end; i++) {
        for (uint32_t way = 0; way < WAYS; way++) {
            if (pairs->sets[i][way].key != 0)
                fn(arg, pairs->sets[i][way].key, pairs->sets[i][way].value);
        }
    }
}
