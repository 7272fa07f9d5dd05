/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets and descriptors over the socket between control and data plane. It owns no descriptor
 * after it returned an error, and does not know what a packet asks for.
 */
#include "config/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Descriptors for which the receiver has room, so that one too many is seen rather than lost. */
enum { FDS_ROOM = 8 };

/* Linux 5.1; glibc 2.36 does not have it, and <linux/fcntl.h> cannot stand beside <fcntl.h>. */
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

union control_room {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * FDS_ROOM)];
};

int msg_snapshot_seals(void)
{
    return F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
}

int msg_shared_seals(void)
{
    return F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
}

int msg_send(int socket, const void *packet, uint32_t size, const int *fds, uint32_t n_fds)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)packet, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    union control_room room;
    ssize_t sent;

    if (n_fds > MSG_FDS_MAX)
        return -EINVAL;
    if (n_fds > 0) {
        struct cmsghdr *header;

        memset(&room, 0, sizeof(room));
        message.msg_control = room.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * n_fds);
    }
    do {
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/* Gathers the descriptors of a received message in fds[FDS_ROOM]; returns how many there are. */
static uint32_t take_fds(struct msghdr *message, int *fds)
{
    uint32_t n = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        size_t count;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (n < FDS_ROOM)
                fds[n++] = fd;
            else
                close(fd);
        }
    }
    return n;
}

int msg_receive(int socket, void *packet, uint32_t size, int *ret_fds, uint32_t *n_fds)
{
    struct iovec part = {.iov_base = packet, .iov_len = size};
    union control_room room;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = room.bytes,
                             .msg_controllen = sizeof(room.bytes)};
    int fds[FDS_ROOM];
    uint32_t n, magic = 0;
    bool good;
    ssize_t got;

    do {
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    n = take_fds(&message, fds);
    if ((size_t)got >= sizeof(magic))
        memcpy(&magic, packet, sizeof(magic));
    good = magic == MSG_MAGIC && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && n <= *n_fds;
    if (!good) {
        for (uint32_t i = 0; i < n; i++)
            close(fds[i]);
        *n_fds = 0;
        return got == 0 ? 0 : -EPROTO;
    }
    for (uint32_t i = 0; i < n; i++)
        ret_fds[i] = fds[i];
    *n_fds = n;
    return (int)got;
}
