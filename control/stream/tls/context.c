/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts of a listener: see context.h.
 */
#include "control/stream/tls/context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/tls1.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/log.h"

enum {
    SECURITY_LEVEL = 2, /* 112 bits: RSA from 2,048 on, no SHA-1 (SSL_CTX_set_security_level(3)) */
    SEND_RECORD_BYTES = 4096, /* a SIP message fits: what is held while a peer reads slowly */
    PEER_CHAIN_MAX_BYTES = 32768,
};

/* By how much they cost here: AES has instructions; a client without them that puts ChaCha20 first
 * gets it (SSL_OP_PRIORITIZE_CHACHA). */
static const char CIPHERS_12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char CIPHERS_13[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char GROUPS[] = "X25519:P-256:P-384";

/* Protocols as ALPN writes them, their lengths before them, the preferred one first. */
static const unsigned char ALPN_SIP[] = "\5sip/2\3sip", ALPN_HTTP[] = "\10http/1.1";

/* What all have in common; NULL: no memory. */
static SSL_CTX *context_new(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new(method);

    if (context == NULL)
        return NULL;
    SSL_CTX_set_security_level(context, SECURITY_LEVEL);
    /* Messages have a length: a transport that ends without TLS's goodbye cuts none unnoticed. */
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(context, 1); /* a record in one read, not in two */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(context, PEER_CHAIN_MAX_BYTES);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
        SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
        SSL_CTX_set_cipher_list(context, CIPHERS_12) == 1 &&
        SSL_CTX_set_ciphersuites(context, CIPHERS_13) == 1 &&
        SSL_CTX_set1_groups_list(context, GROUPS) == 1 &&
        SSL_CTX_set_max_send_fragment(context, SEND_RECORD_BYTES) == 1)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

/* The client named a host. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
    const struct tls_listener *listener = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    uint32_t set = name == NULL ? (uint32_t)TLS_SNI_NONE : tls_sni_find(&listener->sni, name);

    (void)alert;
    if (set == TLS_SNI_NONE)
        return SSL_TLSEXT_ERR_NOACK;
    return SSL_set_SSL_CTX(ssl, listener->servers[set]) == NULL ? SSL_TLSEXT_ERR_ALERT_FATAL
                                                                : SSL_TLSEXT_ERR_OK;
}

static int on_protocols(SSL *ssl, const unsigned char **ret, unsigned char *ret_length,
                        const unsigned char *offered, unsigned int length, void *arg)
{
    const struct tls_listener *listener = arg;
    const bool sip = listener->transport == SIP_TRANSPORT_TLS;
    unsigned char *at;

    (void)ssl;
    if (SSL_select_next_proto(&at, ret_length, sip ? ALPN_SIP : ALPN_HTTP,
                              (sip ? sizeof(ALPN_SIP) : sizeof(ALPN_HTTP)) - 1, offered,
                              length) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
    *ret = at;
    return SSL_TLSEXT_ERR_OK;
}

/* The client wants to know whether the certificate that it gets is still good. */
static int on_status(SSL *ssl, void *arg)
{
    const struct tls_listener *listener = arg;
    const X509 *shown = SSL_get_certificate(ssl);
    struct tls_credential *credential = NULL;
    unsigned char *copy;

    for (uint32_t i = 0; i < listener->n_credentials && credential == NULL; i++) {
        if (listener->credentials[i].certificate == shown)
            credential = &listener->credentials[i];
    }
    if (credential == NULL || credential->ocsp.bytes.length == 0)
        return SSL_TLSEXT_ERR_NOACK;
    if (!tls_ocsp_fresh(&credential->ocsp, time(NULL))) {
        if (!atomic_exchange(&credential->stale, true))
            log_warning("the OCSP response of %s is too old: it is stapled no more until a reload",
                        credential->bearer.n_names > 0 ? credential->bearer.names[0]
                                                       : "a certificate without a name");
        return SSL_TLSEXT_ERR_NOACK;
    }
    copy = OPENSSL_memdup(credential->ocsp.bytes.bytes, credential->ocsp.bytes.length);
    if (copy == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)credential->ocsp.bytes.length);
    return SSL_TLSEXT_ERR_OK;
}

static int on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int seal)
{
    const struct tls_listener *listener = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    return tls_ticket_answer(listener->tickets, name, iv, cipher, mac, seal);
}

/* A ticket was opened, or not. Its client's certificate may have expired since. One of TLS 1.3 is
 * answered with another, since clients should use each once (RFC 8446 §C.4): without, browsers
 * shook hands in full every other time. */
static SSL_TICKET_RETURN on_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                   size_t name_length, SSL_TICKET_STATUS status, void *arg)
{
    const X509 *peer;

    (void)name;
    (void)name_length;
    (void)arg;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    peer = SSL_SESSION_get0_peer(session);
    if (peer != NULL && X509_cmp_current_time(X509_get0_notAfter(peer)) < 0)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (status == SSL_TICKET_SUCCESS_RENEW || SSL_version(ssl) == TLS1_3_VERSION)
        return SSL_TICKET_RETURN_USE_RENEW;
    return SSL_TICKET_RETURN_USE;
}

