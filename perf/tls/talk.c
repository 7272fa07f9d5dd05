/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-tls-talk ADDRESS PORT SINK:PORT…
 *
 * Phones by TLS 1.3, each with one connection, and their peer behind the balancer, who answers at
 * the SINKs by UDP. Each phone registers, calls and hangs up again and again: REGISTER, 200,
 * INVITE, 180, 200, ACK, BYE, 200. Each message must come where it should, once, in its turn, and
 * be what was sent but for what is the balancer's; responses by their phone's connection. Prints
 * `ready`, and for each line `run SECONDS` on stdin `done CALLS MESSAGES`: messages that came
 * through the balancer. Ends when one is wrong, or none comes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perf/tls/secure.h"
#include "perf/tls/text.h"

enum {
    PHONES = 32, /* what is on its way to the balancer's UDP port fits the kernel's queue */
    SINKS_MAX = 8,
    SOURCE = 257, /* the first phone is 198.18.1.1 */
    SILENCE_MS = 5000,
};

/* What a phone waits for, in this order. */
enum step { WAITS_REGISTERED, WAITS_RINGING, WAITS_ANSWERED, WAITS_BYE, IDLE };

struct phone {
    struct text_phone text;
    SSL *ssl;
    int fd;
    enum step step;
    bool acked; /* its ACK came */
    char sent[TEXT_REQUESTS][TEXT_MAX];
    char answers[IDLE][TEXT_MAX]; /* what the peer answers, by the step that waits for it */
    char input[2 * TEXT_MAX];
    uint32_t n;
};

struct sink {
    int fd;
    char name[TEXT_PART];
};

struct talk {
    struct phone phones[PHONES];
    struct sink sinks[SINKS_MAX];
    uint32_t n_sinks;
    uint64_t end_ms, calls, messages;
};

static struct talk talk;

static _Noreturn void wrong(const char *what, const char *sent, const char *came)
{
    fprintf(stderr, "%s\n---- sent\n%s\n---- came\n%s\n", what, sent, came);
    exit(EXIT_FAILURE);
}

/* ---- Phones ---- */

static void phone_send(struct phone *p, enum text_kind kind)
{
    int length = (int)text_request(&p->text, kind, p->sent[kind]);

    if (SSL_write(p->ssl, p->sent[kind], length) != length)
        secure_die("the balancer takes nothing more");
}

static void phone_begin(struct phone *p)
{
    p->step = IDLE;
    if (secure_now_ms() >= talk.end_ms)
        return;
    p->text.call++;
    p->acked = false;
    p->step = WAITS_REGISTERED;
    phone_send(p, TEXT_REGISTER);
}

/* What comes next in a call. */
static void phone_go_on(struct phone *p, const char *answer)
{
    switch (p->step) {
    case WAITS_REGISTERED:
        phone_send(p, TEXT_INVITE);
        break;
    case WAITS_ANSWERED:
        if (!text_dialog(answer, &p->text))
            wrong("no Record-Route or Contact", p->answers[p->step], answer);
        phone_send(p, TEXT_ACK);
        phone_send(p, TEXT_BYE);
        break;
    case WAITS_BYE:
        if (!p->acked)
            wrong("the ACK is not there before the BYE's answer", p->sent[TEXT_ACK], answer);
        talk.calls++;
        phone_begin(p);
        return;
    default:
        break;
    }
    p->step++;
}

static void phone_take(struct phone *p, const char *message)
{
    uint32_t phone, call, kind;

    if (p->step == IDLE)
        wrong("a message that nobody waits for", "", message);
    if (!text_whose(message, &phone, &call, &kind) || phone != p->text.number ||
        call != p->text.call || text_count(message, "Via:") != 1 ||
        !text_same(p->answers[p->step], message))
        wrong("a response is not what was sent", p->answers[p->step], message);
    talk.messages++;
    phone_go_on(p, message);
}

/* Takes whole messages off what came; the peer's have no bodies. */
static void phone_cut(struct phone *p)
{
    char message[TEXT_MAX], *end;

    while ((end = memmem(p->input, p->n, "\r\n\r\n", 4)) != NULL) {
        uint32_t length = (uint32_t)(end + 4 - p->input);

        if (length >= sizeof(message))
            wrong("a message is too long", "", "");
        memcpy(message, p->input, length);
        message[length] = '\0';
        p->n -= length;
        memmove(p->input, p->input + length, p->n);
        phone_take(p, message);
    }
}

static void phone_read(struct phone *p)
{
    for (;;) {
        int got = SSL_read(p->ssl, p->input + p->n, (int)(sizeof(p->input) - p->n));

        if (got <= 0 && SSL_get_error(p->ssl, got) == SSL_ERROR_WANT_READ)
            return;
        if (got <= 0)
            secure_die("a connection ended");
        p->n += (uint32_t)got;
        phone_cut(p);
    }
}

static void phone_connect(struct phone *p, uint32_t number, SSL_CTX *context,
                          const struct sockaddr_in *to)
{
    struct sockaddr_in local;
    socklen_t size = sizeof(local);
    char address[INET_ADDRSTRLEN];
    int result;

    p->text.number = number;
    p->step = IDLE;
    p->fd = secure_connect(to, SOURCE + number);
    p->ssl = SSL_new(context);
    if (p->ssl == NULL || SSL_set_fd(p->ssl, p->fd) != 1 ||
        getsockname(p->fd, (struct sockaddr *)&local, &size) != 0)
        secure_die("a phone");
    snprintf(p->text.sent_by, sizeof(p->text.sent_by), "%s:%u",
             inet_ntop(AF_INET, &local.sin_addr, address, sizeof(address)), ntohs(local.sin_port));
    while ((result = SSL_connect(p->ssl)) != 1) {
        struct pollfd wait = {.fd = p->fd, .events = POLLIN};

        if (SSL_get_error(p->ssl, result) != SSL_ERROR_WANT_READ || poll(&wait, 1, SILENCE_MS) != 1)
            secure_die("a phone's handshake");
    }
}

