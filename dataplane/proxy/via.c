/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our Via: `SIP/2.0/UDP ADDRESS;branch=z9hG4bK…;tdm=…`, where tdm holds in base64url flags, key
 * id, the ingress address, and a MAC over branch, ingress, Call-ID, CSeq number and the parsed next
 * Via.
 */
#include "dataplane/proxy/via.h"

#include <assert.h>
#include <errno.h>

#include "dataplane/proxy/seal.h"

enum {
    FLAG_V6 = 1,
    TRANSPORT_SHIFT = 1,
    TRANSPORT_MASK = 7,
    FLAGS_USED = 0x0f,
    COOKIE_LENGTH = 7,
};

static const char cookie[] = "z9hG4bK"; /* RFC 3261 §8.1.1.7 */
static const char parameter[] = "tdm";

bool proxy_via_branch_is_unique(struct sip_slice branch)
{
    return branch.length > COOKIE_LENGTH &&
           (memcmp(branch.at, cookie, COOKIE_LENGTH) == 0 ||
            sip_slice_equal_nocase(sip_slice(branch.at, COOKIE_LENGTH), sip_slice_of(cookie)));
}

static uint16_t port_of(const struct sip_via *via)
{
    bool secure = via->transport == SIP_TRANSPORT_TLS || via->transport == SIP_TRANSPORT_WSS;

    return via->port != 0 ? via->port : secure ? PROXY_SIPS_PORT : PROXY_SIP_PORT;
}

void proxy_via_sent_by(const struct sip_via *via, struct proxy_next_via *ret)
{
    ret->sent_by_host = via->host;
    ret->sent_by_is_ip = sip_ip_parse(via->host, &ret->sent_by_ip) == 0;
    ret->sent_by_port = port_of(via);
}

/*
 * RFC 3261 §16.11: out of what CANCEL, non-2xx ACK and retransmissions repeat, under a key that
 * never rotates. Not the To-tag, the method, or the source port.
 */
void proxy_via_hash_transaction(const struct snapshot *s, const struct sip_msg *request,
                                struct lb_siphash *ret)
{
    const struct sip_via *via = &request->top_via;

    lb_siphash24_init(ret, &s->branch_key);
    lb_siphash_add(ret, "branch", 6);
    lb_siphash_add_field(ret, via->branch.at, via->branch.length);
    proxy_seal_add_host(ret, via->host);
    lb_siphash_add(ret, &via->port, sizeof(via->port));
    lb_siphash_add_field(ret, request->call_id.at, request->call_id.length);
    lb_siphash_add_field(ret, request->from_tag.at, request->from_tag.length);
    lb_siphash_add(ret, &request->cseq, sizeof(request->cseq));
    if (!proxy_via_branch_is_unique(via->branch))
        lb_siphash_add_field(ret, request->request_uri.at, request->request_uri.length);
}

void proxy_via_branch(uint64_t transaction, char ret_branch[PROXY_BRANCH_LENGTH])
{
    memcpy(ret_branch, cookie, COOKIE_LENGTH);
    proxy_seal_hex(transaction, ret_branch + COOKIE_LENGTH);
}

void proxy_via_seal(const struct snapshot *s, const struct proxy_flow *from,
                    struct proxy_via_seal *ret)
{
    const struct snapshot_mac_key *key = proxy_seal_signing_key(s);
    uint32_t flags = sip_ip_is_v4(&from->local.ip) ? 0 : FLAG_V6;
    struct proxy_seal bytes;

    flags |= (uint32_t)from->transport << TRANSPORT_SHIFT;
    proxy_seal_init(&bytes);
    proxy_seal_put(&bytes, flags, 1);
    proxy_seal_put(&bytes, key->id, 1);
    proxy_seal_put_ip(&bytes, &from->local.ip);
    proxy_seal_put(&bytes, from->local.port, 2);
    ret->key = key;
    ret->length = bytes.length;
    memcpy(ret->ingress, bytes.bytes, sizeof(ret->ingress));
}

/* As it is meant: an IPv6 address has several texts. */
static void add_host(struct lb_siphash *h, const struct proxy_next_via *next)
{
    if (next->sent_by_is_ip)
        lb_siphash_add_field(h, next->sent_by_ip.bytes, sizeof(next->sent_by_ip.bytes));
    else
        proxy_seal_add_host(h, next->sent_by_host);
}

void proxy_via_hash_seal(const struct proxy_via_seal *seal, const struct sip_msg *msg,
                         struct sip_slice branch, const struct proxy_next_via *next,
                         struct lb_siphash *ret)
{
    lb_siphash24_init(ret, &seal->key->key);
    lb_siphash_add(ret, "via", 3);
    lb_siphash_add_field(ret, branch.at, branch.length);
    lb_siphash_add_field(ret, seal->ingress, seal->length);
    lb_siphash_add_field(ret, msg->call_id.at, msg->call_id.length);
    lb_siphash_add(ret, &msg->cseq, sizeof(msg->cseq));
    add_host(ret, next);
    lb_siphash_add(ret, &next->sent_by_port, sizeof(next->sent_by_port));
    lb_siphash_add(ret, next->received.bytes, sizeof(next->received.bytes));
    lb_siphash_add(ret, &next->rport, sizeof(next->rport));
}

