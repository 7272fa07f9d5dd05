/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page over HTTP, with peers that ask for other things, say nothing or come in crowds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/metrics_http.h"

enum { ANSWER_MAX = 1 << 16, LARGE_PAGE = 16 << 20 };

struct site {
    struct loop *loop;
    struct metrics_http *http;
    uint16_t tcp_port;
    uint32_t pages;
    bool empty; /* as if there were no memory for the page */
    bool large; /* a page of LARGE_PAGE bytes, more than sockets hold */
};

static char *site_page(void *arg, size_t *ret_length)
{
    struct site *site = arg;

    site->pages++;
    *ret_length = site->large ? LARGE_PAGE : 6;
    if (site->large)
        return calloc(1, LARGE_PAGE);
    return site->empty ? NULL : strdup("page\n\n");
}

/* A free port of an address of the loopback's. */
static void site_open_at(struct site *site, const char *address)
{
    const struct metrics_http_conf conf = {"/metrics", "text/x", site_page, site, NULL};
    struct sip_addr addr = {.port = 0};

    memset(site, 0, sizeof(*site));
    site->loop = loop_new();
    assert_int_equal(sip_ip_parse(sip_slice_of(address), &addr.ip), 0);
    for (addr.port = 42000; site->http == NULL; addr.port++) {
        site->http = metrics_http_new(site->loop, &addr, &conf);
        assert_true(site->http != NULL || errno == EADDRINUSE);
        site->tcp_port = addr.port;
    }
    assert_null(metrics_http_new(site->loop,
                                 &(struct sip_addr){.ip = addr.ip, .port = site->tcp_port}, &conf));
    assert_int_equal(errno, EADDRINUSE);
}

static void site_open(struct site *site)
{
    site_open_at(site, "127.0.0.1");
}

static void site_close(struct site *site)
{
    metrics_http_free(site->http);
    loop_free(site->loop);
}

