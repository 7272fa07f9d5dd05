/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of a configuration, and a connection's SSL: see tls.h.
 */
#include "control/stream/tls/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/stream/tls/backend.h"
#include "control/stream/tls/context.h"

struct tls {
    atomic_uint holders;
    struct tls_tickets tickets;
    struct tls_listener *listeners;
    uint32_t n_listeners;
    struct tls_pool *pools;       /* those whose backends are reached by TLS */
    uint32_t n_pools;
};

/* Where an SSL keeps the struct tls that it came from. */
static pthread_once_t index_once = PTHREAD_ONCE_INIT;
static int index_of_tls = -1;

/* SSL_free's last word about it. */
static void on_ssl_freed(void *ssl, void *tls, CRYPTO_EX_DATA *data, int i, long argl, void *argp)
{
    (void)ssl;
    (void)data;
    (void)i;
    (void)argl;
    (void)argp;
    tls_free(tls);
}

static void make_index(void)
{
    index_of_tls = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_ssl_freed);
}

static bool has_tls(const struct cfg_listener *listener)
{
    return listener->transport == SIP_TRANSPORT_TLS || listener->transport == SIP_TRANSPORT_WSS;
}

static uint32_t count_listeners(const struct cfg *cfg)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        for (uint32_t j = 0; j < cfg->services[i].n_listen; j++)
            n += has_tls(&cfg->services[i].listen[j]);
    }
    return n;
}

static int make_listeners(struct tls *tls, const struct cfg *cfg, struct cfg_error *ret_error)
{
    const struct tls_place root = {.cfg = cfg, .error = ret_error};
    int status = 0;

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        for (uint32_t j = 0; status == 0 && j < cfg->services[i].n_listen; j++) {
            const struct cfg_listener *listener = &cfg->services[i].listen[j];
            struct tls_place place = tls_place_at(&root, "services[%u].listen[%u]", i, j);

            if (has_tls(listener))
                status = tls_listener_init(&tls->listeners[tls->n_listeners++], listener,
                                           &tls->tickets, &place);
        }
    }
    return status;
}

static int make_pools(struct tls *tls, const struct cfg *cfg, struct cfg_error *ret_error)
{
    const struct tls_place root = {.cfg = cfg, .error = ret_error};
    int status = 0;

    for (uint32_t i = 0; status == 0 && i < cfg->n_pools; i++) {
        const struct cfg_pool *pool = &cfg->pools[i];
        struct tls_place place = tls_place_at(&root, "pools[%u].tls", i);

        if (pool->n_backends > 0 && pool->backends[0].transport == SIP_TRANSPORT_TLS)
            status = tls_pool_init(&tls->pools[tls->n_pools++], pool, &place);
    }
    return status;
}

struct tls *tls_new(const struct cfg *cfg, const struct compile_secret *secret,
                    struct cfg_error *ret_error)
{
    const struct tls_place root = {.cfg = cfg, .error = ret_error};
    const struct tls_reason no_memory = {"no memory for TLS"};
    struct tls *tls = calloc(1, sizeof(*tls));

    pthread_once(&index_once, make_index);
    if (tls != NULL) {
        atomic_init(&tls->holders, 1);
        tls->listeners = calloc(count_listeners(cfg) + 1u, sizeof(*tls->listeners));
        tls->pools = calloc(cfg->n_pools + 1u, sizeof(*tls->pools));
    }
    if (tls == NULL || tls->listeners == NULL || tls->pools == NULL || index_of_tls < 0 ||
        tls_tickets_init(&tls->tickets, secret) != 0)
        tls_place_refuse(&root, "", &no_memory);
    else if (make_listeners(tls, cfg, ret_error) == 0 && make_pools(tls, cfg, ret_error) == 0)
        return tls;
    tls_free(tls);
    return NULL;
}

int tls_check(const struct cfg *cfg, struct cfg_error *ret_error)
{
    const struct compile_secret none = {.rotated_s = 0};
    struct tls *tls = tls_new(cfg, &none, ret_error);

    tls_free(tls);
    return tls == NULL ? -EINVAL : 0;
}

