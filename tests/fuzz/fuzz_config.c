/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of the configuration's loader: the bytes as a file. It is either refused with one
 * line that says where and why, or gives a configuration of which a good snapshot can be made and
 * of which the data plane reads the same as control. Leaks are the sanitizer's to find.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/compile.h"
#include "tests/fuzz/take.h"

enum { LINE_MAX_BYTES = 768 }; /* cfg_error_print's own word */

/* The input as a file, and its name. */
static const char *file_of(const uint8_t *data, size_t size)
{
    static char name[64];
    static int fd = -1;

    if (fd < 0)
        fd = memfd_create("fuzz.yaml", MFD_CLOEXEC);
    must(fd >= 0 && ftruncate(fd, 0) == 0);
    must(pwrite(fd, data, size, 0) == (ssize_t)size);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    return name;
}

static void check_error(const char *file, const struct cfg_error *error, size_t size)
{
    char line[LINE_MAX_BYTES];

    memset(line, 'x', sizeof(line));
    must(strcmp(error->file, file) == 0 && error->reason[0] != '\0');
    must(memchr(error->key, '\0', sizeof(error->key)) != NULL);
    must(memchr(error->reason, '\0', sizeof(error->reason)) != NULL);
    must(error->line <= size + 1);
    cfg_error_print(error, line, sizeof(line));
    must(memchr(line, '\0', sizeof(line)) != NULL);
    for (const char *at = line; *at != '\0'; at++)
        must((unsigned char)*at >= ' ' && *at != 0x7f);
}

static void check_snapshot(const struct cfg *cfg)
{
    static const struct compile_secret secret = {
        .seed = {1, 2}, .mac = {[SNAPSHOT_MAC_CURRENT] = {.id = 7, .valid = 1, .key = {3, 4}}}};
    struct compile_input input = {.cfg = cfg, .secret = &secret, .generation = 1};
    struct snapshot *snapshot = NULL;
    const char *reason = "";

    must(compile_snapshot(&input, &snapshot) == 0);
    must(snapshot_check(snapshot, snapshot->size, &reason) == 0);
    free(snapshot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *file = file_of(data, size);
    struct cfg_error error, again;
    struct cfg *cfg = cfg_load(file, &error), *dataplane = cfg_load_dataplane(file, &again);
    char key[160];

    if (cfg == NULL)
        check_error(file, &error, size);
    if (dataplane == NULL)
        check_error(file, &again, size);
    if (cfg != NULL) {
        /* What control accepts, the data plane accepts, and reads the same. */
        must(dataplane != NULL && cfg_same_dataplane(cfg, dataplane, key));
        must(cfg_line(file, "dataplane") > 0);
        check_snapshot(cfg);
    }
    cfg_free(dataplane);
    cfg_free(cfg);
    return 0;
}
