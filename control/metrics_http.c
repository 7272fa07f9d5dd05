/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP for one page over evhttp: see metrics_http.h. evhttp reads requests and writes answers; who
 * may be connected, for how long, and how a connection ends is decided here.
 *
 * evhttp 2.1 announces a connection before its first request only by asking for a bufferevent, and
 * one that ends without a request not at all. But the argument of the callbacks that it sets on the
 * bufferevent is its connection, and that can be told to announce its end. So each bufferevent is
 * looked at right after evhttp took it, before anything is read (2.2 has evhttp_set_newreqcb).
 */
#include "control/metrics_http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "control/address.h"
#include "control/handover.h"
#include "control/log.h"

enum {
    LOOK_MS = 1000,
    INPUT_MAX = 2 * METRICS_HTTP_REQUEST_MAX, /* bytes kept; more than evhttp's own bound, which
                                                 it could not see exceeded otherwise */
    REST_MAX = 4096,
};

/* A place for one connection: accepted (`stream`), then evhttp's (`connection`), then `rest`. */
struct client {
    struct metrics_http *http;
    bool taken;
    struct bufferevent *stream;           /* with a reference, until evhttp's connection is known */
    struct evhttp_connection *connection; /* until evhttp ends it */
    int rest_fd;                          /* its socket once answered, or -1 */
    struct loop_event *rest;
    struct loop_event *timer;
};

struct metrics_http {
    struct loop *loop;
    struct metrics_http_conf conf;
    struct evhttp *server;
    struct evconnlistener *listener; /* the server's; disabled without room or after an error */
    struct loop_event *look;
    struct event *adopt;
    struct client clients[METRICS_HTTP_CLIENTS_MAX];
    uint32_t n_clients;
};

static const struct timeval stall = {.tv_sec = METRICS_HTTP_STALL_MS / 1000,
                                     .tv_usec = METRICS_HTTP_STALL_MS % 1000 * 1000L};

static void listen_again(struct metrics_http *http)
{
    if (http->n_clients < METRICS_HTTP_CLIENTS_MAX)
        evconnlistener_enable(http->listener); /* failing, on_look tries again */
}

/* Now and then, since on_accept_error cannot ask for it. */
static void on_look(void *arg)
{
    struct metrics_http *http = arg;

    listen_again(http);
    loop_timer_start(http->look, LOOK_MS);
}

/* Out of descriptors or memory: accepting again at once would only fail again. `arg` is evhttp's.
 */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    (void)arg;
    log_warning("control.metrics: %s", strerror(errno));
    evconnlistener_disable(listener);
}

/* Takes everything from a client, and its connection from evhttp. */
static void client_done(struct client *client)
{
    if (client->stream != NULL)
        bufferevent_decref(client->stream);
    client->stream = NULL;
    if (client->connection != NULL) {
        evhttp_connection_set_closecb(client->connection, NULL, NULL);
        evhttp_connection_free(client->connection);
    }
    client->connection = NULL;
    loop_event_free(client->rest);
    client->rest = NULL;
    if (client->rest_fd >= 0)
        close(client->rest_fd);
    client->rest_fd = -1;
}

/* It hung up, or was too slow: there is room for another. */
static void on_leave(void *arg)
{
    struct client *client = arg;

    client_done(client);
    loop_timer_stop(client->timer);
    client->taken = false;
    client->http->n_clients--;
    listen_again(client->http);
}

/* After the answer: what the peer still sends is not looked at, but closing over it would reset the
 * connection and could take the answer from it. */
static void on_rest(void *arg)
{
    struct client *client = arg;
    char rest[REST_MAX];
    ssize_t n = recv(client->rest_fd, rest, sizeof(rest), MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        on_leave(client);
}

/* evhttp is about to shut down and close its descriptor; a second one keeps the socket. */
static void on_close(struct evhttp_connection *connection, void *arg)
{
    struct client *client = arg;
    int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(connection));

    client->connection = NULL;
    client->rest_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (client->rest_fd >= 0)
        client->rest = loop_watch(client->http->loop, client->rest_fd, LOOP_READ, on_rest, client);
    if (client->rest != NULL)
        loop_timer_start(client->timer, METRICS_HTTP_CLOSE_MS);
    else
        on_leave(client);
}

