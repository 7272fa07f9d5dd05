/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crowd at the other end of TLS, with OpenSSL and nothing else: phones that connect, ask once
 * whether somebody is there (RFC 5626's keep-alive), and are quiet; or a server that answers them,
 * the least that such connections can take. It knows no SIP.
 *
 *   crowd connect ADDRESS PORT EACH SOURCE...    EACH connections from each source: `held N`
 *   crowd serve ADDRESS PORT CERTIFICATE KEY     `serving`; then for ever
 *
 * SIGUSR1 has phones ask again, all of them: `answered N`. Whatever fails ends it with status 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

enum { AT_ONCE = 64, BURST = 64, BACKLOG = 4096 };

static const char PING[] = "\r\n\r\n", PONG[] = "\r\n";

struct end {
    SSL *ssl;
    int fd;
    bool greeted; /* the handshake is done */
    bool waiting; /* for an answer */
};

static int events;
static SSL_CTX *context;
static volatile sig_atomic_t again;

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(EXIT_FAILURE);
}

static void say(const char *what, uint32_t n)
{
    printf("%s %u\n", what, n);
    fflush(stdout);
}

static struct sockaddr_in address_of(const char *text, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

    if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
        fail(text);
    return address;
}

/* As Tandem's are, where that bears on memory. */
static void make_context(const SSL_METHOD *method)
{
    events = epoll_create1(EPOLL_CLOEXEC);
    context = SSL_CTX_new(method);
    if (events < 0 || context == NULL)
        fail("context");
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
}

static void begin(struct end *end, int fd, bool client)
{
    struct epoll_event event = {.events = client ? EPOLLOUT : EPOLLIN, .data.ptr = end};

    *end = (struct end){.ssl = SSL_new(context), .fd = fd, .waiting = client};
    if (end->ssl == NULL || SSL_set_fd(end->ssl, fd) != 1 ||
        epoll_ctl(events, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("begin");
    if (client)
        SSL_set_connect_state(end->ssl);
    else
        SSL_set_accept_state(end->ssl);
}

/* Goes on with the handshake: whether it is done. What it writes fits into the socket. */
static bool greet(struct end *end)
{
    int status = SSL_do_handshake(end->ssl);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = end};

    if (status != 1 && SSL_get_error(end->ssl, status) != SSL_ERROR_WANT_READ)
        fail("handshake");
    (void)epoll_ctl(events, EPOLL_CTL_MOD, end->fd, &event);
    end->greeted = status == 1;
    return end->greeted;
}

static void put(struct end *end, const char *text)
{
    if (SSL_write(end->ssl, text, (int)strlen(text)) <= 0)
        fail("write");
}

/* How many bytes came. */
static int take(struct end *end)
{
    char bytes[64];
    int n = SSL_read(end->ssl, bytes, sizeof(bytes));

    if (n <= 0 && SSL_get_error(end->ssl, n) != SSL_ERROR_WANT_READ)
        fail("a connection ended");
    return n;
}

/* ---- Phones ---- */

static void dial(struct end *end, const struct sockaddr_in *from, const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) != 0 ||
        bind(fd, (const struct sockaddr *)from, sizeof(*from)) != 0 ||
        (connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0 && errno != EINPROGRESS))
        fail("connect");
    begin(end, fd, true);
}

/* Something came for a phone: whether that was the answer it waited for. */
static bool hear(struct end *end)
{
    if (!end->greeted) {
        if (greet(end))
            put(end, PING);
        return false;
    }
    if (take(end) <= 0 || !end->waiting)
        return false;
    end->waiting = false;
    return true;
}

/* How many phones were answered meanwhile. */
static uint32_t listen_once(void)
{
    struct epoll_event came[BURST];
    int n = epoll_wait(events, came, BURST, -1);
    uint32_t answered = 0;

    for (int i = 0; i < n; i++)
        answered += hear(came[i].data.ptr);
    return answered;
}

static void ask_all(struct end *phones, uint32_t n)
{
    uint32_t asked = 0, answered = 0;

    while (answered < n) {
        for (; asked < n && asked - answered < AT_ONCE; asked++) {
            phones[asked].waiting = true;
            put(&phones[asked], PING);
        }
        answered += listen_once();
    }
    say("answered", answered);
}

static void on_again(int number)
{
    (void)number;
    again = 1;
}

static void call_all(const struct sockaddr_in *to, uint32_t each, char **sources,
                     uint32_t n_sources)
{
    uint32_t n = each * n_sources, begun = 0, held = 0;
    struct end *phones = calloc(n, sizeof(*phones));

    if (phones == NULL)
        fail("phones");
    while (held < n) {
        for (; begun < n && begun - held < AT_ONCE; begun++) {
            const struct sockaddr_in from = address_of(sources[begun % n_sources], "0");

            dial(&phones[begun], &from, to);
        }
        held += listen_once();
    }
    say("held", held);
    for (;;) {
        listen_once(); /* also when a signal came */
        if (again)
            ask_all(phones, n);
        again = 0;
    }
}

/* ---- The server ---- */

static void welcome(int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct end *end = malloc(sizeof(*end));

        if (end == NULL)
            fail("accept");
        begin(end, fd, false);
    }
}

static void answer(struct end *end)
{
    if (!end->greeted && !greet(end))
        return;
    if (take(end) > 0)
        put(end, PONG);
}

static void serve(const struct sockaddr_in *at)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN};

    if (listener < 0 || bind(listener, (const struct sockaddr *)at, sizeof(*at)) != 0 ||
        listen(listener, BACKLOG) != 0 || epoll_ctl(events, EPOLL_CTL_ADD, listener, &event) != 0)
        fail("listen");
    puts("serving");
    fflush(stdout);
    for (;;) {
        struct epoll_event came[BURST];
        int n = epoll_wait(events, came, BURST, -1);

        for (int i = 0; i < n; i++) {
            if (came[i].data.ptr == NULL)
                welcome(listener);
            else
                answer(came[i].data.ptr);
        }
    }
}

int main(int argc, char **argv)
{
    struct rlimit files;
    const struct sigaction action = {.sa_handler = on_again};
    struct sockaddr_in at;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    sigaction(SIGUSR1, &action, NULL);
    if (argc < 6) {
        fputs("usage: crowd connect ADDRESS PORT EACH SOURCE... | "
              "serve ADDRESS PORT CERTIFICATE KEY\n",
              stderr);
        return 2;
    }
    at = address_of(argv[2], argv[3]);
    if (strcmp(argv[1], "connect") == 0) {
        make_context(TLS_client_method());
        call_all(&at, (uint32_t)atoi(argv[4]), argv + 5, (uint32_t)argc - 5);
    }
    make_context(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(context, argv[4]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[5], SSL_FILETYPE_PEM) != 1)
        fail("certificate");
    serve(&at);
    return 0;
}
