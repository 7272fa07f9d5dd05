/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health as a whole: real probes to sockets on loopback, a data plane that only speaks, and what
 * snapshots it is offered.
 */
#include "tests/unit/control/fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/health/health.h"
#include "control/health/probe.h"
#include "dataplane/sip/msg.h"

enum { BACKENDS = 4, TEXT_MAX = 2048, SLOT_FIRST = 2 };

static const char *const HEALTH = "{interval: 100ms, fast_interval: 50ms, timeout: 150ms, "
                                  "slow_start: 2s, drain_header: X-Drain}";

/* A backend of ours: what it answers. */
struct backend {
    char name[8];
    uint32_t id;
    int fd; /* -1: its port is closed */
    uint16_t port;
    const char *status; /* NULL: nothing */
    const char *more;   /* header lines */
    struct loop_event *reading;
    uint32_t n_probes;
};

struct scene {
    struct fake fake;
    struct reload *reload;
    struct health *health;
    struct backend backends[BACKENDS];
    struct loop_event *alarm;
    uint32_t ready;
};

static void on_probe(void *arg)
{
    struct backend *b = arg;
    struct sockaddr_in peer;
    socklen_t size = sizeof(peer);
    char text[TEXT_MAX], answer[2 * TEXT_MAX];
    ssize_t length = recvfrom(b->fd, text, sizeof(text) - 1, 0, (struct sockaddr *)&peer, &size);

    assert_true(length > 0);
    text[length] = '\0';
    b->n_probes++;
    if (b->status == NULL)
        return;
    snprintf(answer, sizeof(answer), "SIP/2.0 %s\r\n%s%s", b->status, b->more,
             strstr(text, "Via:"));
    assert_true(sendto(b->fd, answer, strlen(answer), 0, (struct sockaddr *)&peer, sizeof(peer)) >
                0);
}