/* Right after accepting: finds evhttp's connections of new clients; see the top of this file. */
static void on_adopt(evutil_socket_t fd, short what, void *arg)
{
    struct metrics_http *http = arg;

    (void)fd;
    (void)what;
    for (struct client *client = http->clients; client < http->clients + METRICS_HTTP_CLIENTS_MAX;
         client++) {
        bufferevent_event_cb owned = NULL;
        void *connection = NULL;

        if (client->stream == NULL)
            continue;
        bufferevent_getcb(client->stream, NULL, NULL, &owned, &connection);
        if (owned == NULL) { /* evhttp had no memory for it */
            on_leave(client);
            continue;
        }
        /* While a request is read, the client's timer runs: no more time for each byte. */
        bufferevent_set_timeouts(client->stream, NULL, &stall);
        bufferevent_decref(client->stream);
        client->stream = NULL;
        client->connection = connection;
        evhttp_connection_set_closecb(client->connection, on_close, client);
    }
}

/* A connection was accepted, and evhttp wants its bufferevent. */
static struct bufferevent *on_accept(struct event_base *base, void *arg)
{
    struct metrics_http *http = arg;
    struct client *client = http->clients;
    struct bufferevent *stream = bufferevent_socket_new(base, -1, 0);

    if (stream == NULL)
        return NULL; /* evhttp tries the same, and fails */
    while (client->taken)
        client++;
    client->taken = true;
    client->stream = stream;
    bufferevent_incref(stream);
    bufferevent_setwatermark(stream, EV_READ, 0, INPUT_MAX);
    loop_timer_start(client->timer, METRICS_HTTP_REQUEST_MS);
    event_active(http->adopt, 0, 0);
    if (++http->n_clients == METRICS_HTTP_CLIENTS_MAX)
        evconnlistener_disable(http->listener);
    return stream;
}

static struct client *find_client(struct metrics_http *http,
                                  const struct evhttp_connection *connection)
{
    for (int i = 0; i < METRICS_HTTP_CLIENTS_MAX; i++)
        if (http->clients[i].connection == connection)
            return &http->clients[i];
    return NULL;
}

/* Answers, and ends the connection. `body` is given away, may be NULL. */
static void answer(struct evhttp_request *request, int status, const char *reason, const char *type,
                   struct evbuffer *body)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    struct evkeyvalq *fields = evhttp_request_get_output_headers(request);
    char length[24];

    snprintf(length, sizeof(length), "%zu", body == NULL ? 0 : evbuffer_get_length(body));
    evhttp_add_header(fields, "Content-Type", type);
    evhttp_add_header(fields, "Content-Length", length);
    evhttp_add_header(fields, "Connection", "close");
    /* To one with "keep-alive" evhttp would say that, too. */
    evhttp_remove_header(evhttp_request_get_input_headers(request), "Connection");
    evhttp_send_reply(request, status, reason, body);
    /* evhttp reads on, and would leave without answering a client that ended its own side. */
    bufferevent_disable(evhttp_connection_get_bufferevent(connection), EV_READ);
    if (body != NULL)
        evbuffer_free(body);
}

/* The request's timer runs on: after CONNECT evhttp waits for more, whatever was answered. */
static void refuse(struct evhttp_request *request, int status, const char *reason)
{
    struct evbuffer *body = NULL;

    if (evhttp_request_get_command(request) != EVHTTP_REQ_HEAD)
        body = evbuffer_new();
    if (body != NULL)
        evbuffer_add(body, reason, strlen(reason));
    answer(request, status, reason, "text/plain", body);
}

static void free_page(const void *page, size_t length, void *arg)
{
    (void)length;
    (void)arg;
    free((void *)page);
}

static void on_page(struct evhttp_request *request, void *arg)
{
    struct metrics_http *http = arg;
    struct client *client = find_client(http, evhttp_request_get_connection(request));
    struct evbuffer *body;
    size_t length = 0;
    char *page;

    if (evhttp_request_get_command(request) != EVHTTP_REQ_GET) {
        evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET");
        refuse(request, HTTP_BADMETHOD, "Method Not Allowed");
        return;
    }
    page = http->conf.page(http->conf.arg, &length);
    body = page == NULL ? NULL : evbuffer_new();
    if (body != NULL && evbuffer_add_reference(body, page, length, free_page, NULL) == 0) {
        if (client != NULL)
            loop_timer_stop(client->timer); /* from now on only a stall ends the connection */
        answer(request, HTTP_OK, "OK", http->conf.type, body);
        return;
    }
    if (body != NULL)
        evbuffer_free(body);
    free(page);
    refuse(request, HTTP_INTERNAL, "Internal Server Error");
}

