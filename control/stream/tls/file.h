/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that TLS is made of, read whole and wiped from memory afterwards, and why one is refused.
 * It must not know contexts or listeners.
 */
#ifndef TANDEM_STREAM_TLS_FILE_H
#define TANDEM_STREAM_TLS_FILE_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

/* A line about a file, `FILE: what is wrong`. */
enum { TLS_REASON_MAX = 256 };
struct tls_reason {
    char text[TLS_REASON_MAX];
};

/* Sets the reason; returns -EINVAL. */
int tls_refuse(struct tls_reason *ret, const char *file, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct tls_file {
    unsigned char *bytes;
    size_t length;
};

/* Regular, not empty, at most 4 MiB; a secret one is not for everybody to read. 0, or -EINVAL and the
 * reason. */
int tls_file_read(const char *file, bool secret, struct tls_file *ret, struct tls_reason *ret_reason);

/* Wipes and frees. */
void tls_file_done(struct tls_file *file);

/*
 * What PEM files hold. Each returns what the caller frees, or NULL and the reason. An encrypted key
 * is refused: nobody is there to be asked for its passphrase. The certificates are those of the
 * file, one at least, in their order.
 */
EVP_PKEY *tls_read_key(const char *file, struct tls_reason *ret_reason);
STACK_OF(X509) *tls_read_certificates(const struct tls_file *bytes, const char *file,
                                      struct tls_reason *ret_reason);
/* The certificates of CAs, put into the store, too; else refused. *ret is the caller's in both cases. */
int tls_read_cas(const struct tls_file *bytes, const char *file, X509_STORE *store,
                 STACK_OF(X509) **ret, struct tls_reason *ret_reason);
STACK_OF(X509_CRL) *tls_read_crls(const struct tls_file *bytes, const char *file,
                                  struct tls_reason *ret_reason);

#endif
