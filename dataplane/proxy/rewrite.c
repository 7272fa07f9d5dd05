/* SPDX-License-Identifier: Apache-2.0 */
/* The edits on every forwarded request, as splices. */
#include <assert.h>

#include "dataplane/proxy/work.h"

enum { MAX_FORWARDS = 70 }; /* RFC 3261 §16.6 step 3 */

/* Towards a backend, as opposed to outwards. */
static bool inward(const struct proxy_work *w)
{
    return w->out->rule <= PROXY_RULE_TABLE;
}

void proxy_fill_via(const struct proxy_input *in, const struct snapshot_service *service,
                    bool outside, struct proxy_next_via *ret)
{
    const struct sip_via *via = &in->msg->top_via;
    bool rport = via->rport_param.length > 0 || (outside && service->nat == SNAPSHOT_NAT_ALWAYS);

    proxy_via_sent_by(via, ret);
    ret->rport = rport ? in->from.peer.port : 0;
    memset(&ret->received, 0, sizeof(ret->received));
    /* RFC 3581 §4: with rport received is set even when it equals sent-by; §18.2.1 otherwise. */
    if (rport || !ret->sent_by_is_ip || !sip_ip_equal(&ret->sent_by_ip, &in->from.peer.ip))
        ret->received = in->from.peer.ip;
}

/* Opens the splice that replaces a parameter of the top Via, or that adds one at its end. */
static void splice_via_param(struct proxy_work *w, struct sip_slice old)
{
    const struct sip_via *via = &w->msg->top_via;

    if (old.length > 0)
        sip_edit_splice(&w->out->edit, proxy_offset(w, old.at), old.length);
    else
        sip_edit_splice(&w->out->edit, proxy_offset(w, via->whole.at) + via->whole.length, 0);
}

static void put_received(struct proxy_work *w, const struct sip_ip *ip)
{
    static const struct sip_ip none;
    struct sip_slice old = w->msg->top_via.received_param;
    struct sip_edit *edit = &w->out->edit;
    bool known = !sip_ip_equal(ip, &none);
    char text[SIP_IP_TEXT_MAX], *at;

    if (!known && old.length == 0)
        return;
    splice_via_param(w, old);
    if (!known)
        return;
    at = sip_put_text(sip_edit_room(edit), ";received=");
    if (sip_ip_is_v4(ip))
        at += sip_ip_print(ip, at);
    else /* without brackets here: RFC 3261 §25.1 */
        at = sip_put(at, text + 1, sip_ip_print(ip, text) - 2);
    sip_edit_written(edit, at);
}

static void put_rport(struct proxy_work *w, uint16_t port)
{
    struct sip_edit *edit = &w->out->edit;
    char *at;

    if (port == 0)
        return;
    splice_via_param(w, w->msg->top_via.rport_param);
    at = sip_put_text(sip_edit_room(edit), ";rport=");
    sip_edit_written(edit, at + sip_number_print(port, at));
}

static void put_max_forwards(struct proxy_work *w)
{
    const struct sip_field *field = sip_msg_first(w->msg, SIP_MAX_FORWARDS);

    for (; field != NULL; field = sip_msg_next(w->msg, field)) {
        sip_edit_splice(&w->out->edit, field->value, field->value_length);
        sip_edit_put_number(&w->out->edit, (uint32_t)w->msg->max_forwards - 1);
    }
}

/* What our Record-Route or Path says of this request. */
static struct proxy_token make_token(const struct proxy_work *w)
{
    struct proxy_token token;
    int32_t backend = inward(w) ? w->out->backend : w->out->sender;

    memset(&token, 0, sizeof(token));
    token.flow = inward(w) ? w->in->from : w->out->to;
    token.backend = w->backends[backend].id;
    if (inward(w))
        token.backend_port = w->out->to.peer.port;
    else if (w->prepared->by_node)
        token.backend_port = w->prepared->peer.port;
    else if (w->in->from.transport == SIP_TRANSPORT_UDP)
        token.backend_port = w->in->from.peer.port;
    else /* a connection's port is nobody's */
        token.backend_port = w->backends[backend].port;
    return token;
}

/* An address of ours, in an array of SIP_ADDR_TEXT_ROOM: nearly always that of the listener which
 * the message came to. */
