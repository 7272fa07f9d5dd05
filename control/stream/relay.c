/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's decision in control: see relay.h.
 */
#include "control/stream/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/stream/alias.h"
#include "control/stream/cluster.h"
#include "control/stream/large.h"
#include "dataplane/proxy/cluster.h"
#include "dataplane/sip/uri.h"

enum { ROOM_MIN = 65536 }; /* for what is sent; more where a message is longer */

struct relay {
    struct calls *calls;
    uint32_t writer;
    struct post *post;
    struct sip_msg msg;
    struct proxy_prepared prepared;
    struct proxy_output output;
    char *out; /* what was sent last */
    uint32_t out_length;
    size_t room;
};

struct relay *relay_new(struct calls *calls, uint32_t writer, struct post *post)
{
    struct relay *relay = calloc(1, sizeof(*relay));

    if (relay == NULL)
        return NULL;
    relay->calls = calls;
    relay->writer = writer;
    relay->post = post;
    return relay;
}

void relay_free(struct relay *relay)
{
    if (relay == NULL)
        return;
    free(relay->out);
    free(relay);
}

/* Room for a message of that length with all that the rules may put in. */
static bool make_room(struct relay *relay, uint32_t length)
{
    size_t need = (size_t)length + SIP_EDIT_TEXT + SIP_EDIT_ROOM;
    char *out;

    if (need < ROOM_MIN)
        need = ROOM_MIN;
    if (need <= relay->room)
        return true;
    out = realloc(relay->out, need);
    if (out == NULL)
        return false;
    relay->out = out;
    relay->room = need;
    return true;
}

/* The host that the next hop's URI names, as certificates have it; "": none. */
static void host_of(const struct proxy_output *o, char ret[TLS_BACKEND_MAX])
{
    struct sip_slice host = o->name.host;

    *ret = '\0';
    if (host.length > 2 && host.at[0] == '[')
        host = sip_slice(host.at + 1, host.length - 2);
    if (host.length > 0 && host.at[host.length - 1] == '.') /* RFC 1034 §3.1 */
        host.length--;
    if (host.length > SNAPSHOT_HOST_MAX)
        return;
    memcpy(ret, host.at, host.length);
    ret[host.length] = '\0';
}

/* Who must be there when TLS is begun; "": nobody in particular. 0, or -ENOENT: a backend of which
 * that is not known. */
static int whom(const struct view *view, const struct proxy_output *o, char ret[TLS_BACKEND_MAX])
{
    const struct snapshot *s = view->snapshot;
    const struct lb_backend *b;

    *ret = '\0';
    if (o->verdict != PROXY_FORWARD || o->to.transport != SIP_TRANSPORT_TLS ||
        o->to.connection != 0)
        return 0;
    if (o->rule == PROXY_RULE_NEXT_HOP)
        host_of(o, ret);
    if (o->rule == PROXY_RULE_NEXT_HOP || o->backend < 0)
        return 0;
    if (view->edges == NULL)
        return -ENOENT;
    b = &snapshot_backends(s)[o->backend];
    return tls_backend(edges_tls(view->edges), snapshot_text(s, snapshot_pools(s)[b->pool].name),
                       snapshot_text(s, b->name), &b->ip, ret);
}

/* Sends what the decision made of the message. 0, or a negative errno as post_send. */
static int send_out(struct relay *relay, const struct view *view, const struct proxy_input *input)
{
    const struct proxy_output *o = &relay->output;
    int32_t length = -ENOMEM;
    char name[TLS_BACKEND_MAX];
    int status = whom(view, o, name);

    if (status != 0)
        return status;
    if (!make_room(relay, relay->msg.length))
        return length;
    if (o->verdict == PROXY_FORWARD)
        length =
            sip_edit_copy(&o->edit, relay->msg.buf, relay->msg.length, relay->out, relay->room);
    else
        length = proxy_reply_print(&view->proxy, input, o, relay->out, relay->room);
    if (length < 0)
        return length;
    relay->out_length = (uint32_t)length;
    if (o->reason == PROXY_FORWARDED_REQUEST)
        return large_send(relay->post, view->snapshot, &o->to, relay->msg.method,
                          input->prepared->branch, name, relay->out, (uint32_t)length);
    return post_send(relay->post, view->snapshot, &o->to, name, relay->out, (uint32_t)length);
}

