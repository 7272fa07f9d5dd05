/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of connections: see secure.h.
 */
#include "control/stream/secure.h"

#include <stdio.h>
#include <string.h>

#include <openssl/ssl.h>

#include "control/stream/connection.h"
#include "control/stream/thread.h"

bool secure_has(uint8_t transport)
{
    return transport == SIP_TRANSPORT_TLS || transport == SIP_TRANSPORT_WSS;
}

/* OpenSSL answers who asks for another handshake with an alert (tls.h) and would go on: he could ask
 * again and again. It tells no other way. */
static void on_alert(const SSL *ssl, int where, int alert)
{
    if ((where & SSL_CB_WRITE_ALERT) == SSL_CB_WRITE_ALERT &&
        (alert & 0xff) == SSL_AD_NO_RENEGOTIATION)
        connection_end(SSL_get_app_data(ssl), CLOSE_RENEGOTIATION);
}

SSL *secure_new(struct connection *c)
{
    struct tls *tls = edges_tls(c->thread->view->edges);
    bool out = c->entry.outgoing;
    SSL *ssl = out ? tls_connect(tls, &c->entry.local, c->entry.name)
                   : tls_accept(tls, &c->entry.local);

    if (ssl == NULL)
        return NULL;
    SSL_set_app_data(ssl, c);
    if (!out) /* of a server it is a question that may be left without an answer */
        SSL_set_info_callback(ssl, on_alert);
    return ssl;
}

void secure_opened(struct connection *c)
{
    struct counts *counts = &c->thread->counts[c->entry.transport];
    struct tls_facts facts;
    char cipher[TABLE_TEXT_MAX], names[TLS_NAMES_MAX];
    const SSL *ssl = c->wire.ssl;

    tls_describe(ssl, &facts);
    tls_identities(ssl, names);
    snprintf(cipher, sizeof(cipher), "%s %s", facts.version, facts.cipher);
    table_note(c->thread->hub->table, &c->entry, facts.sni, cipher, names);
    counts_add(counts, facts.resumed ? COUNT_TLS_RESUMED : COUNT_TLS_FULL, 1);
    counts_add(counts, strcmp(facts.version, "TLSv1.3") == 0 ? COUNT_TLS_13 : COUNT_TLS_12, 1);
    counts_add(counts, COUNT_TLS_CIPHER + tls_cipher(facts.cipher), 1);
}

void secure_failed(struct connection *c)
{
    enum tls_failure failure = tls_failure(c->wire.ssl, c->wire.error);

    counts_add(&c->thread->counts[c->entry.transport], COUNT_TLS_FAILED + (uint32_t)failure, 1);
}
