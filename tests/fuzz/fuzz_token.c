/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of what we sign. The bytes are a token's fields, a place to change, and a text:
 * a token must read back as it was written, no change of a bit and no mixture of two may verify,
 * and no text that is none may. The same of our Via and the message that it is signed against, and
 * of nodes' words.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdio.h>

#include "config/snapshot.h"
#include "dataplane/proxy/cluster.h"
#include "dataplane/proxy/seal.h"
#include "dataplane/proxy/token.h"
#include "dataplane/proxy/via.h"
#include "tests/fuzz/take.h"
#include "tests/unit/dataplane/proxy/stage.h"

enum { HEAD_MAX = 200, RESPONSE_ROOM = 4096, WORD_MAX = 512 };

static struct sip_ip take_ip(struct take *take, bool v6)
{
    uint8_t bytes[16];

    take_copy(take, bytes, v6 ? 16 : 4);
    return v6 ? sip_ip_from_v6(bytes) : sip_ip_from_v4(bytes);
}

static struct sip_addr take_addr(struct take *take, bool v6)
{
    struct sip_addr addr;

    memset(&addr, 0, sizeof(addr));
    addr.ip = take_ip(take, v6);
    addr.port = (uint16_t)take_number(take, 2);
    return addr;
}

static void take_stream(struct take *take, struct proxy_flow *flow)
{
    flow->node = take_number(take, 4);
    flow->connection = (uint64_t)take_number(take, 4) << 32 | take_number(take, 4);
}

static bool same_flow(const struct proxy_flow *a, const struct proxy_flow *b)
{
    return a->transport == b->transport && sip_addr_equal(&a->local, &b->local) &&
           sip_addr_equal(&a->peer, &b->peer) && a->node == b->node &&
           a->connection == b->connection;
}

static struct proxy_token take_token(struct take *take)
{
    uint32_t flags = take_number(take, 1);
    struct proxy_token token;

    memset(&token, 0, sizeof(token));
    token.flow.transport = (uint8_t)(flags >> 1 & 7) % SIP_TRANSPORT_COUNT;
    token.pair = (uint8_t)(flags >> 4 & 3) % (PROXY_PAIR_BOTTOM + 1);
    token.flow.local = take_addr(take, flags & 1);
    token.flow.peer = take_addr(take, flags & 1);
    /* Both addresses of a flow are of one family. */
    if (sip_ip_is_v4(&token.flow.local.ip) != sip_ip_is_v4(&token.flow.peer.ip))
        token.flow.local.ip = token.flow.peer.ip;
    token.backend = take_number(take, 4);
    token.backend_port = (uint16_t)take_number(take, 2);
    if (token.flow.transport != SIP_TRANSPORT_UDP)
        take_stream(take, &token.flow);
    return token;
}

static bool same_token(const struct proxy_token *a, const struct proxy_token *b)
{
    return same_flow(&a->flow, &b->flow) && a->backend == b->backend &&
           a->backend_port == b->backend_port && a->pair == b->pair;
}

static bool verifies(const struct snapshot *s, const char *text, uint32_t length)
{
    struct proxy_token token;

    return proxy_token_parse(s, sip_slice(text, length), &token) == 0;
}

/* Texts of the same token: as it is, and with its characters escaped. */
static void fuzz_forms(const struct snapshot *s, const struct proxy_token *token, const char *text,
                       uint32_t length, struct take *take)
{
    char escaped[3 * PROXY_TOKEN_TEXT_MAX + 1];
    struct proxy_token read;
    uint32_t n = 0, which = take_number(take, 4);

    must(proxy_token_parse(s, sip_slice(text, length), &read) == 0 && same_token(token, &read));
    for (uint32_t i = 0; i < length; i++) {
        if ((which >> i % 32 & 1) != 0)
            n += (uint32_t)sprintf(escaped + n, "%%%02x", (unsigned)(uint8_t)text[i]);
        else
            escaped[n++] = text[i];
    }
    must(proxy_token_parse(s, sip_slice(escaped, n), &read) == 0 && same_token(token, &read));
}

