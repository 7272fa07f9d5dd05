/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket to control, with a real control's end beside it: hello, offers and their answers, and
 * punts, which may fill the socket but never an answer's way.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/msg.h"
#include "dataplane/endpoint.h"

enum { PUNT_MAX = sizeof(struct msg_punt) + MSG_TEXT_MAX, FEW = 3 };

struct state {
    char directory[40], path[64];
    struct memory shared; /* what HELLO gives away: only its descriptor and size matter here */
    struct counters_header header;
    struct endpoint *endpoint;
    int status; /* what the next offer is answered with */
    uint64_t offered;
};

static uint8_t packet[PUNT_MAX], received[PUNT_MAX + 1];

static int on_offer(void *context, int fd, uint64_t size, uint64_t generation,
                    const char **ret_reason)
{
    struct state *s = context;

    assert_true(fd >= 0);
    assert_int_equal(size, 4096);
    s->offered = generation;
    *ret_reason = "not today";
    return s->status;
}

static int setup(void **state)
{
    struct state *s = calloc(1, sizeof(*s));
    struct endpoint_conf conf = {.owner = getuid(), .group = getgid(), .offer = on_offer};

    assert_non_null(s);
    strcpy(s->directory, "/tmp/tandem-endpoint-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    snprintf(s->path, sizeof(s->path), "%s/socket", s->directory);
    s->shared = (struct memory){.fd = memfd_create("shared", MFD_CLOEXEC), .size = 4096};
    s->header = (struct counters_header){.epoch = 7, .generation = 3, .size = 4096};
    conf.path = s->path;
    conf.counters = conf.calls = conf.capture = &s->shared;
    conf.header = &s->header;
    conf.context = s;
    s->endpoint = endpoint_new(&conf);
    assert_non_null(s->endpoint);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct state *s = *state;

    endpoint_free(s->endpoint);
    close(s->shared.fd);
    assert_int_equal(rmdir(s->directory), 0); /* empty: the socket is gone, too */
    free(s);
    return 0;
}

/* The next packet's kind; -EAGAIN: there is none. Descriptors are closed. */
static int take(int control)
{
    int fds[MSG_FDS_MAX], size;
    uint32_t n_fds = MSG_FDS_MAX, kind;

    size = msg_receive(control, received, sizeof(received), fds, &n_fds);
    if (size < 0)
        return size;
    for (uint32_t i = 0; i < n_fds; i++)
        close(fds[i]);
    assert_true((size_t)size >= 2 * sizeof(kind));
    memcpy(&kind, received + sizeof(kind), sizeof(kind));
    if (kind == MSG_PUNT)
        assert_int_equal(size, PUNT_MAX);
    return (int)kind;
}

/* A control that is connected and has heard hello. */
static int connect_control(struct state *s)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct msg_hello hello;

    strcpy(address.sun_path, s->path);
    assert_int_equal(connect(control, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(endpoint_accept(s->endpoint), 1);
    assert_int_equal(take(control), MSG_HELLO);
    memcpy(&hello, received, sizeof(hello));
    assert_int_equal(hello.epoch, 7);
    assert_int_equal(hello.generation, 3);
    assert_int_equal(hello.counters_size, 4096);
    return control;
}

/* Puts the longest punt into `packet`, told from others by a number in its text. */
static void make_punt(uint32_t number)
{
    const struct msg_punt punt = {
        .magic = MSG_MAGIC, .kind = MSG_PUNT, .peer.port = 5060, .length = MSG_TEXT_MAX};

    memset(packet, 'x', sizeof(packet));
    memcpy(packet, &punt, sizeof(punt));
    memcpy(packet + PUNT_MAX - sizeof(number), &number, sizeof(number));
}

static void offer(struct state *s, int control, uint64_t generation)
{
    const struct msg_offer offer = {
        .magic = MSG_MAGIC, .kind = MSG_OFFER, .generation = generation, .size = 4096};

    assert_int_equal(msg_send(control, &offer, sizeof(offer), &s->shared.fd, 1), 0);
    assert_int_equal(endpoint_hear(s->endpoint), 1);
    assert_int_equal(s->offered, generation);
}

static void assert_answer(int control, uint64_t generation, int status, const char *reason)
{
    struct msg_answer answer;

    assert_int_equal(take(control), MSG_ANSWER);
    memcpy(&answer, received, sizeof(answer));
    assert_int_equal(answer.generation, generation);
    assert_int_equal(answer.status, status);
    assert_string_equal(answer.reason, reason);
}

static void test_offers_are_answered(void **state)
{
    struct state *s = *state;
    int control = connect_control(s);

    assert_int_equal(endpoint_hear(s->endpoint), 0);
    offer(s, control, 4);
    assert_answer(control, 4, 0, "");
    s->status = -EBADMSG;
    offer(s, control, 5);
    assert_answer(control, 5, -EBADMSG, "not today");
    close(control);
    assert_int_equal(endpoint_hear(s->endpoint), -ECONNRESET);
    assert_int_equal(endpoint_control_fd(s->endpoint), -1);
}

static void test_punt_to_nobody(void **state)
{
    struct state *s = *state;
    int control;

    make_punt(0);
    assert_int_equal(endpoint_punt(s->endpoint, packet, PUNT_MAX), -ENOTCONN);
    control = connect_control(s);
    assert_int_equal(endpoint_punt(s->endpoint, packet, PUNT_MAX), 0);
    close(control);
    /* Gone, which main has not heard yet: lost, and no signal. */
    assert_true(endpoint_punt(s->endpoint, packet, PUNT_MAX) < 0);
    assert_true(endpoint_hear(s->endpoint) < 0);
    assert_int_equal(endpoint_punt(s->endpoint, packet, PUNT_MAX), -ENOTCONN);
}

/* A control that does not read: a few of the longest punts fit, nothing blocks, offers are
 * answered all the same, and what was taken arrives whole and in order. */
static void test_punts_leave_room_for_an_answer(void **state)
{
    struct state *s = *state;
    int control = connect_control(s);
    uint32_t taken = 0, number;

    for (int error = 0; error == 0; taken += error == 0) {
        make_punt(taken);
        error = endpoint_punt(s->endpoint, packet, PUNT_MAX);
        assert_true(error == 0 || error == -EAGAIN);
        assert_true(taken < 1000);
    }
    assert_true(taken >= FEW);
    for (uint64_t generation = 4; generation < 20; generation++)
        offer(s, control, generation);
    assert_int_equal(endpoint_punt(s->endpoint, packet, PUNT_MAX), -EAGAIN);
    for (uint32_t i = 0; i < taken; i++) {
        assert_int_equal(take(control), MSG_PUNT);
        memcpy(&number, received + PUNT_MAX - sizeof(number), sizeof(number));
        assert_int_equal(number, i);
    }
    for (uint64_t generation = 4; generation < 20; generation++)
        assert_answer(control, generation, 0, "");
    assert_int_equal(take(control), -EAGAIN);
    assert_int_equal(endpoint_punt(s->endpoint, packet, PUNT_MAX), 0);
    assert_int_equal(take(control), MSG_PUNT);
    close(control);
}

static void test_punts_go_to_the_new_control(void **state)
{
    struct state *s = *state;
    int old = connect_control(s), new = connect_control(s);

    make_punt(0);
    assert_int_equal(endpoint_punt(s->endpoint, packet, PUNT_MAX), 0);
    assert_int_equal(take(new), MSG_PUNT);
    assert_int_equal(recv(old, received, sizeof(received), 0), 0);
    close(old);
    close(new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_offers_are_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_punt_to_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_punts_leave_room_for_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_punts_go_to_the_new_control, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
