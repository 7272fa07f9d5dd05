/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words between nodes: see cluster.h. A head, big-endian: four bytes that no other protocol at that
 * port begins with, kind, key id, two bytes 0, the sender's node, what it is about, and a MAC over
 * all of that and the text.
 */
#include "dataplane/proxy/cluster.h"

#include <errno.h>

#include "dataplane/proxy/seal.h"

/* RFC 3261 §25.1: a message begins with a token's character; RFC 5626 §4.4.1: a keep-alive with CR;
 * RFC 8489 §5: STUN with two bits 0. */
static const char MAGIC[4] = {'\xfe', 't', 'd', '1'};

/* Tokens and Vias are signed by the same keys: the label keeps one from passing for the other. */
static const char label[] = "cluster";

enum { SIGNED = PROXY_CLUSTER_HEAD - PROXY_MAC_BYTES, KIND_AT = sizeof(MAGIC) };

static uint64_t mac_of(const struct snapshot_mac_key *key, const void *head, struct sip_slice text)
{
    struct lb_siphash hash;

    lb_siphash24_init(&hash, &key->key);
    lb_siphash_add(&hash, label, sizeof(label));
    lb_siphash_add(&hash, head, SIGNED);
    lb_siphash_add(&hash, text.at, text.length);
    return lb_siphash_end(&hash);
}

void proxy_cluster_print(const struct snapshot *s, const struct proxy_cluster_word *word,
                         char ret_head[PROXY_CLUSTER_HEAD])
{
    const struct snapshot_mac_key *key = proxy_seal_signing_key(s);
    struct proxy_seal seal;

    proxy_seal_init(&seal);
    memcpy(seal.bytes, MAGIC, sizeof(MAGIC));
    seal.length = sizeof(MAGIC);
    proxy_seal_put(&seal, (uint64_t)word->kind, 1);
    proxy_seal_put(&seal, key->id, 1);
    proxy_seal_put(&seal, 0, 2);
    proxy_seal_put(&seal, word->node, 4);
    proxy_seal_put(&seal, word->about, 8);
    static_assert(SIGNED == 20, "what was put");
    proxy_seal_put(&seal, mac_of(key, seal.bytes, word->text), PROXY_MAC_BYTES);
    memcpy(ret_head, seal.bytes, PROXY_CLUSTER_HEAD);
}

bool proxy_cluster_may_be(const char *bytes, uint32_t n)
{
    return n >= PROXY_CLUSTER_HEAD && memcmp(bytes, MAGIC, sizeof(MAGIC)) == 0;
}

int proxy_cluster_parse(const struct snapshot *s, const char *bytes, uint32_t n,
                        struct proxy_cluster_word *ret)
{
    const struct snapshot_mac_key *key;
    struct proxy_cluster_word word;
    struct proxy_seal seal;
    uint32_t key_id;

    if (!proxy_cluster_may_be(bytes, n))
        return -EACCES;
    proxy_seal_init(&seal);
    memcpy(seal.bytes, bytes, PROXY_CLUSTER_HEAD);
    seal.length = PROXY_CLUSTER_HEAD;
    seal.at = KIND_AT;
    word.kind = (enum proxy_cluster_kind)proxy_seal_get(&seal, 1);
    key_id = (uint32_t)proxy_seal_get(&seal, 1);
    if (proxy_seal_get(&seal, 2) != 0)
        return -EACCES;
    word.node = (uint32_t)proxy_seal_get(&seal, 4);
    word.about = proxy_seal_get(&seal, 8);
    word.text = sip_slice(bytes + PROXY_CLUSTER_HEAD, n - PROXY_CLUSTER_HEAD);
    key = proxy_seal_key(s, (uint8_t)key_id);
    if (key == NULL || !proxy_seal_mac_equal(mac_of(key, bytes, word.text),
                                             proxy_seal_get(&seal, PROXY_MAC_BYTES)))
        return -EACCES;
    if (word.kind < PROXY_CLUSTER_CAME || word.kind >= PROXY_CLUSTER_KINDS)
        return -EACCES;
    *ret = word;
    return 0;
}

void proxy_cluster_put_phone(uint64_t phone, char ret[PROXY_CLUSTER_PHONE])
{
    phone = htobe64(phone);
    memcpy(ret, &phone, sizeof(phone));
}

uint64_t proxy_cluster_phone(struct sip_slice text, uint32_t place)
{
    uint64_t phone;

    if (text.length / PROXY_CLUSTER_PHONE <= place)
        return 0;
    memcpy(&phone, text.at + (size_t)place * PROXY_CLUSTER_PHONE, sizeof(phone));
    return be64toh(phone);
}