/* Who registers which of its flows, by a REGISTER's first Contact (RFC 5626 §4.2); 0: it does not
 * say. */
static uint64_t phone_of(const struct sip_msg *msg, const struct lb_key *key)
{
    const struct sip_field *field = sip_msg_first(msg, SIP_CONTACT);
    struct sip_slice instance, id;
    struct sip_nameaddr contact;
    struct lb_siphash hash;

    if (field == NULL || sip_nameaddr_parse(sip_msg_value(msg, field), &contact) != 0 ||
        !sip_param_find(contact.params, sip_slice_of("+sip.instance"), &instance, NULL) ||
        !sip_param_find(contact.params, sip_slice_of("reg-id"), &id, NULL))
        return 0;
    lb_siphash24_init(&hash, key);
    lb_siphash_add_field(&hash, msg->to_uri.at, msg->to_uri.length);
    lb_siphash_add_field(&hash, instance.at, instance.length);
    lb_siphash_add_field(&hash, id.at, id.length);
    return lb_siphash_end(&hash) | 1;
}

/* Which REGISTER by a connection it is, or is the answer to: also for whom, since an answer is an
 * answer to that alone, whatever else bears the same Call-ID and CSeq. Never 0. */
static uint64_t register_of(const struct sip_msg *msg, uint64_t connection,
                            const struct lb_key *key)
{
    struct lb_siphash hash;

    lb_siphash24_init(&hash, key);
    lb_siphash_add(&hash, &connection, sizeof(connection));
    lb_siphash_add(&hash, &msg->cseq, sizeof(msg->cseq));
    lb_siphash_add_field(&hash, msg->call_id.at, msg->call_id.length);
    lb_siphash_add_field(&hash, msg->to_uri.at, msg->to_uri.length);
    return lb_siphash_end(&hash) | 1;
}

static uint32_t service_of(const struct view *view, const struct proxy_input *input)
{
    return snapshot_listeners(view->snapshot)[input->listener].service;
}

/* Tells the table of a registration that was forwarded, and of its grant; of this the cluster, too.
 */
static void note_registration(const struct relay *relay, const struct view *view,
                              const struct proxy_input *input)
{
    const struct sip_msg *msg = &relay->msg;
    const struct lb_key *key = &view->snapshot->hash_key;
    struct table *table = relay->post->hub->table;
    uint64_t from = input->from.connection, to = relay->output.to.connection, phone = 0;

    if (msg->method != SIP_REGISTER)
        return;
    if (msg->kind == SIP_REQUEST && from != 0)
        table_registers(table, from, phone_of(msg, key), register_of(msg, from, key));
    else if (msg->kind == SIP_RESPONSE && msg->status / 100 == 2 && to != 0)
        phone = table_registered(table, to, register_of(msg, to, key));
    if (phone != 0)
        cluster_tell(relay->post, view->snapshot, service_of(view, input), phone);
}

/* Whoever may ask for something has his connection reused, if he says so and it is his. */
static void note_alias(const struct relay *relay, const struct view *view,
                       const struct proxy_input *input)
{
    const struct snapshot *s = view->snapshot;
    const struct snapshot_service *service = &snapshot_services(s)[service_of(view, input)];
    const struct proxy_output *o = &relay->output;
    uint16_t port;

    if (o->reason != PROXY_FORWARDED_REQUEST && o->reason != PROXY_REPLY_200_OPTIONS)
        return;
    port = alias_port(s, service, &relay->msg, &input->from);
    if (port != 0 && table_alias(relay->post->hub->table, input->from.connection, port))
        counts_add(&relay->post->counts[input->from.transport], COUNT_ALIASES, 1);
}

