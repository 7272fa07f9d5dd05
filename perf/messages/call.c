/* SPDX-License-Identifier: Apache-2.0 */
/* See call.h. */
#include "perf/messages/call.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {"INVITE", "180",     "200-INVITE", "ACK",
                                         "BYE",    "200-BYE", "REGISTER",   "200-REGISTER"};

enum { ROUTES_MAX = 8, NAME_MAX_BYTES = 40, BODY_MAX = 700 };

/* Who calls, from where, with what. */
struct caller {
    struct text_random *random;
    struct sip_addr phone, listener;
    char host[SIP_ADDR_TEXT_MAX + 1]; /* of the phone, with its port */
    char user[NAME_MAX_BYTES], number[NAME_MAX_BYTES], agent[NAME_MAX_BYTES];
    char call_id[3 * NAME_MAX_BYTES], from_tag[NAME_MAX_BYTES], to_tag[NAME_MAX_BYTES];
    char contact[2 * NAME_MAX_BYTES]; /* of the callee */
    uint32_t cseq;
};

/* A message as Tandem sends it on, and where. */
struct forwarded {
    struct sip_msg msg; /* of `bytes` */
    struct proxy_flow to;
    char bytes[TEXT_MESSAGE_MAX + SIP_EDIT_TEXT];
};

const char *call_kind_name(enum call_kind kind)
{
    return kind_names[kind];
}

/* ---- What the core makes of a message ---- */

static void keep(struct call_message *ret, const struct text_message *text, enum call_kind kind,
                 const struct sip_addr *from, const struct sip_addr *to)
{
    ret->kind = (uint8_t)kind;
    ret->from = *from;
    ret->to = *to;
    ret->length = text->length;
    memcpy(ret->bytes, text->bytes, text->length);
}

/* 0, or -EPROTO and a line on stderr: a benchmark of messages that are dropped would be none. */
static int forward(struct world *world, const struct call_message *message, struct forwarded *ret)
{
    static struct proxy_output output;
    struct sip_msg msg;
    int32_t length = -1;

    sip_msg_index(message->bytes, message->length, &msg);
    world_decide(world, &msg, &message->from, &message->to, &output);
    if (output.verdict == PROXY_FORWARD)
        length = sip_edit_copy(&output.edit, msg.buf, msg.length, ret->bytes, sizeof(ret->bytes));
    if (length < 0) {
        fprintf(stderr, "the core does not forward this %s (%s, %s):\n%.*s\n",
                kind_names[message->kind], proxy_reason_name(output.reason),
                sip_error_phrase((enum sip_error)msg.error), (int)message->length, message->bytes);
        return -EPROTO;
    }
    ret->to = output.to;
    return sip_msg_index(ret->bytes, (size_t)length, &ret->msg) == SIP_OK ? 0 : -EPROTO;
}

/* ---- Parts of messages ---- */

static void random_hex(struct text_random *random, uint32_t n, char *ret_text)
{
    for (uint32_t i = 0; i < n; i++)
        ret_text[i] = "0123456789abcdef"[text_random_below(random, 16)];
    ret_text[n] = '\0';
}

/* Call-IDs as different makers have them. */
static void make_call_id(struct text_random *random, const char *host, uint32_t number,
                         char *ret_text, size_t size)
{
    char token[NAME_MAX_BYTES];

    switch (text_random_below(random, 3)) {
    case 0:
        random_hex(random, 32, token);
        snprintf(ret_text, size, "%.8s-%.4s-%.4s-%.4s-%.12s", token, token + 8, token + 12,
                 token + 16, token + 20);
        break;
    case 1:
        text_random_token(random, 16, token);
        snprintf(ret_text, size, "%s@%s", token, host);
        break;
    default:
        random_hex(random, 16, token);
        snprintf(ret_text, size, "%u_%s@192.168.1.%u", number, token,
                 1 + text_random_below(random, 254));
    }
}

static void make_caller(struct world *world, struct text_random *random, uint32_t number,
                        struct caller *ret)
{
    static const char *const agents[] = {
        "Yealink SIP-T46S 66.86.0.15",   "PolyEdge/8.1.3",
        "snomD785/10.1.159.12",          "Linphone/5.2.4 (belle-sip/5.3.5)",
        "Grandstream GXP2170 1.0.11.64", "MicroSIP/3.21.3"};
    uint8_t ip[4] = {198, (uint8_t)(18 + (number >> 16) % 2), (uint8_t)(number >> 8),
                     (uint8_t)number};

