/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of what was observed, one JSON array: see memory.h.
 */
#include "control/health/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static json_t *one_json(const struct machine_memory *m)
{
    /* Milliseconds of the wall clock are far below 2^53, where JSON's numbers end. */
    return json_pack("{s:I, s:b, s:b, s:i, s:I, s:I, s:I, s:I, s:I, s:i, s:s%, s:s%, s:s}", "id",
                     (json_int_t)m->id, "down", m->down, "doubted", m->doubted, "flaps",
                     (int)m->flaps, "since_ms", (json_int_t)m->since_ms, "returned_ms",
                     (json_int_t)m->returned_ms, "busy_until_ms", (json_int_t)m->busy_until_ms,
                     "eject_until_ms", (json_int_t)m->eject_until_ms, "ramp_ms",
                     (json_int_t)m->ramp_ms, "ramp_for_ms", (int)m->ramp_for_ms, "busy_why",
                     m->busy_why, strlen(m->busy_why), "eject_why", m->eject_why,
                     strlen(m->eject_why), "deaf_why", m->deaf_why);
}

static int write_file(const char *file, const char *text)
{
    char temporary[PATH_MAX];
    size_t length = strlen(text);
    int fd, status = 0;

    if (snprintf(temporary, sizeof(temporary), "%s.new", file) >= (int)sizeof(temporary))
        return -ENAMETOOLONG;
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    errno = ENOSPC; /* of a short write */
    if (write(fd, text, length) != (ssize_t)length)
        status = -errno;
    close(fd);
    if (status == 0 && rename(temporary, file) != 0)
        status = -errno;
    if (status != 0)
        unlink(temporary);
    return status;
}

int memory_save(const char *file, const struct machine_memory *memories, uint32_t n)
{
    json_t *list = json_array();
    char *text;
    int status;

    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(list, one_json(&memories[i]));
    text = json_array_size(list) == n ? json_dumps(list, JSON_INDENT(1)) : NULL;
    json_decref(list);
    if (text == NULL)
        return -ENOMEM;
    status = write_file(file, text);
    free(text);
    return status;
}

static int one_read(json_t *object, struct machine_memory *ret)
{
    json_int_t id, since, returned, busy, eject, ramp;
    const char *busy_why, *eject_why, *deaf_why = ""; /* the last one, and doubted, are */
    int down, doubted = 0, flaps, ramp_for;           /* younger than some files */

    if (json_unpack(object, "{s:I, s:b, s:i, s:I, s:I, s:I, s:I, s:I, s:i, s:s, s:s, s?s, s?b}",
                    "id", &id, "down", &down, "flaps", &flaps, "since_ms", &since, "returned_ms",
                    &returned, "busy_until_ms", &busy, "eject_until_ms", &eject, "ramp_ms", &ramp,
                    "ramp_for_ms", &ramp_for, "busy_why", &busy_why, "eject_why", &eject_why,
                    "deaf_why", &deaf_why, "doubted", &doubted) != 0 ||
        id <= 0 || id > UINT32_MAX || flaps < 0 || since < 0 || returned < 0 || busy < 0 ||
        eject < 0 || ramp < 0 || ramp_for < 0)
        return -EBADMSG;
    *ret = (struct machine_memory){.id = (uint32_t)id,
                                   .down = down != 0,
                                   .doubted = doubted != 0,
                                   .flaps = (uint32_t)flaps,
                                   .since_ms = (uint64_t)since,
                                   .returned_ms = (uint64_t)returned,
                                   .busy_until_ms = (uint64_t)busy,
                                   .eject_until_ms = (uint64_t)eject,
                                   .ramp_ms = (uint64_t)ramp,
                                   .ramp_for_ms = (uint32_t)ramp_for};
    snprintf(ret->busy_why, sizeof(ret->busy_why), "%s", busy_why);
    snprintf(ret->eject_why, sizeof(ret->eject_why), "%s", eject_why);
    snprintf(ret->deaf_why, sizeof(ret->deaf_why), "%s", deaf_why);
    return 0;
}

static int by_id(const void *left, const void *right)
{
    const struct machine_memory *a = left, *b = right;

    return (a->id > b->id) - (a->id < b->id);
}

static int read_list(json_t *list, struct machine_memory **ret, uint32_t *ret_n)
{
    size_t n = json_array_size(list);
    struct machine_memory *memories;
    int status = json_is_array(list) ? 0 : -EBADMSG;

    memories = calloc(n + 1, sizeof(*memories));
    if (memories == NULL)
        return -ENOMEM;
    for (size_t i = 0; status == 0 && i < n; i++)
        status = one_read(json_array_get(list, i), &memories[i]);
    if (status != 0) {
        free(memories);
        return status;
    }
    qsort(memories, n, sizeof(*memories), by_id);
    *ret = memories;
    *ret_n = (uint32_t)n;
    return 0;
}

int memory_load(const char *file, struct machine_memory **ret, uint32_t *ret_n)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    json_t *list;
    int status;

    *ret = NULL;
    *ret_n = 0;
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > MEMORY_FILE_MAX) {
        close(fd);
        return -EBADMSG;
    }
    list = json_loadfd(fd, 0, NULL);
    close(fd);
    if (list == NULL)
        return -EBADMSG;
    status = read_list(list, ret, ret_n);
    json_decref(list);
    return status;
}

const struct machine_memory *memory_find(const struct machine_memory *memories, uint32_t n,
                                         uint32_t id)
{
    const struct machine_memory key = {.id = id};

    return n == 0 ? NULL : bsearch(&key, memories, n, sizeof(key), by_id);
}
