/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes over real sockets on loopback: what is sent, which answers are believed, what silence and
 * a closed port become, and what a thousand backends a second cost.
 */
#include "tests/unit/control/health/probe_scene.h"

/* The probe that came, with a NUL behind. */
static size_t receive(struct scene *s, char text[TEXT_MAX])
{
    struct pollfd ready = {.fd = s->fd, .events = POLLIN};
    socklen_t size = sizeof(s->peer);
    ssize_t length;

    assert_int_equal(poll(&ready, 1, 2000), 1);
    length = recvfrom(s->fd, text, TEXT_MAX - 1, 0, (struct sockaddr *)&s->peer, &size);
    assert_true(length > 0);
    text[length] = '\0';
    return (size_t)length;
}

/* Answers with a status line, the request's own fields and `more`, from a socket. */
static void answer_from(struct scene *s, int fd, const char *request, const char *status,
                        const char *more)
{
    char text[2 * TEXT_MAX];
    int length = snprintf(text, sizeof(text), "SIP/2.0 %s\r\n%s%s\r\n", status, more,
                          strstr(request, "Via:"));

    text[length - 2] = '\0'; /* the request's own end is enough */
    assert_true(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&s->peer, sizeof(s->peer)) >
                0);
}

static void a_probe_is_a_whole_options_and_its_answer_is_told(void **context)
{
    char request[TEXT_MAX];
    struct sip_msg msg;
    struct scene s;
    size_t length;
    uint64_t before = loop_now_ms();

    (void)context;
    scene_make(&s, SOCK_DGRAM);
    assert_int_equal(prober_send(s.prober, 77, SIP_TRANSPORT_UDP, &s.addr, TIMEOUT_MS), 0);
    length = receive(&s, request);
    assert_int_equal(sip_msg_index(request, length, &msg), SIP_OK);
    assert_int_equal(msg.method, SIP_OPTIONS);
    assert_int_equal(msg.max_forwards, 70);
    assert_int_equal(msg.content_length, 0);
    assert_true(msg.from_tag.length > 0);
    assert_int_equal(msg.to_tag.length, 0);
    assert_int_equal(msg.top_via.port, ntohs(s.peer.sin_port));
    assert_true(sip_slice_equal(msg.top_via.host, sip_slice_of("127.0.0.1")));
    answer_from(&s, s.fd, request, "100 Trying", "");
    run(&s, 20);
    assert_int_equal(s.n_answers, 0);
    answer_from(&s, s.fd, request, "200 OK", "");
    run_until(&s, &s.n_answers);
    assert_int_equal(s.id, 77);
    assert_int_equal(s.answer.status, 200);
    assert_int_equal(s.answer.retry_after_s, -1);
    assert_false(s.answer.drain);
    assert_in_range(s.answer.latency_us, 20000, 2000000);
    assert_in_range(s.sent_ms, before, before + 1000);
    answer_from(&s, s.fd, request, "200 OK", ""); /* once more */
    run(&s, TIMEOUT_MS + 50);
    assert_int_equal(s.n_answers, 1);
    assert_int_equal(s.n_silences, 0);
    scene_done(&s);
}

static void every_probe_has_a_branch_and_call_id_of_its_own(void **context)
{
    char first[TEXT_MAX], second[TEXT_MAX];
    struct sip_msg a, b;
    struct scene s;
    size_t length;

    (void)context;
    scene_make(&s, SOCK_DGRAM);
    assert_int_equal(prober_send(s.prober, 1, SIP_TRANSPORT_UDP, &s.addr, TIMEOUT_MS), 0);
    assert_int_equal(prober_send(s.prober, 1, SIP_TRANSPORT_UDP, &s.addr, TIMEOUT_MS), 0);
    length = receive(&s, first);
    sip_msg_index(first, length, &a);
    length = receive(&s, second);
    sip_msg_index(second, length, &b);
    assert_false(sip_slice_equal(a.call_id, b.call_id));
    assert_false(sip_slice_equal(a.top_via.branch, b.top_via.branch));
    assert_false(sip_slice_equal(a.from_tag, b.from_tag));
    scene_done(&s);
}