static struct sip_slice text_of(const struct proxy_work *w, const struct sip_addr *local,
                                char buf[SIP_ADDR_TEXT_ROOM])
{
    const struct snapshot_listener *ingress = &snapshot_listeners(w->s)[w->in->listener];

    if (sip_addr_equal(local, &ingress->addr))
        return sip_slice(ingress->text, ingress->text_length);
    return sip_slice(buf, sip_addr_print(local, buf));
}

/* All of the line but its token and address, with room to spare. */
enum { ROUTE_TEXT_MAX = 64 + PROXY_TOKEN_TEXT_MAX + SIP_ADDR_TEXT_ROOM };

/* What our fields begin with; copied whole, too. */
enum { FRONT_ROOM = 32 };
static const char record_route_front[FRONT_ROOM] = "Record-Route: <sip:";
static const char secure_route_front[FRONT_ROOM] = "Record-Route: <sips:";
static const char path_front[FRONT_ROOM] = "Path: <sip:";

/* RFC 7118 §5.2.2: a WebSocket's is ws, with TLS and without. */
static const char *const transport_parameters[SIP_TRANSPORT_COUNT] = {
    [SIP_TRANSPORT_NONE] = "",
    [SIP_TRANSPORT_UDP] = "",
    [SIP_TRANSPORT_TCP] = ";transport=tcp",
    [SIP_TRANSPORT_TLS] = ";transport=tls",
    [SIP_TRANSPORT_WS] = ";transport=ws",
    [SIP_TRANSPORT_WSS] = ";transport=ws",
};

/* `FRONT TOKEN@ADDRESS;lr>`, with ;ob where it is to say so. */
static void put_route_header(struct proxy_work *w, struct sip_slice front,
                             const struct proxy_token *token, const struct sip_addr *local,
                             uint8_t transport, bool ob)
{
    struct sip_edit *edit = &w->out->edit;
    char *at = sip_edit_room(edit), text[SIP_ADDR_TEXT_ROOM];
    struct sip_slice sent_by = text_of(w, local, text);

    static_assert((int)ROUTE_TEXT_MAX <= (int)SIP_EDIT_ROOM,
                  "it is written where it may leave the text");
    memcpy(at, front.at, FRONT_ROOM);
    at += front.length;
    at += proxy_token_print(w->s, token, at);
    *at++ = '@';
    at = sip_put_addr_text(at, sent_by);
    if (transport != SIP_TRANSPORT_UDP)
        at = sip_put_text(at, transport_parameters[transport]);
    sip_edit_written(edit, ob ? sip_put_text(at, ";lr;ob>\r\n") : sip_put_text(at, ";lr>\r\n"));
}

/* RFC 3261 §16.6 step 4: what is secure stays so, but for the inner hop to a backend. */
static void put_record_route(struct proxy_work *w, const struct proxy_token *token,
                             const struct proxy_flow *side)
{
    bool secure = proxy_is_tls(side->transport) && proxy_is_secure(w);

    put_route_header(w, sip_slice_of(secure ? secure_route_front : record_route_front), token,
                     &side->local, side->transport, false);
}

static bool wants_record_route(const struct proxy_work *w)
{
    switch (w->msg->method) {
    case SIP_INVITE:
    case SIP_SUBSCRIBE:
    case SIP_REFER:
    case SIP_NOTIFY:
    case SIP_METHOD_UNKNOWN:
        return w->service->record_route;
    default:
        return false;
    }
}

/*
 * Our side of the sender. A backend that is reached by connections makes its own to the listener
 * that they leave from, whichever node has that, so it is not told where that node relayed to.
 */
static const struct proxy_flow *side_of_sender(const struct proxy_work *w, struct proxy_flow *buf)
{
    const struct lb_backend *sender;

    if (!w->prepared->by_node)
        return &w->in->from;
    sender = &w->backends[w->out->sender];
    *buf = (struct proxy_flow){.transport = sender->transport};
    if (sender->transport == SIP_TRANSPORT_UDP ||
        !proxy_egress(w, (enum sip_transport)sender->transport, &sender->ip, &buf->local))
        return &w->in->from;
    return buf;
}

