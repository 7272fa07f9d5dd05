/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of whoever connects to a listener: a certificate or none, signed by whom, not revoked,
 * of which domains. The same trust, without the domains, is what the listener's service has in
 * servers that it connects to.
 *
 * A certificate is good when its chain leads to a CA of client_ca; its usage is that of a TLS client
 * or server or of a SIP domain; with a CRL file, no CRL names one of the chain, and the CRL of who
 * signed the certificate itself is there and not too old; and with client_names, one of them is among
 * its SIP domains.
 */
#ifndef TANDEM_STREAM_TLS_CLIENTS_H
#define TANDEM_STREAM_TLS_CLIENTS_H

#include <openssl/sha.h>
#include <openssl/ssl.h>

#include "control/stream/tls/place.h"

struct tls_clients {
    enum cfg_clients mode;
    X509_STORE *store;            /* of client_ca and client_crl; NULL: no client_ca */
    STACK_OF(X509) *cas;
    char **names;
    uint32_t n_names;
    unsigned char digest[SHA256_DIGEST_LENGTH];   /* of all of that: sessions are good with the same */
};

/* Reads what a listener asks for; 0, or -EINVAL and the place's error. To be freed by
 * tls_clients_done in both cases. */
int tls_clients_read(const struct cfg_listener *listener, const struct tls_place *place,
                     struct tls_clients *ret);
void tls_clients_done(struct tls_clients *clients);

/* Makes a server's context ask for it, a client's one trust by it. The clients outlive the context's
 * SSLs. 0 or -ENOMEM. */
int tls_clients_ask(const struct tls_clients *clients, SSL_CTX *server);
int tls_clients_trust(const struct tls_clients *clients, SSL_CTX *client);

#endif
