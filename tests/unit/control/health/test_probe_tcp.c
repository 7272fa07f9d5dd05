/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes over TCP to backends on loopback: one connection for many probes, answers in any pieces,
 * backends that close, refuse, say nothing or talk nonsense.
 */
#include "tests/unit/control/health/probe_scene.h"

/* Accepts the connection that is or will be there, while the prober's loop goes on. */
static int take_connection(struct scene *s)
{
    struct pollfd ready = {.fd = s->fd, .events = POLLIN};
    int fd = -1;

    for (int i = 0; i < 400 && poll(&ready, 1, 0) == 0; i++)
        run(s, 5);
    assert_true(ready.revents & POLLIN);
    fd = accept(s->fd, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

/* One whole probe off a connection, with a NUL behind. */
static size_t receive(struct scene *s, int fd, char text[TEXT_MAX])
{
    size_t length = 0;

    for (int i = 0; i < 400; i++) {
        ssize_t more = recv(fd, text + length, 1, MSG_DONTWAIT);

        if (more == 1) {
            text[++length] = '\0';
            if (length >= 4 && memcmp(text + length - 4, "\r\n\r\n", 4) == 0)
                return length;
            i = 0;
            continue;
        }
        assert_int_equal(more, -1);
        run(s, 5);
    }
    fail_msg("no probe came");
    return 0;
}

static size_t answer_print(const char *request, const char *status, const char *body,
                           char ret_text[2 * TEXT_MAX])
{
    const char *fields = strstr(request, "Via:"), *end = strstr(fields, "Content-Length:");

    return (size_t)snprintf(ret_text, 2 * TEXT_MAX,
                            "SIP/2.0 %s\r\n%.*sContent-Length: %zu\r\n\r\n%s", status,
                            (int)(end - fields), fields, strlen(body), body);
}

static void send_all(int fd, const char *bytes, size_t length)
{
    assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), length);
}

static void answer(int fd, const char *request)
{
    char text[2 * TEXT_MAX];

    send_all(fd, text, answer_print(request, "200 OK", "", text));
}

static void probe(struct scene *s, uint32_t id, uint32_t timeout_ms)
{
    assert_int_equal(prober_send(s->prober, id, SIP_TRANSPORT_TCP, &s->addr, timeout_ms), 0);
}

static void one_connection_serves_many_probes(void **context)
{
    char request[TEXT_MAX];
    struct sip_msg msg;
    struct scene s;
    int fd = -1;

    (void)context;
    scene_make(&s, SOCK_STREAM);
    for (uint32_t i = 1; i <= 20; i++) {
        size_t length;

        s.n_answers = 0;
        probe(&s, i, 5000);
        if (fd < 0)
            fd = take_connection(&s);
        length = receive(&s, fd, request);
        assert_int_equal(sip_msg_index(request, length, &msg), SIP_OK);
        assert_int_equal(msg.method, SIP_OPTIONS);
        assert_non_null(strstr(request, ";transport=tcp SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:"));
        answer(fd, request);
        run_until(&s, &s.n_answers);
        assert_int_equal(s.id, i);
        assert_int_equal(s.answer.status, 200);
    }
    assert_int_equal(s.n_silences + s.n_refusals, 0);
    close(fd);
    scene_done(&s);
}

static void probes_wait_for_the_connection(void **context)
{
    char request[TEXT_MAX];
    struct scene s;
    int fd;

    (void)context;
    scene_make(&s, SOCK_STREAM);
    for (uint32_t i = 0; i < 3; i++)
        probe(&s, i, 5000);
    fd = take_connection(&s);
    for (int i = 0; i < 3; i++) {
        receive(&s, fd, request);
        answer(fd, request);
    }
    for (int i = 0; i < 400 && s.n_answers < 3; i++)
        run(&s, 5);
    assert_int_equal(s.n_answers, 3);
    close(fd);
    scene_done(&s);
}

