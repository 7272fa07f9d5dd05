/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's contexts of one listener: for each set of certificates one of the server's side, and one
 * of the client's side. What a client asks for decides among them while it connects. It must not know
 * who holds them.
 */
#ifndef TANDEM_STREAM_TLS_CONTEXT_H
#define TANDEM_STREAM_TLS_CONTEXT_H

#include "control/stream/tls/clients.h"
#include "control/stream/tls/credential.h"
#include "control/stream/tls/ticket.h"

struct tls_listener {
    struct sip_addr addr;
    enum sip_transport transport; /* TLS or WSS */
    const struct tls_tickets *tickets;
    struct tls_credential *credentials;
    uint32_t n_credentials;
    struct tls_clients clients;
    struct tls_sni sni;
    SSL_CTX **servers;            /* by set of sni; the first is where a connection begins */
    uint32_t n_servers;
    SSL_CTX *client;
};

/* Reads and makes it from the configuration: 0, or -EINVAL and the place's error. To be freed by
 * tls_listener_done in both cases; stays where it is. */
int tls_listener_init(struct tls_listener *listener, const struct cfg_listener *cfg,
                      const struct tls_tickets *tickets, const struct tls_place *place);
void tls_listener_done(struct tls_listener *listener);

#endif
