/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's socket: what requests mean, and clients that split, pile up, overrun or vanish.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/admin.h"
#include "tests/unit/control/fake.h"

#define A "{name: a, address: 10.0.0.1, port: 5060}"

static void requests_mean_what_they_say(void **context)
{
    static const struct {
        const char *line;
        enum admin_kind kind;
        enum plan_kind change;
        uint32_t value;
    } rows[] = {
        {"{\"request\":\"show\",\"what\":\"stats\"}", ADMIN_SHOW, 0, 0},
        {"{\"request\":\"show\",\"what\":\"connections\",\"sni\":\"a\"}", ADMIN_SHOW, 0, 0},
        {"{\"request\":\"kill\",\"connection\":\"0123456789abcdef\"}", ADMIN_KILL, 0, 0},
        {"{\"request\":\"why\",\"call_id\":\"x@y\"}", ADMIN_WHY, 0, 0},
        {"{\"request\":\"capture\"}", ADMIN_CAPTURE, 0, 0},
        {"{\"request\":\"capture\",\"call_id\":null,\"count\":null}", ADMIN_CAPTURE, 0, 0},
        {"{\"request\":\"capture\",\"call_id\":\"x\",\"count\":1}", ADMIN_CAPTURE, 0, 0},
        {"{\"request\":\"stages\",\"on\":true}", ADMIN_STAGES, 0, 0},
        {"{\"request\":\"stages\",\"on\":false}", ADMIN_STAGES, 0, 0},
        {"{\"request\":\"reload\"}", ADMIN_CHANGE, PLAN_FILE, 0},
        {"{\"request\":\"rotate-secret\"}", ADMIN_CHANGE, PLAN_ROTATE, 0},
        {"{\"request\":\"rotate-secret\",\"dry_run\":true}", ADMIN_CHANGE, PLAN_ROTATE, 1},
        {"{\"request\":\"drain\",\"backend\":\"a\"}", ADMIN_CHANGE, PLAN_ADMIN, LB_DRAINING},
        {"{\"request\":\"drain\",\"backend\":\"node\"}", ADMIN_CHANGE, PLAN_NODE, LB_DRAINING},
        {"{\"request\":\"enable\",\"backend\":\"node\"}", ADMIN_CHANGE, PLAN_NODE, LB_UP},
        {"{\"request\":\"drain\",\"backend\":\"a\",\"dry_run\":true}", ADMIN_CHANGE, PLAN_ADMIN,
         LB_DRAINING},
        {"{\"request\":\"enable\",\"backend\":\"a\"}", ADMIN_CHANGE, PLAN_ADMIN, LB_UP},
        {"{\"request\":\"disable\",\"backend\":\"a\"}", ADMIN_CHANGE, PLAN_ADMIN, LB_DISABLED},
        {"{\"request\":\"weight\",\"backend\":\"a\",\"weight\":0}", ADMIN_CHANGE, PLAN_WEIGHT, 0},
        {"{\"request\":\"weight\",\"backend\":\"a\",\"weight\":null}", ADMIN_CHANGE, PLAN_WEIGHT,
         STATE_WEIGHT_CONFIGURED},
    };

    (void)context;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct admin_request request;
        const char *reason = "";

        if (admin_parse(rows[i].line, strlen(rows[i].line), &request, &reason) != 0)
            fail_msg("%s: %s", rows[i].line, reason);
        assert_int_equal(request.kind, rows[i].kind);
        if (request.kind != ADMIN_CHANGE)
            continue;
        assert_int_equal(request.change.kind, rows[i].change);
        assert_int_equal(request.change.kind == PLAN_WEIGHT   ? request.change.weight
                         : request.change.kind == PLAN_ROTATE ? request.change.dry_run
                                                              : request.change.admin,
                         rows[i].value);
    }
}