/* One byte at a time, all at once with the next one, among keep-alives and requests. */
static void answers_come_in_any_pieces(void **context)
{
    static const char ping[] = "\r\n\r\n",
                      theirs[] = "OPTIONS sip:us SIP/2.0\r\nVia: SIP/2.0/TCP b;branch=z9hG4bKb\r\n"
                                 "Content-Length: 4\r\n\r\n\r\n\r\n";
    char first[TEXT_MAX], second[TEXT_MAX], text[4 * TEXT_MAX], *at = text;
    struct scene s;
    size_t length;
    int fd;

    (void)context;
    scene_make(&s, SOCK_STREAM);
    probe(&s, 1, 5000);
    fd = take_connection(&s);
    receive(&s, fd, first);
    length = answer_print(first, "200 OK", "v=0\r\n\r\nSIP/2.0 200 OK\r\n\r\n", text);
    for (size_t i = 0; i < length; i++) {
        assert_int_equal(s.n_answers, 0);
        send_all(fd, text + i, 1);
        if (i % 16 == 0 || i + 1 == length)
            run(&s, 1);
    }
    run_until(&s, &s.n_answers);
    s.n_answers = 0;
    probe(&s, 2, 5000);
    probe(&s, 3, 5000);
    receive(&s, fd, first);
    receive(&s, fd, second);
    at = stpcpy(stpcpy(at, ping), theirs);
    at += answer_print(first, "100 Trying", "", at);
    at += answer_print(second, "200 OK", "body", at);
    at = stpcpy(at, ping);
    at += answer_print(first, "503 No", "", at);
    send_all(fd, text, (size_t)(at - text));
    for (int i = 0; i < 400 && s.n_answers < 2; i++)
        run(&s, 5);
    assert_int_equal(s.n_answers, 2);
    assert_int_equal(s.id, 2);
    assert_int_equal(s.answer.status, 503);
    close(fd);
    scene_done(&s);
}

static void what_was_closed_is_opened_again(void **context)
{
    char request[TEXT_MAX];
    struct scene s;

    (void)context;
    scene_make(&s, SOCK_STREAM);
    for (uint32_t i = 1; i <= 5; i++) {
        int fd;

        s.n_answers = 0;
        probe(&s, i, 5000);
        fd = take_connection(&s);
        receive(&s, fd, request);
        answer(fd, request);
        run_until(&s, &s.n_answers);
        close(fd); /* between probes it says nothing */
        run(&s, 20);
        assert_int_equal(s.id, i);
    }
    assert_int_equal(s.n_silences + s.n_refusals, 0);
    scene_done(&s);
}

static void a_closed_port_refuses_at_once(void **context)
{
    struct scene s;
    int fd;

    (void)context;
    scene_make(&s, SOCK_STREAM);
    probe(&s, 1, 5000);
    fd = take_connection(&s);
    close(s.fd);
    close(fd); /* it is killed */
    run(&s, 20);
    for (uint32_t i = 2; i < 7; i++) {
        s.n_refusals = 0;
        probe(&s, i, 5000);
        for (int times = 0; times < 400 && s.n_refusals == 0; times++)
            run(&s, 5);
        assert_true(s.n_refusals == 1 || i == 2); /* the first one was still on its way */
    }
    assert_int_equal(s.n_silences, 0);
    s.fd = listen_at("127.0.0.1", SOCK_STREAM, &s.addr);
    scene_done(&s);
}

/* It accepts, and that is all: silence, and the next probe goes over a new connection. */
static void silence_gives_the_connection_up(void **context)
{
    char request[TEXT_MAX];
    struct scene s;
    int first, second;
    uint64_t before, took_ms;

    (void)context;
    scene_make(&s, SOCK_STREAM);
    before = loop_now_us();
    probe(&s, 1, TIMEOUT_MS);
    first = take_connection(&s);
    receive(&s, first, request);
    run_until(&s, &s.n_silences);
    took_ms = (loop_now_us() - before) / 1000;
    assert_in_range(took_ms, TIMEOUT_MS - 1, 1500);
    assert_int_equal(recv(first, request, 1, 0), -1); /* it was reset */
    assert_int_equal(errno, ECONNRESET);
    probe(&s, 2, 5000);
    second = take_connection(&s);
    receive(&s, second, request);
    answer(second, request);
    run_until(&s, &s.n_answers);
    close(first);
    close(second);
    scene_done(&s);
}

