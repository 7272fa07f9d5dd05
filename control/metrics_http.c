/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP for one page: see metrics_http.h. A connection reads one request, writes one answer, and
 * then only waits for the peer to hang up.
 */
#include "control/metrics_http.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/log.h"

enum { HEAD_MAX = 256, PAUSE_MS = 1000 };

struct client {
    struct metrics_http *http;
    int fd;
    struct loop_event *watch, *timer;
    char in[METRICS_HTTP_REQUEST_MAX];
    size_t in_length;
    char *out;
    size_t out_length, out_sent;
    struct client *next;
};

struct metrics_http {
    struct loop *loop;
    struct metrics_http_conf conf;
    int fd;
    struct loop_event *watch; /* NULL: not listened to, for want of room or while `pause` runs */
    struct loop_event *pause;
    struct client *clients;
    uint32_t n_clients;
};

static void on_connection(void *arg);

static void listen_again(void *arg)
{
    struct metrics_http *http = arg;

    if (http->watch != NULL || http->n_clients >= METRICS_HTTP_CLIENTS_MAX)
        return;
    http->watch = loop_watch(http->loop, http->fd, LOOP_READ, on_connection, http);
    if (http->watch == NULL)
        loop_timer_start(http->pause, PAUSE_MS);
}

static void look_away(struct metrics_http *http)
{
    loop_event_free(http->watch);
    http->watch = NULL;
}

static void client_free(struct client *client)
{
    struct client **at = &client->http->clients;

    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    client->http->n_clients--;
    loop_event_free(client->watch);
    loop_event_free(client->timer);
    close(client->fd);
    free(client->out);
    free(client);
}

/* It hung up, or was too slow: there is room for another. */
static void on_leave(void *arg)
{
    struct client *client = arg;
    struct metrics_http *http = client->http;

    client_free(client);
    listen_again(http);
}

/* Waits for `what`, at most so long. */
static void client_wait(struct client *client, int what, void (*fn)(void *arg), uint32_t ms)
{
    loop_event_free(client->watch);
    client->watch = loop_watch(client->http->loop, client->fd, what, fn, client);
    /* Without memory for the watch the timer ends it, at once. */
    loop_timer_start(client->timer, client->watch == NULL ? 0 : ms);
}

/* After the answer: what the peer still sends is not looked at, but closing over it would reset the
 * connection and could take the answer from it. */
static void on_rest(void *arg)
{
    struct client *client = arg;
    ssize_t n = recv(client->fd, client->in, sizeof(client->in), 0);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        on_leave(client);
}

static void on_writable(void *arg)
{
    struct client *client = arg;
    ssize_t n = send(client->fd, client->out + client->out_sent,
                     client->out_length - client->out_sent, MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        on_leave(client);
        return;
    }
    loop_timer_start(client->timer, METRICS_HTTP_STALL_MS);
    client->out_sent += (size_t)n;
    if (client->out_sent < client->out_length)
        return;
    shutdown(client->fd, SHUT_WR);
    client_wait(client, LOOP_READ, on_rest, METRICS_HTTP_CLOSE_MS);
}

/* Answers with a status and a body (length bytes; for a status of its own NULL: its words). */
static void answer(struct client *client, const char *status, const char *more, const char *type,
                   const char *body, size_t length)
{
    char head[HEAD_MAX];
    int n;

    if (body == NULL) {
        body = status;
        length = strlen(status);
    }
    n = snprintf(head, sizeof(head),
                 "HTTP/1.1 %s\r\n%sContent-Type: %s\r\nContent-Length: %zu\r\n"
                 "Connection: close\r\n\r\n",
                 status, more, type, length);
    client->out = malloc((size_t)n + length);
    if (client->out == NULL) {
        loop_timer_start(client->timer, 0); /* leaves it */
        return;
    }
    memcpy(client->out, head, (size_t)n);
    memcpy(client->out + n, body, length);
    client->out_length = (size_t)n + length;
    client_wait(client, LOOP_WRITE, on_writable, METRICS_HTTP_STALL_MS);
}

static void refuse(struct client *client, const char *status, const char *more)
{
    answer(client, status, more, "text/plain", NULL, 0);
}

static void answer_page(struct client *client)
{
    const struct metrics_http_conf *conf = &client->http->conf;
    size_t length = 0;
    char *page = conf->page(conf->arg, &length);

    if (page == NULL)
        refuse(client, "500 Internal Server Error", "");
    else
        answer(client, "200 OK", "", conf->type, page, length);
    free(page);
}

/* The next word of a request line that one blank or the line's end ends; false: there is none. */
static bool take_word(char **at, char **ret_word)
{
    char *end = *at + strcspn(*at, " \r\n");

    if (end == *at)
        return false;
    *ret_word = *at;
    *at = *end == ' ' ? end + 1 : end;
    *end = '\0';
    return true;
}

