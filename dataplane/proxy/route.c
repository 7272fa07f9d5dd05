/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Route set: rule 1 (pop what is ours), strict routers before and after us, and the splices
 * that follow from it. Several values may stand in one line.
 */
#include "dataplane/proxy/work.h"

#include <errno.h>

static uint32_t end_offset(const struct proxy_work *w, struct sip_slice slice)
{
    return proxy_offset(w, slice.at) + slice.length;
}

/* host and port of our own address's text. */
static void own_hostport(const struct snapshot_listener *listener, const char *at,
                         struct sip_uri *ret)
{
    uint32_t host = listener->text_length;

    while (host > 0 && listener->text[--host] != ':')
        ;
    ret->host = sip_slice(at, host);
    ret->port = listener->addr.port;
    ret->host_is_ip = true;
    ret->ip = listener->addr.ip;
}

/*
 * A value as we write it, `<sip:t1.…@ADDRESS;lr>` with the ingress listener's address, alone in its
 * field: what the parsers say of it, without them. False: it is another.
 */
static bool read_own(const struct proxy_work *w, struct sip_slice value, struct proxy_route *ret)
{
    static const char front[] = "<sip:t1.", back[] = ";lr>";
    const struct snapshot_listener *listener = &snapshot_listeners(w->s)[w->in->listener];
    const uint32_t n_front = sizeof(front) - 1, n_back = sizeof(back) - 1, n_sip = 4;
    uint32_t address = value.length - n_back - listener->text_length;
    struct sip_slice user, uri;

    if (value.length < n_front + 1 + listener->text_length + n_back ||
        memcmp(value.at, front, n_front) != 0 || value.at[address - 1] != '@' ||
        memcmp(value.at + address, listener->text, listener->text_length) != 0 ||
        memcmp(value.at + value.length - n_back, back, n_back) != 0)
        return false;
    uri = sip_slice(value.at + 1, value.length - 2);
    user = sip_slice(uri.at + n_sip, address - 2 - n_sip);
    if (!sip_uri_is_user(user))
        return false;
    ret->addr.whole = value;
    ret->addr.rest = sip_slice("", 0);
    ret->addr.uri = uri;
    ret->addr.params = sip_slice("", 0);
    ret->addr.bracketed = true;
    ret->is_uri = true;
    ret->uri.whole = uri;
    ret->uri.user = user;
    ret->uri.params = sip_slice(uri.at + uri.length - (n_back - 1), n_back - 1);
    ret->uri.headers = sip_slice("", 0);
    ret->uri.scheme = SIP_SCHEME_SIP;
    own_hostport(listener, value.at + address, &ret->uri);
    return true;
}

/* The first value of `text`. */
static bool read_route(const struct proxy_work *w, struct sip_slice text, struct proxy_route *ret)
{
    if (read_own(w, text, ret))
        return true;
    if (sip_nameaddr_parse(text, &ret->addr) != 0)
        return false;
    ret->is_uri = sip_uri_parse(ret->addr.uri, &ret->uri) == 0;
    return true;
}

bool proxy_routes_read(struct proxy_work *w)
{
    const struct sip_field *field = sip_msg_first(w->msg, SIP_ROUTE);

    for (; field != NULL; field = sip_msg_next(w->msg, field)) {
        struct sip_slice rest = sip_msg_value(w->msg, field);

        while (rest.length > 0) {
            struct proxy_route *route = &w->routes[w->n_routes];

            if (w->n_routes == PROXY_ROUTES_MAX || !read_route(w, rest, route))
                return proxy_refuse(w, PROXY_REPLY_400_MALFORMED);
            route->field = field;
            rest = route->addr.rest;
            w->n_routes++;
        }
    }
    w->end_route = w->n_routes;
    return true;
}

const struct proxy_route *proxy_next_route(const struct proxy_work *w)
{
    return w->first_route < w->end_route ? &w->routes[w->first_route] : NULL;
}

const struct sip_uri *proxy_next_uri(const struct proxy_work *w)
{
    const struct proxy_route *route = proxy_next_route(w);

    if (route == NULL)
        return &w->ruri;
    return route->is_uri ? &route->uri : NULL;
}

