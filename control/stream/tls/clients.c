/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of peers: see clients.h.
 */
#include "control/stream/tls/clients.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "control/stream/tls/name.h"

static int read_cas(const char *file, EVP_MD_CTX *digest, struct tls_clients *ret,
                    struct tls_reason *ret_reason)
{
    struct tls_file bytes;
    int status = tls_file_read(file, false, &bytes, ret_reason);

    if (status != 0)
        return status;
    EVP_DigestUpdate(digest, bytes.bytes, bytes.length);
    status = tls_read_cas(&bytes, file, ret->store, &ret->cas, ret_reason);
    tls_file_done(&bytes);
    return status;
}

/* Says when a CRL is too old, since then nobody whom its CA signed gets in. */
static void warn_of_times(const STACK_OF(X509_CRL) * crls, const char *file,
                          const struct tls_place *place)
{
    for (int i = 0; i < sk_X509_CRL_num(crls); i++) {
        const ASN1_TIME *until = X509_CRL_get0_nextUpdate(sk_X509_CRL_value(crls, i));
        struct tls_reason reason;

        if (until == NULL || X509_cmp_current_time(until) > 0)
            continue;
        tls_refuse(&reason, file, "list %d is too old: it lets nobody in whom its CA signed",
                   i + 1);
        tls_place_warn(place, ".client_crl", &reason);
    }
}

static int read_crls(const char *file, const struct tls_place *place, EVP_MD_CTX *digest,
                     struct tls_clients *ret, struct tls_reason *ret_reason)
{
    STACK_OF(X509_CRL) * crls;
    struct tls_file bytes;
    int status = tls_file_read(file, false, &bytes, ret_reason);

    if (status != 0)
        return status;
    EVP_DigestUpdate(digest, bytes.bytes, bytes.length);
    crls = tls_read_crls(&bytes, file, ret_reason);
    tls_file_done(&bytes);
    if (crls == NULL)
        return -EINVAL;
    for (int i = 0; status == 0 && i < sk_X509_CRL_num(crls); i++) {
        if (X509_STORE_add_crl(ret->store, sk_X509_CRL_value(crls, i)) != 1)
            status = tls_refuse(ret_reason, file, "no memory");
    }
    X509_STORE_set_flags(ret->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    warn_of_times(crls, file, place);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    return status;
}

/* 0 or -ENOMEM. */
static int copy_names(const struct cfg_listener *listener, EVP_MD_CTX *digest,
                      struct tls_clients *ret)
{
    ret->names = calloc(listener->n_client_names + 1u, sizeof(*ret->names));
    if (ret->names == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < listener->n_client_names; i++) {
        ret->names[i] = strdup(listener->client_names[i]);
        if (ret->names[i] == NULL)
            return -ENOMEM;
        ret->n_names++;
        EVP_DigestUpdate(digest, ret->names[i], strlen(ret->names[i]) + 1);
    }
    return 0;
}

/* Everything but its memory's end. */
static int read_all(const struct cfg_listener *listener, const struct tls_place *place,
                    EVP_MD_CTX *digest, struct tls_clients *ret)
{
    const unsigned char mode = (unsigned char)listener->clients;
    struct tls_reason reason;

    ret->mode = listener->clients;
    ret->store = listener->client_ca == NULL ? NULL : X509_STORE_new();
    EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    EVP_DigestUpdate(digest, &mode, sizeof(mode));
    if (copy_names(listener, digest, ret) != 0 ||
        (listener->client_ca != NULL && ret->store == NULL)) {
        tls_refuse(&reason, place->cfg->file, "no memory");
        return tls_place_refuse(place, "", &reason);
    }
    if (ret->store != NULL && read_cas(listener->client_ca, digest, ret, &reason) != 0)
        return tls_place_refuse(place, ".client_ca", &reason);
    if (ret->store != NULL && listener->client_crl != NULL &&
        read_crls(listener->client_crl, place, digest, ret, &reason) != 0)
        return tls_place_refuse(place, ".client_crl", &reason);
    EVP_DigestFinal_ex(digest, ret->digest, NULL);
    return 0;
}

int tls_clients_read(const struct cfg_listener *listener, const struct tls_place *place,
                     struct tls_clients *ret)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    int status = digest == NULL ? -ENOMEM : read_all(listener, place, digest, ret);

