/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot as what may be shared with another process: a memfd that nobody can change any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/compile.h"
#include "config/msg.h"

int compile_memfd(const struct snapshot *snapshot)
{
    const char *bytes = (const char *)snapshot;
    uint64_t written = 0;
    int error, fd = memfd_create("tandem-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -errno;
    while (written < snapshot->size) {
        ssize_t n = write(fd, bytes + written, snapshot->size - written);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            goto failed;
        written += (uint64_t)n;
    }
    if (fcntl(fd, F_ADD_SEALS, msg_snapshot_seals()) == 0)
        return fd;
failed:
    error = errno != 0 ? errno : EIO;
    close(fd);
    return -error;
}