static void fuzz_token(const struct snapshot *s, struct take *take)
{
    struct proxy_token token = take_token(take), other = take_token(take);
    char text[PROXY_TOKEN_TEXT_MAX + 1], mixed[PROXY_TOKEN_TEXT_MAX], end[PROXY_TOKEN_TEXT_MAX];
    uint32_t length = proxy_token_print(s, &token, text), at;
    uint32_t end_length = proxy_token_print(s, &other, end);

    must(length <= PROXY_TOKEN_TEXT_MAX && end_length <= PROXY_TOKEN_TEXT_MAX);
    fuzz_forms(s, &token, text, length, take);
    for (at = 0; at < length; at++) {
        for (int bit = 0; bit < 8; bit++) {
            text[at] ^= (char)(1 << bit);
            must(!verifies(s, text, length));
            text[at] ^= (char)(1 << bit);
        }
        must(!verifies(s, text, at));
    }
    text[length] = 'A';
    must(!verifies(s, text, length + 1));
    if (length != end_length)
        return;
    /* The front of one, the end of the other: one of them, or none. */
    at = take_number(take, 1) % (length + 1);
    memcpy(mixed, text, at);
    memcpy(mixed + at, end + at, length - at);
    must(!verifies(s, mixed, length) || memcmp(mixed, text, length) == 0 ||
         memcmp(mixed, end, length) == 0);
}

/* ---- Via ---- */

struct via_case {
    struct proxy_flow from, to;
    struct proxy_next_via next;
    struct sip_msg request;
    char own[256]; /* the line that was put, without its end */
    uint32_t own_length;
};

static const char request_form[] = "INVITE sip:b@x SIP/2.0\r\n"
                                   "Via: SIP/2.0/UDP %.*s;branch=%.*s\r\n"
                                   "From: <sip:a@x>;tag=%.*s\r\nTo: <sip:b@x>\r\n"
                                   "Call-ID: %.*s\r\nCSeq: %u INVITE\r\n\r\n";

/* A response that bears a top Via, and the next one as it was signed. False: it is no message. */
static bool respond(const struct via_case *c, const char *top, uint32_t top_length, uint32_t cseq,
                    char room[RESPONSE_ROOM], struct sip_msg *ret)
{
    int length =
        snprintf(room, RESPONSE_ROOM,
                 "SIP/2.0 200 OK\r\n%.*s\r\nVia: SIP/2.0/UDP x\r\n"
                 "From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=2\r\n"
                 "Call-ID: %.*s\r\nCSeq: %u INVITE\r\n\r\n",
                 (int)top_length, top, (int)c->request.call_id.length, c->request.call_id.at, cseq);

    must(length > 0 && length < RESPONSE_ROOM);
    return sip_msg_index(room, (size_t)length, ret) == SIP_OK;
}

static uint64_t call_of(const struct snapshot *s, const struct sip_msg *msg)
{
    return lb_siphash13(&s->hash_key, msg->call_id.at, msg->call_id.length);
}

static uint64_t branch_of(const struct snapshot *s, const struct via_case *c)
{
    uint64_t ends[LB_LANES];
    struct lb_lanes lanes;

    lb_lanes_init(&lanes, PROXY_VIA_TEXTS);
    proxy_via_hash_branch(s, &c->request, &c->next, call_of(s, &c->request), &lanes);
    lb_siphash24_lanes(&lanes, ends);
    return ends[0];
}

static uint64_t mac_of(const struct proxy_via_seal *seal, uint64_t branch, uint64_t call,
                       uint32_t cseq, const struct proxy_next_via *next)
{
    uint64_t ends[LB_LANES];
    struct lb_lanes lanes;

    lb_lanes_init(&lanes, 0);
    proxy_via_hash_seal(seal, branch, call, cseq, next, &lanes);
    lb_siphash24_lanes(&lanes, ends);
    return ends[0];
}

static int verify(const struct snapshot *s, const struct via_case *c, const char *top,
                  uint32_t top_length, const struct proxy_next_via *next, uint32_t cseq)
{
    char room[RESPONSE_ROOM];
    struct proxy_via_seal seal;
    struct sip_msg response;
    struct sip_slice value;
    uint64_t branch;

    if (!respond(c, top, top_length, cseq, room, &response))
        return -EBADMSG;
    if (!proxy_via_is_ours(s, 0, &response.top_via, &value))
        return -ENOENT;
    if (proxy_via_read(s, value, &seal) != 0)
        return -EACCES;
    if (proxy_via_read_branch(response.top_via.branch, &branch) != 0 ||
        mac_of(&seal, branch, call_of(s, &response), cseq, next) != seal.mac)
        return -EACCES;
    /* Whatever way the line is written: what verifies leads to where the request came in. */
    must(sip_addr_equal(&seal.local, &c->from.local) && seal.transport == c->from.transport);
    must(seal.node == c->from.node && seal.connection == c->from.connection);
    return 0;
}