/* ---- Their peer ---- */

static void answer(const struct sink *sink, struct phone *p, const char *request, enum step step,
                   const char *status, const struct sockaddr_in *to)
{
    uint32_t length = text_answer(request, status, sink->name, p->answers[step]);

    if (sendto(sink->fd, p->answers[step], length, 0, (const struct sockaddr *)to, sizeof(*to)) < 0)
        secure_die("an answer");
}

static void sink_take(const struct sink *sink, const char *request, const struct sockaddr_in *from)
{
    uint32_t number, call, kind;
    struct phone *p;

    if (!text_whose(request, &number, &call, &kind) || number >= PHONES || kind >= TEXT_REQUESTS)
        wrong("a datagram that nobody sent", "", request);
    p = &talk.phones[number];
    if (call != p->text.call || !text_same(p->sent[kind], request) ||
        text_count(request, "Via:") != 2 || text_count(request, "Route:") != 0)
        wrong("a request is not what was sent", p->sent[kind], request);
    if ((kind == TEXT_REGISTER && p->step != WAITS_REGISTERED) ||
        (kind == TEXT_INVITE && p->step != WAITS_RINGING) ||
        (kind >= TEXT_ACK && p->step != WAITS_BYE) || (kind == TEXT_ACK && p->acked))
        wrong("a request comes again, or too late", p->sent[kind], request);
    talk.messages++;
    if (kind == TEXT_REGISTER)
        answer(sink, p, request, WAITS_REGISTERED, "200 OK", from);
    if (kind == TEXT_INVITE) {
        answer(sink, p, request, WAITS_RINGING, "180 Ringing", from);
        answer(sink, p, request, WAITS_ANSWERED, "200 OK", from);
    }
    if (kind == TEXT_ACK)
        p->acked = true;
    if (kind == TEXT_BYE)
        answer(sink, p, request, WAITS_BYE, "200 OK", from);
}

static void sink_read(const struct sink *sink)
{
    char request[TEXT_MAX];
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    ssize_t length;

    while ((length = recvfrom(sink->fd, request, sizeof(request) - 1, MSG_DONTWAIT,
                              (struct sockaddr *)&from, &size)) >= 0) {
        request[length] = '\0';
        sink_take(sink, request, &from);
    }
}

static void sink_open(struct sink *sink, const char *name)
{
    char address[TEXT_PART];
    const char *colon = strchr(name, ':');
    struct sockaddr_in at;

    snprintf(sink->name, sizeof(sink->name), "%s", name);
    snprintf(address, sizeof(address), "%.*s", (int)(colon == NULL ? 0 : colon - name), name);
    at = secure_address(address, colon == NULL ? "" : colon + 1);
    sink->fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (sink->fd < 0 || bind(sink->fd, (const struct sockaddr *)&at, sizeof(at)) != 0)
        secure_die(name);
}

/* ---- All of them ---- */

static bool is_busy(void)
{
    for (uint32_t i = 0; i < PHONES; i++) {
        if (talk.phones[i].step != IDLE)
            return true;
    }
    return false;
}

static void run(double seconds)
{
    struct pollfd polls[PHONES + SINKS_MAX];

    talk.calls = talk.messages = 0;
    talk.end_ms = secure_now_ms() + (uint64_t)(seconds * 1000);
    for (uint32_t i = 0; i < PHONES; i++) {
        phone_begin(&talk.phones[i]);
        polls[i] = (struct pollfd){.fd = talk.phones[i].fd, .events = POLLIN};
    }
    for (uint32_t i = 0; i < talk.n_sinks; i++)
        polls[PHONES + i] = (struct pollfd){.fd = talk.sinks[i].fd, .events = POLLIN};
    while (is_busy()) {
        if (poll(polls, PHONES + talk.n_sinks, SILENCE_MS) <= 0)
            secure_die("a message is lost: nothing comes any more");
        /* A balancer keeps the order of what it reads, but the kernel has two queues here. */
        for (uint32_t i = 0; i < talk.n_sinks; i++) {
            if (polls[PHONES + i].revents != 0)
                sink_read(&talk.sinks[i]);
        }
        for (uint32_t i = 0; i < PHONES; i++) {
            if (polls[i].revents != 0)
                phone_read(&talk.phones[i]);
        }
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in to;
    SSL_CTX *context;
    char line[64];
    double seconds;

    if (argc < 4 || argc > 3 + SINKS_MAX) {
        fputs("usage: perf-tls-talk ADDRESS PORT SINK:PORT…\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    to = secure_address(argv[1], argv[2]);
    context = secure_client("1.3");
    for (int i = 3; i < argc; i++)
        sink_open(&talk.sinks[talk.n_sinks++], argv[i]);
    for (uint32_t i = 0; i < PHONES; i++)
        phone_connect(&talk.phones[i], i, context, &to);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL && sscanf(line, "run %lf", &seconds) == 1) {
        run(seconds);
        printf("done %llu %llu\n", (unsigned long long)talk.calls,
               (unsigned long long)talk.messages);
        fflush(stdout);
    }
    return EXIT_SUCCESS;
}
