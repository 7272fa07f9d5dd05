/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSockets of connections: see web.h.
 */
#include "control/stream/web.h"

#include <errno.h>
#include <stdlib.h>

#include "control/stream/connection.h"
#include "control/stream/receive.h"
#include "control/stream/thread.h"
#include "control/stream/ws.h"

struct web {
    struct http_upgrade upgrade;
    struct ws *ws; /* NULL: not upgraded yet */
};

struct web *web_new(void)
{
    return calloc(1, sizeof(struct web));
}

void web_free(struct web *web)
{
    if (web == NULL)
        return;
    ws_free(web->ws);
    free(web);
}

static void on_message(void *arg, const char *text, uint32_t length)
{
    struct connection *c = arg;

    if (connection_reads(c))
        receive_message(c, text, length);
}

static void on_send(void *arg, const void *bytes, size_t length)
{
    struct connection *c = arg;

    if (c->state != CONNECTION_ENDED)
        connection_write(c, bytes, length);
}

static void on_ping(void *arg)
{
    const struct connection *c = arg;

    counts_add(&c->thread->counts[c->entry.transport], COUNT_PINGS, 1);
}

static void answer_and_leave(struct connection *c, int status)
{
    char answer[HTTP_ANSWER_MAX];
    int32_t length = http_refuse_print(status, answer);

    counts_add(&c->thread->counts[c->entry.transport], COUNT_UPGRADES_REFUSED, 1);
    connection_write(c, answer, (size_t)length);
    connection_leave(c, CLOSE_HANDSHAKE);
}

/* Answers a good request. False: no memory, or no digest. */
static bool accept_upgrade(struct connection *c)
{
    const struct ws_callbacks callbacks = {on_message, on_send, on_ping};
    const struct cfg_streams *limits = connection_limits(c);
    char answer[HTTP_ANSWER_MAX];
    int32_t length = http_accept_print(&c->web->upgrade, answer);

    if (length > 0)
        c->web->ws = ws_new(limits->header_limit + limits->body_limit, &callbacks, c);
    if (c->web->ws == NULL)
        return false;
    counts_add(&c->thread->counts[c->entry.transport], COUNT_UPGRADES, 1);
    connection_write(c, answer, (size_t)length);
    connection_opened(c);
    return true;
}

/* Returns how many bytes were the request's; 0: it is not whole, or was refused. */
static uint32_t take_upgrade(struct connection *c, const char *bytes, uint32_t n)
{
    const struct http_rules *rules = edges_rules(c->thread->view->edges, &c->entry.local);
    int status;

    if (rules == NULL) {
        connection_end(c, CLOSE_LISTENER);
        return 0;
    }
    status = http_upgrade_read(&c->web->upgrade, rules, bytes, n);
    if (status == -EAGAIN)
        return 0;
    if (status == 0 && accept_upgrade(c))
        return c->web->upgrade.length;
    if (status == 0)
        connection_end(c, CLOSE_ERROR);
    else
        answer_and_leave(c, status);
    return 0;
}

uint32_t web_take(struct connection *c, const char *bytes, uint32_t n)
{
    uint32_t at = 0;

    if (c->web->ws == NULL) {
        at = take_upgrade(c, bytes, n);
        if (at == 0)
            return 0;
    }
    if (ws_take(c->web->ws, bytes + at, n - at) != 0) {
        uint16_t code = ws_code(c->web->ws);

        connection_leave(c, code == WS_PROTOCOL || code == WS_NOT_UTF8 || code == WS_TOO_BIG
                                ? CLOSE_FRAME
                                : CLOSE_PEER);
    }
    return n;
}

int web_send(struct connection *c, const char *text, uint32_t length)
{
    if (c->web->ws == NULL || ws_send(c->web->ws, text, length) != 0)
        return -ENOTCONN;
    return 0;
}

void web_close(struct connection *c)
{
    if (c->web->ws != NULL)
        ws_close(c->web->ws, WS_RESTART);
}

size_t web_held(const struct connection *c)
{
    return c->web->ws != NULL ? ws_held(c->web->ws) : 0;
}

bool web_pending(const struct connection *c)
{
    return c->web->ws != NULL && ws_pending(c->web->ws);
}