    *ret = (struct caller){.random = random, .listener = world_listener(world)};
    ret->phone.ip = sip_ip_from_v4(ip);
    ret->phone.port = text_random_below(random, 2) == 0
                          ? 5060
                          : (uint16_t)(1024 + text_random_below(random, 60000));
    ret->host[sip_addr_print(&ret->phone, ret->host)] = '\0';
    snprintf(ret->user, sizeof(ret->user), "user%u", number);
    snprintf(ret->number, sizeof(ret->number), "+49%u",
             30000000 + text_random_below(random, 9999999));
    snprintf(ret->agent, sizeof(ret->agent), "%s",
             agents[text_random_below(random, sizeof(agents) / sizeof(agents[0]))]);
    make_call_id(random, ret->host, number, ret->call_id, sizeof(ret->call_id));
    text_random_token(random, 8 + text_random_below(random, 9), ret->from_tag);
    text_random_token(random, 8 + text_random_below(random, 9), ret->to_tag);
    snprintf(ret->contact, sizeof(ret->contact), "sip:%s@203.0.113.%u:5060;transport=udp",
             ret->number, 1 + text_random_below(random, 254));
    ret->cseq = 1 + text_random_below(random, 30000);
}

static void put_body(struct caller *c, const char *host, char *ret_body)
{
    uint32_t port = 10000 + 2 * text_random_below(c->random, 10000);

    snprintf(ret_body, BODY_MAX,
             "v=0\r\no=- %u %u IN IP4 %s\r\ns=call\r\nc=IN IP4 %s\r\nt=0 0\r\n"
             "m=audio %u RTP/AVP 9 8 0 18 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\n"
             "a=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n"
             "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n"
             "a=sendrecv\r\na=rtcp:%u\r\n",
             c->cseq, c->cseq + 1, host, host, port, port + 1);
}

/* What requests of a phone have in common. */
static void put_request(struct caller *c, struct text_message *m, const char *method,
                        const char *uri, const char *to, uint32_t cseq)
{
    char branch[NAME_MAX_BYTES];

    m->length = m->n_fields = 0;
    text_random_token(c->random, 10 + text_random_below(c->random, 12), branch);
    text_put(m, "%s %s SIP/2.0\r\n", method, uri);
    text_field(m);
    text_put(m, "Via: SIP/2.0/UDP %s;branch=z9hG4bK%s;rport\r\n", c->host, branch);
    text_field(m);
    text_put(m, "Max-Forwards: 70\r\n");
    text_field(m);
    text_put(m, "From: \"Extension %s\" <sip:%s@example.net>;tag=%s\r\n", c->user, c->user,
             c->from_tag);
    text_field(m);
    text_put(m, "To: %s\r\n", to);
    text_field(m);
    text_put(m, "Call-ID: %s\r\n", c->call_id);
    text_field(m);
    text_put(m, "CSeq: %u %s\r\n", cseq, method);
    text_field(m);
    text_put(m, "User-Agent: %s\r\n", c->agent);
}

static void put_contact(struct caller *c, struct text_message *m, const char *parameters)
{
    char uuid[33];

    random_hex(c->random, 32, uuid);
    text_field(m);
    text_put(
        m, "Contact: <sip:%s@%s;transport=udp>;+sip.instance=\"<urn:uuid:%.8s-%.4s-%.12s>\"%s\r\n",
        c->user, c->host, uuid, uuid + 8, uuid + 12, parameters);
}

static void put_end(struct caller *c, struct text_message *m, const char *body)
{
    if (*body != '\0') {
        text_field(m);
        text_put(m, "Content-Type: application/sdp\r\n");
    }
    text_field(m);
    text_put(m, "Content-Length: %zu\r\n", strlen(body));
    text_finish(m, c->random, body);
}

/* ---- Requests ---- */

