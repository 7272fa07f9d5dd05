/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-tls-memory CERTIFICATE KEY 1.2|1.3 full|resumed SECONDS
 *
 * OpenSSL's own floor: a client and a server that shake hands in memory. Prints how many handshakes
 * the server's side alone does in a second of CPU, its SSL's beginning and end included. As
 * Tandem's: one ticket, X25519, AES-128-GCM, no cache.
 */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "perf/tls/secure.h"

enum { PIPE_BYTES = 32768 };

static SSL_SESSION *session; /* the last one that came */

static int on_session(SSL *ssl, SSL_SESSION *got)
{
    (void)ssl;
    SSL_SESSION_free(session);
    session = got;
    return 1;
}

static double cpu_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static SSL *end_of(SSL_CTX *context, BIO *pipe)
{
    SSL *ssl = SSL_new(context);

    if (ssl == NULL)
        secure_die("an end");
    SSL_set_bio(ssl, pipe, pipe);
    return ssl;
}

/* One handshake; CPU seconds of the server's side. */
static double shake(SSL_CTX *client_context, SSL_CTX *server_context, bool resumed)
{
    BIO *near, *far;
    SSL *client, *server;
    bool client_done = false, server_done = false;
    double seconds, begin;
    char byte;

    if (BIO_new_bio_pair(&near, PIPE_BYTES, &far, PIPE_BYTES) != 1)
        secure_die("a pipe");
    client = end_of(client_context, near);
    if (resumed)
        SSL_set_session(client, session);
    SSL_set_connect_state(client);
    begin = cpu_seconds();
    server = end_of(server_context, far);
    SSL_set_accept_state(server);
    seconds = cpu_seconds() - begin;
    for (uint32_t turn = 0; turn < 4 && (!client_done || !server_done); turn++) {
        client_done = client_done || SSL_do_handshake(client) == 1;
        begin = cpu_seconds();
        server_done = server_done || SSL_do_handshake(server) == 1;
        seconds += cpu_seconds() - begin;
    }
    if (!client_done || !server_done || SSL_session_reused(server) != resumed)
        secure_die("a handshake is not as it should be");
    SSL_read(client, &byte, 1); /* the ticket */
    SSL_shutdown(client);
    SSL_free(client);
    begin = cpu_seconds();
    SSL_shutdown(server);
    SSL_free(server);
    return seconds + cpu_seconds() - begin;
}

int main(int argc, char **argv)
{
    SSL_CTX *client, *server;
    double seconds, spent = 0;
    uint64_t n = 0;

    if (argc != 6) {
        fputs("usage: perf-tls-memory CERTIFICATE KEY 1.2|1.3 full|resumed SECONDS\n", stderr);
        return 2;
    }
    client = secure_client(argv[3]);
    server = secure_server(argv[1], argv[2]);
    SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client, on_session);
    seconds = atof(argv[5]);
    shake(client, server, false);
    for (; spent < seconds; n++)
        spent += shake(client, server, strcmp(argv[4], "resumed") == 0);
    printf("%.0f\n", (double)n / spent);
    SSL_SESSION_free(session);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    return EXIT_SUCCESS;
}
