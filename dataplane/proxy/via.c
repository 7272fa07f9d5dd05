/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our Via: `SIP/2.0/UDP ADDRESS;branch=z9hG4bK…;tdm=…`, where tdm holds in base64url flags, key
 * id, the ingress address, and a MAC over branch, ingress, Call-ID, CSeq number and the parsed next
 * Via.
 */
#include "dataplane/proxy/via.h"

#include <errno.h>

#include "dataplane/proxy/seal.h"

enum {
    FLAG_V6 = 1,
    TRANSPORT_SHIFT = 1,
    TRANSPORT_MASK = 7,
    FLAGS_USED = 0x0f,
    BRANCH_LENGTH = 23, /* cookie and 16 hex digits */
    COOKIE_LENGTH = 7,
};

static const char cookie[] = "z9hG4bK"; /* RFC 3261 §8.1.1.7 */
static const char parameter[] = "tdm";

bool proxy_via_branch_is_unique(struct sip_slice branch)
{
    return branch.length > COOKIE_LENGTH &&
           sip_slice_equal_nocase(sip_slice(branch.at, COOKIE_LENGTH), sip_slice_of(cookie));
}

/*
 * RFC 3261 §16.11: out of what CANCEL, non-2xx ACK and retransmissions repeat, under a key that
 * never rotates. Not the To-tag, the method, or the source port.
 */
uint64_t proxy_via_transaction(const struct snapshot *s, const struct sip_msg *request)
{
    const struct sip_via *via = &request->top_via;
    struct lb_siphash h;

    lb_siphash24_init(&h, &s->branch_key);
    lb_siphash_add(&h, "branch", 6);
    lb_siphash_add_field(&h, via->branch.at, via->branch.length);
    proxy_seal_add_host(&h, via->host);
    lb_siphash_add(&h, &via->port, sizeof(via->port));
    lb_siphash_add_field(&h, request->call_id.at, request->call_id.length);
    lb_siphash_add_field(&h, request->from_tag.at, request->from_tag.length);
    lb_siphash_add(&h, &request->cseq, sizeof(request->cseq));
    if (!proxy_via_branch_is_unique(via->branch))
        lb_siphash_add_field(&h, request->request_uri.at, request->request_uri.length);
    return lb_siphash_end(&h);
}

static void print_branch(const struct snapshot *s, const struct sip_msg *request,
                         char ret_branch[BRANCH_LENGTH])
{
    memcpy(ret_branch, cookie, COOKIE_LENGTH);
    proxy_seal_hex(proxy_via_transaction(s, request), ret_branch + COOKIE_LENGTH);
}

/* As it is meant: an IPv6 address has several texts. */
static void add_host(struct lb_siphash *h, struct sip_slice host)
{
    struct sip_ip ip;

    if (sip_ip_parse(host, &ip) == 0)
        lb_siphash_add_field(h, ip.bytes, sizeof(ip.bytes));
    else
        proxy_seal_add_host(h, host);
}

/* `ingress` are the bytes of the parameter before its MAC. */
static uint64_t via_mac(const struct snapshot_mac_key *key, const struct sip_msg *msg,
                        struct sip_slice branch, struct sip_slice ingress,
                        const struct proxy_next_via *next)
{
    struct lb_siphash h;

    lb_siphash24_init(&h, &key->key);
    lb_siphash_add(&h, "via", 3);
    lb_siphash_add_field(&h, branch.at, branch.length);
    lb_siphash_add_field(&h, ingress.at, ingress.length);
    lb_siphash_add_field(&h, msg->call_id.at, msg->call_id.length);
    lb_siphash_add(&h, &msg->cseq, sizeof(msg->cseq));
    add_host(&h, next->sent_by_host);
    lb_siphash_add(&h, &next->sent_by_port, sizeof(next->sent_by_port));
    lb_siphash_add(&h, next->received.bytes, sizeof(next->received.bytes));
    lb_siphash_add(&h, &next->rport, sizeof(next->rport));
    return lb_siphash_end(&h);
}

static struct sip_slice seal_slice(const struct proxy_seal *seal, uint32_t length)
{
    return sip_slice((const char *)seal->bytes, length);
}

