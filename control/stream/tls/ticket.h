/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that seal session tickets. They are the same on all nodes that share the cluster's secret:
 * each derives (HKDF-SHA-256, RFC 5869) from the secret's MAC key, the seed and the day, is kept in
 * memory alone, and the ticket's first bytes say which MAC key and which day. Current and today seal;
 * next, current and previous, and the days beside, open. It must not know sessions or contexts.
 */
#ifndef TANDEM_STREAM_TLS_TICKET_H
#define TANDEM_STREAM_TLS_TICKET_H

#include <openssl/types.h>

#include <assert.h>

#include "config/compile.h"

enum {
    TLS_TICKET_NAME_BYTES = 16,   /* RFC 5077 §4 */
    TLS_TICKET_KEY_BYTES = 32,
    TLS_TICKET_LIFETIME_S = 86400,
};

struct tls_ticket_keys;

/* What derives them: made once, used by any thread. */
struct tls_tickets {
    struct compile_secret secret;
    EVP_KDF *hkdf;
    EVP_CIPHER *cipher;
    struct tls_ticket_keys *kept;     /* the last that were derived */
};

struct tls_ticket_key {
    uint8_t name[TLS_TICKET_NAME_BYTES];
    uint8_t cipher[TLS_TICKET_KEY_BYTES];
    uint8_t mac[TLS_TICKET_KEY_BYTES];
};

/* 0 or -ENOMEM. */
int tls_tickets_init(struct tls_tickets *tickets, const struct compile_secret *secret);
void tls_tickets_done(struct tls_tickets *tickets);

/* The key that seals at a CLOCK_REALTIME second; 0, or -ENOKEY. It is the caller's to wipe. */
int tls_ticket_sealing(const struct tls_tickets *tickets, uint64_t now_s,
                       struct tls_ticket_key *ret);

/* The key that a ticket names, at that second: 0; 1: it is good, but another seals; -ENOKEY: ours no
 * more, or never. */
int tls_ticket_opening(const struct tls_tickets *tickets, uint64_t now_s,
                       const uint8_t name[TLS_TICKET_NAME_BYTES], struct tls_ticket_key *ret);

/* OpenSSL's question, answered by the clock: SSL_CTX_set_tlsext_ticket_key_evp_cb(3). */
int tls_ticket_answer(const struct tls_tickets *tickets, unsigned char *name, unsigned char *iv,
                      EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal);

#endif