static void nonsense_is_refused_with_a_reason(void **context)
{
    static const char *const lines[] = {
        "",
        "x",
        "[]",
        "7",
        "{}",
        "{\"request\":7}",
        "{\"request\":\"halt\"}",
        "{\"request\":\"show\"}",
        "{\"request\":\"show\",\"what\":\"\"}",
        "{\"request\":\"show\",\"what\":\"0123456789012345678901234567890123456789\"}",
        "{\"request\":\"show\",\"what\":\"stats\",\"sni\":\"a\"}",
        "{\"request\":\"show\",\"what\":\"connections\",\"sni\":7}",
        "{\"request\":\"kill\"}",
        "{\"request\":\"kill\",\"connection\":7}",
        "{\"request\":\"kill\",\"connection\":\"x123456789abcdef\"}",
        "{\"request\":\"drain\"}",
        "{\"request\":\"drain\",\"backend\":7}",
        "{\"request\":\"drain\",\"backend\":\"a\",\"dry_run\":1}",
        "{\"request\":\"drain\",\"backend\":\"node\",\"dry_run\":true}",
        "{\"request\":\"enable\",\"backend\":\"a\",\"dry_run\":true}",
        "{\"request\":\"weight\",\"backend\":\"a\",\"weight\":5,\"dry_run\":true}",
        "{\"request\":\"disable\",\"backend\":\"node\"}",
        "{\"request\":\"weight\",\"backend\":\"a\"}",
        "{\"request\":\"weight\",\"backend\":\"a\",\"weight\":1001}",
        "{\"request\":\"weight\",\"backend\":\"a\",\"weight\":-1}",
        "{\"request\":\"weight\",\"backend\":\"a\",\"weight\":\"5\"}",
        "{\"request\":\"why\"}",
        "{\"request\":\"why\",\"call_id\":\"\"}",
        "{\"request\":\"why\",\"call_id\":\"x\",\"pool\":7}",
        "{\"request\":\"capture\",\"call_id\":\"\"}",
        "{\"request\":\"capture\",\"call_id\":7}",
        "{\"request\":\"stages\"}",
        "{\"request\":\"stages\",\"on\":1}",
        "{\"request\":\"capture\",\"count\":0}",
        "{\"request\":\"capture\",\"count\":\"1\"}",
        "{\"request\":\"rotate-secret\",\"dry_run\":1}",
        "{\"request\":\"reload\",\"request\":\"reload\"}",
        "{\"request\":\"reload\"} x",
    };

    (void)context;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct admin_request request;
        const char *reason = NULL;

        if (admin_parse(lines[i], strlen(lines[i]), &request, &reason) != -EINVAL)
            fail_msg("taken: %s", lines[i]);
        assert_non_null(reason);
    }
}

/* A running control without a data plane, and clients of its socket. */
struct scene {
    struct fake fake;
    struct reload *reload;
    struct admin *admin;
    char path[96];
    uint32_t ready;
};

static void scene_make(struct scene *s)
{
    char text[PLAN_TEXT_MAX];

    memset(s, 0, sizeof(*s));
    fake_setup(&s->fake, A);
    s->reload = fake_reload(&s->fake, &s->ready);
    snprintf(s->path, sizeof(s->path), "%s/control.sock", s->fake.dir);
    s->admin = admin_new(s->fake.loop, &(struct admin_parts){.reload = s->reload}, s->path, NULL, text);
    assert_non_null(s->admin);
}

static void scene_done(struct scene *s)
{
    admin_free(s->admin);
    assert_int_equal(access(s->path, F_OK), -1);
    reload_free(s->reload);
    fake_teardown(&s->fake);
}

