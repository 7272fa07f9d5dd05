/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OCSP response (RFC 6960) from a file, to be sent with its certificate (RFC 6066 §8). It is
 * stapled while it is fresh; whether its signature is good is for the client to see.
 */
#ifndef TANDEM_STREAM_TLS_OCSP_H
#define TANDEM_STREAM_TLS_OCSP_H

#include <time.h>

#include "control/stream/tls/file.h"

struct tls_ocsp {
    struct tls_file bytes;        /* none: nothing is stapled */
    time_t from, until;           /* thisUpdate and nextUpdate; until 0: not said */
};

/*
 * Reads one, DER, that speaks of the certificate. 0; -EINVAL and the reason: it cannot be read or is
 * no successful response; -ESTALE and the reason: of another certificate, or not fresh at now, so
 * that nothing is stapled, *ret untouched.
 */
int tls_ocsp_read(const char *file, const X509 *certificate, time_t now, struct tls_ocsp *ret,
                  struct tls_reason *ret_reason);

bool tls_ocsp_fresh(const struct tls_ocsp *ocsp, time_t now);

void tls_ocsp_done(struct tls_ocsp *ocsp);

#endif