    EVP_MD_CTX_free(digest);
    return status;
}

void tls_clients_done(struct tls_clients *clients)
{
    for (uint32_t i = 0; i < clients->n_names; i++)
        free(clients->names[i]);
    free(clients->names);
    X509_STORE_free(clients->store);
    sk_X509_pop_free(clients->cas, X509_free);
}

/* Whether the peer's own certificate, which is otherwise good, may be used here: X509_V_OK or why
 * not. */
static int judge(const struct tls_clients *clients, const SSL *ssl, X509 *certificate)
{
    const char *asked;

    if (!SSL_is_server(ssl)) {
        asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        return asked == NULL || tls_name_is(certificate, asked) ? X509_V_OK
                                                                : X509_V_ERR_HOSTNAME_MISMATCH;
    }
    if (!tls_name_usable(certificate))
        return X509_V_ERR_INVALID_PURPOSE;
    for (uint32_t i = 0; i < clients->n_names; i++) {
        if (tls_name_is(certificate, clients->names[i]))
            return X509_V_OK;
    }
    return clients->n_names == 0 ? X509_V_OK : X509_V_ERR_HOSTNAME_MISMATCH;
}

/* OpenSSL asks after each certificate of a chain, and about each error. CRLs of those who sign CAs
 * are rare: they are heeded, not required. */
static int on_step(int good, X509_STORE_CTX *chain)
{
    if (good || X509_STORE_CTX_get_error_depth(chain) == 0 ||
        X509_STORE_CTX_get_error(chain) != X509_V_ERR_UNABLE_TO_GET_CRL)
        return good;
    X509_STORE_CTX_set_error(chain, X509_V_OK);
    return 1;
}

static int on_chain(X509_STORE_CTX *chain, void *arg)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    int error;

    X509_STORE_CTX_set_verify_cb(chain, on_step);
    if (X509_verify_cert(chain) <= 0)
        return 0;
    error = judge(arg, ssl, X509_STORE_CTX_get0_cert(chain));
    X509_STORE_CTX_set_error(chain, error);
    return error == X509_V_OK;
}

/* Who judges certificates by them. */
static void judge_by(const struct tls_clients *clients, SSL_CTX *context, int mode)
{
    SSL_CTX_set_verify(context, mode, NULL);
    SSL_CTX_set_cert_verify_callback(context, on_chain, (void *)(uintptr_t)clients);
    if (clients->store != NULL)
        SSL_CTX_set1_cert_store(context, clients->store);
}

/* The names of our CAs, which clients choose their certificate by. */
static int tell_cas(const struct tls_clients *clients, SSL_CTX *server)
{
    for (int i = 0; i < sk_X509_num(clients->cas); i++) {
        if (SSL_CTX_add_client_CA(server, sk_X509_value(clients->cas, i)) != 1)
            return -ENOMEM;
    }
    return 0;
}

int tls_clients_ask(const struct tls_clients *clients, SSL_CTX *server)
{
    if (SSL_CTX_set_session_id_context(server, clients->digest, sizeof(clients->digest)) != 1)
        return -ENOMEM;
    if (clients->mode == CFG_CLIENTS_NONE)
        return 0;
    judge_by(clients, server,
             clients->mode == CFG_CLIENTS_REQUIRED
                 ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                 : SSL_VERIFY_PEER);
    /* Which usage is good is judged above. */
    X509_VERIFY_PARAM_set_purpose(SSL_CTX_get0_param(server), X509_PURPOSE_ANY);
    return tell_cas(clients, server);
}

int tls_clients_trust(const struct tls_clients *clients, SSL_CTX *client)
{
    judge_by(clients, client, SSL_VERIFY_PEER);
    return clients->store != NULL || SSL_CTX_set_default_verify_paths(client) == 1 ? 0 : -ENOMEM;
}