/* The request line: METHOD TARGET HTTP/1.x (RFC 9112 §3); the header fields do not matter here. */
static void handle(struct client *client)
{
    char *at = client->in, *method, *target, *version;

    if (!take_word(&at, &method) || !take_word(&at, &target) || !take_word(&at, &version) ||
        strncmp(version, "HTTP/1.", 7) != 0) {
        refuse(client, "400 Bad Request", "");
        return;
    }
    target[strcspn(target, "?")] = '\0';
    if (strcmp(target, client->http->conf.path) != 0)
        refuse(client, "404 Not Found", "");
    else if (strcmp(method, "GET") != 0)
        refuse(client, "405 Method Not Allowed", "Allow: GET\r\n");
    else
        answer_page(client);
}

static void on_readable(void *arg)
{
    struct client *client = arg;
    size_t room = sizeof(client->in) - 1 - client->in_length;
    ssize_t n = recv(client->fd, client->in + client->in_length, room, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || memchr(client->in + client->in_length, '\0', (size_t)n) != NULL) {
        on_leave(client);
        return;
    }
    client->in_length += (size_t)n;
    client->in[client->in_length] = '\0';
    if (strstr(client->in, "\r\n\r\n") != NULL || strstr(client->in, "\n\n") != NULL)
        handle(client);
    else if (client->in_length == sizeof(client->in) - 1)
        refuse(client, "431 Request Header Fields Too Large", "");
}

static void on_connection(void *arg)
{
    struct metrics_http *http = arg;
    int fd = accept4(http->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct client *client;

    if (fd < 0) {
        if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
            return;
        log_warning("control.metrics: %s", strerror(errno));
        look_away(http);
        loop_timer_start(http->pause, PAUSE_MS);
        return;
    }
    client = calloc(1, sizeof(*client));
    if (client != NULL)
        client->timer = loop_timer_new(http->loop, on_leave, client);
    if (client == NULL || client->timer == NULL) {
        free(client);
        close(fd);
        return;
    }
    client->http = http;
    client->fd = fd;
    client->next = http->clients;
    http->clients = client;
    http->n_clients++;
    client_wait(client, LOOP_READ, on_readable, METRICS_HTTP_REQUEST_MS);
    if (http->n_clients >= METRICS_HTTP_CLIENTS_MAX)
        look_away(http);
}

/* A listening socket, or a negative errno. */
static int open_socket(const struct sip_addr *addr)
{
    bool v4 = sip_ip_is_v4(&addr->ip);
    struct sockaddr_in v4_addr = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
    struct sockaddr_in6 v6_addr = {.sin6_family = AF_INET6, .sin6_port = htons(addr->port)};
    int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    int status;

    if (fd < 0)
        return -errno;
    memcpy(&v4_addr.sin_addr, addr->ip.bytes + 12, sizeof(v4_addr.sin_addr));
    memcpy(&v6_addr.sin6_addr, addr->ip.bytes, sizeof(v6_addr.sin6_addr));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_FREEBIND : IPV6_FREEBIND, &on,
               sizeof(on));
    if (!v4)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    status = v4 ? bind(fd, (const struct sockaddr *)&v4_addr, sizeof(v4_addr))
                : bind(fd, (const struct sockaddr *)&v6_addr, sizeof(v6_addr));
    if (status == 0)
        status = listen(fd, METRICS_HTTP_CLIENTS_MAX);
    if (status == 0)
        return fd;
    status = -errno;
    close(fd);
    return status;
}

struct metrics_http *metrics_http_new(struct loop *loop, const struct sip_addr *addr,
                                      const struct metrics_http_conf *conf)
{
    struct metrics_http *http = calloc(1, sizeof(*http));

    errno = ENOMEM;
    if (http == NULL)
        return NULL;
    http->loop = loop;
    http->conf = *conf;
    http->fd = open_socket(addr);
    if (http->fd < 0) {
        errno = -http->fd;
        free(http);
        return NULL;
    }
    http->pause = loop_timer_new(loop, listen_again, http);
    if (http->pause != NULL)
        http->watch = loop_watch(loop, http->fd, LOOP_READ, on_connection, http);
    if (http->watch != NULL)
        return http;
    metrics_http_free(http);
    errno = ENOMEM;
    return NULL;
}

void metrics_http_free(struct metrics_http *http)
{
    if (http == NULL)
        return;
    while (http->clients != NULL)
        client_free(http->clients);
    loop_event_free(http->watch);
    loop_event_free(http->pause);
    close(http->fd);
    free(http);
}
