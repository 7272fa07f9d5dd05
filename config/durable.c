/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are replaced whole: see durable.h.
 */
#include "config/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The name it is written under first. 0 or -ENAMETOOLONG. */
static int temporary_name(const char *file, char ret[PATH_MAX])
{
    return snprintf(ret, PATH_MAX, "%s.new", file) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        length -= (size_t)n;
    }
    return 0;
}

int durable_prepare(const char *file, const void *bytes, size_t length)
{
    char temporary[PATH_MAX];
    int fd, status = temporary_name(file, temporary);

    if (status != 0)
        return status;
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    /* One that was there already, left by a process that died or by a person, has any mode. */
    if (fchmod(fd, 0600) != 0)
        status = -errno;
    if (status == 0)
        status = write_all(fd, bytes, length);
    if (status == 0 && fsync(fd) != 0)
        status = -errno;
    if (close(fd) != 0 && status == 0)
        status = -errno;
    if (status != 0)
        unlink(temporary);
    return status;
}

int durable_commit(const char *file)
{
    char temporary[PATH_MAX];
    int status = temporary_name(file, temporary);

    if (status == 0 && rename(temporary, file) != 0) {
        status = -errno;
        unlink(temporary);
    }
    return status != 0 ? status : durable_sync_directory_of(file);
}

void durable_abandon(const char *file)
{
    char temporary[PATH_MAX];

    if (temporary_name(file, temporary) == 0)
        unlink(temporary);
}

int durable_sync_directory_of(const char *file)
{
    char path[PATH_MAX];
    char *slash;
    int fd, status;

    if (snprintf(path, sizeof(path), "%s", file) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    slash = strrchr(path, '/');
    if (slash == NULL)
        strcpy(path, ".");
    else
        slash[slash == path] = '\0';
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    status = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return status;
}
