/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs of `perf/run tls` have in common: clients of TLS as phones are, by OpenSSL,
 * each from an address of its own, and the reading of their arguments.
 */
#ifndef TANDEM_PERF_TLS_SECURE_H
#define TANDEM_PERF_TLS_SECURE_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

/* One line on standard error, OpenSSL's errors behind it, and the end. */
_Noreturn void secure_die(const char *what);

/* ADDRESS and PORT as text; ends when they are none. */
struct sockaddr_in secure_address(const char *address, const char *port);

/* A client's context: TLS 1.2 or 1.3 alone (`1.2`, `1.3`), X25519 (P-256 is for a
 * certificate of it: RFC 8422 §5.1.1), AES-128-GCM. */
SSL_CTX *secure_client(const char *version);

/* A server's context, as Tandem's are: one ticket, no cache. */
SSL_CTX *secure_server(const char *certificate, const char *key);

/* A TCP connection from the address 198.18.0.0 + `source` (up to 131,071), with no delay; does not
 * block once it is there. */
int secure_connect(const struct sockaddr_in *to, uint32_t source);

/* Monotonic. */
uint64_t secure_now_ms(void);

#endif
