/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to proxy/: small signed records as text. Bytes are gathered big-endian, a MAC goes at
 * their end, and the whole is written as base64url without padding (RFC 4648 §5).
 */
#ifndef TANDEM_PROXY_SEAL_H
#define TANDEM_PROXY_SEAL_H

#include <assert.h>
#include <endian.h>

#include "config/snapshot.h"

enum {
    PROXY_SEAL_BYTES_MAX = 64,
    PROXY_SEAL_TEXT_MAX = 96, /* their digits, a multiple of 16 */
    PROXY_MAC_BYTES = 8,
    PROXY_SEAL_STREAM_BYTES = 12, /* a node and its connection */
};

struct proxy_seal {
    uint32_t length, at;                      /* bytes in all; reading position */
    uint8_t bytes[PROXY_SEAL_BYTES_MAX + 16]; /* numbers are read and written by words, digits by
                                                 two */
};

static inline void proxy_seal_init(struct proxy_seal *seal)
{
    seal->length = 0;
    seal->at = 0;
}

/* Inline: how many bytes, 1 to 8, is known where they are put. */
static inline void proxy_seal_put(struct proxy_seal *seal, uint64_t number, uint32_t bytes)
{
    uint64_t word = htobe64(number << (64 - 8 * bytes));

    assert(seal->length + bytes <= PROXY_SEAL_BYTES_MAX);
    memcpy(seal->bytes + seal->length, &word, sizeof(word));
    seal->length += bytes;
}

/* 4 or 16 bytes. */
static inline void proxy_seal_put_ip(struct proxy_seal *seal, const struct sip_ip *ip)
{
    bool v4 = sip_ip_is_v4(ip);

    assert(seal->length + sizeof(ip->bytes) <= PROXY_SEAL_BYTES_MAX);
    memcpy(seal->bytes + seal->length, v4 ? sip_ip_v4_bytes(ip) : ip->bytes, 4);
    if (!v4)
        memcpy(seal->bytes + seal->length, ip->bytes, sizeof(ip->bytes));
    seal->length += v4 ? 4 : (uint32_t)sizeof(ip->bytes);
}

/* Reading past the end gives 0; the caller compares lengths first. */
static inline uint64_t proxy_seal_get(struct proxy_seal *seal, uint32_t bytes)
{
    uint64_t word;

    if (bytes > seal->length - seal->at)
        return 0;
    memcpy(&word, seal->bytes + seal->at, sizeof(word));
    seal->at += bytes;
    return be64toh(word) >> (64 - 8 * bytes);
}

struct sip_ip proxy_seal_get_ip(struct proxy_seal *seal, bool v4);

/* Whose connection a stream is, and which: PROXY_SEAL_STREAM_BYTES. */
static inline void proxy_seal_put_stream(struct proxy_seal *seal, uint32_t node,
                                         uint64_t connection)
{
    proxy_seal_put(seal, node, 4);
    proxy_seal_put(seal, connection, 8);
}

static inline void proxy_seal_get_stream(struct proxy_seal *seal, uint32_t *ret_node,
                                         uint64_t *ret_connection)
{
    *ret_node = (uint32_t)proxy_seal_get(seal, 4);
    *ret_connection = proxy_seal_get(seal, 8);
}

/* Returns the length of the text, (length × 4 + 2) / 3; writes up to a multiple of 16 digits. */
uint32_t proxy_seal_print(struct proxy_seal *seal, char *ret_text);

/* Reads a text that is base64url throughout, in its one canonical form. 0 or -EINVAL, and *ret then
 * means nothing. */
int proxy_seal_parse(struct sip_slice text, struct proxy_seal *ret);

const struct snapshot_mac_key *proxy_seal_signing_key(const struct snapshot *s);
/* The valid key with that id, or NULL. */
const struct snapshot_mac_key *proxy_seal_key(const struct snapshot *s, uint8_t id);

/* Equal in a time that does not tell where they differ. */
bool proxy_seal_mac_equal(uint64_t a, uint64_t b);

/* Adds a host to a hash, lower-cased, with its length in front. */
void proxy_seal_add_host(struct lb_siphash *h, struct sip_slice host);

/* Keyed hashes of a host in any case, and of a text, each different from all else by that key. */
uint64_t proxy_seal_hash_host(const struct lb_key *key, struct sip_slice host);
uint64_t proxy_seal_hash_text(const struct lb_key *key, struct sip_slice text);

/* Sixteen lower-case hex digits, the highest first. */
void proxy_seal_hex(uint64_t number, char ret_text[16]);
/* The way back: 0, or -EACCES when they are not such digits. */
int proxy_seal_read_hex(const char text[16], uint64_t *ret);

#endif
