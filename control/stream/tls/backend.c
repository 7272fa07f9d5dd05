/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS to backends: see backend.h.
 */
#include "control/stream/tls/backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 0 or -ENOMEM. */
static int copy_names(const struct cfg_pool *cfg, struct tls_pool *pool)
{
    pool->pool = strdup(cfg->name);
    pool->name = cfg->tls.name == NULL ? NULL : strdup(cfg->tls.name);
    pool->hosts = calloc(cfg->n_backends + 1u, sizeof(*pool->hosts));
    if (pool->pool == NULL || pool->hosts == NULL || (cfg->tls.name != NULL && pool->name == NULL))
        return -ENOMEM;
    for (uint32_t i = 0; i < cfg->n_backends; i++) {
        struct tls_host *host = &pool->hosts[pool->n_hosts];

        if (cfg->backends[i].lookup == NULL)
            continue;
        pool->n_hosts++;
        host->backend = strdup(cfg->backends[i].name);
        host->host = strdup(cfg->backends[i].lookup);
        if (host->backend == NULL || host->host == NULL)
            return -ENOMEM;
    }
    return 0;
}

static int read_ca(const char *file, struct tls_pool *pool, struct tls_reason *ret_reason)
{
    STACK_OF(X509) *cas = NULL;
    struct tls_file bytes;
    int status = tls_file_read(file, false, &bytes, ret_reason);

    if (status != 0)
        return status;
    pool->store = X509_STORE_new();
    status = pool->store == NULL ? tls_refuse(ret_reason, file, "no memory")
                                 : tls_read_cas(&bytes, file, pool->store, &cas, ret_reason);
    tls_file_done(&bytes);
    sk_X509_pop_free(cas, X509_free);
    return status;
}

int tls_pool_init(struct tls_pool *pool, const struct cfg_pool *cfg, const struct tls_place *place)
{
    static const struct tls_reason no_memory = {"no memory"};
    const struct tls_place shown = tls_place_at(place, ".certificate");
    struct tls_reason reason;

    *pool = (struct tls_pool){.pool = NULL};
    if (copy_names(cfg, pool) != 0)
        return tls_place_refuse(place, "", &no_memory);
    if (cfg->tls.ca != NULL && read_ca(cfg->tls.ca, pool, &reason) != 0)
        return tls_place_refuse(place, ".ca", &reason);
    if (cfg->tls.certificate.cert == NULL)
        return 0;
    return tls_credential_read(&cfg->tls.certificate, &shown, &pool->credential);
}

void tls_pool_done(struct tls_pool *pool)
{
    for (uint32_t i = 0; i < pool->n_hosts; i++) {
        free(pool->hosts[i].backend);
        free(pool->hosts[i].host);
    }
    free(pool->hosts);
    free(pool->pool);
    free(pool->name);
    X509_STORE_free(pool->store);
    tls_credential_done(&pool->credential);
}

/* Of a member, NAME@ADDRESS:PORT, the host's name that NAME stands for; NULL: it stands for none.
 */
static const char *host_of(const struct tls_pool *pool, struct sip_slice backend, const char *at)
{
    const struct sip_slice name = sip_slice(backend.at, (uint32_t)(at - backend.at));

    for (uint32_t i = 0; i < pool->n_hosts; i++) {
        if (sip_slice_equal(name, sip_slice_of(pool->hosts[i].backend)))
            return pool->hosts[i].host;
    }
    return NULL;
}

int tls_pool_name(const struct tls_pool *pool, struct sip_slice backend, const struct sip_ip *ip,
                  char ret[TLS_NAME_MAX])
{
    const char *at = memchr(backend.at, '@', backend.length), *name = pool->name;

    if (name == NULL && at == NULL) {
        tls_address_print(ip, ret);
        return 0;
    }
    if (name == NULL)
        name = host_of(pool, backend, at);
    if (name == NULL)
        return -ENOENT;
    snprintf(ret, TLS_NAME_MAX, "%s", name);
    return 0;
}

bool tls_pool_is_own(const struct tls_pool *pool)
{
    return pool->store != NULL || pool->credential.certificate != NULL;
}

int tls_pool_apply(const struct tls_pool *pool, SSL *ssl)
{
    const struct tls_credential *shown = &pool->credential;

    if (pool->store != NULL && SSL_set1_verify_cert_store(ssl, pool->store) != 1)
        return -ENOMEM;
    if (shown->certificate == NULL)
        return 0;
    SSL_certs_clear(ssl); /* the listener's, of which one of another kind might be chosen */
    return SSL_use_cert_and_key(ssl, shown->certificate, shown->key, shown->chain, 1) == 1
               ? 0
               : -ENOMEM;
}
