/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS over a descriptor that does not block, for who has no thread of streams, as probes: see tls.h.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "control/stream/tls/tls.h"

/* What an SSL's last call came to. */
static int result(const SSL *ssl, int ret, enum tls_failure *ret_failure)
{
    unsigned long error;

    switch (SSL_get_error(ssl, ret)) {
    case SSL_ERROR_WANT_READ:
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        return -EINPROGRESS;
    case SSL_ERROR_ZERO_RETURN:
        *ret_failure = TLS_FAILURE_CLOSED;
        return -ECONNRESET;
    default:
        error = ERR_get_error();
        *ret_failure = tls_failure(ssl, error);
        ERR_clear_error();
        return error == 0 ? -ECONNRESET : -EPROTO;
    }
}

int tls_wire_begin(SSL *ssl, int fd)
{
    return SSL_set_fd(ssl, fd) == 1 ? 0 : -ENOMEM;
}

int tls_wire_shake(SSL *ssl, enum tls_failure *ret_failure)
{
    int ret;

    ERR_clear_error();
    ret = SSL_do_handshake(ssl);
    return ret == 1 ? 0 : result(ssl, ret, ret_failure);
}

ssize_t tls_wire_read(SSL *ssl, void *bytes, size_t room, enum tls_failure *ret_failure)
{
    size_t n = 0;
    int ret;

    ERR_clear_error();
    ret = SSL_read_ex(ssl, bytes, room, &n);
    return ret == 1 ? (ssize_t)n : result(ssl, ret, ret_failure);
}

bool tls_wire_write(SSL *ssl, const void *bytes, size_t length)
{
    size_t n = 0;
    bool written;

    ERR_clear_error();
    written = SSL_write_ex(ssl, bytes, length, &n) == 1 && n == length;
    ERR_clear_error();
    return written;
}

void tls_wire_end(SSL *ssl)
{
    if (ssl != NULL && !SSL_in_init(ssl)) {
        SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN); /* its answer is not waited for */
        (void)SSL_shutdown(ssl);
    }
    ERR_clear_error();
    SSL_free(ssl);
}
