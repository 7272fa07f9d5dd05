/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyed hashes of what a message says: of its Call-ID for the call table, of the pool's key for
 * rule 6.
 */
#include "dataplane/proxy/seal.h"
#include "dataplane/proxy/work.h"

uint64_t proxy_hash(const struct snapshot *s, uint32_t pool_id, struct sip_slice text)
{
    return proxy_hash_of_pool(pool_id, lb_siphash13(&s->hash_key, text.at, text.length));
}

/* user@lower-case-host; port, parameters and tags are left out. False: the text is no URI. */
static bool hash_uri(const struct proxy_work *w, struct sip_slice text, uint64_t *ret)
{
    struct lb_siphash h;
    struct sip_uri uri;

    if (sip_uri_parse(text, &uri) != 0)
        return false;
    lb_siphash13_init(&h, &w->s->hash_key);
    lb_siphash_add_field(&h, uri.user.at, uri.user.length);
    proxy_seal_add_host(&h, uri.host);
    *ret = proxy_hash_of_pool(w->pool->id, lb_siphash_end(&h));
    return true;
}

static struct sip_slice key_uri(const struct proxy_work *w, enum lb_key_kind kind)
{
    switch (kind) {
    case LB_KEY_FROM:
        return w->msg->from_uri;
    case LB_KEY_TO:
        return w->msg->to_uri;
    case LB_KEY_RURI:
        return w->ruri.whole;
    case LB_KEY_AOR:
        return w->msg->method == SIP_REGISTER ? w->msg->to_uri : w->ruri.whole;
    default:
        return sip_slice("", 0);
    }
}

static uint64_t hash_source(const struct proxy_work *w)
{
    const struct sip_ip *ip = &w->in->from.peer.ip;

    return proxy_hash(w->s, w->pool->id, sip_slice((const char *)ip->bytes, sizeof(ip->bytes)));
}

uint64_t proxy_key(const struct proxy_work *w)
{
    uint8_t method = w->msg->method;
    enum lb_key_kind kind;
    struct sip_slice value;
    uint64_t hash;

    if (method == SIP_ACK || method == SIP_CANCEL)
        method = SIP_INVITE;
    kind = w->pool->keys[method];
    if (kind == LB_KEY_SOURCE)
        return hash_source(w);
    if (kind == LB_KEY_HEADER) {
        value = sip_msg_find_named(w->msg, snapshot_text(w->s, w->pool->key_header));
        return value.length > 0 ? proxy_hash(w->s, w->pool->id, value) : w->call_hash;
    }
    if (kind != LB_KEY_CALL_ID && hash_uri(w, key_uri(w, kind), &hash))
        return hash;
    return w->call_hash;
}