struct tls *tls_keep(struct tls *tls)
{
    atomic_fetch_add_explicit(&tls->holders, 1, memory_order_relaxed);
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL || atomic_fetch_sub_explicit(&tls->holders, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < tls->n_listeners; i++)
        tls_listener_done(&tls->listeners[i]);
    free(tls->listeners);
    for (uint32_t i = 0; i < tls->n_pools; i++)
        tls_pool_done(&tls->pools[i]);
    free(tls->pools);
    tls_tickets_done(&tls->tickets);
    free(tls);
}

static const struct tls_listener *find_listener(const struct tls *tls, const struct sip_addr *addr)
{
    for (uint32_t i = 0; i < tls->n_listeners; i++) {
        if (sip_addr_equal(&tls->listeners[i].addr, addr))
            return &tls->listeners[i];
    }
    return NULL;
}

/* A context's SSL, which holds what the context's answers come from. */
static SSL *new_ssl(struct tls *tls, SSL_CTX *context)
{
    SSL *ssl = SSL_new(context);

    if (ssl == NULL || SSL_set_ex_data(ssl, index_of_tls, tls) != 1) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    tls_keep(tls);
    return ssl;
}

SSL *tls_accept(struct tls *tls, const struct sip_addr *addr)
{
    const struct tls_listener *listener = find_listener(tls, addr);
    SSL *ssl = listener == NULL ? NULL : new_ssl(tls, listener->servers[0]);

    if (ssl != NULL)
        SSL_set_accept_state(ssl);
    return ssl;
}

/* Whom a client's side wants to see: an address, or a name that it asks for. */
static bool expect(SSL *ssl, const char *name)
{
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1 ||
           SSL_set_tlsext_host_name(ssl, name) == 1;
}

static const struct tls_pool *find_pool(const struct tls *tls, struct sip_slice name)
{
    for (uint32_t i = 0; i < tls->n_pools; i++) {
        if (sip_slice_equal(name, sip_slice_of(tls->pools[i].pool)))
            return &tls->pools[i];
    }
    return NULL;
}

int tls_backend(const struct tls *tls, struct sip_slice name, struct sip_slice backend,
                const struct sip_ip *ip, char ret[TLS_BACKEND_MAX])
{
    const struct tls_pool *pool = find_pool(tls, name);
    char host[TLS_NAME_MAX];

    if (pool == NULL || tls_pool_name(pool, backend, ip, host) != 0)
        return -ENOENT;
    if (tls_pool_is_own(pool))
        snprintf(ret, TLS_BACKEND_MAX, "%s/%s", pool->pool, host);
    else
        snprintf(ret, TLS_BACKEND_MAX, "%s", host);
    return 0;
}

void tls_address_print(const struct sip_ip *ip, char ret[SIP_IP_TEXT_MAX + 1])
{
    char text[SIP_IP_TEXT_MAX];
    uint32_t length = sip_ip_print(ip, text), bracket = text[0] == '[';

    length -= 2 * bracket;
    memcpy(ret, text + bracket, length);
    ret[length] = '\0';
}

/* Of POOL/NAME the pool, and the name in its place; of a name alone nothing. False: there is no such
 * pool. */
static bool take_pool(const struct tls *tls, const char **name, const struct tls_pool **ret)
{
    const char *slash = strchr(*name, '/'); /* no host has it */

    *ret = NULL;
    if (slash == NULL)
        return true;
    *ret = find_pool(tls, sip_slice(*name, (uint32_t)(slash - *name)));
    *name = slash + 1;
    return *ret != NULL;
}

SSL *tls_connect(struct tls *tls, const struct sip_addr *addr, const char *name)
{
    const struct tls_listener *listener = find_listener(tls, addr);
    const struct tls_pool *pool;
    SSL *ssl;

    if (listener == NULL || !take_pool(tls, &name, &pool) || *name == '\0')
        return NULL;
    ssl = new_ssl(tls, listener->client);
    if (ssl == NULL)
        return NULL;
    if (!expect(ssl, name) || (pool != NULL && tls_pool_apply(pool, ssl) != 0)) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    ERR_clear_error();
    SSL_set_connect_state(ssl);
    return ssl;
}
