/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listening socket and control's connection. It must not know what is in a snapshot.
 */
#include "dataplane/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/msg.h"

/*
 * How much of the socket's buffer punts may fill, a few of the longest; an answer to an offer may
 * use more of it, so that control hears one however many punts lie before it. Linux counts twice
 * as much, its own needs included, and lets everybody ask for 208 KiB (net.core.wmem_max).
 */
enum { PUNTS_BYTES = 144 << 10, ANSWERS_BYTES = 208 << 10 };

struct endpoint {
    struct endpoint_conf conf;
    struct sockaddr_un address;
    int listen_fd;
    int control_fd;
    bool bound; /* the path is ours to remove */
};

/* Makes the directories of a path, as `mkdir -p` does; the last one belongs to the owner. */
static int make_directory(const struct endpoint_conf *conf)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    struct stat status;
    char *slash;

    snprintf(path, sizeof(path), "%s", conf->path);
    slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return 0;
    *slash = '\0';
    if (stat(path, &status) == 0)
        return 0;
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return -errno;
        *at = '/';
    }
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return -errno;
    return chown(path, conf->owner, conf->group) < 0 ? -errno : 0;
}

/* Removes the socket of a data plane that is gone; refuses while one answers. */
static int remove_stale(const struct sockaddr_un *address)
{
    int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool answers;

    if (probe < 0)
        return -errno;
    /* EAGAIN: it listens, and too many wait already. */
    answers =
        connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN;
    close(probe);
    if (answers)
        return -EADDRINUSE;
    if (unlink(address->sun_path) < 0 && errno != ENOENT)
        return -errno;
    return 0;
}

static int listen_on(struct endpoint *e)
{
    mode_t mask;
    int error;

    e->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (e->listen_fd < 0)
        return -errno;
    mask = umask(0177);
    error = bind(e->listen_fd, (const struct sockaddr *)&e->address, sizeof(e->address));
    if (error < 0)
        error = -errno;
    umask(mask);
    if (error < 0)
        return error;
    e->bound = true;
    if (chown(e->conf.path, e->conf.owner, e->conf.group) < 0 || listen(e->listen_fd, 4) < 0)
        return -errno;
    return 0;
}

struct endpoint *endpoint_new(const struct endpoint_conf *conf)
{
    struct endpoint *e = calloc(1, sizeof(*e));
    int error = 0;

    if (e == NULL)
        return NULL;
    e->conf = *conf;
    e->listen_fd = e->control_fd = -1;
    e->address.sun_family = AF_UNIX;
    if (strlen(conf->path) >= sizeof(e->address.sun_path))
        error = -ENAMETOOLONG;
    else
        strcpy(e->address.sun_path, conf->path);
    if (error == 0)
        error = make_directory(conf);
    if (error == 0)
        error = remove_stale(&e->address);
    if (error == 0)
        error = listen_on(e);
    if (error == 0)
        return e;
    endpoint_free(e);
    errno = -error;
    return NULL;
}

void endpoint_drop(struct endpoint *e)
{
    if (e->control_fd >= 0)
        close(e->control_fd);
    e->control_fd = -1;
}

void endpoint_free(struct endpoint *e)
{
    if (e == NULL)
        return;
    endpoint_drop(e);
    if (e->listen_fd >= 0)
        close(e->listen_fd);
    if (e->bound)
        unlink(e->conf.path);
    free(e);
}

int endpoint_listen_fd(const struct endpoint *e)
{
    return e->listen_fd;
}

int endpoint_control_fd(const struct endpoint *e)
{
    return e->control_fd;
}

static int say_hello(int fd, const struct endpoint_conf *conf)
{
    const int fds[MSG_FDS_MAX] = {conf->counters->fd, conf->calls->fd, conf->capture->fd};
    const struct msg_hello hello = {
        .magic = MSG_MAGIC,
        .kind = MSG_HELLO,
        .epoch = conf->header->epoch,
        .generation = conf->header->generation,
        .counters_size = conf->header->size,
        .calls_size = conf->calls->size,
        .capture_size = conf->capture->size,
        .pid = (uint32_t)getpid(),
    };

    return msg_send(fd, &hello, sizeof(hello), fds, MSG_FDS_MAX);
}

/* A failure leaves what there was: fewer punts fit then. */
static void set_send_buffer(int fd, int bytes)
{
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

int endpoint_accept(struct endpoint *e)
{
    int fd = accept4(e->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return 0;
    if (say_hello(fd, &e->conf) < 0) {
        close(fd);
        return 0;
    }
    set_send_buffer(fd, PUNTS_BYTES);
    endpoint_drop(e);
    e->control_fd = fd;
    return 1;
}

static int answer(struct endpoint *e, uint64_t generation, int status, const char *reason)
{
    struct msg_answer packet = {
        .magic = MSG_MAGIC, .kind = MSG_ANSWER, .generation = generation, .status = status};
    int error;

    if (status != 0)
        snprintf(packet.reason, sizeof(packet.reason), "%s", reason);
    set_send_buffer(e->control_fd, ANSWERS_BYTES);
    error = msg_send(e->control_fd, &packet, sizeof(packet), NULL, 0);
    set_send_buffer(e->control_fd, PUNTS_BYTES);
    return error;
}

int endpoint_punt(struct endpoint *e, const void *packet, uint32_t size)
{
    if (e->control_fd < 0)
        return -ENOTCONN;
    return msg_send(e->control_fd, packet, size, NULL, 0);
}

static bool is_offer(const struct msg_offer *packet)
{
    return packet->kind == MSG_OFFER || packet->kind == MSG_CALLS;
}

int endpoint_hear(struct endpoint *e)
{
    struct msg_offer offer;
    uint32_t n_fds = 1;
    const char *reason = "malformed offer";
    int fd = -1, status = -EINVAL, size;

    if (e->control_fd < 0)
        return 0;
    size = msg_receive(e->control_fd, &offer, sizeof(offer), &fd, &n_fds);
    if (size == -EAGAIN)
        return 0;
    if (size > 0 && ((size_t)size != sizeof(offer) || !is_offer(&offer) || n_fds != 1))
        size = -EPROTO;
    if (size > 0 && offer.kind == MSG_CALLS) {
        e->conf.inherit(e->conf.context, fd, offer.size);
    } else if (size > 0) {
        status = e->conf.offer(e->conf.context, fd, offer.size, offer.generation, &reason);
        size = answer(e, offer.generation, status, reason);
    } else if (size == 0) {
        size = -ECONNRESET;
    }
    if (n_fds == 1 && fd >= 0)
        close(fd);
    if (size >= 0)
        return 1;
    endpoint_drop(e);
    return size;
}
