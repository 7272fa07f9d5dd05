/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What health costs with a thousand backends, over each transport.
 */
#include "tests/unit/control/health/health_scene.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 1000, SECONDS = 4 };

/* Answers all that comes to any address of ours at the port of b0 from that address. */
static void answer_datagrams(struct scene *s)
{
    struct backend *b = &s->backends[0];
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(b->port)};
    const int one = 1;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&any, sizeof(any)), 0);
    for (;;) {
        char text[TEXT_MAX], answer[2 * TEXT_MAX], control[128];
        struct sockaddr_in peer;
        struct iovec iov = {text, sizeof(text) - 1};
        struct msghdr msg = {.msg_name = &peer,
                             .msg_namelen = sizeof(peer),
                             .msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
        ssize_t length = recvmsg(fd, &msg, 0);
        struct in_pktinfo *info = (struct in_pktinfo *)(void *)CMSG_DATA(CMSG_FIRSTHDR(&msg));

        text[length] = '\0';
        iov.iov_base = answer;
        iov.iov_len =
            (size_t)snprintf(answer, sizeof(answer), "SIP/2.0 200 OK\r\n%s", strstr(text, "Via:"));
        info->ipi_spec_dst = info->ipi_addr;
        sendmsg(fd, &msg, 0);
    }
}

/* The same for connections. Answers come with what came, since the probes do so whole. */
static void answer_connections(struct scene *s)
{
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(s->backends[0].port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), all = epoll_create1(0), one = 1;
    struct epoll_event ready = {.events = EPOLLIN, .data.fd = fd};

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(bind(fd, (const struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(listen(fd, MANY), 0);
    epoll_ctl(all, EPOLL_CTL_ADD, fd, &ready);
    while (epoll_wait(all, &ready, 1, -1) == 1) {
        char text[TEXT_MAX], answer[2 * TEXT_MAX];
        ssize_t length;

        if (ready.data.fd == fd) {
            ready.data.fd = accept(fd, NULL, NULL);
            epoll_ctl(all, EPOLL_CTL_ADD, ready.data.fd, &ready);
            continue;
        }
        length = recv(ready.data.fd, text, sizeof(text) - 1, 0);
        if (length <= 0) {
            close(ready.data.fd);
            continue;
        }
        text[length] = '\0';
        length = snprintf(answer, sizeof(answer), "SIP/2.0 200 OK\r\n%s", strstr(text, "Via:"));
        send(ready.data.fd, answer, (size_t)length, MSG_NOSIGNAL);
    }
    _exit(1);
}

static void configure_many(struct scene *s, uint32_t n, const char *transport)
{
    char health[64];
    FILE *out;

    snprintf(health, sizeof(health), "{interval: 1s, transport: %s}", transport);
    configure(s, 0, health);
    out = fopen(s->fake.config, "a");
    assert_non_null(out);
    for (uint32_t i = 0; i < n; i++)
        fprintf(out, "      - {name: m%u, address: 127.1.%u.%u, port: %u}\n", i, i / 250,
                i % 250 + 1, s->backends[0].port);
    assert_int_equal(fclose(out), 0);
}

static double cpu_ms(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static void probe_many(const char *transport, void (*answer)(struct scene *s))
{
    struct scene s;
    pid_t child;
    double cost;

    scene_make(&s, HEALTH);
    close_backend(&s.backends[0]);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        answer(&s);
    configure_many(&s, MANY, transport);
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    see(&s);
    cost = cpu_ms();
    for (int i = 0; i < SECONDS * 20; i++) { /* few steps of the test's own */
        uint64_t until = loop_now_us() + 50000;

        loop_timer_start(s.alarm, 50);
        while (loop_now_us() < until)
            loop_step(s.fake.loop);
    }
    cost = (cpu_ms() - cost) / SECONDS;
    print_message("1,000 backends probed over %s each second, their traffic judged twenty times: "
                  "%.1f ms of CPU a second\n",
                  transport, cost);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    for (uint32_t i = 0; i < MANY; i++) {
        struct health_view view;
        char name[16];

        snprintf(name, sizeof(name), "m%u", i);
        assert_true(
            health_of(s.health, snapshot_backend_id(sip_slice_of("p"), sip_slice_of(name)), &view));
        assert_int_equal(view.state, LB_UP);
        assert_true(view.latency_us > 0);
    }
    assert_true(cost < 100);
    scene_done(&s);
}

static void a_thousand_cost_less_than_a_tenth_of_a_core(void **context)
{
    (void)context;
    probe_many("udp", answer_datagrams);
}

static void over_tcp_too(void **context)
{
    struct rlimit limit;

    (void)context;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max < 2 * MANY || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        skip(); /* a host that does not allow as many files */
    probe_many("tcp", answer_connections);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_cost_less_than_a_tenth_of_a_core),
        cmocka_unit_test(over_tcp_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