static void open_backend(struct scene *s, struct backend *b)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(b->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);

    b->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(b->fd >= 0);
    assert_int_equal(bind(b->fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(getsockname(b->fd, (struct sockaddr *)&at, &size), 0);
    b->port = ntohs(at.sin_port);
    b->status = "200 OK";
    b->more = "";
    b->reading = loop_watch(s->fake.loop, b->fd, LOOP_READ, on_probe, b);
}

static void close_backend(struct backend *b)
{
    loop_event_free(b->reading);
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
    b->reading = NULL;
}

/* The first n backends in pool p, with `health:`, or without when that is NULL. */
static void configure(struct scene *s, uint32_t n, const char *health)
{
    struct fake *fake = &s->fake;
    FILE *out = fopen(fake->config, "w");

    assert_non_null(out);
    fprintf(out,
            "node: n\n"
            "node_address: 127.0.0.1\n"
            "linger: 1h\n"
            "dataplane:\n"
            "  workers: [1]\n"
            "  socket: %s\n"
            "  ports:\n"
            "    - {name: outside, driver: \"null\", addresses: [192.0.2.10/24]}\n"
            "secret_file: %s/secret\n"
            "services:\n"
            "  - {name: s, pool: p, listen: [{transport: udp, address: 192.0.2.10}]}\n"
            "control: {socket: %s/control.sock, state_dir: %s}\n"
            "pools:\n"
            "  - name: p\n",
            fake->socket, fake->dir, fake->dir, fake->dir);
    if (health != NULL)
        fprintf(out, "    health: %s\n", health);
    fprintf(out, "    backends:\n");
    for (uint32_t i = 0; i < n; i++)
        fprintf(out, "      - {name: %s, address: 127.0.0.1, port: %u}\n", s->backends[i].name,
                s->backends[i].port);
    assert_int_equal(fclose(out), 0);
}

static void on_alarm(void *arg)
{
    (void)arg;
}

static void start_control(struct scene *s)
{
    s->ready = 0;
    s->reload = fake_reload(&s->fake, &s->ready);
    s->health = health_new(s->fake.loop, s->reload);
    assert_non_null(s->health);
}

static void stop_control(struct scene *s)
{
    health_free(s->health);
    reload_free(s->reload);
}

static void scene_make(struct scene *s, const char *health)
{
    memset(s, 0, sizeof(*s));
    fake_setup(&s->fake, "{name: x, address: 127.0.0.1}");
    s->alarm = loop_timer_new(s->fake.loop, on_alarm, s);
    for (uint32_t i = 0; i < BACKENDS; i++) {
        struct backend *b = &s->backends[i];

        snprintf(b->name, sizeof(b->name), "b%u", i);
        b->id = snapshot_backend_id(sip_slice_of("p"), sip_slice_of(b->name));
        open_backend(s, b);
    }
    configure(s, BACKENDS, health);
    fake_start(&s->fake);
    for (uint32_t i = 0; i < BACKENDS; i++)
        counters_slot_ids(s->fake.counters)[SLOT_FIRST + i] = s->backends[i].id;
    start_control(s);
    fake_until(&s->fake, &s->ready, 1);
}

static void scene_done(struct scene *s)
{
    char path[256];

    stop_control(s);
    for (uint32_t i = 0; i < BACKENDS; i++)
        close_backend(&s->backends[i]);
    loop_event_free(s->alarm);
    snprintf(path, sizeof(path), "%s/health.json", s->fake.dir);
    unlink(path);
    fake_teardown(&s->fake);
}

static void run(struct scene *s, uint32_t ms)
{
    uint64_t until = probe_now_us() + ms * 1000u;

    while (probe_now_us() < until) {
        loop_timer_start(s->alarm, 5);
        loop_step(s->fake.loop);
    }
}

static const struct lb_backend *offered(const struct scene *s, uint32_t i)
{
    int32_t index = s->fake.offered == NULL
                        ? LB_NO_BACKEND
                        : snapshot_backend_by_id(s->fake.offered, s->backends[i].id);

    return index == LB_NO_BACKEND ? NULL : &snapshot_backends(s->fake.offered)[index];
}

/* Until the data plane is offered a backend in that state; returns how long it took in ms. */
static uint64_t until_state(struct scene *s, uint32_t i, uint8_t state)
{
    uint64_t before = probe_now_us();

    for (int tries = 0; tries < 1000; tries++) {
        if (offered(s, i) != NULL && offered(s, i)->state == state)
            return (probe_now_us() - before) / 1000;
        run(s, 5);
    }
    fail_msg("backend %u did not become %s", i, state_word(state));
    return 0;
}

static struct health_view view(struct scene *s, uint32_t i)
{
    struct health_view view = {.state = LB_STATE_COUNT};

    assert_true(health_of(s->health, s->backends[i].id, &view));
    return view;
}

/* The probes' time just after the data plane came counts for nothing. */
static void see(struct scene *s)
{
    run(s, HEALTH_BLIND_MS + 100);
}

static void all_is_well_and_nothing_is_offered_for_it(void **context)
{
    struct scene s;
    uint32_t offers;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    offers = s.fake.n_offers;
    run(&s, 500);
    assert_int_equal(s.fake.n_offers, offers);
    for (uint32_t i = 0; i < BACKENDS; i++) {
        assert_true(s.backends[i].n_probes >= 5);
        assert_int_equal(offered(&s, i)->state, LB_UP);
        assert_int_equal(view(&s, i).state, LB_UP);
        assert_string_equal(view(&s, i).reason, "");
        assert_true(view(&s, i).latency_us > 0);
    }
    scene_done(&s);
}

static void a_pool_without_health_is_not_probed(void **context)
{
    struct health_view nothing;
    struct scene s;

    (void)context;
    scene_make(&s, NULL);
    see(&s);
    assert_int_equal(s.backends[0].n_probes, 0);
    assert_false(health_of(s.health, s.backends[0].id, &nothing));
    scene_done(&s);
}

static void a_dead_one_is_down_and_comes_back_slowly(void **context)
{
    struct scene s;
    uint32_t weight = 0, steps = 0;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    close_backend(&s.backends[1]);
    assert_true(until_state(&s, 1, LB_DOWN) < 1000);
    assert_int_equal(offered(&s, 1)->health, LB_DOWN);
    assert_int_equal(offered(&s, 0)->state, LB_UP);
    assert_memory_equal(view(&s, 1).reason, "refused (ICMP unreachable) since ", 33);
    open_backend(&s, &s.backends[1]);
    until_state(&s, 1, LB_UP);
    assert_int_equal(offered(&s, 1)->weight, 10); /* of 100 */
    for (int i = 0; i < 600 && offered(&s, 1)->weight < 100; i++) {
        assert_true(offered(&s, 1)->weight >= weight);
        steps += offered(&s, 1)->weight != weight;
        weight = offered(&s, 1)->weight;
        run(&s, 5);
    }
    assert_int_equal(offered(&s, 1)->weight, 100);
    assert_true(steps >= 3);
    scene_done(&s);
}

static void a_silent_one_is_down(void **context)
{
    struct scene s;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    s.backends[2].status = NULL;
    assert_true(until_state(&s, 2, LB_BUSY) < 1000); /* first nobody new is sent there */
    assert_memory_equal(view(&s, 2).reason, "in doubt: no answer to its last ", 32);
    assert_true(until_state(&s, 2, LB_DOWN) < 1500);
    assert_non_null(strstr(view(&s, 2).reason, "without answer since"));
    scene_done(&s);
}

/* When all of them are late, it is hardly their fault, and nobody would be left. */
static void no_more_than_half_are_doubted(void **context)
{
    uint32_t n_busy = 0, n_down = 0;
    struct scene s;

    (void)context;
    scene_make(&s, "{interval: 100ms, fast_interval: 50ms, timeout: 800ms}");
    see(&s);
    for (uint32_t i = 0; i < BACKENDS; i++)
        s.backends[i].status = NULL;
    for (int round = 0; round < 60; round++) {
        run(&s, 10);
        n_busy = n_down = 0;
        for (uint32_t i = 0; i < BACKENDS; i++) {
            n_busy += view(&s, i).state == LB_BUSY;
            n_down += view(&s, i).state == LB_DOWN;
        }
        assert_true(n_busy <= BACKENDS / 2);
        assert_int_equal(n_down, 0);
    }
    assert_int_equal(n_busy, BACKENDS / 2);
    scene_done(&s);
}

static void one_that_sheds_is_busy(void **context)
{
    struct scene s;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    s.backends[0].status = "503 Overloaded";
    s.backends[0].more = "Retry-After: 2\r\n";
    s.backends[1].more = "X-Drain: please\r\n";
    until_state(&s, 0, LB_BUSY);
    until_state(&s, 1, LB_BUSY);
    assert_memory_equal(view(&s, 0).reason, "answered 503, Retry-After 2 s; ", 31);
    assert_string_equal(view(&s, 1).reason, "asks for no new calls: X-Drain in its answer 200");
    s.backends[0].status = "200 OK";
    s.backends[0].more = s.backends[1].more = "";
    assert_true(until_state(&s, 1, LB_UP) < 1000);
    assert_int_equal(offered(&s, 0)->state, LB_BUSY);
    assert_in_range(until_state(&s, 0, LB_UP), 700, 3000);
    assert_int_equal(offered(&s, 0)->weight, 100);
    scene_done(&s);
}

static void a_restart_of_control_offers_no_other_state(void **context)
{
    struct scene s;
    uint32_t offers;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    close_backend(&s.backends[1]);
    until_state(&s, 1, LB_DOWN);
    run(&s, HEALTH_SAVE_MS + 100);
    for (int i = 0; i < 3; i++) {
        stop_control(&s);
        offers = s.fake.n_offers;
        start_control(&s);
        fake_until(&s.fake, &s.ready, 1);
        assert_int_equal(s.fake.n_offers, offers + 1); /* and that has it down already */
        assert_int_equal(offered(&s, 1)->state, LB_DOWN);
        run(&s, 300);
        assert_int_equal(offered(&s, 1)->state, LB_DOWN);
        assert_int_equal(offered(&s, 0)->state, LB_UP);
    }
    open_backend(&s, &s.backends[1]);
    until_state(&s, 1, LB_UP);
    scene_done(&s);
}

static void what_is_known_stays_over_reloads_and_goes_with_the_backend(void **context)
{
    struct health_view nothing;
    struct scene s;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    close_backend(&s.backends[0]);
    until_state(&s, 0, LB_DOWN);
    configure(&s, BACKENDS - 1, HEALTH); /* the last one lingers, and is probed still */
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    assert_int_equal(offered(&s, 0)->state, LB_DOWN);
    assert_int_equal(offered(&s, BACKENDS - 1)->state, LB_DRAINING);
    close_backend(&s.backends[BACKENDS - 1]);
    until_state(&s, BACKENDS - 1, LB_DOWN);
    configure(&s, BACKENDS - 1, NULL);
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    run(&s, 300);
    assert_false(health_of(s.health, s.backends[0].id, &nothing));
    until_state(&s, 0, LB_UP);
    scene_done(&s);
}

static void without_the_data_plane_nobody_is_blamed(void **context)
{
    struct scene s;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    fake_stop(&s.fake);
    while (link_hello(reload_link(s.reload)) != NULL)
        run(&s, 5);
    for (uint32_t i = 0; i < BACKENDS; i++)
        s.backends[i].status = NULL;
    run(&s, 1500);
    for (uint32_t i = 0; i < BACKENDS; i++)
        assert_int_equal(view(&s, i).state, LB_UP);
    scene_done(&s);
}

/* n calls for a backend, answered or not, as the data plane counts them. */
static void traffic(struct scene *s, uint32_t i, uint32_t n, bool answered)
{
    struct counters_header *c = s->fake.counters;
    uint32_t slot = SLOT_FIRST + i;

    counters_slot_block(c, 1, COUNTERS_SLOT_REQUESTS)[slot] += 3 * n;
    counters_slot_block(c, 1, COUNTERS_SLOT_NEW)[slot] += n;
    if (!answered)
        return;
    counters_slot_block(c, 2, COUNTERS_SLOT_RESPONSES)[slot] += 4 * n;
    counters_slot_block(c, 2, COUNTERS_SLOT_FINALS)[slot] += 2 * n;
}

static void traffic_takes_out_who_answers_probes_but_no_calls(void **context)
{
    struct scene s;
    uint64_t before;

    (void)context;
    scene_make(&s, HEALTH);
    see(&s);
    for (int round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < BACKENDS; i++)
            traffic(&s, i, 3, true);
        run(&s, 50);
    }
    before = probe_now_us();
    for (int round = 0; round < 60 && offered(&s, 3)->state == LB_UP; round++) {
        for (uint32_t i = 0; i < BACKENDS; i++)
            traffic(&s, i, 3, i != 3);
        run(&s, 50);
    }
    assert_int_equal(offered(&s, 3)->state, LB_BUSY);
    print_message("found after %u ms\n", (unsigned)((probe_now_us() - before) / 1000));
    assert_non_null(strstr(view(&s, 3).reason, "without any answer"));
    assert_true(s.backends[3].n_probes > 10);
    scene_done(&s);
}

