/* SPDX-License-Identifier: Apache-2.0 */
/* The edits on every forwarded request, as splices. */
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

/* Replaces a parameter of the top Via, adds it at its end when it has none, or takes it out. */
static void put_via_param(struct proxy_work *w, struct sip_slice old, const char *text,
                          uint32_t length)
{
    const struct sip_via *via = &w->msg->top_via;

    if (old.length > 0)
        sip_edit_splice(&w->out->edit, proxy_offset(w, old.at), old.length);
    else if (length > 0)
        sip_edit_splice(&w->out->edit, proxy_offset(w, via->whole.at) + via->whole.length, 0);
    if (length > 0)
        sip_edit_put(&w->out->edit, text, length);
}

static void put_received_and_rport(struct proxy_work *w, const struct proxy_next_via *next)
{
    static const char received[] = ";received=";
    const struct sip_via *via = &w->msg->top_via;
    uint32_t length = sizeof(received) - 1;
    char text[sizeof(received) + SIP_IP_TEXT_MAX], ip[SIP_IP_TEXT_MAX];
    struct sip_ip none = {{0}};

    if (sip_ip_equal(&next->received, &none)) {
        length = 0;
    } else {
        uint32_t ip_length = sip_ip_print(&next->received, ip);
        uint32_t bracket = ip[0] == '['; /* IPv6 is written without them here: RFC 3261 §25.1 */

        memcpy(text, received, length);
        memcpy(text + length, ip + bracket, ip_length - 2 * bracket);
        length += ip_length - 2 * bracket;
    }
    put_via_param(w, via->received_param, text, length);
    if (next->rport != 0) {
        put_via_param(w, via->rport_param, ";rport=", 7);
        sip_edit_put_number(&w->out->edit, next->rport);
    }
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
    token.backend_port = inward(w) ? w->out->to.peer.port : w->in->from.peer.port;
    return token;
}

/* `NAME: <sip:TOKEN@ADDRESS;lr>` */
static void put_route_header(struct proxy_work *w, const char *name,
                             const struct proxy_token *token, const struct sip_addr *local,
                             uint8_t transport)
{
    struct sip_edit *edit = &w->out->edit;
    char text[PROXY_TOKEN_TEXT_MAX], addr[SIP_ADDR_TEXT_MAX];

    sip_edit_put_text(edit, name);
    sip_edit_put_text(edit, ": <sip:");
    sip_edit_put(edit, text, proxy_token_print(w->s, token, text));
    sip_edit_put_text(edit, "@");
    sip_edit_put(edit, addr, sip_addr_print(local, addr));
    if (transport != SIP_TRANSPORT_UDP) {
        sip_edit_put_text(edit, ";transport=");
        sip_edit_put_text(edit, sip_transport_name(transport));
    }
    sip_edit_put_text(edit, ";lr>\r\n");
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

/* Two when the sides differ (RFC 5658): the one that faces the next hop on top. */
static void put_record_routes(struct proxy_work *w)
{
    const struct proxy_flow *from = &w->in->from, *to = &w->out->to;
    struct proxy_token token;

    if (!wants_record_route(w))
        return;
    token = make_token(w);
    if (from->transport == to->transport && sip_addr_equal(&from->local, &to->local)) {
        put_route_header(w, "Record-Route", &token, &to->local, to->transport);
        return;
    }
    token.pair = PROXY_PAIR_TOP;
    put_route_header(w, "Record-Route", &token, &to->local, to->transport);
    token.pair = PROXY_PAIR_BOTTOM;
    put_route_header(w, "Record-Route", &token, &from->local, from->transport);
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
    put_route_header(w, "Path", &token, &w->out->to.local, w->out->to.transport);
    if (!supported)
        sip_edit_put_text(&w->out->edit, "Supported: path\r\n");
}

bool proxy_rewrite(struct proxy_work *w)
{
    struct sip_edit *edit = &w->out->edit;

    proxy_strict_next_hop(w);
    proxy_put_request_uri(w);
    sip_edit_splice(edit, w->msg->headers, 0);
    proxy_via_put(edit, &w->out->to, w->prepared->branch, &w->prepared->seal);
    put_record_routes(w);
    put_path(w);
    if (w->msg->max_forwards < 0) {
        sip_edit_put_text(edit, "Max-Forwards: ");
        sip_edit_put_number(edit, MAX_FORWARDS);
        sip_edit_put_text(edit, "\r\n");
    }
    put_received_and_rport(w, &w->prepared->next);
    put_max_forwards(w);
    proxy_put_routes(w);
    return edit->overflow ? proxy_drop(w, PROXY_DROP_TOO_MANY_EDITS) : true;
}
