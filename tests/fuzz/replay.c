/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over files and folders without a fuzzing engine: each file as it is, then a
 * fixed number of mutations of it, the same in every run. Input lies flush against an unreadable
 * page. Knows nothing of what the target does.
 *
 * Usage: fuzz_X [-n MUTATIONS] PATH…
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/guard.h"

enum { FILE_BYTES_MAX = 65535, MUTATIONS_DEFAULT = 200, PATH_BYTES = 4096 };

/* What mutations put in: the bytes at which grammars turn. */
static const char *const scraps[] = {
    "\r\n",      "\n",       "\r",      " ",        "\t",         ";",
    ";;",        ",",        ":",       "\"",       "\\",         "<",
    ">",         "@",        "[",       "]",        "=",          "%00",
    "\r\n ",     "\r\n\r\n", "SIP/2.0", "Via: ",    "v:",         "l: 99999999999",
    "Call-ID: ", "tag=",     "branch=", ";rport",   ";received=", "4294967296",
    "-1",        "sip:",     "[::1]",   "\xff\xc0",
};

struct replay {
    uint64_t seed;
    unsigned long mutations;
    unsigned long files;
    unsigned long runs;
};

static uint32_t next_random(struct replay *replay)
{
    replay->seed = replay->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(replay->seed >> 33);
}

/* What runs now, for the last word of a target that ends the process. */
static struct {
    const char *path; /* NULL: all is done */
    unsigned long mutation;
} current;

static void say_where(void)
{
    if (current.path != NULL)
        fprintf(stderr, "ended at mutation %lu of %s\n", current.mutation, current.path);
}

static void on_abort(int number)
{
    say_where();
}

static void run(struct replay *replay, const uint8_t *data, size_t size)
{
    struct guard guard = guard_new(data, size);

    LLVMFuzzerTestOneInput((const uint8_t *)guard.at, size);
    guard_free(&guard);
    replay->runs++;
}

/* Replaces `removed` bytes at `at` by others; drops what then exceeds the limit. */
static size_t replace(uint8_t *data, size_t size, size_t at, size_t removed, const void *bytes,
                      size_t length)
{
    if (removed > size - at)
        removed = size - at;
    if (size - removed + length > FILE_BYTES_MAX)
        return size;
    memmove(data + at + length, data + at + removed, size - at - removed);
    memcpy(data + at, bytes, length);
    return size - removed + length;
}

static size_t mutate(struct replay *replay, uint8_t *data, size_t size)
{
    size_t at = next_random(replay) % (size + 1);
    const char *scrap = scraps[next_random(replay) % (sizeof(scraps) / sizeof(scraps[0]))];
    uint8_t chunk[64];
    size_t length = next_random(replay) % sizeof(chunk);

    switch (next_random(replay) % 6) {
    case 0:
        if (at < size)
            data[at] ^= (uint8_t)(1u << next_random(replay) % 8);
        return size;
    case 1:
        return replace(data, size, at, length, "", 0);
    case 2:
        return at; /* cut off */
    case 3:        /* bytes of its own again elsewhere */
        if (length > size - at)
            length = size - at;
        memcpy(chunk, data + at, length);
        return replace(data, size, next_random(replay) % (size + 1), 0, chunk, length);
    case 4:
        return replace(data, size, at, strlen(scrap), scrap, strlen(scrap));
    default:
        return replace(data, size, at, 0, scrap, strlen(scrap));
    }
}

static void replay_bytes(struct replay *replay, const uint8_t *data, size_t size)
{
    static uint8_t mutant[FILE_BYTES_MAX];

    run(replay, data, size);
    for (unsigned long i = 0; i < replay->mutations; i++) {
        size_t mutant_size = size;
        uint32_t steps = 1 + next_random(replay) % 4;

        memcpy(mutant, data, size);
        while (steps-- > 0)
            mutant_size = mutate(replay, mutant, mutant_size);
        current.mutation = i + 1;
        run(replay, mutant, mutant_size);
    }
    replay->files++;
}

static int replay_file(struct replay *replay, const char *path)
{
    static uint8_t data[FILE_BYTES_MAX];
    FILE *file = fopen(path, "rb");
    size_t size;

    if (file == NULL)
        return -errno;
    size = fread(data, 1, sizeof(data), file);
    fclose(file);
    current.path = path;
    current.mutation = 0;
    replay_bytes(replay, data, size);
    current.path = NULL;
    return 0;
}

/* The files of a folder by name, so that every run mutates alike; folders inside are left out. */
static int replay_path(struct replay *replay, const char *path)
{
    struct dirent **entries;
    struct stat status;
    int n, result = 0;

    if (stat(path, &status) != 0)
        return -errno;
    if (!S_ISDIR(status.st_mode))
        return replay_file(replay, path);
    n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char name[PATH_BYTES];

        snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        if (result == 0 && stat(name, &status) == 0 && S_ISREG(status.st_mode))
            result = replay_file(replay, name);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return n < 0 ? -errno : result;
}

int main(int argc, char **argv)
{
    struct replay replay = {.seed = 20, .mutations = MUTATIONS_DEFAULT};
    int at = 1;

    atexit(say_where);
    signal(SIGABRT, on_abort);
    if (argc > 3 && strcmp(argv[1], "-n") == 0) {
        replay.mutations = strtoul(argv[2], NULL, 10);
        at = 3;
    }
    for (; at < argc; at++) {
        int result = replay_path(&replay, argv[at]);

        if (result != 0) {
            fprintf(stderr, "%s: %s\n", argv[at], strerror(-result));
            return 1;
        }
    }
    printf("%lu files, %lu runs\n", replay.files, replay.runs);
    return replay.files > 0 ? 0 : 1;
}