/* Answers a request otherwise than the rules would. */
static enum relay_result refuse(struct relay *relay, const struct view *view,
                                const struct proxy_input *input, uint16_t status)
{
    relay->output = (struct proxy_output){.verdict = PROXY_REPLY,
                                          .reason = PROXY_REPLY_400_MALFORMED,
                                          .status = status,
                                          .sender = LB_NO_BACKEND,
                                          .backend = LB_NO_BACKEND,
                                          .to = input->from};
    return send_out(relay, view, input) == 0 ? RELAY_REPLIED : RELAY_DROPPED_UNSENT;
}

/* Counts a response of a backend's, whether or not who asked is there still. */
static void count_response(const struct relay *relay, const struct view *view)
{
    const struct proxy_output *o = &relay->output;

    if (o->reason == PROXY_FORWARDED_RESPONSE && o->sender >= 0)
        calls_count_response(relay->calls, relay->writer, view->proxy.slot_of[o->sender],
                             relay->msg.status);
}

/* Counts a request that a backend was sent. */
static void count_request(const struct relay *relay, const struct view *view)
{
    const struct proxy_output *o = &relay->output;

    if (o->reason == PROXY_FORWARDED_REQUEST && o->backend >= 0)
        calls_count_request(relay->calls, relay->writer, view->proxy.slot_of[o->backend],
                            o->rule == PROXY_RULE_TABLE);
}

static enum relay_result carry_out(struct relay *relay, const struct view *view,
                                   const struct proxy_input *input, struct proxy_name *ret_name)
{
    const struct proxy_output *o = &relay->output;
    int status;

    if (o->verdict == PROXY_PUNT && o->reason == PROXY_PUNT_NAME) {
        *ret_name = o->name;
        return RELAY_NAME;
    }
    /* What leaves unchanged is the data plane's alone. */
    if (o->verdict == PROXY_DROP || o->verdict == PROXY_PUNT || o->means != PROXY_REWRITTEN)
        return RELAY_DROPPED_VERDICT;
    note_alias(relay, view, input);
    if (o->verdict == PROXY_FORWARD) { /* before an answer can come to another thread */
        note_registration(relay, view, input);
        count_response(relay, view);
    }
    status = send_out(relay, view, input);
    if (status == -ENOTCONN)
        status = cluster_send(relay->post, view->snapshot, service_of(view, input),
                              o->to.connection, relay->out, relay->out_length);
    if (status != 0 && o->verdict == PROXY_FORWARD && o->to.transport != SIP_TRANSPORT_UDP) {
        proxy_flow_gone(&view->proxy, input, &relay->output);
        if (o->verdict == PROXY_DROP)
            return RELAY_DROPPED_VERDICT;
        if (status != -ENOTCONN) /* no way to it (RFC 3261 §16.9), whatever its flow */
            relay->output.status = 503;
        status = send_out(relay, view, input);
    }
    /* Longer than any datagram is. */
    if (status == -EMSGSIZE && relay->msg.kind == SIP_REQUEST && relay->msg.method != SIP_ACK)
        return refuse(relay, view, input, 513);
    if (status != 0)
        return RELAY_DROPPED_UNSENT;
    if (o->verdict != PROXY_FORWARD)
        return RELAY_REPLIED;
    count_request(relay, view);
    return RELAY_FORWARDED;
}

/* Whether a message may be here: control's own ports are for backends, for nodes that relay what
 * one sent, and for answers to what left by them. */
static bool sender_allowed(const struct relay *relay, const struct snapshot *s,
                           const struct relay_message *message, int32_t listener)
{
    if (message->from.transport != SIP_TRANSPORT_UDP ||
        snapshot_listeners(s)[listener].plane == SNAPSHOT_PLANE_DATA ||
        relay->prepared.sender != LB_NO_BACKEND)
        return true;
    return relay->msg.kind == SIP_RESPONSE;
}

/* The data plane alone knows where its frames came from; of the rest the kernel has seen to it. */
static struct proxy_input input_of(struct relay *relay, const struct view *view,
                                   const struct relay_message *message, int32_t listener,
                                   uint32_t now_s)
{
    const struct snapshot_listener *at = &snapshot_listeners(view->snapshot)[listener];

    return (struct proxy_input){.msg = &relay->msg,
                                .from = message->from,
                                .listener = (uint32_t)listener,
                                .inside = at->plane != SNAPSHOT_PLANE_DATA || message->inside,
                                .now_s = now_s,
                                .calls = calls_table(relay->calls),
                                .counts = calls_counts(relay->calls, relay->writer)};
}