void proxy_via_put(struct sip_edit *edit, const struct snapshot *s, const struct sip_msg *request,
                   const struct proxy_flow *from, const struct proxy_flow *to,
                   const struct proxy_next_via *next)
{
    const struct snapshot_mac_key *key = proxy_seal_signing_key(s);
    struct proxy_seal seal = {0};
    char branch[BRANCH_LENGTH], addr[SIP_ADDR_TEXT_MAX], text[PROXY_SEAL_BYTES_MAX * 2];
    uint32_t flags = sip_ip_is_v4(&from->local.ip) ? 0 : FLAG_V6;

    print_branch(s, request, branch);
    flags |= (uint32_t)from->transport << TRANSPORT_SHIFT;
    proxy_seal_put(&seal, flags, 1);
    proxy_seal_put(&seal, key->id, 1);
    proxy_seal_put_ip(&seal, &from->local.ip);
    proxy_seal_put(&seal, from->local.port, 2);
    proxy_seal_put(&seal,
                   via_mac(key, request, sip_slice(branch, BRANCH_LENGTH),
                           seal_slice(&seal, seal.length), next),
                   PROXY_MAC_BYTES);
    sip_edit_put_text(edit, "Via: SIP/2.0/");
    sip_edit_put_text(edit, sip_transport_name(to->transport));
    sip_edit_put_text(edit, " ");
    sip_edit_put(edit, addr, sip_addr_print(&to->local, addr));
    sip_edit_put_text(edit, ";branch=");
    sip_edit_put(edit, branch, BRANCH_LENGTH);
    sip_edit_put_text(edit, ";tdm=");
    sip_edit_put(edit, text, proxy_seal_print(&seal, text));
    sip_edit_put_text(edit, "\r\n");
}

uint16_t proxy_via_port(const struct sip_via *via)
{
    bool secure = via->transport == SIP_TRANSPORT_TLS || via->transport == SIP_TRANSPORT_WSS;

    return via->port != 0 ? via->port : secure ? PROXY_SIPS_PORT : PROXY_SIP_PORT;
}

/* Whether sent-by is a listener's and our parameter is there; its value then. */
static bool own_parameter(const struct snapshot *s, const struct sip_via *via,
                          struct sip_slice *ret_value)
{
    struct sip_addr addr;

    memset(&addr, 0, sizeof(addr));
    if (!sip_param_find(via->params, sip_slice_of(parameter), ret_value, NULL) ||
        sip_ip_parse(via->host, &addr.ip) != 0)
        return false;
    addr.port = proxy_via_port(via);
    return snapshot_find_listener(s, via->transport, &addr) >= 0;
}

bool proxy_via_is_ours(const struct snapshot *s, const struct sip_via *via)
{
    struct sip_slice value;

    return own_parameter(s, via, &value);
}

static bool via_verifies(const struct snapshot *s, const struct sip_msg *msg,
                         const struct proxy_seal *seal, const struct proxy_next_via *next)
{
    const struct snapshot_mac_key *key;
    struct proxy_seal end = *seal;
    uint32_t signed_bytes;

    if (seal->length < 2 || (seal->bytes[0] & ~FLAGS_USED) != 0)
        return false;
    signed_bytes = 2 + (seal->bytes[0] & FLAG_V6 ? 16 : 4) + 2;
    if (seal->length != signed_bytes + PROXY_MAC_BYTES)
        return false;
    key = proxy_seal_key(s, seal->bytes[1]);
    if (key == NULL)
        return false;
    end.at = signed_bytes;
    return proxy_seal_mac_equal(
        proxy_seal_get(&end, PROXY_MAC_BYTES),
        via_mac(key, msg, msg->top_via.branch, seal_slice(seal, signed_bytes), next));
}

int proxy_via_verify(const struct snapshot *s, const struct sip_msg *response,
                     const struct proxy_next_via *next, struct proxy_flow *ret_ingress)
{
    struct sip_slice value;
    struct proxy_seal seal;
    struct proxy_flow ingress;
    uint32_t flags;

    if (!own_parameter(s, &response->top_via, &value))
        return -ENOENT;
    if (proxy_seal_parse(value, &seal) != 0 || !via_verifies(s, response, &seal, next))
        return -EACCES;
    memset(&ingress, 0, sizeof(ingress));
    flags = (uint32_t)proxy_seal_get(&seal, 1);
    (void)proxy_seal_get(&seal, 1);
    ingress.transport = flags >> TRANSPORT_SHIFT & TRANSPORT_MASK;
    ingress.local.ip = proxy_seal_get_ip(&seal, !(flags & FLAG_V6));
    ingress.local.port = (uint16_t)proxy_seal_get(&seal, 2);
    *ret_ingress = ingress;
    return 0;
}
