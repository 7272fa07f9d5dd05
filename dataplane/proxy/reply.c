/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local replies: when we refuse, where the reply goes, and its text. What a malformed request
 * lacks is left out of its reply, never invented.
 */
#include <errno.h>

#include "dataplane/proxy/seal.h"
#include "dataplane/proxy/stun.h"
#include "dataplane/proxy/work.h"

bool proxy_drop(struct proxy_work *w, enum proxy_reason reason)
{
    w->out->verdict = PROXY_DROP;
    w->out->reason = reason;
    return false;
}

/* To the address it came from; to the port in sent-by unless rport says otherwise (RFC 3581 §4). */
static void reply_peer(struct proxy_work *w)
{
    struct proxy_next_via via;

    w->out->to = w->in->from;
    if (!w->msg->via_ok || w->in->from.transport != SIP_TRANSPORT_UDP)
        return;
    proxy_fill_via(w->in, w->service, w->out->sender == LB_NO_BACKEND, &via);
    if (via.rport == 0)
        w->out->to.peer.port = via.sent_by_port;
}

bool proxy_refuse(struct proxy_work *w, enum proxy_reason reason)
{
    if (w->msg->method == SIP_ACK)
        return proxy_drop(w, PROXY_DROP_ACK);
    w->out->verdict = PROXY_REPLY;
    w->out->reason = reason;
    w->out->status = proxy_reason_status(reason);
    w->out->retry_after_s = w->out->status == 503 ? PROXY_RETRY_AFTER_S : 0;
    w->out->backend = LB_NO_BACKEND;
    w->out->rule = PROXY_RULE_NONE;
    reply_peer(w);
    return false;
}

void proxy_reply_tag(const struct snapshot *s, const struct sip_msg *request,
                     char ret_tag[PROXY_TAG_LENGTH])
{
    struct lb_siphash h;

    lb_siphash24_init(&h, &s->branch_key);
    lb_siphash_add(&h, "tag", 3);
    lb_siphash_add_field(&h, request->call_id.at, request->call_id.length);
    lb_siphash_add_field(&h, request->from_tag.at, request->from_tag.length);
    lb_siphash_add(&h, &request->cseq, sizeof(request->cseq));
    lb_siphash_add_field(&h, request->top_via.branch.at, request->top_via.branch.length);
    proxy_seal_hex(lb_siphash_end(&h), ret_tag);
}

/* ---- the text ---- */

struct writer {
    char *at;
    size_t size;
    size_t length; /* may pass size: then it did not fit */
};

static void put(struct writer *o, const char *text, size_t length)
{
    if (o->length <= o->size && length <= o->size - o->length)
        memcpy(o->at + o->length, text, length);
    o->length += length;
}

static void put_text(struct writer *o, const char *text)
{
    put(o, text, strlen(text));
}

/* The sender's bytes: folds become blanks, and so does every control character of a broken one. */
static void put_value(struct writer *o, struct sip_slice value)
{
    for (uint32_t i = 0; i < value.length; i++) {
        unsigned char c = (unsigned char)value.at[i];

        put(o, c < ' ' || c == 0x7f ? " " : &value.at[i], 1);
    }
}

static void put_number(struct writer *o, uint32_t number)
{
    char text[SIP_NUMBER_TEXT_MAX];

    put(o, text, sip_number_print(number, text));
}

static void put_ip(struct writer *o, const struct sip_ip *ip)
{
    char text[SIP_IP_TEXT_MAX];
    uint32_t length = sip_ip_print(ip, text);
    uint32_t bracket = text[0] == '[';

    put(o, text + bracket, length - 2 * bracket);
}

/* The first field of an id as it came; nothing when there is none. */
static void put_field(struct writer *o, const struct sip_msg *msg, enum sip_field_id id,
                      const char *name)
{
    const struct sip_field *field = sip_msg_first(msg, id);

    if (field == NULL)
        return;
    put_text(o, name);
    put_value(o, sip_msg_value(msg, field));
    put_text(o, "\r\n");
}

/* The sender's own Via, with what we know in the place of what it says of received and rport. */
static void put_top_via(struct writer *o, const struct sip_via *via,
                        const struct proxy_next_via *known)
{
    struct sip_slice rest = via->params, front = via->whole;
    struct sip_ip none = {{0}};
    struct sip_param param;

    if (rest.length > 0)
        front.length = (uint32_t)(rest.at - front.at);
    put_value(o, sip_slice_trim(front));
    while (sip_param_next(&rest, &param) == 1) {
        if (!sip_slice_equal_nocase(param.name, sip_slice_of("received")) &&
            !sip_slice_equal_nocase(param.name, sip_slice_of("rport")))
            put_value(o, param.whole);
    }
    if (!sip_ip_equal(&known->received, &none)) {
        put_text(o, ";received=");
        put_ip(o, &known->received);
    }
    if (known->rport != 0) {
        put_text(o, ";rport=");
        put_number(o, known->rport);
    }
    if (via->rest.length > 0) {
        put_text(o, ", ");
        put_value(o, via->rest);
    }
}

