/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens as text: `t1.` and, in base64url, flags, key id, local and peer address, backend id and
 * port, of a flow by a stream its node and connection, and a MAC over all that comes before it.
 */
#include "dataplane/proxy/token.h"

#include <errno.h>

#include "dataplane/proxy/seal.h"
#include "dataplane/sip/uri.h"

enum {
    FLAG_V6 = 1,         /* both addresses of the flow */
    TRANSPORT_SHIFT = 1, /* three bits */
    TRANSPORT_MASK = 7,
    PAIR_SHIFT = 4, /* two bits */
    PAIR_MASK = 3,
    FLAGS_USED = 0x3f,
};

static const char prefix[] = "t1.", label[] = "token";

enum { PREFIX_LENGTH = sizeof(prefix) - 1, LABEL_LENGTH = sizeof(label) - 1 };

/* Tokens and Vias are signed by the same keys: the label keeps one from passing for the other. */
static uint64_t token_mac(const struct snapshot_mac_key *key, const uint8_t *bytes, uint32_t length)
{
    uint8_t text[LABEL_LENGTH + PROXY_SEAL_BYTES_MAX];

    memcpy(text, label, LABEL_LENGTH);
    memcpy(text + LABEL_LENGTH, bytes, length);
    return lb_siphash24(&key->key, text, LABEL_LENGTH + length);
}

static void put_addr(struct proxy_seal *seal, const struct sip_addr *addr)
{
    proxy_seal_put_ip(seal, &addr->ip);
    proxy_seal_put(seal, addr->port, 2);
}

static struct sip_addr get_addr(struct proxy_seal *seal, bool v4)
{
    struct sip_addr addr;

    addr.ip = proxy_seal_get_ip(seal, v4);
    addr.port = (uint16_t)proxy_seal_get(seal, 2);
    return addr;
}

uint32_t proxy_token_print(const struct snapshot *s, const struct proxy_token *token,
                           char *ret_text)
{
    const struct snapshot_mac_key *key = proxy_seal_signing_key(s);
    struct proxy_seal seal;
    uint32_t flags = sip_ip_is_v4(&token->flow.peer.ip) ? 0 : FLAG_V6;

    flags |= (uint32_t)token->flow.transport << TRANSPORT_SHIFT;
    flags |= (uint32_t)token->pair << PAIR_SHIFT;
    proxy_seal_init(&seal);
    proxy_seal_put(&seal, flags, 1);
    proxy_seal_put(&seal, key->id, 1);
    put_addr(&seal, &token->flow.local);
    put_addr(&seal, &token->flow.peer);
    proxy_seal_put(&seal, token->backend, 4);
    proxy_seal_put(&seal, token->backend_port, 2);
    if (token->flow.transport != SIP_TRANSPORT_UDP)
        proxy_seal_put_stream(&seal, token->flow.node, token->flow.connection);
    proxy_seal_put(&seal, token_mac(key, seal.bytes, seal.length), PROXY_MAC_BYTES);
    static_assert((int)PREFIX_LENGTH + (int)PROXY_SEAL_TEXT_MAX <= (int)PROXY_TOKEN_TEXT_MAX,
                  "the record is printed in steps");
    memcpy(ret_text, prefix, PREFIX_LENGTH);
    return PREFIX_LENGTH + proxy_seal_print(&seal, ret_text + PREFIX_LENGTH);
}

static uint8_t transport_of(uint32_t flags)
{
    return flags >> TRANSPORT_SHIFT & TRANSPORT_MASK;
}

static uint32_t token_length(uint8_t flags)
{
    uint32_t addr = (flags & FLAG_V6 ? 16 : 4) + 2;
    uint32_t stream = transport_of(flags) != SIP_TRANSPORT_UDP ? PROXY_SEAL_STREAM_BYTES : 0;

    return 2 + 2 * addr + 4 + 2 + stream + PROXY_MAC_BYTES;
}

static bool token_verifies(const struct snapshot *s, struct proxy_seal *seal)
{
    const struct snapshot_mac_key *key;
    uint64_t mac;

    if (seal->length < 2 || seal->length != token_length(seal->bytes[0]))
        return false;
    key = proxy_seal_key(s, seal->bytes[1]);
    if (key == NULL)
        return false;
    seal->at = seal->length - PROXY_MAC_BYTES;
    mac = token_mac(key, seal->bytes, seal->at);
    return proxy_seal_mac_equal(mac, proxy_seal_get(seal, PROXY_MAC_BYTES));
}

/* As we wrote it: characters that need no escape may come back as %HH (RFC 3261 §19.1.4). */
static struct sip_slice unescaped(struct sip_slice text, char buf[PROXY_TOKEN_TEXT_MAX])
{
    uint32_t length;

    if (text.length == 0 || memchr(text.at, '%', text.length) == NULL)
        return text;
    length = sip_uri_unescape(text, buf, PROXY_TOKEN_TEXT_MAX);
    return length <= PROXY_TOKEN_TEXT_MAX ? sip_slice(buf, length) : text;
}

int proxy_token_parse(const struct snapshot *s, struct sip_slice text, struct proxy_token *ret)
{
    struct proxy_seal seal;
    struct proxy_token token;
    char buf[PROXY_TOKEN_TEXT_MAX];
    uint32_t flags;

    text = unescaped(text, buf);
    if (text.length < PREFIX_LENGTH || memcmp(text.at, prefix, PREFIX_LENGTH) != 0)
        return -ENOENT;
    text.at += PREFIX_LENGTH;
    text.length -= PREFIX_LENGTH;
    if (proxy_seal_parse(text, &seal) != 0 || !token_verifies(s, &seal))
        return -EACCES;
    memset(&token, 0, sizeof(token));
    seal.at = 0;
    flags = (uint32_t)proxy_seal_get(&seal, 1);
    (void)proxy_seal_get(&seal, 1);
    token.flow.transport = transport_of(flags);
    token.pair = flags >> PAIR_SHIFT & PAIR_MASK;
    token.flow.local = get_addr(&seal, !(flags & FLAG_V6));
    token.flow.peer = get_addr(&seal, !(flags & FLAG_V6));
    token.backend = (uint32_t)proxy_seal_get(&seal, 4);
    token.backend_port = (uint16_t)proxy_seal_get(&seal, 2);
    if (token.flow.transport != SIP_TRANSPORT_UDP)
        proxy_seal_get_stream(&seal, &token.flow.node, &token.flow.connection);
    if ((flags & ~(uint32_t)FLAGS_USED) != 0 || token.flow.transport >= SIP_TRANSPORT_COUNT)
        return -EACCES;
    *ret = token;
    return 0;
}
