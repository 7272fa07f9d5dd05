/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets from one control to the next: see handover.h. What a socket is, the kernel says: the
 * variable's numbers are all that has to be told, and none of them is believed.
 */
#include "control/handover.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/address.h"
#include "control/log.h"

struct handover {
    pthread_mutex_t lock;
    uint32_t n;
    int fds[HANDOVER_MAX];
};

/* The next number of a list, or -1 at its end or where it is none. */
static int next_number(const char **at)
{
    char *end;
    long value = strtol(*at, &end, 10);

    if (end == *at || (*end != ',' && *end != '\0') || value > INT32_MAX)
        return -1;
    *at = *end == ',' ? end + 1 : end;
    return value > STDERR_FILENO ? (int)value : -1;
}

static int option(int fd, int which)
{
    int value = -1;
    socklen_t size = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, which, &value, &size) == 0 ? value : -1;
}

/* Whether control listens to such sockets. */
static bool is_known(int fd)
{
    int family = option(fd, SO_DOMAIN), type = option(fd, SO_TYPE);

    if (family == AF_UNIX)
        return type == SOCK_STREAM && option(fd, SO_ACCEPTCONN) == 1;
    return (family == AF_INET || family == AF_INET6) &&
           (type == SOCK_DGRAM || (type == SOCK_STREAM && option(fd, SO_ACCEPTCONN) == 1));
}

static void learn(struct handover *h, const char *told)
{
    for (int fd = next_number(&told); fd >= 0; fd = next_number(&told)) {
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
            continue;
        if (h->n < HANDOVER_MAX && is_known(fd))
            h->fds[h->n++] = fd;
        else
            close(fd);
    }
}

struct handover *handover_new(const char *told)
{
    struct handover *h = calloc(1, sizeof(*h));

    if (h == NULL)
        return NULL;
    pthread_mutex_init(&h->lock, NULL);
    if (told != NULL)
        learn(h, told);
    return h;
}

void handover_free(struct handover *h)
{
    if (h == NULL)
        return;
    for (uint32_t i = 0; i < h->n; i++)
        close(h->fds[i]);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

uint32_t handover_count(const struct handover *h)
{
    return h->n;
}

/* The first one that is what is looked for. */
static int take(struct handover *h, bool (*is_it)(int fd, const void *what), const void *what)
{
    int found = -1;

    if (h == NULL)
        return -1;
    pthread_mutex_lock(&h->lock);
    for (uint32_t i = 0; found < 0 && i < h->n; i++) {
        if (!is_it(h->fds[i], what))
            continue;
        found = h->fds[i];
        memmove(&h->fds[i], &h->fds[i + 1], (--h->n - i) * sizeof(h->fds[0]));
    }
    pthread_mutex_unlock(&h->lock);
    return found;
}

struct place {
    int type;
    const struct sip_addr *addr;
};

static bool is_at(int fd, const void *what)
{
    const struct place *place = what;
    union address own;
    socklen_t size = sizeof(own);
    struct sip_addr addr;

    if (option(fd, SO_TYPE) != place->type || getsockname(fd, &own.any, &size) != 0)
        return false;
    addr = address_from_kernel(&own);
    return own.any.sa_family != AF_UNIX && sip_addr_equal(&addr, place->addr);
}

int handover_take(struct handover *h, int type, const struct sip_addr *addr)
{
    return take(h, is_at, &(struct place){type, addr});
}

static bool is_at_path(int fd, const void *what)
{
    struct sockaddr_un own = {0};
    socklen_t size = sizeof(own);

    return getsockname(fd, (struct sockaddr *)&own, &size) == 0 && own.sun_family == AF_UNIX &&
           size <= sizeof(own) && strncmp(own.sun_path, what, sizeof(own.sun_path)) == 0;
}

int handover_take_path(struct handover *h, const char *path)
{
    return take(h, is_at_path, path);
}

void handover_close(struct handover *h)
{
    if (h == NULL)
        return;
    pthread_mutex_lock(&h->lock);
    if (h->n > 0)
        log_info("%u sockets of before are configured no more", h->n);
    while (h->n > 0)
        close(h->fds[--h->n]);
    pthread_mutex_unlock(&h->lock);
}

void handover_keep(struct handover *h, int fd)
{
    int copy = -1;

    if (h == NULL || fd < 0)
        return;
    pthread_mutex_lock(&h->lock);
    if (h->n < HANDOVER_MAX)
        copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (copy >= 0)
        h->fds[h->n++] = copy;
    pthread_mutex_unlock(&h->lock);
    if (copy < 0)
        log_error("a listening socket cannot be handed over, and is opened anew");
}

char *handover_tell(const struct handover *h)
{
    enum { NUMBER_MAX = 12 };
    size_t size = (size_t)h->n * NUMBER_MAX + 1, length = 0;
    char *text = calloc(1, size);

    for (uint32_t i = 0; text != NULL && i < h->n; i++)
        length +=
            (size_t)snprintf(text + length, size - length, "%s%d", i == 0 ? "" : ",", h->fds[i]);
    return text;
}

void handover_open(const char *told)
{
    for (int fd = next_number(&told); fd >= 0; fd = next_number(&told))
        (void)fcntl(fd, F_SETFD, 0);
}