static void put_vias(struct writer *o, const struct proxy_input *in,
                     const struct snapshot_service *service, bool outside)
{
    const struct sip_field *field = sip_msg_first(in->msg, SIP_VIA);
    bool top = in->msg->via_ok;
    struct proxy_next_via known;

    for (; field != NULL; field = sip_msg_next(in->msg, field)) {
        put_text(o, "Via: ");
        if (top) {
            proxy_fill_via(in, service, outside, &known);
            put_top_via(o, &in->msg->top_via, &known);
        } else {
            put_value(o, sip_msg_value(in->msg, field));
        }
        put_text(o, "\r\n");
        top = false;
    }
}

/* The value of To without a `tag=` that says nothing. */
static void put_untagged(struct writer *o, struct sip_slice value)
{
    struct sip_slice tag, param, rest = value;
    struct sip_nameaddr address;

    if (sip_nameaddr_parse(value, &address) == 0 &&
        sip_param_find(address.params, sip_slice_of("tag"), &tag, &param)) {
        put_value(o, sip_slice(value.at, (uint32_t)(param.at - value.at)));
        rest.at = param.at + param.length;
        rest.length = value.length - (uint32_t)(rest.at - value.at);
    }
    put_value(o, rest);
}

/* A To that could not be read stays as it is: a tag after an open quote would not be one. */
static void put_to(struct writer *o, const struct snapshot *s, const struct sip_msg *msg)
{
    const struct sip_field *field = sip_msg_first(msg, SIP_TO);
    char tag[PROXY_TAG_LENGTH];

    if (field == NULL)
        return;
    put_text(o, "To: ");
    if (msg->to_tag.length == 0 && msg->to_uri.length > 0) {
        put_untagged(o, sip_msg_value(msg, field));
        proxy_reply_tag(s, msg, tag);
        put_text(o, ";tag=");
        put(o, tag, sizeof(tag));
    } else {
        put_value(o, sip_msg_value(msg, field));
    }
    put_text(o, "\r\n");
}

/* What is wrong, in words: after the grammar's faults come those that only this room sees. */
static const char *fault(const struct sip_msg *msg)
{
    struct sip_uri uri;

    if (msg->error != SIP_OK)
        return sip_error_phrase(msg->error);
    return sip_uri_parse(msg->request_uri, &uri) != 0 ? "Malformed Request-URI" : "Malformed Route";
}

static void put_status_line(struct writer *o, const struct sip_msg *msg,
                            const struct proxy_output *output)
{
    put_text(o, "SIP/2.0 ");
    put_number(o, output->status);
    put_text(o, " ");
    put_text(o, sip_status_phrase(output->status));
    if (output->status == 400) {
        put_text(o, " (");
        put_text(o, fault(msg));
        put_text(o, ")");
    }
    put_text(o, "\r\n");
}

/* RFC 3261 §8.2.2.3: the option tags that we do not understand. */
static void put_unsupported(struct writer *o, const struct snapshot *s,
                            const struct snapshot_service *service, const struct sip_msg *msg)
{
    const struct sip_field *field = sip_msg_first(msg, SIP_PROXY_REQUIRE);
    const char *before = "Unsupported: ";

    for (; field != NULL; field = sip_msg_next(msg, field)) {
        struct sip_slice rest = sip_msg_value(msg, field), tag;

        while (sip_list_next(&rest, &tag)) {
            if (proxy_allows_extension(s, service, tag))
                continue;
            put_text(o, before);
            put_value(o, tag);
            before = ", ";
        }
    }
    put_text(o, "\r\n");
}

int32_t proxy_reply_print(const struct proxy_view *view, const struct proxy_input *input,
                          const struct proxy_output *output, char *ret_text, size_t size)
{
    const struct snapshot *s = view->snapshot;
    const struct snapshot_service *service =
        &snapshot_services(s)[snapshot_listeners(s)[input->listener].service];
    const struct sip_msg *msg = input->msg;
    struct writer o = {ret_text, size, 0};

    if (output->reason == PROXY_REPLY_200_STUN || output->reason == PROXY_REPLY_420_STUN)
        return proxy_stun_print(sip_slice(msg->buf, msg->length), &input->from.peer, ret_text,
                                size);
    put_status_line(&o, msg, output);
    put_vias(&o, input, service, output->sender == LB_NO_BACKEND);
    put_field(&o, msg, SIP_FROM, "From: ");
    put_to(&o, s, msg);
    put_field(&o, msg, SIP_CALL_ID, "Call-ID: ");
    put_field(&o, msg, SIP_CSEQ, "CSeq: ");
    if (output->status == 200)
        put_text(&o, "Accept: */*\r\nSupported: path\r\n");
    if (output->status == 420)
        put_unsupported(&o, s, service, msg);
    if (output->retry_after_s > 0) {
        put_text(&o, "Retry-After: ");
        put_number(&o, output->retry_after_s);
        put_text(&o, "\r\n");
    }
    put_text(&o, "Content-Length: 0\r\n\r\n");
    return o.length <= size && o.length <= INT32_MAX ? (int32_t)o.length : -ENOSPC;
}
