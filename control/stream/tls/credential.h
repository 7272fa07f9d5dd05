/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server shows: a certificate with its chain, its private key and maybe an OCSP response, read
 * from files and checked against each other.
 */
#ifndef TANDEM_STREAM_TLS_CREDENTIAL_H
#define TANDEM_STREAM_TLS_CREDENTIAL_H

#include <stdatomic.h>

#include "control/stream/tls/ocsp.h"
#include "control/stream/tls/place.h"
#include "control/stream/tls/sni.h"

struct tls_credential {
    struct tls_bearer bearer;     /* its names and kind of key */
    X509 *certificate;
    STACK_OF(X509) *chain;        /* from who signed it upwards; may be empty */
    EVP_PKEY *key;
    struct tls_ocsp ocsp;
    atomic_bool stale;            /* the response has become too old, and that was logged */
};

/* Reads one that is named at the place: 0, or -EINVAL and the place's error. What was read is to be
 * freed by tls_credential_done in both cases. */
int tls_credential_read(const struct cfg_certificate *cfg, const struct tls_place *place,
                        struct tls_credential *ret);
void tls_credential_done(struct tls_credential *credential);

#endif
