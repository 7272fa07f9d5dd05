/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that pass from one control to the next: found again by what they are, and closed when
 * they are nothing that control listens to. The execve(2) between is
 * tests/system/test_stream_restart.py's.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/address.h"
#include "control/handover.h"

/* A socket of ours at a loopback address, and where. */
static int bound(int family, int type, struct sip_addr *ret)
{
    union address address = {.any = {.sa_family = (sa_family_t)family}};
    socklen_t size = family == AF_INET ? sizeof(address.v4) : sizeof(address.v6);
    int fd = socket(family, type | SOCK_CLOEXEC, 0);

    assert_true(fd > STDERR_FILENO);
    if (family == AF_INET)
        address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        address.v6.sin6_addr = in6addr_loopback;
    assert_int_equal(bind(fd, &address.any, size), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, &address.any, &size), 0);
    *ret = address_from_kernel(&address);
    return fd;
}

static int at_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* Whether a client gets through to a listening socket. */
static void assert_listens(int fd, const struct sip_addr *addr)
{
    union address to;
    socklen_t size = address_to_kernel(addr, &to);
    int client = socket(to.any.sa_family, SOCK_STREAM, 0), accepted;

    assert_int_equal(connect(client, &to.any, size), 0);
    accepted = accept(fd, NULL, NULL);
    assert_true(accepted >= 0);
    close(accepted);
    close(client);
}

/* What one keeps, closes and tells of, the next finds. */
static void test_there_and_back(void **state)
{
    char path[] = "/tmp/tandem-handover-XXXXXX", *told;
    struct handover *first = handover_new(NULL), *next;
    struct sip_addr tcp, udp, six;
    int fds[4], fd;

    assert_int_equal(close(mkstemp(path)), 0);
    assert_int_equal(unlink(path), 0);
    fds[0] = bound(AF_INET, SOCK_STREAM, &tcp);
    fds[1] = bound(AF_INET, SOCK_DGRAM, &udp);
    fds[2] = bound(AF_INET6, SOCK_STREAM, &six);
    fds[3] = at_path(path);
    for (int i = 0; i < 4; i++) {
        handover_keep(first, fds[i]);
        close(fds[i]);
    }
    assert_int_equal(handover_count(first), 4);
    told = handover_tell(first);
    handover_open(told);
    for (const char *at = told; at != NULL; at = strchr(at + 1, ','))
        assert_int_equal(fcntl(atoi(*at == ',' ? at + 1 : at), F_GETFD), 0);

    next = handover_new(told);
    assert_int_equal(handover_count(next), 4);
    assert_int_equal(handover_take(next, SOCK_DGRAM, &tcp), -1);
    assert_int_equal(handover_take_path(next, "/tmp/another"), -1);
    fd = handover_take(next, SOCK_STREAM, &tcp);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_listens(fd, &tcp);
    close(fd);
    assert_int_equal(handover_take(next, SOCK_STREAM, &tcp), -1); /* once */
    fd = handover_take(next, SOCK_STREAM, &six);
    assert_listens(fd, &six);
    close(fd);
    fd = handover_take_path(next, path);
    assert_true(is_open(fd));
    close(fd);
    fd = handover_take(next, SOCK_DGRAM, &udp);
    assert_true(is_open(fd));
    close(fd);
    assert_int_equal(handover_count(next), 0);
    handover_free(next);
    free(first); /* its descriptors were the next's */
    free(told);
    unlink(path);
}

/* One of several at the same address for each who asks; the rest is closed. */
static void test_the_rest(void **state)
{
    struct handover *h = handover_new(NULL);
    struct sip_addr addr, other;
    int fd = bound(AF_INET, SOCK_STREAM, &addr), more = bound(AF_INET, SOCK_STREAM, &other), taken;
    char *told;

    handover_keep(h, fd);
    handover_keep(h, fd);
    handover_keep(h, more);
    close(fd);
    close(more);
    taken = handover_take(h, SOCK_STREAM, &addr);
    assert_true(is_open(taken));
    told = handover_tell(h);
    handover_close(h);
    assert_int_equal(handover_count(h), 0);
    assert_false(is_open(atoi(told)));
    assert_true(is_open(taken));
    close(taken);
    free(told);
    handover_free(h);
}

/* What is told is not believed. */
static void test_unknown(void **state)
{
    static const char *const lists[] = {
        "", ",", "x", "-1", "0,1,2", "99999999999999999999", "3x", "1000000", " ", "4096,"};
    struct sip_addr addr;
    int pipes[2], pair[2], deaf = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int good = bound(AF_INET, SOCK_STREAM, &addr);
    struct handover *h;
    char told[100];

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        h = handover_new(lists[i]);
        assert_int_equal(handover_count(h), 0);
        handover_free(h);
    }
    assert_int_equal(fcntl(STDOUT_FILENO, F_GETFD), 0);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    snprintf(told, sizeof(told), "%d,%d,%d,%d", pipes[0], pair[0], deaf, good);
    h = handover_new(told);
    assert_int_equal(handover_count(h), 1);
    assert_false(is_open(pipes[0]) || is_open(pair[0]) || is_open(deaf));
    assert_true(is_open(good));
    handover_free(h);
    assert_false(is_open(good));
    close(pipes[1]);
    close(pair[1]);
}

/* Where nothing is handed over. */
static void test_nobody(void **state)
{
    struct sip_addr addr = {.port = 5060};

    assert_int_equal(handover_take(NULL, SOCK_STREAM, &addr), -1);
    assert_int_equal(handover_take_path(NULL, "/"), -1);
    handover_keep(NULL, STDOUT_FILENO);
    handover_close(NULL);
    handover_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_the_rest),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