/* Two when the sides differ (RFC 5658): the one that faces the next hop on top. */
static void put_record_routes(struct proxy_work *w)
{
    const struct proxy_flow *from, *to = &w->out->to;
    struct proxy_token token;
    struct proxy_flow side;

    if (!wants_record_route(w) || w->out->rule == PROXY_RULE_NODE)
        return;
    token = make_token(w);
    from = side_of_sender(w, &side);
    if (from->transport == to->transport && sip_addr_equal(&from->local, &to->local)) {
        put_record_route(w, &token, to);
        return;
    }
    token.pair = PROXY_PAIR_TOP;
    put_record_route(w, &token, to);
    token.pair = PROXY_PAIR_BOTTOM;
    put_record_route(w, &token, from);
}

/* Whether a Contact's value has a parameter reg-id. Most have it at the end, where no quotes are
 * open and no brackets. */
static bool has_reg_id(struct sip_slice contact)
{
    static const char name[] = ";reg-id=";
    const uint32_t n_name = sizeof(name) - 1;
    struct sip_nameaddr address;
    uint32_t n = contact.length;
    struct sip_slice id;

    while (n > 0 && sip_char_is(contact.at[n - 1], SIP_CHAR_DIGIT))
        n--;
    if (n >= n_name && memcmp(contact.at + n - n_name, name, n_name) == 0)
        return true;
    return memmem(contact.at, contact.length, "reg-id", 6) != NULL &&
           sip_nameaddr_parse(contact, &address) == 0 &&
           sip_param_find(address.params, sip_slice_of("reg-id"), &id, NULL);
}

/* Whether the phone keeps this flow open for what is to come to it (RFC 5626 §5.1): it says so, and
 * is next to us. */
static bool is_outbound(const struct proxy_work *w)
{
    const struct sip_field *contact = sip_msg_first(w->msg, SIP_CONTACT);

    return contact != NULL && w->msg->top_via.rest.length == 0 &&
           sip_msg_next(w->msg, sip_msg_first(w->msg, SIP_VIA)) == NULL &&
           sip_msg_has_token(w->msg, SIP_SUPPORTED, sip_slice_of("outbound")) &&
           has_reg_id(sip_msg_value(w->msg, contact));
}

/* RFC 3327. Most phones do not send `Supported: path`, and the registrar must see it. */
static void put_path(struct proxy_work *w)
{
    bool supported;
    struct proxy_token token;

    if (w->msg->method != SIP_REGISTER || !inward(w) || w->service->path == SNAPSHOT_PATH_NEVER)
        return;
    supported = sip_msg_has_token(w->msg, SIP_SUPPORTED, sip_slice_of("path"));
    if (!supported && w->service->path == SNAPSHOT_PATH_SUPPORTED)
        return;
    token = make_token(w);
    token.backend = 0;
    token.backend_port = 0;
    put_route_header(w, sip_slice_of(path_front), &token, &w->out->to.local, w->out->to.transport,
                     is_outbound(w));
    if (!supported)
        sip_edit_put_text(&w->out->edit, "Supported: path\r\n");
}

bool proxy_rewrite(struct proxy_work *w)
{
    struct sip_edit *edit = &w->out->edit;
    char text[SIP_ADDR_TEXT_ROOM];

    proxy_strict_next_hop(w);
    proxy_put_request_uri(w);
    sip_edit_splice(edit, w->msg->headers, 0);
    proxy_via_put(edit, &w->out->to, text_of(w, &w->out->to.local, text), w->prepared->branch,
                  &w->prepared->seal);
    put_record_routes(w);
    put_path(w);
    if (w->msg->max_forwards < 0) {
        sip_edit_put_text(edit, "Max-Forwards: ");
        sip_edit_put_number(edit, MAX_FORWARDS);
        sip_edit_put_text(edit, "\r\n");
    }
    if (w->msg->top_via.rport_param.length > 0) {
        put_rport(w, w->prepared->next.rport);
        put_received(w, &w->prepared->next.received);
    } else { /* both at its end */
        put_received(w, &w->prepared->next.received);
        put_rport(w, w->prepared->next.rport);
    }
    put_max_forwards(w);
    proxy_put_routes(w);
    return edit->overflow ? proxy_drop(w, PROXY_DROP_TOO_MANY_EDITS) : true;
}
