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
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/metrics_http.h"

enum { ANSWER_MAX = 1 << 16 };

struct site {
    struct loop *loop;
    struct metrics_http *http;
    uint16_t tcp_port;
    uint32_t pages;
    bool empty; /* as if there were no memory for the page */
};

static char *site_page(void *arg, size_t *ret_length)
{
    struct site *site = arg;

    site->pages++;
    *ret_length = 6;
    return site->empty ? NULL : strdup("page\n\n");
}

/* A free port of the loopback's. */
static void site_open(struct site *site)
{
    const struct metrics_http_conf conf = {"/metrics", "text/x", site_page, site};
    struct sip_addr addr = {.port = 0};

    memset(site, 0, sizeof(*site));
    site->loop = loop_new();
    assert_int_equal(sip_ip_parse(sip_slice_of("127.0.0.1"), &addr.ip), 0);
    for (addr.port = 42000; site->http == NULL; addr.port++) {
        site->http = metrics_http_new(site->loop, &addr, &conf);
        assert_true(site->http != NULL || errno == EADDRINUSE);
        site->tcp_port = addr.port;
    }
    assert_null(metrics_http_new(site->loop,
                                 &(struct sip_addr){.ip = addr.ip, .port = site->tcp_port}, &conf));
    assert_int_equal(errno, EADDRINUSE);
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
    static char large[METRICS_HTTP_REQUEST_MAX + 1];
    static const struct {
        const char *request, *status;
    } rows[] = {
        {"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n", "200 OK"},
        {"GET /metrics?a=b HTTP/1.0\n\n", "200 OK"},
        {"GET / HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"GET /metrics/ HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"POST /metricsx HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405 Method Not Allowed"},
        {"HEAD /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"},
        {"get /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"},
        {"GET /metrics\r\n\r\n", "400 Bad Request"},
        {"GET /metrics HTTP/2\r\n\r\n", "400 Bad Request"},
        {"\r\n\r\n", "400 Bad Request"},
        {"\n\n", "400 Bad Request"},
        {large, "431 Request Header Fields Too Large"},
    };
    struct site site;

    (void)context;
    memset(large, 'a', sizeof(large) - 1);
    memcpy(large, "GET /metrics HTTP/1.1\r\n", 23);
    site_open(&site);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = site_connect(&site);
        char *answer;

        send_all(fd, rows[i].request);
        answer = receive(&site, fd);
        assert_memory_equal(answer, "HTTP/1.1 ", 9);
        if (strncmp(answer + 9, rows[i].status, strlen(rows[i].status)) != 0)
            fail_msg("%s: %s", rows[i].request, answer);
        assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
        if (answer[9] == '2')
            assert_string_equal(strstr(answer, "Content-Type: "),
                                "Content-Type: text/x\r\nContent-Length: 6\r\n"
                                "Connection: close\r\n\r\npage\n\n");
        assert_int_equal(strstr(answer, "\r\nAllow: GET\r\n") != NULL,
                         strncmp(rows[i].status, "405", 3) == 0);
        close(fd);
    }
    assert_int_equal(site.pages, 2);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_page_is_served),
        cmocka_unit_test(pieces_are_joined),
        cmocka_unit_test(crowds_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