/* `Via: SIP/2.0/TLS-SCTP `, `;branch=`, `;tdm=`, base64url in steps of 8, CRLF: with room to spare.
 */
enum { VIA_TEXT_MAX = 64 + SIP_ADDR_TEXT_MAX + PROXY_BRANCH_LENGTH + PROXY_SEAL_TEXT_MAX };

void proxy_via_put(struct sip_edit *edit, enum sip_transport transport, struct sip_slice sent_by,
                   const char branch[PROXY_BRANCH_LENGTH], const struct proxy_via_seal *seal)
{
    char *at = sip_edit_room(edit);
    struct proxy_seal bytes;

    static_assert((int)VIA_TEXT_MAX <= (int)SIP_EDIT_ROOM,
                  "it is written where it may leave the text");
    memcpy(bytes.bytes, seal->ingress, sizeof(seal->ingress));
    bytes.length = seal->length;
    proxy_seal_put(&bytes, seal->mac, PROXY_MAC_BYTES);
    at = sip_put_text(at, "Via: SIP/2.0/");
    at = sip_put_text(at, sip_transport_name(transport));
    *at++ = ' ';
    at = sip_put(at, sent_by.at, sent_by.length);
    at = sip_put_text(at, ";branch=");
    at = sip_put(at, branch, PROXY_BRANCH_LENGTH);
    at = sip_put_text(at, ";tdm=");
    at += proxy_seal_print(&bytes, at);
    sip_edit_written(edit, sip_put_text(at, "\r\n"));
}

/* The value of our parameter where it is last and stands behind the branch, as we write it. */
static bool last_parameter(const struct sip_via *via, struct sip_slice *ret_value)
{
    static const char front[] = ";branch=", name[] = ";tdm=";
    const char *at = via->branch.at + via->branch.length;
    const char *end = via->params.at + via->params.length;
    struct sip_slice value;

    if (via->branch.length == 0 || via->branch.at != via->params.at + strlen(front) ||
        memcmp(via->params.at, front, strlen(front)) != 0 || end - at <= (ptrdiff_t)strlen(name) ||
        memcmp(at, name, strlen(name)) != 0)
        return false;
    at += strlen(name);
    value = sip_slice(at, (uint32_t)(end - at));
    if (!sip_slice_only(value, SIP_CHAR_TOKEN))
        return false;
    *ret_value = value;
    return true;
}

static bool find_parameter(const struct sip_via *via, struct sip_slice *ret_value)
{
    return last_parameter(via, ret_value) ||
           sip_param_find(via->params, sip_slice_of(parameter), ret_value, NULL);
}

/* Sent-by is a listener's address as we write it. */
static bool is_sent_by(const struct snapshot_listener *listener, const struct sip_via *via)
{
    struct sip_slice host = via->host;

    return port_of(via) == listener->addr.port && via->transport == listener->transport &&
           host.length < listener->text_length && listener->text[host.length] == ':' &&
           memcmp(host.at, listener->text, host.length) == 0;
}

bool proxy_via_is_ours(const struct snapshot *s, uint32_t likely, const struct sip_via *via,
                       struct sip_slice *ret_value)
{
    struct sip_addr addr;

    if (!find_parameter(via, ret_value))
        return false;
    if (is_sent_by(&snapshot_listeners(s)[likely], via))
        return true;
    if (sip_ip_parse(via->host, &addr.ip) != 0)
        return false;
    addr.port = port_of(via);
    return snapshot_find_listener(s, via->transport, &addr) >= 0;
}

int proxy_via_read(const struct snapshot *s, struct sip_slice value, struct proxy_via_seal *ret)
{
    const struct snapshot_mac_key *key;
    struct proxy_seal bytes;
    uint32_t length;

    if (proxy_seal_parse(value, &bytes) != 0 || bytes.length < 2 ||
        (bytes.bytes[0] & ~FLAGS_USED) != 0)
        return -EACCES;
    length = 2 + (bytes.bytes[0] & FLAG_V6 ? 16 : 4) + 2;
    if (bytes.length != length + PROXY_MAC_BYTES)
        return -EACCES;
    key = proxy_seal_key(s, bytes.bytes[1]);
    if (key == NULL)
        return -EACCES;
    bytes.at = length;
    ret->key = key;
    ret->mac = proxy_seal_get(&bytes, PROXY_MAC_BYTES);
    ret->length = length;
    memcpy(ret->ingress, bytes.bytes, sizeof(ret->ingress));
    return 0;
}

void proxy_via_ingress(const struct proxy_via_seal *seal, struct proxy_flow *ret)
{
    uint32_t flags = seal->ingress[0];
    struct proxy_seal bytes;

    memcpy(bytes.bytes, seal->ingress, sizeof(seal->ingress));
    bytes.length = seal->length;
    bytes.at = 2;
    memset(ret, 0, sizeof(*ret));
    ret->transport = flags >> TRANSPORT_SHIFT & TRANSPORT_MASK;
    ret->local.ip = proxy_seal_get_ip(&bytes, !(flags & FLAG_V6));
    ret->local.port = (uint16_t)proxy_seal_get(&bytes, 2);
}
