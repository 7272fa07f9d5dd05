/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's socket and its clients: bytes in, lines out. It does not know what a line asks.
 */
#include "control/admin_socket.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/handover.h"
#include "control/log.h"

enum { ACCEPT_PAUSE_MS = 1000 };

static const char TOO_LONG[] = "{\"ok\":false,\"error\":\"the request is longer than 4096 bytes\"}";
static const char TOO_MANY[] = "{\"ok\":false,\"error\":\"too many clients at once, try again\"}\n";

static_assert(ADMIN_REQUEST_MAX == 4096, "TOO_LONG says so");

struct admin_client {
    struct admin *admin;
    int fd;
    struct loop_event *reader, *writer; /* one of the two, or none while an answer is awaited */
    struct loop_event *timer;
    char in[ADMIN_REQUEST_MAX];
    size_t in_length;
    char *out;
    size_t out_length, out_sent;
    bool busy;    /* a request is being handled */
    bool leaving; /* after this answer */
    struct admin_client *next;
};

struct admin {
    struct loop *loop;
    struct admin_parts parts;
    struct captures *captures;
    struct sockaddr_un address;
    int fd;
    struct loop_event *watch; /* NULL: not listened to while `pause` runs */
    struct loop_event *pause;
    bool left; /* to a successor */
    struct admin_client *clients;
    uint32_t n_clients;
};

static void on_readable(void *arg);
static void on_writable(void *arg);

static void client_free(struct admin_client *client)
{
    struct admin_client **at = &client->admin->clients;

    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    client->admin->n_clients--;
    reload_cancel(client->admin->parts.reload, client);
    loop_event_free(client->reader);
    loop_event_free(client->writer);
    loop_event_free(client->timer);
    if (client->fd >= 0)
        close(client->fd);
    free(client->out);
    free(client);
}

int admin_client_fd(const struct admin_client *client)
{
    return client->fd;
}

void admin_client_leave(struct admin_client *client)
{
    client->fd = -1;
    client_free(client);
}

static void on_idle(void *arg)
{
    struct admin_client *client = arg;

    /* While a change is awaited it is we who are slow, and that wait has its own end. */
    if (client->busy)
        loop_timer_start(client->timer, ADMIN_IDLE_MS);
    else
        client_free(client);
}

/* Waits for `what` and nothing else. False: no memory, the client must go. */
static bool client_wait(struct admin_client *client, int what)
{
    loop_event_free(client->reader);
    loop_event_free(client->writer);
    client->reader = client->writer = NULL;
    if (what == LOOP_READ)
        client->reader =
            loop_watch(client->admin->loop, client->fd, LOOP_READ, on_readable, client);
    else if (what == LOOP_WRITE)
        client->writer =
            loop_watch(client->admin->loop, client->fd, LOOP_WRITE, on_writable, client);
    loop_timer_start(client->timer, ADMIN_IDLE_MS);
    return what == 0 || client->reader != NULL || client->writer != NULL;
}

void admin_client_answer(struct admin_client *client, char *text)
{
    client->busy = false;
    client->out_length = text == NULL ? 0 : strlen(text);
    client->out_sent = 0;
    client->out = text;
    if (text != NULL)
        text[client->out_length++] = '\n'; /* instead of the NUL: the length is known */
    /* Written by the loop, also when it could be at once: one way to leave a client, not two. */
    if (!client_wait(client, LOOP_WRITE))
        shutdown(client->fd, SHUT_RDWR);
}

/* Handles the first whole line that has come. False: there is none. */
static bool take_line(struct admin_client *client)
{
    char line[ADMIN_REQUEST_MAX];
    char *end = memchr(client->in, '\n', client->in_length);
    size_t length, taken;

    if (end == NULL)
        return false;
    length = (size_t)(end - client->in);
    taken = length + 1;
    memcpy(line, client->in, length);
    client->in_length -= taken;
    memmove(client->in, client->in + taken, client->in_length);
    client->busy = true;
    client_wait(client, 0);
    admin_handle(client, &client->admin->parts, client->admin->captures, line, length);
    return true;
}

