/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-tls-shake ADDRESS PORT 1.2|1.3 full|resumed ecdsa|rsa
 *
 * Connects, shakes hands and hangs up, as fast as it can, some clients at once. Every handshake
 * must be of this kind, with X25519 where keys are agreed; a client of TLS 1.3 waits for its
 * ticket, as one that means to come again. Resumed: the first one, before all is counted, is a full
 * one. Prints `ready`, and for each line `run SECONDS` on stdin `done HANDSHAKES`; ends when one is
 * wrong.
 */
#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "perf/tls/secure.h"

enum { CLIENTS = 16, SOURCES = 65536, SILENCE_MS = 5000 };

struct client {
    SSL *ssl; /* NULL: none is under way */
    int fd;
    bool has_ticket;
};

struct shake {
    struct sockaddr_in to;
    SSL_CTX *context;
    SSL_SESSION *session; /* the last one that came */
    bool is_13, resumed;
    int key; /* EVP_PKEY_… of the server */
    uint32_t next_source;
    struct client clients[CLIENTS];
};

static struct shake shake;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct client *client = SSL_get_app_data(ssl);

    client->has_ticket = true;
    SSL_SESSION_free(shake.session);
    shake.session = session;
    return 1;
}

static void client_begin(struct client *client, bool resume)
{
    client->fd = secure_connect(&shake.to, shake.next_source++ % SOURCES);
    client->ssl = SSL_new(shake.context);
    client->has_ticket = false;
    if (client->ssl == NULL || SSL_set_fd(client->ssl, client->fd) != 1 ||
        SSL_set_app_data(client->ssl, client) != 1 ||
        (resume && SSL_set_session(client->ssl, shake.session) != 1))
        secure_die("a client");
    SSL_set_connect_state(client->ssl);
}

static void check(SSL *ssl, bool resumed)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    EVP_PKEY *shared = NULL;

    if (SSL_session_reused(ssl) != resumed)
        secure_die(resumed ? "a ticket was not taken" : "a handshake was not full");
    if (!resumed && EVP_PKEY_get_base_id(X509_get0_pubkey(certificate)) != shake.key)
        secure_die("the server has another certificate");
    if ((shake.is_13 || !resumed) && (SSL_get_peer_tmp_key(ssl, &shared) != 1 ||
                                      EVP_PKEY_get_base_id(shared) != EVP_PKEY_X25519))
        secure_die("keys were not agreed by X25519");
    EVP_PKEY_free(shared);
}

/* What it waits for (POLLIN, POLLOUT); 0: all is done. */
static short client_step(struct client *client)
{
    char byte;
    int result = SSL_is_init_finished(client->ssl) ? SSL_read(client->ssl, &byte, 1)
                                                   : SSL_do_handshake(client->ssl);

    if (result == 1 && (!shake.is_13 || client->has_ticket))
        return 0;
    if (result == 1)
        return client_step(client);
    if (SSL_is_init_finished(client->ssl) && client->has_ticket)
        return 0;
    switch (SSL_get_error(client->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return POLLIN;
    case SSL_ERROR_WANT_WRITE:
        return POLLOUT;
    default:
        secure_die("a handshake failed");
    }
}

static void client_end(struct client *client)
{
    SSL_shutdown(client->ssl);
    SSL_free(client->ssl);
    client->ssl = NULL;
    close(client->fd);
}

/* Waits for some of them; ends when nothing comes. */
static void wait_for(const struct client *clients, struct pollfd *polls)
{
    for (uint32_t i = 0; i < CLIENTS; i++)
        polls[i].fd = clients[i].ssl == NULL ? -1 : clients[i].fd;
    if (poll(polls, CLIENTS, SILENCE_MS) <= 0)
        secure_die("the server says nothing");
}

/* As many as there is time for; how many were done. */
static uint64_t run(double seconds, bool resumed)
{
    struct pollfd polls[CLIENTS] = {0};
    uint64_t end = secure_now_ms() + (uint64_t)(seconds * 1000), n = 0;
    uint32_t open = 0;

    for (uint32_t i = 0; i < CLIENTS; i++, open++) {
        client_begin(&shake.clients[i], resumed);
        polls[i].events = polls[i].revents = POLLOUT;
    }
    while (open > 0) {
        for (uint32_t i = 0; i < CLIENTS; i++) {
            struct client *client = &shake.clients[i];

            if (client->ssl == NULL || polls[i].revents == 0)
                continue;
            polls[i].events = client_step(client);
            if (polls[i].events != 0)
                continue;
            check(client->ssl, resumed);
            client_end(client);
            n++;
            open--;
            if (secure_now_ms() >= end)
                continue;
            client_begin(client, resumed);
            polls[i].events = POLLOUT;
            open++;
        }
        if (open > 0)
            wait_for(shake.clients, polls);
    }
    return n;
}

int main(int argc, char **argv)
{
    char line[64];
    double seconds;

    if (argc != 6) {
        fputs("usage: perf-tls-shake ADDRESS PORT 1.2|1.3 full|resumed ecdsa|rsa\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    shake.to = secure_address(argv[1], argv[2]);
    shake.context = secure_client(argv[3]);
    shake.is_13 = strcmp(argv[3], "1.3") == 0;
    shake.resumed = strcmp(argv[4], "resumed") == 0;
    shake.key = strcmp(argv[5], "rsa") == 0 ? EVP_PKEY_RSA : EVP_PKEY_EC;
    SSL_CTX_set_session_cache_mode(shake.context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(shake.context, on_session);
    run(0, false); /* a ticket */
    if (shake.session == NULL)
        secure_die("the server gave no ticket");
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL && sscanf(line, "run %lf", &seconds) == 1) {
        printf("done %llu\n", (unsigned long long)run(seconds, shake.resumed));
        fflush(stdout);
    }
    return EXIT_SUCCESS;
}