/* What some phones send and others do not. */
static void put_some(struct caller *c, struct text_message *m)
{
    static const char *const fields[] = {
        "Session-Expires: 1800;refresher=uac\r\n",
        "Min-SE: 90\r\n",
        "Accept: application/sdp, application/dtmf-relay\r\n",
        "Allow-Events: talk, hold, conference, refer, check-sync\r\n",
        "Privacy: none\r\n",
        "Accept-Language: en\r\n",
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (text_random_below(c->random, 8) == 0)
            continue;
        text_field(m);
        text_put(m, "%s", fields[i]);
    }
}

static void make_invite(struct caller *c, struct text_message *m)
{
    char uri[2 * NAME_MAX_BYTES], to[2 * NAME_MAX_BYTES], body[BODY_MAX];

    snprintf(uri, sizeof(uri), "sip:%s@example.net", c->number);
    snprintf(to, sizeof(to), "<sip:%s@example.net>", c->number);
    put_request(c, m, "INVITE", uri, to, c->cseq);
    put_contact(c, m, "");
    text_field(m);
    text_put(m, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, UPDATE, INFO, PRACK\r\n");
    text_field(m);
    text_put(m, "Supported: replaces, timer, path, outbound\r\n");
    text_field(m);
    text_put(m, "P-Preferred-Identity: <sip:%s@example.net>\r\n", c->user);
    put_some(c, m);
    put_body(c, c->host, body);
    put_end(c, m, body);
}

/* ACK and BYE: by the Route set of the answer, last Record-Route first. */
static void make_in_dialog(struct caller *c, struct text_message *m, const char *method,
                           uint32_t cseq, const struct sip_msg *answer)
{
    struct sip_slice routes[ROUTES_MAX];
    char to[3 * NAME_MAX_BYTES];
    uint32_t n = 0;

    snprintf(to, sizeof(to), "<sip:%s@example.net>;tag=%s", c->number, c->to_tag);
    put_request(c, m, method, c->contact, to, cseq);
    for (const struct sip_field *f = sip_msg_first(answer, SIP_RECORD_ROUTE);
         f != NULL && n < ROUTES_MAX; f = sip_msg_next(answer, f))
        routes[n++] = sip_msg_value(answer, f);
    text_field(m);
    while (n-- > 0) {
        text_put(m, "Route: ");
        text_put_slice(m, routes[n]);
        text_put(m, "\r\n");
    }
    put_end(c, m, "");
}

static void make_register(struct caller *c, struct text_message *m)
{
    char to[2 * NAME_MAX_BYTES], nonce[33], response[33];

    random_hex(c->random, 32, nonce);
    random_hex(c->random, 32, response);
    snprintf(to, sizeof(to), "<sip:%s@example.net>", c->user);
    put_request(c, m, "REGISTER", "sip:example.net", to, c->cseq);
    put_contact(c, m, ";reg-id=1");
    text_field(m);
    text_put(m, "Expires: 3600\r\n");
    text_field(m);
    text_put(m, "Supported: path, outbound, gruu\r\n");
    text_field(m);
    text_put(m,
             "Authorization: Digest username=\"%s\",realm=\"example.net\",nonce=\"%s\","
             "uri=\"sip:example.net\",response=\"%s\",algorithm=MD5\r\n",
             c->user, nonce, response);
    put_end(c, m, "");
}

/* ---- Responses, as a backend makes them of what Tandem sent it ---- */

static void put_copies(struct text_message *m, const struct sip_msg *request, enum sip_field_id id)
{
    for (const struct sip_field *f = sip_msg_first(request, id); f != NULL;
         f = sip_msg_next(request, f))
        text_put_slice(m, sip_msg_line(request, f));
}

static void put_response(struct caller *c, struct text_message *m, const char *status,
                         const struct sip_msg *request)
{
    const struct sip_field *to = sip_msg_first(request, SIP_TO);
    static const enum sip_field_id copied[] = {SIP_VIA, SIP_FROM, SIP_CALL_ID, SIP_CSEQ};

    m->length = m->n_fields = 0;
    text_put(m, "SIP/2.0 %s\r\n", status);
    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        text_field(m);
        put_copies(m, request, copied[i]);
    }
    text_field(m);
    text_put(m, "To: ");
    text_put_slice(m, sip_msg_value(request, to));
    text_put(m, "%s%s\r\n", request->to_tag.length > 0 ? "" : ";tag=",
             request->to_tag.length > 0 ? "" : c->to_tag);
    text_field(m);
    text_put(m, "Server: kamailio (5.6.3 (x86_64/linux))\r\n");
}