/* What a server's context answers with. */
static int serve(SSL_CTX *context, struct tls_listener *listener)
{
    SSL_CTX_set_app_data(context, listener);
    SSL_CTX_set_tlsext_servername_callback(context, on_name);
    SSL_CTX_set_tlsext_servername_arg(context, listener);
    SSL_CTX_set_alpn_select_cb(context, on_protocols, listener);
    SSL_CTX_set_tlsext_status_cb(context, on_status);
    SSL_CTX_set_tlsext_status_arg(context, listener);
    SSL_CTX_set_timeout(context, TLS_TICKET_LIFETIME_S);
    if (SSL_CTX_set_num_tickets(context, 1) != 1 || /* a phone has one connection */
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket_key) != 1 ||
        SSL_CTX_set_session_ticket_cb(context, NULL, on_ticket, NULL) != 1)
        return -ENOMEM;
    return tls_clients_ask(&listener->clients, context);
}

/* Gives a context the certificates of a set; 0, or -EINVAL and the place's error. */
static int show(SSL_CTX *context, const struct tls_set *set, const struct tls_listener *listener,
                const struct tls_place *place)
{
    for (int kind = 0; kind < TLS_KINDS; kind++) {
        const uint32_t i = set->by_kind[kind];
        const struct tls_credential *credential = &listener->credentials[i];
        struct tls_place at;
        struct tls_reason reason;

        if (i == TLS_SNI_NONE ||
            SSL_CTX_use_cert_and_key(context, credential->certificate, credential->key,
                                     credential->chain, 1) == 1)
            continue;
        at = tls_place_at(place, ".certificates[%u]", i);
        snprintf(reason.text, sizeof(reason.text), "OpenSSL does not take it: %s",
                 ERR_reason_error_string(ERR_peek_last_error()));
        ERR_clear_error();
        return tls_place_refuse(&at, ".cert", &reason);
    }
    return 0;
}

static int no_memory(const struct tls_place *place)
{
    static const struct tls_reason reason = {"no memory"};

    ERR_clear_error();
    return tls_place_refuse(place, "", &reason);
}

static int read_credentials(struct tls_listener *listener, const struct cfg_listener *cfg,
                            const struct tls_place *place)
{
    int status = 0;

    listener->credentials = calloc(cfg->n_certificates + 1u, sizeof(*listener->credentials));
    if (listener->credentials == NULL)
        return no_memory(place);
    for (uint32_t i = 0; status == 0 && i < cfg->n_certificates; i++) {
        struct tls_place at = tls_place_at(place, ".certificates[%u]", i);

        listener->n_credentials++;
        status = tls_credential_read(&cfg->certificates[i], &at, &listener->credentials[i]);
    }
    return status;
}

static int make_sets(struct tls_listener *listener, const struct tls_place *place)
{
    const struct tls_bearer **bearers = calloc(listener->n_credentials, sizeof(*bearers));
    int status = bearers == NULL ? -ENOMEM : 0;

    for (uint32_t i = 0; status == 0 && i < listener->n_credentials; i++)
        bearers[i] = &listener->credentials[i].bearer;
    if (status == 0)
        status = tls_sni_init(&listener->sni, bearers, listener->n_credentials);
    free(bearers);
    return status == 0 ? 0 : no_memory(place);
}

static int make_contexts(struct tls_listener *listener, const struct tls_place *place)
{
    listener->servers = calloc(listener->sni.n_sets, sizeof(SSL_CTX *));
    if (listener->servers == NULL)
        return no_memory(place);
    for (uint32_t i = 0; i < listener->sni.n_sets; i++) {
        SSL_CTX *context = context_new(TLS_server_method());

        listener->servers[listener->n_servers++] = context;
        if (context == NULL || serve(context, listener) != 0)
            return no_memory(place);
        if (show(context, &listener->sni.sets[i], listener, place) != 0)
            return -EINVAL;
    }
    listener->client = context_new(TLS_client_method());
    if (listener->client == NULL || tls_clients_trust(&listener->clients, listener->client) != 0)
        return no_memory(place);
    return show(listener->client, &listener->sni.sets[0], listener, place);
}

int tls_listener_init(struct tls_listener *listener, const struct cfg_listener *cfg,
                      const struct tls_tickets *tickets, const struct tls_place *place)
{
    int status;

    *listener =
        (struct tls_listener){.addr = cfg->addr, .transport = cfg->transport, .tickets = tickets};
    status = read_credentials(listener, cfg, place);
    if (status == 0)
        status = tls_clients_read(cfg, place, &listener->clients);
    if (status == 0)
        status = make_sets(listener, place);
    return status == 0 ? make_contexts(listener, place) : status;
}

void tls_listener_done(struct tls_listener *listener)
{
    for (uint32_t i = 0; i < listener->n_servers; i++)
        SSL_CTX_free(listener->servers[i]);
    free(listener->servers);
    SSL_CTX_free(listener->client);
    tls_sni_done(&listener->sni);
    tls_clients_done(&listener->clients);
    for (uint32_t i = 0; i < listener->n_credentials; i++)
        tls_credential_done(&listener->credentials[i]);
    free(listener->credentials);
}