static int site_connect(const struct site *site)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(site->tcp_port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Milliseconds of a clock that only goes forward. */
static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void send_all(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Drives the loop until the site closed its side; what it said. */
static char *receive(struct site *site, int fd)
{
    static char answer[ANSWER_MAX];
    size_t length = 0;
    ssize_t n;

    while ((n = recv(fd, answer + length, sizeof(answer) - 1 - length, MSG_DONTWAIT)) != 0) {
        assert_true(n > 0 || errno == EAGAIN);
        if (n < 0)
            loop_step(site->loop);
        else
            length += (size_t)n;
    }
    answer[length] = '\0';
    return answer;
}

static void one_page_is_served(void **context)
{
    static char large[5 * METRICS_HTTP_REQUEST_MAX], long_line[METRICS_HTTP_REQUEST_MAX + 2];
    static const struct {
        const char *request, *status;
    } rows[] = {
        {"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n", "200 OK"},
        {"GET /metrics?a=b HTTP/1.0\n\n", "200 OK"},
        {"GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200 OK"},
        {"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n", "200 OK"},
        {"GET / HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"GET /metrics/ HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"POST /metricsx HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "405 Method Not Allowed"},
        {"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "413 Request Entity Too Large"},
        {"POST /metrics HTTP/1.1\r\nContent-Length: 99999999\r\n\r\na", "413 Request Entity Too"},
        {"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "413 Request"},
        {"GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400 Bad Request"},
        {"OPTIONS * HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"CONNECT metrics:1 HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"INVITE sip:x SIP/2.0\r\n\r\n", "400 Bad Request"},
        {"HEAD /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"},
        {"get /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"},
        {"GET /metrics\r\n\r\n", "400 Bad Request"},
        {"GET /metrics HTTP/2\r\n\r\n", "400 Bad Request"},
        {"\r\n\r\n", "400 Bad Request"},
        {"\n\n", "400 Bad Request"},
        {large, "400 Bad Request"},
        {long_line, "400 Bad Request"},
    };
    struct site site;

    (void)context;
    memset(long_line, 'a', sizeof(long_line) - 1);
    memset(large, 'a', sizeof(large) - 1);
    memcpy(large, "GET /metrics HTTP/1.1\r\n", 23);
    site_open(&site);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = site_connect(&site);
        char *answer;

        send_all(fd, rows[i].request);
        answer = receive(&site, fd);
        assert_memory_equal(answer, "HTTP/1.", 7);
        if (strncmp(answer + 9, rows[i].status, strlen(rows[i].status)) != 0)
            fail_msg("%s: %s", rows[i].request, answer);
        assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
        assert_null(strstr(answer, "keep-alive"));
        if (answer[9] == '2') {
            assert_non_null(strstr(answer, "\r\nContent-Type: text/x\r\n"));
            assert_non_null(strstr(answer, "\r\nContent-Length: 6\r\n"));
            assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\npage\n\n");
        }
        if (strncmp(rows[i].request, "HEAD", 4) == 0)
            assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
        assert_int_equal(strstr(answer, "\r\nAllow: GET\r\n") != NULL,
                         strncmp(rows[i].status, "405", 3) == 0);
        close(fd);
    }
    assert_int_equal(site.pages, 4);
    site.empty = true;
    int fd = site_connect(&site);
    send_all(fd, rows[0].request);
    assert_memory_equal(receive(&site, fd), "HTTP/1.1 500 ", 13);
    close(fd);
    site_close(&site);
}

/* A request in pieces, and one of a peer that dies in the middle: nothing happens to others. */
static void pieces_are_joined(void **context)
{
    struct site site;
    int fd, dying;

    (void)context;
    site_open(&site);
    dying = site_connect(&site);
    send_all(dying, "GET /met");
    fd = site_connect(&site);
    for (const char *at = "GET /metrics HTTP/1.1\r\n\r\n"; *at != '\0'; at++) {
        assert_int_equal(send(fd, at, 1, MSG_NOSIGNAL), 1);
        loop_step(site.loop);
    }
    close(dying);
    assert_memory_equal(receive(&site, fd), "HTTP/1.1 200 ", 13);
    close(fd);
    site_close(&site);
}

/* As many as there may be say nothing: who comes then is served as soon as one of them leaves. */
static void crowds_are_bounded(void **context)
{
    int idle[METRICS_HTTP_CLIENTS_MAX], fd;
    struct site site;

    (void)context;
    site_open(&site);
    for (int i = 0; i < METRICS_HTTP_CLIENTS_MAX; i++) {
        idle[i] = site_connect(&site);
        loop_step(site.loop);
    }
    fd = site_connect(&site);
    send_all(fd, "GET /metrics HTTP/1.1\r\n\r\n");
    close(idle[0]);
    loop_step(site.loop); /* the only thing that is ready: the one that left */
    assert_int_equal(site.pages, 0);
    assert_memory_equal(receive(&site, fd), "HTTP/1.1 200 ", 13);
    for (int i = 1; i < METRICS_HTTP_CLIENTS_MAX; i++) {
        assert_string_equal(receive(&site, idle[i]), ""); /* too slow: left without a word */
        close(idle[i]);
    }
    close(fd);
    site_close(&site);
}

/* A byte now and then gains no time. */
static void a_request_has_a_deadline(void **context)
{
    struct site site;
    uint64_t begun;
    char byte;
    int fd;

    (void)context;
    site_open(&site);
    fd = site_connect(&site);
    send_all(fd, "GET /metrics HTTP/1.1\r\nX: ");
    begun = now_ms();
    while (recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && now_ms() < begun + 2 * METRICS_HTTP_REQUEST_MS) {
        assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
        loop_step(site.loop); /* for what was sent, or the timer */
        usleep(1000 * 20);
    }
    assert_in_range(now_ms() - begun, METRICS_HTTP_REQUEST_MS - 200,
                    METRICS_HTTP_REQUEST_MS + 1000);
    assert_int_equal(site.pages, 0);
    close(fd);
    site_close(&site);
}

/* Reads what is there until so much was read in all. */
static void read_up_to(int fd, size_t *read_already, size_t goal)
{
    static char buffer[1 << 16];
    ssize_t n = 0;

    while (*read_already < goal && (n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0)
        *read_already += (size_t)n;
    assert_true(n >= 0 || errno == EAGAIN);
}

/*
 * One asks and reads nothing, but sends on: nothing of that is kept, and it is left as it stalls.
 * One reads slowly all the while, and gets all.
 */
static void who_reads_nothing_is_left(void **context)
{
    static const char rubbish[1 << 16], request[] = "GET /metrics HTTP/1.1\r\n\r\n";
    struct site site;
    size_t sent = 0, taken = 0;
    uint64_t begun = now_ms();
    int idle, slow;

    (void)context;
    site_open(&site);
    site.large = true;
    idle = site_connect(&site);
    slow = site_connect(&site);
    send_all(idle, request);
    send_all(slow, request);
    for (ssize_t n = 0; n >= 0 || errno == EAGAIN;) {
        uint64_t passed = now_ms() - begun;

        loop_step(site.loop);
        n = send(idle, rubbish, sizeof(rubbish), MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        if (n > 0 && passed < METRICS_HTTP_STALL_MS - 500)
            assert_true(sent < LARGE_PAGE);
        assert_true(passed < 2 * (METRICS_HTTP_STALL_MS + METRICS_HTTP_CLOSE_MS));
        read_up_to(slow, &taken, passed * 1000);
    }
    assert_true(now_ms() - begun >= METRICS_HTTP_STALL_MS - 200);
    assert_true(taken < LARGE_PAGE);
    for (size_t before = 0; taken < LARGE_PAGE || before != taken;) {
        before = taken;
        loop_step(site.loop);
        read_up_to(slow, &taken, 2 * (size_t)LARGE_PAGE);
    }
    assert_in_range(taken, LARGE_PAGE + 50, LARGE_PAGE + 300);
    close(idle);
    close(slow);
    site_close(&site);
}

/* What follows a request, or is no request at all, does not take the answer away. */
static void rubbish_does_not_reset(void **context)
{
    static const struct {
        const char *begin;
        int status;
    } rows[] = {{"GET /metrics HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n", 200},
                {"GET / HTTP/1.1\r\n\r\n", 404},
                {"POST /metrics HTTP/1.1\r\nContent-Length: 1\r\n\r\n", 413},
                {"\x16\x03\x01\n", 400}};
    static char rubbish[100000];
    struct site site;

    (void)context;
    memset(rubbish, '\x80', sizeof(rubbish) - 1);
    site_open(&site);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = site_connect(&site);
        char *answer;

        send_all(fd, rows[i].begin);
        send_all(fd, rubbish);
        answer = receive(&site, fd);
        assert_int_equal(strtol(answer + 9, NULL, 10), rows[i].status);
        assert_null(strstr(answer + 9, "HTTP/1.1 ")); /* one answer */
        close(fd);
    }
    assert_int_equal(site.pages, 1);
    site_close(&site);
}

/* A client that ends its side with the request is answered. */
static void half_closed_is_answered(void **context)
{
    static const char *requests[] = {"GET /metrics HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"};
    struct site site;

    (void)context;
    site_open(&site);
    for (size_t i = 0; i < 2; i++) {
        int fd = site_connect(&site);

        send_all(fd, requests[i]);
        shutdown(fd, SHUT_WR);
        assert_memory_equal(receive(&site, fd), i == 0 ? "HTTP/1.1 200 " : "HTTP/1.1 404 ", 13);
        close(fd);
    }
    site_close(&site);
}

/* Closed while clients are not yet accepted, silent, in the middle of an answer, and after it. */
static void closing_leaves_all(void **context)
{
    static const char *requests[] = {"", "GET /met", "GET /metrics HTTP/1.1\r\n\r\n",
                                     "GET / HTTP/1.1\r\n\r\n"};
    enum { N = sizeof(requests) / sizeof(requests[0]) };
    int fds[2 * N];
    struct site site;

    (void)context;
    site_open(&site);
    site.large = true;
    for (int i = 0; i < 2 * N; i++) {
        fds[i] = site_connect(&site);
        send_all(fds[i], requests[i % N]);
        if (i < N)
            for (int step = 0; step < 4 && requests[i][0] != '\0'; step++)
                loop_step(site.loop);
    }
    loop_step(site.loop);
    site_close(&site);
    for (int i = 0; i < 2 * N; i++)
        close(fds[i]);
}

/* Each client that comes and goes leaves its place, however it goes. */
static void places_are_given_back(void **context)
{
    static const char *requests[] = {"", "GET /met", "GET /metrics HTTP/1.1\r\n\r\n", "\n\n"};
    struct site site;

    (void)context;
    site_open(&site);
    for (int i = 0; i < 5 * METRICS_HTTP_CLIENTS_MAX; i++) {
        int fd = site_connect(&site);
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};

        send_all(fd, requests[i % 4]);
        if (i % 3 != 0)
            loop_step(site.loop);
        if (i % 2 == 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(fd);
        loop_step(site.loop);
    }
    int fd = site_connect(&site);
    send_all(fd, "GET /metrics HTTP/1.1\r\n\r\n");
    assert_memory_equal(receive(&site, fd), "HTTP/1.1 200 ", 13);
    close(fd);
    site_close(&site);
}

static void ipv6_is_served(void **context)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct site site;

    (void)context;
    site_open_at(&site, "::1");
    address.sin6_port = htons(site.tcp_port);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    send_all(fd, "GET /metrics HTTP/1.1\r\n\r\n");
    assert_memory_equal(receive(&site, fd), "HTTP/1.1 200 ", 13);
    close(fd);
    site_close(&site);
}

/* Out of descriptors: not accepted, and not asked again at once; served when there are some. */
static void without_descriptors_it_waits(void **context)
{
    struct rlimit limit, none;
    struct site site;
    int fd;

    (void)context;
    site_open(&site);
    fd = site_connect(&site);
    send_all(fd, "GET /metrics HTTP/1.1\r\n\r\n");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    loop_step(site.loop);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    uint64_t begun = now_ms();
    assert_memory_equal(receive(&site, fd), "HTTP/1.1 200 ", 13);
    assert_in_range(now_ms() - begun, 100, 3000);
    close(fd);
    site_close(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_page_is_served),           cmocka_unit_test(pieces_are_joined),
        cmocka_unit_test(crowds_are_bounded),           cmocka_unit_test(a_request_has_a_deadline),
        cmocka_unit_test(who_reads_nothing_is_left),    cmocka_unit_test(rubbish_does_not_reset),
        cmocka_unit_test(half_closed_is_answered),      cmocka_unit_test(closing_leaves_all),
        cmocka_unit_test(places_are_given_back),        cmocka_unit_test(ipv6_is_served),
        cmocka_unit_test(without_descriptors_it_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