static void other_answers_are_not_believed(void **context)
{
    char request[TEXT_MAX], forged[TEXT_MAX];
    struct sip_addr elsewhere;
    struct scene s;
    int other;

    (void)context;
    scene_make(&s, SOCK_DGRAM);
    other = listen_at("127.0.0.2", SOCK_DGRAM, &elsewhere);
    assert_int_equal(prober_send(s.prober, 1, SIP_TRANSPORT_UDP, &s.addr, TIMEOUT_MS), 0);
    receive(&s, request);
    answer_from(&s, other, request, "200 OK", ""); /* from another address */
    strcpy(forged, request);
    strstr(forged, "branch=")[12] ^= 1;
    answer_from(&s, s.fd, forged, "200 OK", "");
    strcpy(forged, request);
    strstr(forged, "Call-ID: ")[9] ^= 1;
    answer_from(&s, s.fd, forged, "200 OK", "");
    assert_true(sendto(s.fd, "hello", 5, 0, (struct sockaddr *)&s.peer, sizeof(s.peer)) == 5);
    assert_true(sendto(s.fd, request, strlen(request), 0, (struct sockaddr *)&s.peer,
                       sizeof(s.peer)) > 0); /* its own request back */
    run_until(&s, &s.n_silences);
    assert_int_equal(s.n_answers, 0);
    answer_from(&s, s.fd, request, "200 OK", ""); /* too late */
    run(&s, 20);
    assert_int_equal(s.n_answers, 0);
    close(other);
    scene_done(&s);
}

static void silence_is_told_in_time_also_behind_longer_ones(void **context)
{
    struct scene s;
    uint64_t before, took_ms;

    (void)context;
    scene_make(&s, SOCK_DGRAM);
    assert_int_equal(prober_send(s.prober, 1, SIP_TRANSPORT_UDP, &s.addr, 5000), 0);
    before = loop_now_us();
    assert_int_equal(prober_send(s.prober, 2, SIP_TRANSPORT_UDP, &s.addr, 100), 0);
    run_until(&s, &s.n_silences);
    took_ms = (loop_now_us() - before) / 1000;
    assert_int_equal(s.id, 2);
    assert_in_range(took_ms, 99, 1000);
    scene_done(&s);
}

static void a_closed_port_refuses_at_once(void **context)
{
    struct scene s;
    struct sip_addr gone;

    (void)context;
    scene_make(&s, SOCK_DGRAM);
    close(listen_at("127.0.0.1", SOCK_DGRAM, &gone));
    for (uint32_t i = 0; i < 5; i++) { /* each time, though the error of the one before waits */
        s.n_refusals = 0;
        assert_int_equal(prober_send(s.prober, i, SIP_TRANSPORT_UDP, &gone, 5000), 0);
        assert_int_equal(prober_send(s.prober, 100, SIP_TRANSPORT_UDP, &s.addr, 60000), 0);
        run_until(&s, &s.n_refusals);
        assert_int_equal(s.id, i);
    }
    assert_int_equal(s.n_silences, 0);
    scene_done(&s);
}

static void probes_leave_from_the_node_address(void **context)
{
    const struct address_own node = {.has_v4 = true,
                                     .v4 = sip_ip_from_v4((const uint8_t[]){127, 0, 0, 9})},
                             none = {.has_v4 = false};
    char request[TEXT_MAX];
    struct scene s;

    (void)context;
    scene_make(&s, SOCK_DGRAM);
    assert_int_equal(prober_send(s.prober, 1, SIP_TRANSPORT_UDP, &s.addr, 50), 0);
    receive(&s, request);
    prober_from(s.prober, &node);
    run(&s, 100);
    assert_int_equal(s.n_silences, 0); /* what was on its way is forgotten */
    assert_int_equal(prober_send(s.prober, 1, SIP_TRANSPORT_UDP, &s.addr, TIMEOUT_MS), 0);
    receive(&s, request);
    assert_int_equal(ntohl(s.peer.sin_addr.s_addr), 0x7f000009);
    assert_non_null(strstr(request, "Via: SIP/2.0/UDP 127.0.0.9:"));
    answer_from(&s, s.fd, request, "200 OK", "");
    run_until(&s, &s.n_answers);
    prober_from(s.prober, &none);
    assert_int_equal(prober_send(s.prober, 1, SIP_TRANSPORT_UDP, &s.addr, TIMEOUT_MS), 0);
    receive(&s, request);
    assert_int_equal(ntohl(s.peer.sin_addr.s_addr), 0x7f000001);
    scene_done(&s);
}