/* Answers all that comes to any address of ours at the port of b0 from that address. */
static void answer_all(struct scene *s)
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

static void configure_many(struct scene *s, uint32_t n)
{
    FILE *out;

    configure(s, 0, "{interval: 1s}");
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

static void a_thousand_cost_less_than_a_tenth_of_a_core(void **context)
{
    enum { MANY = 1000, SECONDS = 4 };
    struct scene s;
    pid_t child;
    double cost;

    (void)context;
    scene_make(&s, HEALTH);
    close_backend(&s.backends[0]);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        answer_all(&s);
    configure_many(&s, MANY);
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    see(&s);
    cost = cpu_ms();
    for (int i = 0; i < SECONDS * 20; i++) { /* few steps of the test's own */
        uint64_t until = probe_now_us() + 50000;

        loop_timer_start(s.alarm, 50);
        while (probe_now_us() < until)
            loop_step(s.fake.loop);
    }
    cost = (cpu_ms() - cost) / SECONDS;
    print_message("1,000 backends probed each second, their traffic judged twenty times: "
                  "%.1f ms of CPU a second\n",
                  cost);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_well_and_nothing_is_offered_for_it),
        cmocka_unit_test(a_pool_without_health_is_not_probed),
        cmocka_unit_test(a_dead_one_is_down_and_comes_back_slowly),
        cmocka_unit_test(a_silent_one_is_down),
        cmocka_unit_test(no_more_than_half_are_doubted),
        cmocka_unit_test(one_that_sheds_is_busy),
        cmocka_unit_test(a_restart_of_control_offers_no_other_state),
        cmocka_unit_test(what_is_known_stays_over_reloads_and_goes_with_the_backend),
        cmocka_unit_test(without_the_data_plane_nobody_is_blamed),
        cmocka_unit_test(a_thousand_cost_less_than_a_tenth_of_a_core),
        cmocka_unit_test(traffic_takes_out_who_answers_probes_but_no_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