/* Another node's word. A message of its that finds nobody here is answered as by its flow's end. */
static enum relay_result take_word(struct relay *relay, const struct view *view,
                                   const struct relay_message *message, uint32_t now_s)
{
    struct relay_message undelivered = {.from = message->from};
    struct sip_slice text = sip_slice("", 0);
    enum relay_result result =
        cluster_take(relay->post, view->snapshot, &message->from.local, &message->from.peer,
                     sip_slice(message->text, message->length), &text);

    if (result != RELAY_DROPPED_UNSENT)
        return result;
    undelivered.text = text.at;
    undelivered.length = text.length;
    relay_answer_undelivered(relay, view, &undelivered, 430, now_s, &result);
    return result;
}

enum relay_result relay_decide(struct relay *relay, const struct view *view,
                               const struct relay_message *message, uint32_t now_s,
                               struct proxy_name *ret_name)
{
    int32_t listener = snapshot_find_listener(
        view->snapshot, (enum sip_transport)message->from.transport, &message->from.local);
    struct proxy_prepared *prepared = &relay->prepared;
    struct proxy_input input;
    const struct proxy_input *to_prepare = &input;

    if (listener < 0)
        return RELAY_DROPPED_LISTENER;
    if (message->from.transport == SIP_TRANSPORT_UDP &&
        proxy_cluster_may_be(message->text, message->length))
        return take_word(relay, view, message, now_s);
    sip_msg_index(message->text, message->length, &relay->msg);
    input = input_of(relay, view, message, listener, now_s);
    proxy_prepare(&view->proxy, &to_prepare, 1, &prepared);
    if (!sender_allowed(relay, view->snapshot, message, listener))
        return RELAY_DROPPED_SENDER;
    input.prepared = prepared;
    proxy_decide(&view->proxy, &input, &relay->output);
    return carry_out(relay, view, &input, ret_name);
}

bool relay_answer_undelivered(struct relay *relay, const struct view *view,
                              const struct relay_message *message, uint16_t status, uint32_t now_s,
                              enum relay_result *ret_result)
{
    const struct proxy_output refusal = {.verdict = PROXY_REPLY,
                                         .reason = PROXY_REPLY_503_NO_BACKEND,
                                         .status = status,
                                         .sender = LB_NO_BACKEND};
    int32_t length = -ENOMEM,
            listener = snapshot_find_listener(
                view->snapshot, (enum sip_transport)message->from.transport, &message->from.local);
    struct relay_message answer = {.from = message->from};
    struct proxy_input input;
    struct proxy_name name;
    char *text = NULL;

    sip_msg_index(message->text, message->length, &relay->msg);
    if (listener < 0 || relay->msg.kind != SIP_REQUEST || relay->msg.method == SIP_ACK)
        return false;
    input = input_of(relay, view, message, listener, now_s);
    if (make_room(relay, message->length))
        length = proxy_reply_print(&view->proxy, &input, &refusal, relay->out, relay->room);
    if (length > 0)
        text = malloc((size_t)length); /* what comes of it needs the room */
    if (text == NULL)
        return false;
    answer.text = memcpy(text, relay->out, (size_t)length);
    answer.length = (uint32_t)length;
    *ret_result = relay_decide(relay, view, &answer, now_s, &name);
    free(text);
    return true;
}

enum relay_result relay_refuse(struct relay *relay, const struct view *view,
                               const struct relay_message *message, uint16_t status)
{
    int32_t listener = snapshot_find_listener(
        view->snapshot, (enum sip_transport)message->from.transport, &message->from.local);
    struct proxy_input input;

    if (listener < 0)
        return RELAY_DROPPED_LISTENER;
    sip_msg_index(message->text, message->length, &relay->msg);
    input = input_of(relay, view, message, listener, 0);
    return refuse(relay, view, &input, status);
}
