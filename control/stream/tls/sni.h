/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of a listener's certificates a client gets for the name that it asks for: sets of at most one
 * of each kind of key, of which OpenSSL takes the one that the client can verify. Pure: it sees names
 * and kinds, no certificates.
 */
#ifndef TANDEM_STREAM_TLS_SNI_H
#define TANDEM_STREAM_TLS_SNI_H

#include <stdint.h>

enum tls_kind { TLS_KIND_ECDSA, TLS_KIND_RSA, TLS_KIND_EDDSA, TLS_KINDS };

enum { TLS_SNI_NONE = UINT32_MAX };

/* A certificate as seen here: lower-case names, of which one may begin with "*.". */
struct tls_bearer {
    char **names;
    uint32_t n_names;
    enum tls_kind kind;
};

struct tls_set {
    uint32_t by_kind[TLS_KINDS];  /* index of a bearer, or TLS_SNI_NONE */
};

struct tls_sni_name {
    const char *name;             /* the bearer's */
    uint32_t bearer, set;
};

struct tls_sni {
    struct tls_set *sets;         /* the first is that of the first bearer */
    uint32_t n_sets;
    struct tls_sni_name *names;   /* in order, each once */
    uint32_t n_names;
};

/* Borrows the bearers' names; there is one bearer at least. 0 or -ENOMEM. */
int tls_sni_init(struct tls_sni *sni, const struct tls_bearer *const *bearers, uint32_t n);
void tls_sni_done(struct tls_sni *sni);

/* Index of the set for a name in any case, exactly or by its wildcard; TLS_SNI_NONE: nobody bears it. */
uint32_t tls_sni_find(const struct tls_sni *sni, const char *name);

#endif