static void on_readable(void *arg)
{
    struct admin_client *client = arg;
    ssize_t n =
        recv(client->fd, client->in + client->in_length, sizeof(client->in) - client->in_length, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        client_free(client);
        return;
    }
    client->in_length += (size_t)n;
    loop_timer_start(client->timer, ADMIN_IDLE_MS);
    if (!take_line(client) && client->in_length == sizeof(client->in)) {
        log_warning("a request of more than %d bytes on the admin socket", ADMIN_REQUEST_MAX);
        client->leaving = true;
        admin_client_answer(client, strdup(TOO_LONG));
    }
}

static void on_writable(void *arg)
{
    struct admin_client *client = arg;
    ssize_t n = send(client->fd, client->out + client->out_sent,
                     client->out_length - client->out_sent, MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 || client->out == NULL) {
        client_free(client);
        return;
    }
    loop_timer_start(client->timer, ADMIN_IDLE_MS);
    client->out_sent += (size_t)n;
    if (client->out_sent < client->out_length)
        return;
    free(client->out);
    client->out = NULL;
    if (client->leaving) {
        client_free(client);
        return;
    }
    if (!take_line(client) && !client_wait(client, LOOP_READ))
        client_free(client);
}

static void on_connection(void *arg);

static void on_pause_over(void *arg)
{
    struct admin *admin = arg;

    admin->watch = loop_watch(admin->loop, admin->fd, LOOP_READ, on_connection, admin);
    if (admin->watch == NULL)
        loop_timer_start(admin->pause, ACCEPT_PAUSE_MS);
}

/* A client waits that cannot be accepted (no descriptor, no memory) and would wake us all the time:
 * look away for a moment, in which others leave. */
static void accept_pause(struct admin *admin, int number)
{
    log_warning("the admin socket: %s", strerror(number));
    loop_event_free(admin->watch);
    admin->watch = NULL;
    loop_timer_start(admin->pause, ACCEPT_PAUSE_MS);
}

/* Says why on the way out; a fresh socket has room for it. */
static void turn_away(int fd)
{
    log_warning("a client of the admin socket was turned away: too many");
    if (send(fd, TOO_MANY, sizeof(TOO_MANY) - 1, MSG_NOSIGNAL) < 0)
        log_warning("the admin socket: %s", strerror(errno));
    close(fd);
}

static void on_connection(void *arg)
{
    struct admin *admin = arg;
    int fd = accept4(admin->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct admin_client *client;

    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            accept_pause(admin, errno);
        return;
    }
    client = admin->n_clients < ADMIN_CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;
    if (client != NULL)
        client->timer = loop_timer_new(admin->loop, on_idle, client);
    if (client == NULL || client->timer == NULL) {
        free(client);
        turn_away(fd);
        return;
    }
    client->admin = admin;
    client->fd = fd;
    client->next = admin->clients;
    admin->clients = client;
    admin->n_clients++;
    if (!client_wait(client, LOOP_READ))
        client_free(client);
}