/* Other next hops, and another transaction, are not what was signed. */
static void fuzz_against(const struct snapshot *s, const struct via_case *c, struct take *take)
{
    struct proxy_next_via next = c->next;
    uint32_t what = take_number(take, 1);

    switch (what % 4) {
    case 0:
        next.sent_by_port ^= (uint16_t)(1u << (what >> 4));
        break;
    case 1:
        next.rport ^= (uint16_t)(1u << (what >> 4));
        break;
    case 2:
        next.received.bytes[what >> 4] ^= (uint8_t)(1u << take_number(take, 1) % 8);
        break;
    default:
        next.sent_by_host = sip_slice_of("victim.example.org");
        next.sent_by_is_ip = false;
    }
    if (sip_slice_equal_nocase(c->next.sent_by_host, next.sent_by_host) && what % 4 == 3)
        return;
    must(verify(s, c, c->own, c->own_length, &next, c->request.cseq) != 0);
    must(verify(s, c, c->own, c->own_length, &c->next, c->request.cseq ^ 1) != 0);
}

static void fuzz_own(const struct snapshot *s, struct via_case *c, struct take *take)
{
    struct sip_slice own = sip_slice(c->own, c->own_length), branch, value;
    struct sip_via via;

    must(sip_via_parse(sip_slice(own.at + 5, own.length - 5), &via) == 0);
    must(proxy_via_is_ours(s, 0, &via, &value));
    branch = via.branch;
    must(verify(s, c, c->own, c->own_length, &c->next, c->request.cseq) == 0);
    for (uint32_t i = 5; i < c->own_length; i++) {
        int bit = (int)(take_number(take, 1) % 8), result;
        const char *at = c->own + i;
        bool is_signed = (at >= branch.at && at < branch.at + branch.length) ||
                         (at >= value.at && at < value.at + value.length);

        c->own[i] ^= (char)(1 << bit);
        result = verify(s, c, c->own, c->own_length, &c->next, c->request.cseq);
        must(result != 0 || !is_signed);
        c->own[i] ^= (char)(1 << bit);
    }
}

/* Puts our Via on the case's request. */
static void put_own(const struct snapshot *s, struct via_case *c)
{
    static struct sip_edit edit;
    struct proxy_via_seal seal = {.key = proxy_seal_signing_key(s),
                                  .local = c->from.local,
                                  .transport = c->from.transport,
                                  .node = c->from.node,
                                  .connection = c->from.connection};
    uint64_t branch = branch_of(s, c);
    char sent_by[SIP_ADDR_TEXT_ROOM] = "";

    seal.mac = mac_of(&seal, branch, call_of(s, &c->request), c->request.cseq, &c->next);
    sip_edit_init(&edit);
    sip_edit_splice(&edit, 0, 0);
    proxy_via_put(&edit, &c->to, sip_slice(sent_by, sip_addr_print(&c->to.local, sent_by)), branch,
                  &seal);
    must(!edit.overflow && edit.used > 2 && edit.used <= sizeof(c->own));
    c->own_length = edit.used - 2;
    memcpy(c->own, edit.text, c->own_length);
}