bool proxy_is_secure(const struct proxy_work *w)
{
    const struct proxy_route *route = proxy_next_route(w);

    return w->ruri.scheme == SIP_SCHEME_SIPS ||
           (route != NULL && route->is_uri && route->uri.scheme == SIP_SCHEME_SIPS);
}

/* What a URI is to rule 1. */
enum bearer { BEARER_NONE, BEARER_ADDRESS, BEARER_TOKEN, BEARER_FORGED };

static enum bearer bearer_of(const struct proxy_work *w, const struct sip_uri *uri,
                             struct proxy_token *ret_token)
{
    bool ours = proxy_uri_is_ours(w, uri);

    if (!ours && !proxy_uri_is_node(w, uri))
        return BEARER_NONE;
    switch (proxy_token_parse(w->s, uri->user, ret_token)) {
    case 0:
        return BEARER_TOKEN;
    case -EACCES:
        return BEARER_FORGED;
    default:
        return ours ? BEARER_ADDRESS : BEARER_NONE;
    }
}

static enum bearer next_bearer(const struct proxy_work *w, struct proxy_token *ret_token)
{
    const struct proxy_route *route = proxy_next_route(w);

    return route != NULL && route->is_uri ? bearer_of(w, &route->uri, ret_token) : BEARER_NONE;
}

/* Whether a URI is a loose router's; nearly all that are have lr as their first parameter. */
static bool has_lr(const struct sip_uri *uri)
{
    struct sip_slice value;

    return (uri->params.length == 3 && memcmp(uri->params.at, ";lr", 3) == 0) ||
           sip_param_find(uri->params, sip_slice_of("lr"), &value, NULL);
}

/*
 * RFC 3261 §16.4: a strict router before us put our Record-Route URI into the Request-URI; the
 * real one is the last Route.
 */
bool proxy_repair_strict(struct proxy_work *w)
{
    const struct proxy_route *last;
    enum bearer bearer;

    if (!proxy_token_may_be(w->ruri.user))
        return true;
    bearer = bearer_of(w, &w->ruri, &w->token);
    /* Ours have lr, which tells them from a user whose name begins as tokens do. */
    if (bearer == BEARER_FORGED && has_lr(&w->ruri))
        return proxy_refuse(w, PROXY_REPLY_403_TOKEN);
    if (bearer != BEARER_TOKEN)
        return true;
    w->has_token = true;
    if (proxy_next_route(w) == NULL)
        return true;
    w->end_route--;
    last = &w->routes[w->end_route];
    if (!last->is_uri)
        return proxy_refuse(w, PROXY_REPLY_400_MALFORMED);
    w->ruri = last->uri;
    w->ruri_replaced = true;
    return true;
}

/*
 * The other Record-Route of a pair (RFC 5658) says the same, from the other side. It may bear the
 * address of another node, by whose stream the dialog began: it is signed, so it is no stranger's.
 */
static void pop_partner(struct proxy_work *w)
{
    const struct proxy_route *next = proxy_next_route(w);
    struct proxy_token other;

    if (w->token.pair == PROXY_PAIR_NONE || next == NULL || !next->is_uri ||
        proxy_token_parse(w->s, next->uri.user, &other) != 0)
        return;
    if (other.pair != PROXY_PAIR_NONE && other.pair != w->token.pair &&
        other.backend == w->token.backend && proxy_flow_equal(&other.flow, &w->token.flow))
        w->first_route++;
}

/*
 * Pops one Route that bears our token, or a pair. Our address without a token is popped only as
 * the topmost: phones put their outbound proxy before the Route set.
 */
bool proxy_rule_1_pop(struct proxy_work *w)
{
    enum bearer bearer;

    if (w->has_token) {
        pop_partner(w);
        return true;
    }
    bearer = next_bearer(w, &w->token);
    if (bearer == BEARER_ADDRESS) {
        w->first_route++;
        bearer = next_bearer(w, &w->token);
    }
    if (bearer == BEARER_FORGED)
        return proxy_refuse(w, PROXY_REPLY_403_TOKEN);
    if (bearer == BEARER_TOKEN) {
        w->has_token = true;
        w->first_route++;
        pop_partner(w);
    }
    return true;
}

