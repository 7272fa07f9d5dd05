/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of certificates, keys and CRLs: see file.h.
 */
#include "control/stream/tls/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 4 << 20 };

int tls_refuse(struct tls_reason *ret, const char *file, const char *format, ...)
{
    va_list arguments;
    int length = snprintf(ret->text, sizeof(ret->text), "%.150s: ", file);

    va_start(arguments, format);
    vsnprintf(ret->text + length, sizeof(ret->text) - (size_t)length, format, arguments);
    va_end(arguments);
    ERR_clear_error();
    return -EINVAL;
}

/* What may be read of it is there and not too much. */
static int check_status(int fd, const char *file, bool secret, size_t *ret_length,
                        struct tls_reason *ret_reason)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return tls_refuse(ret_reason, file, "%s", strerror(errno));
    if (!S_ISREG(status.st_mode))
        return tls_refuse(ret_reason, file, "is no regular file");
    if (secret && (status.st_mode & S_IRWXO) != 0)
        return tls_refuse(ret_reason, file, "a private key that everybody may use (mode %04o)",
                          status.st_mode & 07777);
    if (status.st_size == 0)
        return tls_refuse(ret_reason, file, "is empty");
    if (status.st_size > FILE_MAX_BYTES)
        return tls_refuse(ret_reason, file, "is larger than %d bytes", FILE_MAX_BYTES);
    *ret_length = (size_t)status.st_size;
    return 0;
}

/* Whatever comes before its end. */
static int read_all(int fd, const char *file, struct tls_file *bytes, struct tls_reason *ret_reason)
{
    size_t at = 0;

    while (at < bytes->length) {
        ssize_t n = read(fd, bytes->bytes + at, bytes->length - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return tls_refuse(ret_reason, file, "%s",
                              n < 0 ? strerror(errno) : "was cut meanwhile");
        at += (size_t)n;
    }
    return 0;
}

int tls_file_read(const char *file, bool secret, struct tls_file *ret,
                  struct tls_reason *ret_reason)
{
    struct tls_file bytes = {NULL, 0};
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK), status;

    if (fd < 0)
        return tls_refuse(ret_reason, file, "%s", strerror(errno));
    status = check_status(fd, file, secret, &bytes.length, ret_reason);
    if (status == 0) {
        bytes.bytes = OPENSSL_malloc(bytes.length);
        status = bytes.bytes == NULL ? tls_refuse(ret_reason, file, "no memory")
                                     : read_all(fd, file, &bytes, ret_reason);
    }
    close(fd);
    if (status != 0) {
        tls_file_done(&bytes);
        return status;
    }
    *ret = bytes;
    return 0;
}

void tls_file_done(struct tls_file *file)
{
    OPENSSL_clear_free(file->bytes, file->length);
    *file = (struct tls_file){NULL, 0};
}

/* PEM_read_bio…'s question for a passphrase: notes that it was asked. */
static int on_passphrase(char *to, int size, int writing, void *asked)
{
    (void)to;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

EVP_PKEY *tls_read_key(const char *file, struct tls_reason *ret_reason)
{
    struct tls_file bytes;
    EVP_PKEY *key = NULL;
    bool asked = false;
    BIO *bio;

    if (tls_file_read(file, true, &bytes, ret_reason) != 0)
        return NULL;
    bio = BIO_new_mem_buf(bytes.bytes, (int)bytes.length);
    if (bio != NULL)
        key = PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, &asked);
    if (key == NULL)
        tls_refuse(ret_reason, file, "%s",
                   asked ? "is encrypted: nobody can be asked for its passphrase"
                         : "holds no private key in PEM");
    BIO_free(bio);
    tls_file_done(&bytes);
    return key;
}

/* Whether reading stopped because there are no more: at the end of the file, not at something that
 * is wrong. */
static bool at_end(void)
{
    unsigned long error = ERR_peek_last_error();

    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

STACK_OF(X509) * tls_read_certificates(const struct tls_file *bytes, const char *file,
                                       struct tls_reason *ret_reason)
{
    BIO *bio = BIO_new_mem_buf(bytes->bytes, (int)bytes->length);
    STACK_OF(X509) *list = sk_X509_new_null();
    X509 *one = NULL;

    ERR_clear_error();
    while (bio != NULL && list != NULL &&
           (one = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        if (sk_X509_push(list, one) == 0)
            break;
    }
    BIO_free(bio);
    if (one == NULL && at_end() && sk_X509_num(list) > 0) {
        ERR_clear_error();
        return list;
    }
    if (one == NULL && !at_end() && sk_X509_num(list) >= 0)
        tls_refuse(ret_reason, file, "certificate %d cannot be read", sk_X509_num(list) + 1);
    else
        tls_refuse(ret_reason, file, "holds no certificate in PEM");
    if (one != NULL)
        X509_free(one);
    sk_X509_pop_free(list, X509_free);
    return NULL;
}

int tls_read_cas(const struct tls_file *bytes, const char *file, X509_STORE *store,
                 STACK_OF(X509) **ret, struct tls_reason *ret_reason)
{
    *ret = tls_read_certificates(bytes, file, ret_reason);
    for (int i = 0; i < sk_X509_num(*ret); i++) {
        X509 *ca = sk_X509_value(*ret, i);

        if (X509_check_ca(ca) == 0)
            return tls_refuse(ret_reason, file, "certificate %d is not a CA's", i + 1);
        if (X509_STORE_add_cert(store, ca) != 1)
            return tls_refuse(ret_reason, file, "no memory");
    }
    return *ret == NULL ? -EINVAL : 0;
}

STACK_OF(X509_CRL) *
    tls_read_crls(const struct tls_file *bytes, const char *file, struct tls_reason *ret_reason)
{
    BIO *bio = BIO_new_mem_buf(bytes->bytes, (int)bytes->length);
    STACK_OF(X509_CRL) *list = sk_X509_CRL_new_null();
    X509_CRL *one = NULL;

    ERR_clear_error();
    while (bio != NULL && list != NULL &&
           (one = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
        if (sk_X509_CRL_push(list, one) == 0)
            break;
    }
    BIO_free(bio);
    if (one == NULL && at_end() && sk_X509_CRL_num(list) > 0) {
        ERR_clear_error();
        return list;
    }
    tls_refuse(ret_reason, file, "holds no certificate revocation list in PEM, or a broken one");
    X509_CRL_free(one);
    sk_X509_CRL_pop_free(list, X509_CRL_free);
    return NULL;
}
