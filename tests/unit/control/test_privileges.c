/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the filters of system calls let through, refuse, and end a process for; each asked by a child
 * that has entered one or both. Who control becomes is tests/system/test_privileges.py's.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/sandbox.h"

enum { NO_SANDBOX = 100 };

/* ---- What is tried: 0, or the errno ---- */

static int result(long value)
{
    return value < 0 ? errno : 0;
}

static int run_program(void)
{
    char *argv[] = {"/bin/true", NULL}, *environment[] = {NULL};

    return result(execve(argv[0], argv, environment));
}

static int trace(void)
{
    return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int mount_one(void)
{
    return result(mount("none", "/mnt", "tmpfs", 0, NULL));
}

static int load_module(void)
{
    return result(syscall(SYS_init_module, NULL, 0L, ""));
}

static int fork_process(void)
{
    return result(fork());
}

static int raw_socket(void)
{
    return result(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int netlink_socket(void)
{
    return result(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int type_into_terminal(void)
{
    return result(ioctl(STDIN_FILENO, TIOCSTI, "x"));
}

static int signal_parent(void)
{
    return result(kill(getppid(), 0));
}

static int write_and_run(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return at == MAP_FAILED ? errno : 0;
}

static int make_written_run(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return at == MAP_FAILED ? -1 : result(mprotect(at, 4096, PROT_READ | PROT_EXEC));
}

static int change_user(void)
{
    return result(setuid(getuid()));
}

static void *nothing(void *arg)
{
    return arg;
}

static int start_thread(void)
{
    pthread_t thread;
    int status = pthread_create(&thread, NULL, nothing, NULL);

    return status != 0 ? status : pthread_join(thread, NULL);
}

static int tcp_socket(void)
{
    return result(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static int seal_memory(void)
{
    int fd = memfd_create("tandem-test", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    return fd < 0 ? errno : result(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
}

static int read_file(void)
{
    return result(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int end_itself(void)
{
    abort();
}

/* ---- */

/* wait()'s status of a child that is filtered and tries it. */
static int try_in(int (*filter)(char *ret_reason, size_t reason_size), int (*what)(void))
{
    char reason[200];
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        signal(SIGABRT, SIG_DFL);
        _exit(filter(reason, sizeof(reason)) != 0 ? NO_SANDBOX : what());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int try(int (*what)(void))
{
    return try_in(sandbox_enter, what);
}

static void test_deadly(void **state)
{
    static int (*const deadly[])(void) = {run_program, trace, mount_one, load_module};

    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
        int status = try(deadly[i]);

        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
    }
}

static void test_refused(void **state)
{
    static int (*const refused[])(void) = {
        fork_process,  raw_socket,    netlink_socket,   type_into_terminal,
        signal_parent, write_and_run, make_written_run, change_user,
    };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        int status = try(refused[i]);

        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), EPERM);
    }
}

static void test_allowed(void **state)
{
    static int (*const granted[])(void) = {start_thread, tcp_socket, seal_memory, read_file};

    for (size_t i = 0; i < sizeof(granted) / sizeof(granted[0]); i++) {
        int status = try(granted[i]);

        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

/* ---- Both filters: the outer one, a thread, the inner one ---- */

static sem_t go;
static int (*in_thread)(void);

static void *wait_and_do(void *arg)
{
    sem_wait(&go);
    _exit(in_thread());
    return arg;
}

/* In a child with the outer filter: a thread that was there before the inner one came does it. */
static int beside(void)
{
    char reason[200];
    pthread_t thread;

    if (sem_init(&go, 0, 0) != 0 || pthread_create(&thread, NULL, wait_and_do, NULL) != 0 ||
        sandbox_enter(reason, sizeof(reason)) != 0)
        return NO_SANDBOX;
    sem_post(&go);
    return pthread_join(thread, NULL);
}

static int fork_one(void)
{
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    return child < 0 ? errno : 0;
}

/* Only it may run a program, which then is the process. */
static void test_thread_beside(void **state)
{
    static int (*const granted[])(void) = {run_program, fork_one, start_thread};
    static int (*const deadly[])(void) = {trace, mount_one, load_module};

    for (size_t i = 0; i < sizeof(granted) / sizeof(granted[0]); i++) {
        in_thread = granted[i];
        assert_int_equal(try_in(sandbox_begin, beside), 0);
    }
    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
        int status;

        in_thread = deadly[i];
        status = try_in(sandbox_begin, beside);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
    }
}

/* A failed assertion ends it as such. */
static void test_abort(void **state)
{
    int status = try(end_itself);

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadly),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_thread_beside),
        cmocka_unit_test(test_abort),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
