/* SPDX-License-Identifier: Apache-2.0 */
/* Packets and descriptors between the planes: whole, cut, of another kind; no descriptor leaks. */
#include "tests/unit/config/sample.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/msg.h"

static int open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

struct pair {
    int a, b;
    int fds_before;
};

static int setup(void **state)
{
    static struct pair pair;
    int ends[2];

    pair.fds_before = open_fds();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return -1;
    pair.a = ends[0];
    pair.b = ends[1];
    *state = &pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;

    if (pair->a >= 0)
        close(pair->a);
    close(pair->b);
    return open_fds() == pair->fds_before ? 0 : -1;
}

static const struct msg_hello hello = {
    .magic = MSG_MAGIC, .kind = MSG_HELLO, .epoch = 42, .pid = 1};

static void test_round_trip(void **state)
{
    struct pair *pair = *state;
    struct msg_hello got;
    int pipe_fds[2], fds[2] = {-1, -1};
    uint32_t n = 2;
    char byte;

    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(msg_send(pair->a, &hello, sizeof(hello), pipe_fds, 2), 0);
    assert_int_equal(msg_receive(pair->b, &got, sizeof(got), fds, &n), sizeof(got));
    assert_int_equal(n, 2);
    assert_memory_equal(&got, &hello, sizeof(got));
    assert_true((fcntl(fds[0], F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    for (int i = 0; i < 2; i++) {
        close(fds[i]);
        close(pipe_fds[i]);
    }
}

static void test_no_descriptors(void **state)
{
    struct pair *pair = *state;
    struct msg_hello got;
    int fds[2];
    uint32_t n = 2;

    assert_int_equal(msg_send(pair->a, &hello, sizeof(hello), NULL, 0), 0);
    assert_int_equal(msg_receive(pair->b, &got, sizeof(got), fds, &n), sizeof(got));
    assert_int_equal(n, 0);
    assert_int_equal(msg_receive(pair->b, &got, sizeof(got), fds, &n), -EAGAIN);
}

static void test_peer_gone(void **state)
{
    struct pair *pair = *state;
    struct msg_hello got;
    int fds[2];
    uint32_t n = 2;

    close(pair->a);
    pair->a = -1;
    assert_int_equal(msg_receive(pair->b, &got, sizeof(got), fds, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(msg_send(pair->b, &hello, sizeof(hello), NULL, 0), -EPIPE);
}

/* Cut, of another magic, without room for one, with one descriptor too many: all are closed. */
static void test_refused(void **state)
{
    struct pair *pair = *state;
    struct msg_hello other = hello, got;
    int stdins[MSG_FDS_MAX + 1] = {0}, fds[2];
    uint32_t n = 2;

    assert_int_equal(msg_send(pair->a, &hello, sizeof(hello), stdins, 2), 0);
    assert_int_equal(msg_receive(pair->b, &got, sizeof(struct msg_offer), fds, &n), -EPROTO);
    assert_int_equal(n, 0);

    other.magic++;
    n = 2;
    assert_int_equal(msg_send(pair->a, &other, sizeof(other), stdins, 2), 0);
    assert_int_equal(msg_receive(pair->b, &got, sizeof(got), fds, &n), -EPROTO);
    assert_int_equal(n, 0);

    n = 2;
    assert_int_equal(msg_send(pair->a, &hello, 3, stdins, 1), 0);
    assert_int_equal(msg_receive(pair->b, &got, sizeof(got), fds, &n), -EPROTO);

    n = 1;
    assert_int_equal(msg_send(pair->a, &hello, sizeof(hello), stdins, 2), 0);
    assert_int_equal(msg_receive(pair->b, &got, sizeof(got), fds, &n), -EPROTO);
    assert_int_equal(msg_send(pair->a, &hello, sizeof(hello), stdins, MSG_FDS_MAX + 1), -EINVAL);
}

/* More descriptors than the receiver has room for at all: the kernel cuts, none stays open. */
static void test_many_descriptors(void **state)
{
    struct pair *pair = *state;
    struct msg_hello packet = hello, got;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * 20)];
    } room;
    struct iovec part = {&packet, sizeof(packet)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = room.bytes,
                             .msg_controllen = sizeof(room.bytes)};
    struct cmsghdr *header;
    int fds[2];
    uint32_t n = 2;

    memset(&room, 0, sizeof(room));
    header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * 20);
    assert_int_equal(sendmsg(pair->a, &message, 0), sizeof(packet));
    assert_int_equal(msg_receive(pair->b, &got, sizeof(got), fds, &n), -EPROTO);
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peer_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_descriptors, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