/* Removes a socket that a dead process left; another file or a living socket stays. */
static void remove_stale(const struct sockaddr_un *address)
{
    struct stat st;
    int fd;

    if (lstat(address->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
        errno == ECONNREFUSED)
        unlink(address->sun_path);
    close(fd);
}

static void make_directory_of(const char *path)
{
    char directory[PATH_MAX];
    char *slash;

    snprintf(directory, sizeof(directory), "%s", path);
    slash = strrchr(directory, '/');
    if (slash == NULL || slash == directory)
        return;
    *slash = '\0';
    mkdir(directory, 0755); /* bind says what is wrong if this did not help */
}

/* Binds with nobody else allowed, unless a predecessor did. 0 or a negative errno. */
static int bind_closed(struct admin *admin)
{
    const char *path = admin->address.sun_path;
    mode_t before;
    int status;

    admin->fd = handover_take_path(admin->parts.handover, path);
    if (admin->fd >= 0)
        return 0;
    make_directory_of(path);
    remove_stale(&admin->address);
    admin->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (admin->fd < 0)
        return -errno;
    before = umask(0177);
    status = bind(admin->fd, (const struct sockaddr *)&admin->address, sizeof(admin->address));
    status = status == 0 ? 0 : -errno;
    umask(before);
    return status;
}

/* Opens the socket to a group. 0, or -EINVAL and one line why. */
static int open_to_group(const char *path, const char *group, char *ret_text)
{
    const struct group *entry = getgrnam(group);

    if (entry == NULL) {
        snprintf(ret_text, PLAN_TEXT_MAX, "control.socket_group: there is no group %.100s", group);
    } else if (chown(path, (uid_t)-1, entry->gr_gid) != 0 || chmod(path, 0660) != 0) {
        snprintf(ret_text, PLAN_TEXT_MAX, "control.socket_group: %.100s: %s%s", group,
                 strerror(errno),
                 errno == EPERM ? ": the user of tandem-control must be a member" : "");
    } else {
        return 0;
    }
    unlink(path);
    return -EINVAL;
}

/* 0, or a negative errno and one line why. */
static int admin_listen(struct admin *admin, const char *group, char *ret_text)
{
    int status = bind_closed(admin);

    if (status == 0 && group == NULL && chmod(admin->address.sun_path, 0600) != 0)
        status = -errno; /* a predecessor may have had a group */
    if (status == 0 && group != NULL) {
        status = open_to_group(admin->address.sun_path, group, ret_text);
        if (status != 0)
            return status;
    }
    if (status == 0 && listen(admin->fd, ADMIN_CLIENTS_MAX) != 0)
        status = -errno;
    if (status != 0)
        snprintf(ret_text, PLAN_TEXT_MAX, "control.socket: %.500s: %s", admin->address.sun_path,
                 strerror(-status));
    return status;
}

struct admin *admin_new(struct loop *loop, const struct admin_parts *parts, const char *path,
                        const char *group, char *ret_text)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    int status = -ENAMETOOLONG;

    snprintf(ret_text, PLAN_TEXT_MAX, "no memory");
    if (admin == NULL)
        return NULL;
    admin->loop = loop;
    admin->parts = *parts;
    admin->fd = -1;
    snprintf(ret_text, PLAN_TEXT_MAX, "control.socket: %.500s: %s", path, strerror(-status));
    if (strlen(path) < sizeof(admin->address.sun_path)) {
        admin->address.sun_family = AF_UNIX;
        strcpy(admin->address.sun_path, path);
        status = admin_listen(admin, group, ret_text);
    }
    if (status == 0) {
        admin->watch = loop_watch(loop, admin->fd, LOOP_READ, on_connection, admin);
        admin->pause = loop_timer_new(loop, on_pause_over, admin);
        admin->captures = captures_new(loop, admin->parts.reload);
        if (admin->watch == NULL || admin->pause == NULL || admin->captures == NULL)
            status = -ENOMEM;
        if (status != 0)
            snprintf(ret_text, PLAN_TEXT_MAX, "no memory");
    }
    if (status == 0)
        return admin;
    captures_free(admin->captures);
    loop_event_free(admin->watch);
    loop_event_free(admin->pause);
    if (admin->fd >= 0)
        close(admin->fd);
    free(admin);
    return NULL;
}

void admin_free(struct admin *admin)
{
    if (admin == NULL)
        return;
    while (admin->clients != NULL)
        client_free(admin->clients);
    captures_free(admin->captures);
    loop_event_free(admin->watch);
    loop_event_free(admin->pause);
    close(admin->fd);
    if (!admin->left)
        unlink(admin->address.sun_path);
    free(admin);
}

void admin_leave(struct admin *admin)
{
    handover_keep(admin->parts.handover, admin->fd);
    admin->left = true;
}