static void fuzz_via(const struct snapshot *s, struct take *take)
{
    const struct snapshot_listener *listeners = snapshot_listeners(s);
    uint32_t flags = take_number(take, 1);
    struct sip_slice branch = take_bytes(take, take_number(take, 1) % 64);
    struct sip_slice tag = take_bytes(take, take_number(take, 1) % 64);
    struct sip_slice call_id = take_bytes(take, take_number(take, 1) % 64);
    struct sip_slice host = take_bytes(take, take_number(take, 1) % 64);
    struct via_case c;
    char room[RESPONSE_ROOM];
    int length;

    memset(&c, 0, sizeof(c));
    length = snprintf(room, sizeof(room), request_form, (int)host.length, host.at,
                      (int)branch.length, branch.at, (int)tag.length, tag.at, (int)call_id.length,
                      call_id.at, take_number(take, 4) & INT32_MAX);
    must(length > 0 && length < (int)sizeof(room));
    if (sip_msg_index(room, (size_t)length, &c.request) != SIP_OK)
        return;
    c.from.transport = SIP_TRANSPORT_UDP + (flags >> 2 & 7) % (SIP_TRANSPORT_COUNT - 1);
    c.from.local = take_addr(take, flags & 1);
    c.to.local = listeners[flags % s->listeners.n].addr;
    c.to.transport = listeners[flags % s->listeners.n].transport;
    proxy_via_sent_by(&c.request.top_via, &c.next);
    c.next.sent_by_port = (uint16_t)take_number(take, 2);
    c.next.received = take_ip(take, flags & 2);
    c.next.rport = (uint16_t)take_number(take, 2);
    if (c.from.transport != SIP_TRANSPORT_UDP)
        take_stream(take, &c.from);
    put_own(s, &c);
    fuzz_own(s, &c, take);
    fuzz_against(s, &c, take);
}

/* ---- Nodes' words ---- */

static void fuzz_word(const struct snapshot *s, struct sip_slice text, struct take *take)
{
    struct proxy_cluster_word word = {.text = text}, read;
    char bytes[PROXY_CLUSTER_HEAD + WORD_MAX];
    uint32_t length, bit;

    word.kind = (enum proxy_cluster_kind)(1 + take_number(take, 1) % (PROXY_CLUSTER_KINDS - 1));
    word.node = take_number(take, 4);
    word.about = (uint64_t)take_number(take, 4) << 32 | take_number(take, 4);
    word.text.length = text.length < WORD_MAX ? text.length : WORD_MAX;
    length = PROXY_CLUSTER_HEAD + word.text.length;
    must(proxy_cluster_parse(s, text.at, text.length, &read) != 0);
    proxy_cluster_print(s, &word, bytes);
    memcpy(bytes + PROXY_CLUSTER_HEAD, word.text.at, word.text.length);
    must(proxy_cluster_parse(s, bytes, length, &read) == 0);
    must(read.kind == word.kind && read.node == word.node && read.about == word.about);
    must(read.text.at == bytes + PROXY_CLUSTER_HEAD && read.text.length == word.text.length);
    for (uint32_t i = 0; proxy_cluster_phone(read.text, i) != 0; i++)
        must((i + 1) * PROXY_CLUSTER_PHONE <= read.text.length);
    bit = take_number(take, 4) % (length * 8);
    bytes[bit / 8] ^= (char)(1 << bit % 8);
    must(proxy_cluster_parse(s, bytes, length, &read) != 0);
    bytes[bit / 8] ^= (char)(1 << bit % 8);
    must(proxy_cluster_parse(s, bytes, take_number(take, 4) % length, &read) != 0);
}

/* Base64url has one text for each record, and one record for each text. */
static void fuzz_seal(struct sip_slice text)
{
    char again[2 * PROXY_SEAL_BYTES_MAX];
    struct proxy_seal seal;

    if (proxy_seal_parse(text, &seal) != 0)
        return;
    must(seal.length <= PROXY_SEAL_BYTES_MAX && seal.at == 0);
    must(proxy_seal_print(&seal, again) == text.length);
    must(memcmp(again, text.at, text.length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stage_conf conf = {.with_v6 = true, .streams = true};
    static struct stage *stage;
    struct take take = {data, size};
    struct sip_slice text = sip_slice((const char *)data, (uint32_t)size);
    struct proxy_token token;
    char prefixed[HEAD_MAX] = "t1.";

    if (stage == NULL)
        stage = stage_new(&conf);
    fuzz_seal(text);
    /* Nobody guesses 64 bits. */
    must(proxy_token_parse(stage->snapshot, text, &token) != 0);
    if (size < sizeof(prefixed) - 3) {
        memcpy(prefixed + 3, data, size);
        must(!verifies(stage->snapshot, prefixed, 3 + (uint32_t)size));
    }
    fuzz_token(stage->snapshot, &take);
    fuzz_via(stage->snapshot, &take);
    take = (struct take){data, size};
    fuzz_word(stage->snapshot, text, &take);
    return 0;
}