void proxy_routes_restore(struct proxy_work *w)
{
    struct proxy_token token;

    w->first_route = 0;
    w->end_route = w->n_routes;
    if (!w->ruri_replaced && next_bearer(w, &token) == BEARER_ADDRESS)
        w->first_route++;
    w->ruri_replaced = false;
}

void proxy_strict_next_hop(struct proxy_work *w)
{
    const struct proxy_route *route = proxy_next_route(w);

    if (route == NULL || !w->next_is_route || !route->is_uri || has_lr(&route->uri))
        return;
    w->moved_ruri = w->ruri.whole;
    w->ruri = route->uri;
    w->ruri_replaced = true;
    w->first_route++;
}

void proxy_put_request_uri(struct proxy_work *w)
{
    if (!w->ruri_replaced)
        return;
    sip_edit_splice(&w->out->edit, proxy_offset(w, w->msg->request_uri.at),
                    w->msg->request_uri.length);
    sip_edit_put_slice(&w->out->edit, w->ruri.whole);
}

/* The Routes [begin, end) are one line's. */
static void put_route_line(struct proxy_work *w, uint32_t begin, uint32_t end)
{
    uint32_t first = begin > w->first_route ? begin : w->first_route;
    uint32_t last = end < w->end_route ? end : w->end_route;

    if (first >= last) {
        struct sip_slice line = sip_msg_line(w->msg, w->routes[begin].field);

        sip_edit_splice(&w->out->edit, proxy_offset(w, line.at), line.length);
        return;
    }
    if (first > begin) {
        uint32_t from = proxy_offset(w, w->routes[begin].addr.whole.at);

        sip_edit_splice(&w->out->edit, from,
                        proxy_offset(w, w->routes[first].addr.whole.at) - from);
    }
    if (last < end) {
        uint32_t from = end_offset(w, w->routes[last - 1].addr.whole);

        sip_edit_splice(&w->out->edit, from, end_offset(w, w->routes[end - 1].addr.whole) - from);
    }
}

/* The chosen backend's host and port where a Route names the one in whose place it is. */
static bool put_substitute(struct proxy_work *w, const struct proxy_route *route)
{
    const struct lb_backend *chosen = &w->backends[w->out->backend];
    const struct sip_uri *uri = &route->uri;
    char text[SIP_ADDR_TEXT_MAX];
    struct sip_addr addr;
    uint32_t from, end;

    if (!route->is_uri || !proxy_uri_addr(uri, &addr) || proxy_backend_at(w, &addr) != w->replaced)
        return false;
    from = proxy_offset(w, uri->host.at);
    end = end_offset(w, uri->host);
    if (uri->port != 0) {
        while (end < end_offset(w, uri->whole) &&
               (w->msg->buf[end] == ':' || sip_char_is(w->msg->buf[end], SIP_CHAR_DIGIT)))
            end++;
    }
    addr.ip = chosen->ip;
    addr.port = chosen->port;
    sip_edit_splice(&w->out->edit, from, end - from);
    sip_edit_put(&w->out->edit, text, sip_addr_print(&addr, text));
    return true;
}

void proxy_put_routes(struct proxy_work *w)
{
    uint32_t begin = 0, end;

    for (; begin < w->n_routes; begin = end) {
        end = begin + 1;
        while (end < w->n_routes && w->routes[end].field == w->routes[begin].field)
            end++;
        put_route_line(w, begin, end);
    }
    if (w->replaced != LB_NO_BACKEND) {
        for (uint32_t i = w->first_route; i < w->end_route; i++) {
            if (!put_substitute(w, &w->routes[i]))
                break;
        }
    }
    if (w->moved_ruri.length > 0) {
        struct sip_slice line = sip_msg_line(w->msg, w->routes[w->n_routes - 1].field);

        sip_edit_splice(&w->out->edit, end_offset(w, line), 0);
        sip_edit_put_text(&w->out->edit, "Route: <");
        sip_edit_put_slice(&w->out->edit, w->moved_ruri);
        sip_edit_put_text(&w->out->edit, ">\r\n");
    }
}
