/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-tls-bare ADDRESS PORT CERTIFICATE KEY
 *
 * As little as a server of TLS can be: it takes one client after another, shakes hands by OpenSSL,
 * reads until the client hangs up. One ticket, X25519, AES-128-GCM, no cache, as Tandem.
 */
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perf/tls/secure.h"

enum { BACKLOG = 1024 };

static void serve(SSL_CTX *context, int fd)
{
    SSL *ssl = SSL_new(context);
    char bytes[64];

    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
        secure_die("a connection");
    if (SSL_accept(ssl) == 1) {
        while (SSL_read(ssl, bytes, sizeof(bytes)) > 0)
            continue;
        SSL_shutdown(ssl);
    }
    ERR_clear_error();
    SSL_free(ssl);
    close(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_in at;
    SSL_CTX *context;
    int listener, one = 1;

    if (argc != 5) {
        fputs("usage: perf-tls-bare ADDRESS PORT CERTIFICATE KEY\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    at = secure_address(argv[1], argv[2]);
    context = secure_server(argv[3], argv[4]);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(listener, (const struct sockaddr *)&at, sizeof(at)) != 0 ||
        listen(listener, BACKLOG) != 0)
        secure_die("listen");
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0)
            secure_die("accept");
        serve(context, fd);
    }
}