static int client(const struct scene *s)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, s->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Drives the loop until n lines came (returned in ret) or the other end left (-1). */
static int hear(struct scene *s, int fd, int n, char *ret, size_t size)
{
    time_t end = time(NULL) + 5;
    size_t length = 0;

    while (time(NULL) <= end) {
        ssize_t got = recv(fd, ret + length, size - 1 - length, 0);
        int lines = 0;

        if (got == 0 || (got < 0 && errno != EAGAIN))
            return -1;
        if (got < 0) {
            loop_step(s->fake.loop);
            continue;
        }
        length += (size_t)got;
        ret[length] = '\0';
        for (size_t i = 0; i < length; i++)
            lines += ret[i] == '\n';
        if (lines >= n)
            return lines;
    }
    fail_msg("no answer");
    return -1;
}

static void clients_split_and_pile_up_requests(void **context)
{
    static const char request[] = "{\"request\":\"show\",\"what\":\"generation\"}\n";
    struct scene s;
    char text[8192];
    int a, b;

    (void)context;
    scene_make(&s);
    a = client(&s);
    b = client(&s);
    for (size_t i = 0; i + 1 < sizeof(request) - 1; i++) {
        assert_int_equal(send(a, request + i, 1, 0), 1);
        if (i % 8 == 0)
            loop_step(s.fake.loop);
    }
    say(b, "{\"request\":\"drain\",\"backend\":\"a\"}\n{\"request\":\"nonsense\"}\n"
           "{\"request\":\"show\",\"what\":\"backends\"}\n");
    assert_int_equal(hear(&s, b, 3, text, sizeof(text)), 3);
    assert_non_null(strstr(text, "\"status\":\"pending\""));
    assert_non_null(strstr(text, "\"ok\":false"));
    assert_non_null(strstr(text, "\"state\":\"draining\""));
    say(a, "\n");
    assert_int_equal(hear(&s, a, 1, text, sizeof(text)), 1);
    assert_non_null(strstr(text, "\"dataplane\":\"absent\""));
    close(a);
    close(b);
    scene_done(&s);
}

static void client_that_overruns_is_left(void **context)
{
    struct scene s;
    char text[ADMIN_REQUEST_MAX + 1];
    int fd;

    (void)context;
    scene_make(&s);
    fd = client(&s);
    memset(text, 'x', sizeof(text));
    assert_int_equal(send(fd, text, sizeof(text), 0), sizeof(text));
    assert_int_equal(hear(&s, fd, 1, text, sizeof(text)), 1);
    assert_non_null(strstr(text, "longer than 4096 bytes"));
    assert_int_equal(hear(&s, fd, 1, text, sizeof(text)), -1);
    close(fd);
    scene_done(&s);
}

/* Who asked is gone when the outcome comes. */
static void client_may_vanish_while_it_waits(void **context)
{
    struct scene s;
    struct fake_outcome outcome;
    char text[1024];
    int fd;

    (void)context;
    scene_make(&s);
    fake_start(&s.fake);
    fake_until(&s.fake, &s.ready, 1);
    s.fake.answer = 1;
    fd = client(&s);
    say(fd, "{\"request\":\"reload\"}\n");
    fake_until(&s.fake, &s.fake.n_offers, 2);
    close(fd);
    s.fake.answer = 0;
    fake_stop(&s.fake);
    outcome = fake_ask(&s.fake, s.reload, PLAN_ADMIN, "a", LB_UP);
    assert_int_equal(outcome.status, RELOAD_PENDING);
    fd = client(&s);
    say(fd, "{\"request\":\"show\",\"what\":\"calls\"}\n");
    assert_int_equal(hear(&s, fd, 1, text, sizeof(text)), 1);
    close(fd);
    scene_done(&s);
}

static void one_client_too_many_is_turned_away(void **context)
{
    struct scene s;
    int fds[ADMIN_CLIENTS_MAX + 1];
    char text[128];

    (void)context;
    scene_make(&s);
    for (int i = 0; i < ADMIN_CLIENTS_MAX + 1; i++) {
        fds[i] = client(&s);
        loop_step(s.fake.loop);
    }
    assert_int_equal(hear(&s, fds[ADMIN_CLIENTS_MAX], 1, text, sizeof(text)), 1);
    assert_non_null(strstr(text, "too many clients"));
    assert_int_equal(hear(&s, fds[ADMIN_CLIENTS_MAX], 1, text, sizeof(text)), -1);
    for (int i = 0; i < ADMIN_CLIENTS_MAX + 1; i++)
        close(fds[i]);
    scene_done(&s);
}