/* One of several is late, but the connection lives. */
static void one_lost_answer_leaves_the_connection(void **context)
{
    char lost[TEXT_MAX], request[TEXT_MAX];
    struct scene s;
    int fd;

    (void)context;
    scene_make(&s, SOCK_STREAM);
    probe(&s, 1, TIMEOUT_MS);
    fd = take_connection(&s);
    receive(&s, fd, lost);
    probe(&s, 2, 5000);
    receive(&s, fd, request);
    answer(fd, request);
    run_until(&s, &s.n_answers);
    run_until(&s, &s.n_silences);
    assert_int_equal(s.id, 1);
    s.n_answers = 0;
    probe(&s, 3, 5000);
    receive(&s, fd, request); /* the same one */
    answer(fd, request);
    run_until(&s, &s.n_answers);
    close(fd);
    scene_done(&s);
}

static void nonsense_fails_at_once(void **context)
{
    static const char junk[] = "HTTP/1.1 400 Bad Request\r\n\r\n",
                      huge[] = "SIP/2.0 200 OK\r\nContent-Length: 1000000\r\n\r\n",
                      endless[] = "SIP/2.0 200 OK\r\nSubject: ";
    static const char *const rows[] = {junk, huge, endless};
    static char filler[2 * 16384];

    (void)context;
    memset(filler, 'x', sizeof(filler));
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char request[TEXT_MAX], byte;
        struct scene s;
        int fd;

        scene_make(&s, SOCK_STREAM);
        probe(&s, i, 60000);
        fd = take_connection(&s);
        receive(&s, fd, request);
        send_all(fd, rows[i], strlen(rows[i]));
        if (rows[i] != junk)
            send_all(fd, filler, sizeof(filler));
        run_until(&s, &s.n_silences);
        assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) <= 0 && errno != EAGAIN); /* closed */
        assert_int_equal(s.id, i);
        close(fd);
        scene_done(&s);
    }
}

static void udp_answers_to_tcp_probes_are_not_believed(void **context)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[TEXT_MAX], text[2 * TEXT_MAX], *port;
    struct sip_addr udp_addr;
    struct scene s;
    int fd, udp;

    (void)context;
    scene_make(&s, SOCK_STREAM);
    udp = listen_at("127.0.0.1", SOCK_DGRAM, &udp_addr);
    assert_int_equal(prober_send(s.prober, 1, SIP_TRANSPORT_UDP, &udp_addr, 5000), 0);
    assert_true(recv(udp, text, sizeof(text) - 1, 0) > 0);
    port = strstr(text, "Via: SIP/2.0/UDP 127.0.0.1:");
    assert_non_null(port);
    at.sin_port = htons((uint16_t)atoi(port + 27));
    probe(&s, 2, 5000);
    fd = take_connection(&s);
    receive(&s, fd, request);
    assert_true(sendto(udp, text, answer_print(request, "200 OK", "", text), 0,
                       (struct sockaddr *)&at, sizeof(at)) > 0);
    run(&s, 50);
    assert_int_equal(s.n_answers, 0);
    close(udp);
    close(fd);
    scene_done(&s);
}

