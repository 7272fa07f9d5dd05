/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a certificate is: the SIP domains that RFC 5922 §7.1 reads out of it, and the names that a
 * server may be asked for with it. It must not know whether anybody signed it.
 */
#ifndef TANDEM_STREAM_TLS_NAME_H
#define TANDEM_STREAM_TLS_NAME_H

#include <openssl/types.h>
#include <stdbool.h>

/*
 * Calls visit with each SIP domain, lower case, until it says true; says whether it did. They are the
 * hosts of its alternative names that are sip: URIs without a user; without such a URI its DNS names;
 * without any alternative name its common name. What is no host name or address (a wildcard, a NUL in
 * it) is none.
 */
bool tls_name_domains(X509 *certificate, bool (*visit)(void *arg, const char *name), void *arg);

/* The same with each name that a client may ask for to get it: the hosts of sip: URIs, all DNS names,
 * as *.example.net too, or without any alternative name the common name. */
bool tls_name_served(X509 *certificate, bool (*visit)(void *arg, const char *name), void *arg);

/* Whether it is a domain's: RFC 5922 §7.2, whole names in any case; a wildcard is nobody's. */
bool tls_name_is(X509 *certificate, const char *domain);

/* Whether a peer may use it to say who it is: for clients or servers of TLS by its extended key usage,
 * or for SIP domains (RFC 5924). Carriers' certificates are servers' ones. */
bool tls_name_usable(X509 *certificate);

#endif
