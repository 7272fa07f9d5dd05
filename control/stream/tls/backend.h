/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool's backends must show when they are reached by TLS, and what they are shown: `tls:` of
 * the pool, over what the listener that is connected from says. It must not know who connects.
 */
#ifndef TANDEM_STREAM_TLS_BACKEND_H
#define TANDEM_STREAM_TLS_BACKEND_H

#include <openssl/ssl.h>

#include "control/stream/tls/credential.h"
#include "control/stream/tls/tls.h"

struct tls_host {
    char *backend, *host;         /* a backend of the file that is a host's name, and that */
};

struct tls_pool {
    char *pool;                   /* its name */
    char *name;                   /* whom all of them must show to be; NULL: each itself */
    X509_STORE *store;            /* who signs them; NULL: the listener's */
    struct tls_credential credential;   /* no certificate: the listener's */
    struct tls_host *hosts;
    uint32_t n_hosts;
};

/* Reads and makes it from the configuration, whose `tls:` the place names: 0, or -EINVAL and the
 * place's error. To be freed by tls_pool_done in both cases. */
int tls_pool_init(struct tls_pool *pool, const struct cfg_pool *cfg, const struct tls_place *place);
void tls_pool_done(struct tls_pool *pool);

/* The name or address's text that one of its backends, by its name in a snapshot, must show to be;
 * -ENOENT: it is a member of a name that the configuration does not have. */
int tls_pool_name(const struct tls_pool *pool, struct sip_slice backend, const struct sip_ip *ip,
                  char ret[TLS_NAME_MAX]);

/* Whether it trusts others, or shows another certificate, than the listener. */
bool tls_pool_is_own(const struct tls_pool *pool);

/* Has a client's SSL, which is as its listener says, follow the pool. 0 or -ENOMEM. */
int tls_pool_apply(const struct tls_pool *pool, SSL *ssl);

#endif