/* 180 and 200: the backend record-routes itself above us. */
static void make_answer(struct caller *c, struct text_message *m, const char *status, bool body,
                        const struct forwarded *invite)
{
    char backend[SIP_ADDR_TEXT_MAX + 1], sdp[BODY_MAX] = "";

    backend[sip_ip_print(&invite->to.peer.ip, backend)] = '\0';
    put_response(c, m, status, &invite->msg);
    text_field(m);
    text_put(m, "Record-Route: <sip:%s;lr;ftag=%s>\r\n", backend, c->from_tag);
    put_copies(m, &invite->msg, SIP_RECORD_ROUTE);
    text_field(m);
    text_put(m, "Contact: <%s>\r\n", c->contact);
    if (body) {
        text_field(m);
        text_put(m, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n");
        put_body(c, backend, sdp);
    }
    put_end(c, m, sdp);
}

static void make_registered(struct caller *c, struct text_message *m,
                            const struct forwarded *request)
{
    put_response(c, m, "200 OK", &request->msg);
    text_field(m);
    text_put(m, "Contact: <sip:%s@%s;transport=udp>;expires=3600\r\n", c->user, c->host);
    text_field(m);
    put_copies(m, &request->msg, SIP_PATH);
    put_end(c, m, "");
}

/* ---- Calls ---- */

/* A request of the phone's, forwarded; the core's word for it. */
static int send_request(struct world *world, const struct caller *c, const struct text_message *m,
                        enum call_kind kind, struct call_message *ret, struct forwarded *ret_sent)
{
    keep(ret, m, kind, &c->phone, &c->listener);
    return forward(world, ret, ret_sent);
}

static int send_response(struct world *world, const struct forwarded *request,
                         const struct text_message *m, enum call_kind kind,
                         struct call_message *ret, struct forwarded *ret_sent)
{
    keep(ret, m, kind, &request->to.peer, &request->to.local);
    return forward(world, ret, ret_sent);
}

int call_make(struct world *world, struct text_random *random, uint32_t number,
              struct call_message ret[CALL_MESSAGES])
{
    static struct forwarded invite, ringing, answer, ack, bye, bye_ok;
    static struct text_message m;
    struct caller c;
    int error;

    make_caller(world, random, number, &c);
    make_invite(&c, &m);
    error = send_request(world, &c, &m, CALL_INVITE, &ret[CALL_INVITE], &invite);
    if (error == 0) {
        make_answer(&c, &m, "180 Ringing", false, &invite);
        error = send_response(world, &invite, &m, CALL_RINGING, &ret[CALL_RINGING], &ringing);
    }
    if (error == 0) {
        make_answer(&c, &m, "200 OK", true, &invite);
        error = send_response(world, &invite, &m, CALL_ANSWER, &ret[CALL_ANSWER], &answer);
    }
    if (error == 0) {
        make_in_dialog(&c, &m, "ACK", c.cseq, &answer.msg);
        error = send_request(world, &c, &m, CALL_ACK, &ret[CALL_ACK], &ack);
    }
    if (error == 0) {
        make_in_dialog(&c, &m, "BYE", c.cseq + 1, &answer.msg);
        error = send_request(world, &c, &m, CALL_BYE, &ret[CALL_BYE], &bye);
    }
    if (error == 0) {
        put_response(&c, &m, "200 OK", &bye.msg);
        put_end(&c, &m, "");
        error = send_response(world, &bye, &m, CALL_BYE_OK, &ret[CALL_BYE_OK], &bye_ok);
    }
    return error;
}

int call_make_registration(struct world *world, struct text_random *random, uint32_t number,
                           struct call_message ret[CALL_REGISTRATION_MESSAGES])
{
    static struct forwarded request, response;
    static struct text_message m;
    struct caller c;
    int error;

    make_caller(world, random, number, &c);
    make_register(&c, &m);
    error = send_request(world, &c, &m, CALL_REGISTER, &ret[0], &request);
    if (error != 0)
        return error;
    make_registered(&c, &m, &request);
    return send_response(world, &request, &m, CALL_REGISTERED, &ret[1], &response);
}