static void connections_leave_from_the_node_address(void **context)
{
    const struct address_own node = {.has_v4 = true,
                                     .v4 = sip_ip_from_v4((const uint8_t[]){127, 0, 0, 9})},
                             foreign = {.has_v4 = true,
                                        .v4 = sip_ip_from_v4((const uint8_t[]){192, 0, 2, 11})};
    char request[TEXT_MAX], byte;
    struct sockaddr_in peer;
    socklen_t size = sizeof(peer);
    struct scene s;
    int first, second;

    (void)context;
    scene_make(&s, SOCK_STREAM);
    probe(&s, 1, TIMEOUT_MS);
    first = take_connection(&s);
    receive(&s, first, request);
    prober_from(s.prober, &node);
    run(&s, TIMEOUT_MS + 50);
    assert_int_equal(s.n_silences, 0); /* forgotten, and the connection closed */
    assert_int_equal(recv(first, &byte, 1, MSG_DONTWAIT), 0);
    probe(&s, 2, 5000);
    second = take_connection(&s);
    receive(&s, second, request);
    assert_int_equal(getpeername(second, (struct sockaddr *)&peer, &size), 0);
    assert_int_equal(ntohl(peer.sin_addr.s_addr), 0x7f000009);
    assert_non_null(strstr(request, "Via: SIP/2.0/TCP 127.0.0.9:"));
    prober_from(s.prober, &foreign);
    assert_int_equal(prober_send(s.prober, 3, SIP_TRANSPORT_TCP, &s.addr, 50), -EADDRNOTAVAIL);
    run(&s, 100);
    assert_int_equal(s.n_silences + s.n_refusals, 0);
    close(first);
    close(second);
    scene_done(&s);
}

static void unwanted_connections_are_closed(void **context)
{
    char request[TEXT_MAX], byte;
    struct scene s;
    int fd;

    (void)context;
    scene_make(&s, SOCK_STREAM);
    probe(&s, 1, 5000);
    fd = take_connection(&s);
    receive(&s, fd, request);
    prober_drop_unwanted(s.prober); /* it was new */
    prober_want(s.prober, 0, SIP_TRANSPORT_TCP, &s.addr);
    prober_drop_unwanted(s.prober);
    answer(fd, request);
    run_until(&s, &s.n_answers);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    prober_drop_unwanted(s.prober);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    scene_done(&s);
}

static void ipv6_works_alike(void **context)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t size = sizeof(at);
    char request[TEXT_MAX];
    struct scene s;
    int fd, listening = socket(AF_INET6, SOCK_STREAM, 0);

    (void)context;
    if (bind(listening, (struct sockaddr *)&at, size) != 0) {
        close(listening);
        skip(); /* a host without IPv6 */
    }
    scene_make(&s, SOCK_STREAM);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&at, &size), 0);
    assert_int_equal(listen(listening, 8), 0);
    close(s.fd);
    s.fd = listening;
    s.addr.ip = sip_ip_from_v6(at.sin6_addr.s6_addr);
    s.addr.port = ntohs(at.sin6_port);
    probe(&s, 1, 5000);
    fd = take_connection(&s);
    receive(&s, fd, request);
    assert_non_null(strstr(request, "Via: SIP/2.0/TCP [::1]:"));
    answer(fd, request);
    run_until(&s, &s.n_answers);
    close(fd);
    close(s.fd);
    run(&s, 20);
    probe(&s, 2, 5000);
    run_until(&s, &s.n_refusals);
    s.fd = listen_at("127.0.0.1", SOCK_STREAM, &s.addr);
    scene_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_connection_serves_many_probes),
        cmocka_unit_test(probes_wait_for_the_connection),
        cmocka_unit_test(answers_come_in_any_pieces),
        cmocka_unit_test(what_was_closed_is_opened_again),
        cmocka_unit_test(a_closed_port_refuses_at_once),
        cmocka_unit_test(silence_gives_the_connection_up),
        cmocka_unit_test(one_lost_answer_leaves_the_connection),
        cmocka_unit_test(nonsense_fails_at_once),
        cmocka_unit_test(udp_answers_to_tcp_probes_are_not_believed),
        cmocka_unit_test(connections_leave_from_the_node_address),
        cmocka_unit_test(unwanted_connections_are_closed),
        cmocka_unit_test(ipv6_works_alike),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