static void an_address_that_is_not_ours_is_our_fault(void **context)
{
    const struct address_own node = {.has_v4 = true,
                                     .v4 = sip_ip_from_v4((const uint8_t[]){192, 0, 2, 11})};
    struct scene s;

    (void)context;
    scene_make(&s, SOCK_DGRAM);
    prober_from(s.prober, &node);
    assert_int_equal(prober_send(s.prober, 1, SIP_TRANSPORT_UDP, &s.addr, 50), -EADDRNOTAVAIL);
    run(&s, 100);
    assert_int_equal(s.n_silences + s.n_refusals, 0);
    scene_done(&s);
}

static void ipv6_works_alike(void **context)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t size = sizeof(at);
    char request[TEXT_MAX];
    struct sip_addr addr;
    struct scene s;
    struct sip_msg msg;
    ssize_t length;
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);

    (void)context;
    if (bind(fd, (struct sockaddr *)&at, size) != 0) {
        close(fd);
        skip(); /* a host without IPv6 */
    }
    scene_make(&s, SOCK_DGRAM);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    addr.ip = sip_ip_from_v6(at.sin6_addr.s6_addr);
    addr.port = ntohs(at.sin6_port);
    assert_int_equal(prober_send(s.prober, 1, SIP_TRANSPORT_UDP, &addr, 5000), 0);
    length = recv(fd, request, sizeof(request), 0);
    assert_true(length > 0);
    assert_int_equal(sip_msg_index(request, (size_t)length, &msg), SIP_OK);
    assert_true(sip_slice_equal(msg.top_via.host, sip_slice_of("[::1]")));
    close(fd);
    assert_int_equal(prober_send(s.prober, 2, SIP_TRANSPORT_UDP, &addr, 5000), 0);
    run_until(&s, &s.n_refusals);
    assert_int_equal(s.id, 2);
    scene_done(&s);
}

static void retry_after_and_drain_are_read(void **context)
{
    static const struct {
        const char *status, *more;
        int64_t retry_after_s;
        bool drain;
    } rows[] = {
        {"503 Service Unavailable", "Retry-After: 5\r\n", 5, false},
        {"503 No", "Retry-After : 18000;duration=3600\r\n", 18000, false},
        {"503 No", "retry-after: 120 (I'm in a meeting)\r\n", 120, false},
        {"503 No", "Retry-After: 0\r\n", 0, false},
        {"503 No", "Retry-After: soon\r\n", -1, false},
        {"503 No", "Retry-After: -5\r\n", -1, false},
        {"503 No", "Retry-After: 99999999999999999999\r\n", -1, false},
        {"200 OK", "Reason: SIP;text=\"Draining now\"\r\n", -1, true},
        {"200 OK", "Reason: SIP;text=\"all well\"\r\n", -1, false},
        {"200 OK", "X-Other: draining\r\n", -1, false},
    };

    (void)context;
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char request[TEXT_MAX];
        struct scene s;

        scene_make(&s, SOCK_DGRAM);
        s.conf.drain_header = "Reason";
        s.conf.drain_text = "draining";
        assert_int_equal(prober_send(s.prober, i, SIP_TRANSPORT_UDP, &s.addr, 5000), 0);
        receive(&s, request);
        answer_from(&s, s.fd, request, rows[i].status, rows[i].more);
        run_until(&s, &s.n_answers);
        assert_int_equal(s.answer.retry_after_s, rows[i].retry_after_s);
        assert_int_equal(s.answer.drain, rows[i].drain);
        scene_done(&s);
    }
}

