/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to proxy/: small signed records as text. Bytes are gathered big-endian, a MAC goes at
 * their end, and the whole is written as base64url without padding (RFC 4648 §5).
 */
#ifndef TANDEM_PROXY_SEAL_H
#define TANDEM_PROXY_SEAL_H

#include "config/snapshot.h"

enum { PROXY_SEAL_BYTES_MAX = 64, PROXY_MAC_BYTES = 8 };

struct proxy_seal {
    uint32_t length, at; /* bytes in all; reading position */
    uint8_t bytes[PROXY_SEAL_BYTES_MAX];
};

void proxy_seal_put(struct proxy_seal *seal, uint64_t number, uint32_t bytes);
void proxy_seal_put_ip(struct proxy_seal *seal, const struct sip_ip *ip); /* 4 or 16 bytes */

/* Reading past the end gives 0; the caller compares lengths first. */
uint64_t proxy_seal_get(struct proxy_seal *seal, uint32_t bytes);
struct sip_ip proxy_seal_get_ip(struct proxy_seal *seal, bool v4);

/* Returns the length of the text, at most (length × 4 + 2) / 3. */
uint32_t proxy_seal_print(const struct proxy_seal *seal, char *ret_text);

/* Reads a text that is base64url throughout, in its one canonical form. 0 or -EINVAL. */
int proxy_seal_parse(struct sip_slice text, struct proxy_seal *ret);

const struct snapshot_mac_key *proxy_seal_signing_key(const struct snapshot *s);
/* The valid key with that id, or NULL. */
const struct snapshot_mac_key *proxy_seal_key(const struct snapshot *s, uint8_t id);

/* Equal in a time that does not tell where they differ. */
bool proxy_seal_mac_equal(uint64_t a, uint64_t b);

/* Adds a host to a hash, lower-cased, with its length in front. */
struct lb_siphash;
void proxy_seal_add_host(struct lb_siphash *h, struct sip_slice host);

/* Sixteen lower-case hex digits. */
void proxy_seal_hex(uint64_t number, char ret_text[16]);

#endif
