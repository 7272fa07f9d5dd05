/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and keys of listeners: see credential.h.
 */
#include "control/stream/tls/credential.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "control/stream/tls/name.h"

/* The first certificate of the file is the server's. */
static int read_chain(const char *file, struct tls_credential *ret, struct tls_reason *ret_reason)
{
    struct tls_file bytes;
    int status = tls_file_read(file, false, &bytes, ret_reason);

    if (status != 0)
        return status;
    ret->chain = tls_read_certificates(&bytes, file, ret_reason);
    tls_file_done(&bytes);
    if (ret->chain == NULL)
        return -EINVAL;
    ret->certificate = sk_X509_shift(ret->chain);
    return 0;
}

static int read_kind(const char *file, struct tls_credential *ret, struct tls_reason *ret_reason)
{
    switch (EVP_PKEY_get_base_id(ret->key)) {
    case EVP_PKEY_EC:
        ret->bearer.kind = TLS_KIND_ECDSA;
        return 0;
    case EVP_PKEY_RSA:
        ret->bearer.kind = TLS_KIND_RSA;
        return 0;
    case EVP_PKEY_ED25519:
        ret->bearer.kind = TLS_KIND_EDDSA;
        return 0;
    default:
        return tls_refuse(ret_reason, file, "is no ECDSA, RSA or Ed25519 key");
    }
}

static int read_key(const struct cfg_certificate *cfg, struct tls_credential *ret,
                    struct tls_reason *ret_reason)
{
    ret->key = tls_read_key(cfg->key, ret_reason);
    if (ret->key == NULL)
        return -EINVAL;
    if (X509_check_private_key(ret->certificate, ret->key) != 1)
        return tls_refuse(ret_reason, cfg->key, "is not the key of %s", cfg->cert);
    return read_kind(cfg->key, ret, ret_reason);
}

/* tls_name_served's question: keeps the name; true: no memory. */
static bool on_name(void *arg, const char *name)
{
    struct tls_bearer *bearer = arg;
    char **names = realloc(bearer->names, (bearer->n_names + 1) * sizeof(*names));

    if (names == NULL)
        return true;
    bearer->names = names;
    names[bearer->n_names] = strdup(name);
    return names[bearer->n_names] == NULL || ++bearer->n_names == 0;
}

/* Says which of the chain is not valid now: the first of them. */
static void warn_of_times(const char *file, const struct tls_credential *credential,
                          const struct tls_place *place)
{
    for (int i = -1; i < sk_X509_num(credential->chain); i++) {
        X509 *one = i < 0 ? credential->certificate : sk_X509_value(credential->chain, i);
        const char *what = NULL;
        struct tls_reason reason;

        if (X509_cmp_current_time(X509_get0_notAfter(one)) < 0)
            what = "is expired";
        else if (X509_cmp_current_time(X509_get0_notBefore(one)) > 0)
            what = "is not valid yet";
        if (what == NULL)
            continue;
        tls_refuse(&reason, file, "certificate %d %s: clients will refuse it", i + 2, what);
        tls_place_warn(place, ".cert", &reason);
        return;
    }
}

int tls_credential_read(const struct cfg_certificate *cfg, const struct tls_place *place,
                        struct tls_credential *ret)
{
    struct tls_reason reason;
    int status;

    if (read_chain(cfg->cert, ret, &reason) != 0)
        return tls_place_refuse(place, ".cert", &reason);
    if (read_key(cfg, ret, &reason) != 0)
        return tls_place_refuse(place, ".key", &reason);
    if (tls_name_served(ret->certificate, on_name, &ret->bearer)) {
        tls_refuse(&reason, cfg->cert, "no memory");
        return tls_place_refuse(place, ".cert", &reason);
    }
    warn_of_times(cfg->cert, ret, place);
    if (cfg->ocsp == NULL)
        return 0;
    status = tls_ocsp_read(cfg->ocsp, ret->certificate, time(NULL), &ret->ocsp, &reason);
    if (status == -ESTALE)
        tls_place_warn(place, ".ocsp", &reason);
    else if (status != 0)
        return tls_place_refuse(place, ".ocsp", &reason);
    return 0;
}

void tls_credential_done(struct tls_credential *credential)
{
    for (uint32_t i = 0; i < credential->bearer.n_names; i++)
        free(credential->bearer.names[i]);
    free(credential->bearer.names);
    tls_ocsp_done(&credential->ocsp);
    EVP_PKEY_free(credential->key);
    X509_free(credential->certificate);
    sk_X509_pop_free(credential->chain, X509_free);
}