/* A process that answers everything with 200, in place of many backends. */
static pid_t answerer(struct scene *s)
{
    pid_t child = fork();

    assert_true(child >= 0);
    while (child == 0) {
        char request[TEXT_MAX];

        receive(s, request);
        answer_from(s, s->fd, request, "200 OK", "");
    }
    return child;
}

static void each_family_leaves_from_its_own_address(void **context)
{
    const struct sip_ip loopback6 = {.bytes = {[15] = 1}};
    struct address_own node = {.has_v4 = true,
                               .has_v6 = true,
                               .v4 = sip_ip_from_v4((const uint8_t[]){127, 0, 0, 9}),
                               .v6 = {.bytes = {0x20, 0x01, 0x0d, 0xb8, [15] = 11}}};
    struct sip_addr v6 = {.port = 9};
    char request[TEXT_MAX];
    struct scene s;

    (void)context;
    scene_make(&s, SOCK_DGRAM);
    v6.ip = loopback6;
    prober_from(s.prober, &node);
    assert_int_equal(prober_send(s.prober, 1, SIP_TRANSPORT_UDP, &s.addr, 50), 0);
    receive(&s, request);
    assert_int_equal(ntohl(s.peer.sin_addr.s_addr), 0x7f000009);
    /* Here it is not, so nothing leaves. */
    assert_int_equal(prober_send(s.prober, 2, SIP_TRANSPORT_UDP, &v6, 50), -EADDRNOTAVAIL);
    assert_int_equal(prober_send(s.prober, 3, SIP_TRANSPORT_TCP, &v6, 50), -EADDRNOTAVAIL);
    node.v6 = loopback6; /* one family's change is enough */
    prober_from(s.prober, &node);
    assert_int_equal(prober_send(s.prober, 4, SIP_TRANSPORT_UDP, &v6, 50), 0);
    scene_done(&s);
}

static void a_thousand_a_second_cost_less_than_a_tenth_of_a_core(void **context)
{
    struct address_own node = {.has_v4 = true};
    struct scene s;
    pid_t child;
    double before, cost;

    (void)context;
    scene_make(&s, SOCK_DGRAM);
    node.v4 = s.addr.ip;
    prober_from(s.prober, &node); /* a node has one; else the kernel is asked for its choice */
    child = answerer(&s);
    before = cpu_ms();
    for (uint32_t i = 0; i < 1000; i++) { /* as they are spread over a second */
        assert_int_equal(prober_send(s.prober, i, SIP_TRANSPORT_UDP, &s.addr, 5000), 0);
        if (i % 10 == 9)
            run(&s, 10);
    }
    for (int i = 0; i < 400 && s.n_answers < 1000; i++)
        run(&s, 5);
    cost = cpu_ms() - before;
    print_message("1,000 probes sent and answered: %.1f ms of CPU (%.1f us each)\n", cost, cost);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(s.n_answers, 1000);
    assert_true(cost < 100);
    scene_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_probe_is_a_whole_options_and_its_answer_is_told),
        cmocka_unit_test(every_probe_has_a_branch_and_call_id_of_its_own),
        cmocka_unit_test(other_answers_are_not_believed),
        cmocka_unit_test(silence_is_told_in_time_also_behind_longer_ones),
        cmocka_unit_test(a_closed_port_refuses_at_once),
        cmocka_unit_test(probes_leave_from_the_node_address),
        cmocka_unit_test(an_address_that_is_not_ours_is_our_fault),
        cmocka_unit_test(ipv6_works_alike),
        cmocka_unit_test(each_family_leaves_from_its_own_address),
        cmocka_unit_test(retry_after_and_drain_are_read),
        cmocka_unit_test(a_thousand_a_second_cost_less_than_a_tenth_of_a_core),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