/* A waiting client that cannot be accepted must not keep the loop busy, and is served later. */
static void lack_of_descriptors_is_waited_for_without_spinning(void **context)
{
    struct scene s;
    struct rlimit before, none;
    struct timespec now;
    char text[1024];
    int fd, free_fd, steps = 0;
    time_t end;

    (void)context;
    scene_make(&s);
    fd = client(&s);
    say(fd, "{\"request\":\"show\",\"what\":\"calls\"}\n");
    free_fd = dup(fd);
    close(free_fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)free_fd, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    clock_gettime(CLOCK_MONOTONIC, &now);
    end = now.tv_sec + 2;
    for (; now.tv_sec < end; clock_gettime(CLOCK_MONOTONIC, &now)) {
        loop_step(s.fake.loop);
        steps++;
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_in_range(steps, 1, 100);
    assert_int_equal(hear(&s, fd, 1, text, sizeof(text)), 1);
    assert_non_null(strstr(text, "\"ok\":true"));
    close(fd);
    scene_done(&s);
}

/* Takes nothing of a long answer for a while; others are served meanwhile, it gets all of it. */
static void slow_reader_waits_for_itself_alone(void **context)
{
    enum { ASKED = 400 };
    struct scene s;
    static char text[1 << 20];
    char other[8192];
    int slow, quick, sent = 0;

    (void)context;
    scene_make(&s);
    slow = client(&s);
    quick = client(&s);
    for (int i = 0; i < ASKED; i++) {
        const char *line = "{\"request\":\"show\",\"what\":\"config\"}\n";

        if (send(slow, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line))
            break;
        sent++;
        if (i % 16 == 0)
            loop_step(s.fake.loop);
    }
    say(quick, "{\"request\":\"show\",\"what\":\"generation\"}\n");
    assert_int_equal(hear(&s, quick, 1, other, sizeof(other)), 1);
    assert_true(hear(&s, slow, sent, text, sizeof(text)) >= sent);
    close(slow);
    close(quick);
    scene_done(&s);
}

static void stale_socket_is_replaced_and_only_its_owner_may_use_it(void **context)
{
    struct scene s;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    char text[PLAN_TEXT_MAX];
    int fd;

    (void)context;
    scene_make(&s);
    assert_null(admin_new(s.fake.loop, &(struct admin_parts){.reload = s.reload}, s.path, NULL, text)); /* it is in use */
    assert_int_equal(stat(s.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    admin_free(s.admin);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, s.path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd); /* as a killed process leaves it */
    assert_null(admin_new(s.fake.loop, &(struct admin_parts){.reload = s.reload}, s.path, "no-such-group", text));
    assert_non_null(strstr(text, "socket_group"));
    s.admin = admin_new(s.fake.loop, &(struct admin_parts){.reload = s.reload}, s.path, NULL, text);
    assert_non_null(s.admin);
    scene_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_mean_what_they_say),
        cmocka_unit_test(nonsense_is_refused_with_a_reason),
        cmocka_unit_test(clients_split_and_pile_up_requests),
        cmocka_unit_test(client_that_overruns_is_left),
        cmocka_unit_test(client_may_vanish_while_it_waits),
        cmocka_unit_test(one_client_too_many_is_turned_away),
        cmocka_unit_test(lack_of_descriptors_is_waited_for_without_spinning),
        cmocka_unit_test(slow_reader_waits_for_itself_alone),
        cmocka_unit_test(stale_socket_is_replaced_and_only_its_owner_may_use_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