static void on_other_path(struct evhttp_request *request, void *arg)
{
    (void)arg;
    refuse(request, HTTP_NOTFOUND, "Not Found");
}

/* A bound socket, or a negative errno. */
static int open_socket(const struct sip_addr *addr)
{
    bool v4 = sip_ip_is_v4(&addr->ip);
    union address address;
    socklen_t size = address_to_kernel(addr, &address);
    int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    int status;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_FREEBIND : IPV6_FREEBIND, &on,
               sizeof(on));
    if (!v4)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    status = bind(fd, &address.any, size);
    if (status == 0)
        return fd;
    status = -errno;
    close(fd);
    return status;
}

/* The server with its rules; false: no memory. */
static bool server_init(struct metrics_http *http)
{
    http->server = evhttp_new(loop_base(http->loop));
    if (http->server == NULL)
        return false;
    /* All methods, since those that it refuses itself it calls unknown: 501. */
    evhttp_set_allowed_methods(http->server, UINT16_MAX);
    evhttp_set_max_headers_size(http->server, METRICS_HTTP_REQUEST_MAX);
    evhttp_set_max_body_size(http->server, 0);
    evhttp_set_timeout_tv(http->server, &stall);
    evhttp_set_bevcb(http->server, on_accept, http);
    evhttp_set_gencb(http->server, on_other_path, http);
    return evhttp_set_cb(http->server, http->conf.path, on_page, http) == 0;
}

static bool clients_init(struct metrics_http *http)
{
    for (int i = 0; i < METRICS_HTTP_CLIENTS_MAX; i++) {
        http->clients[i].http = http;
        http->clients[i].timer = loop_timer_new(http->loop, on_leave, &http->clients[i]);
        if (http->clients[i].timer == NULL)
            return false;
    }
    http->look = loop_timer_new(http->loop, on_look, http);
    http->adopt = event_new(loop_base(http->loop), -1, 0, on_adopt, http);
    return http->look != NULL && http->adopt != NULL;
}

/* 0 or a negative errno. */
static int listen_at(struct metrics_http *http, const struct sip_addr *addr)
{
    int fd = handover_take(http->conf.handover, SOCK_STREAM, addr);
    int status;

    if (fd < 0)
        fd = open_socket(addr);
    if (fd < 0)
        return fd;
    errno = ENOMEM;
    http->listener = evconnlistener_new(loop_base(http->loop), NULL, NULL,
                                        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
                                        METRICS_HTTP_CLIENTS_MAX, fd);
    if (http->listener == NULL) {
        status = -errno;
        close(fd);
        return status;
    }
    evconnlistener_set_error_cb(http->listener, on_accept_error);
    if (evhttp_bind_listener(http->server, http->listener) == NULL) {
        evconnlistener_free(http->listener);
        return -ENOMEM;
    }
    loop_timer_start(http->look, LOOK_MS);
    return 0;
}

struct metrics_http *metrics_http_new(struct loop *loop, const struct sip_addr *addr,
                                      const struct metrics_http_conf *conf)
{
    struct metrics_http *http = calloc(1, sizeof(*http));
    int status = -ENOMEM;

    errno = ENOMEM;
    if (http == NULL)
        return NULL;
    http->loop = loop;
    http->conf = *conf;
    for (int i = 0; i < METRICS_HTTP_CLIENTS_MAX; i++)
        http->clients[i].rest_fd = -1;
    if (clients_init(http) && server_init(http))
        status = listen_at(http, addr);
    if (status == 0)
        return http;
    metrics_http_free(http);
    errno = -status;
    return NULL;
}

void metrics_http_leave(struct metrics_http *http)
{
    handover_keep(http->conf.handover, evconnlistener_get_fd(http->listener));
}

void metrics_http_free(struct metrics_http *http)
{
    if (http == NULL)
        return;
    for (int i = 0; i < METRICS_HTTP_CLIENTS_MAX; i++) {
        client_done(&http->clients[i]);
        loop_event_free(http->clients[i].timer);
    }
    if (http->server != NULL)
        evhttp_free(http->server); /* and the listener, and connections not adopted yet */
    if (http->adopt != NULL)
        event_free(http->adopt);
    loop_event_free(http->look);
    free(http);
}
