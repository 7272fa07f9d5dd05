/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of system calls, by libseccomp: see sandbox.h. tests/system sees to it that they
 * suffice.
 */
#include "control/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What belongs together stands together. */
/* clang-format off */
static const int allowed[] = {
    /* The loops, their timers, signals and inboxes. */
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_create), SCMP_SYS(epoll_create1), SCMP_SYS(poll), SCMP_SYS(ppoll),
    SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime), SCMP_SYS(pipe2), SCMP_SYS(socketpair), SCMP_SYS(signalfd4),
    /* Sockets. */
    SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(connect),
    SCMP_SYS(shutdown), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg),
    SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg),
    /* Descriptors and files: the configuration, secrets, keys, state. */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev),
    SCMP_SYS(pwrite64), SCMP_SYS(sendfile), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(close),
    SCMP_SYS(lseek), SCMP_SYS(dup), SCMP_SYS(memfd_create), SCMP_SYS(ftruncate), SCMP_SYS(flock),
    SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(fadvise64), SCMP_SYS(fallocate),
    SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
    SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(access), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
    SCMP_SYS(getdents64), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat), SCMP_SYS(umask), SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat),
    SCMP_SYS(chown), SCMP_SYS(fchown), SCMP_SYS(fchownat),
    /* Memory and threads. */
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(mlock),
    SCMP_SYS(munlock), SCMP_SYS(futex), SCMP_SYS(membarrier), SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getcpu), SCMP_SYS(exit), SCMP_SYS(exit_group),
    /* Time, signals, and what a process asks about itself. */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time),
    SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigpending), SCMP_SYS(sigaltstack), SCMP_SYS(getpid), SCMP_SYS(getppid),
    SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
    SCMP_SYS(getrandom), SCMP_SYS(getrusage), SCMP_SYS(times), SCMP_SYS(uname), SCMP_SYS(sysinfo),
};

static const int programs[] = {SCMP_SYS(execve), SCMP_SYS(execveat)};

static const int deadly[] = {
    SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
    SCMP_SYS(init_module), SCMP_SYS(finit_module),
    SCMP_SYS(delete_module), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(bpf),
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(move_mount), SCMP_SYS(open_tree),
    SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(reboot),
    SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(add_key), SCMP_SYS(keyctl),
    SCMP_SYS(request_key), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup),
};
/* clang-format on */

/* A call is allowed when `mask` of one of its arguments is `value`. */
struct condition {
    int call;
    unsigned int argument;
    uint64_t mask, value;
};

enum { WX = PROT_WRITE | PROT_EXEC };

static const struct condition conditions[] = {
    /* libevent asks how much there is, stdio whether it is a terminal, c-ares for an interface. No
     * other ioctl, in particular none that types into a terminal. */
    {SCMP_SYS(ioctl), 1, UINT32_MAX, FIONREAD},
    {SCMP_SYS(ioctl), 1, UINT32_MAX, FIONBIO},
    {SCMP_SYS(ioctl), 1, UINT32_MAX, TCGETS},
    {SCMP_SYS(ioctl), 1, UINT32_MAX, SIOCGIFINDEX},
    {SCMP_SYS(ioctl), 1, UINT32_MAX, SIOCGIFNAME},
    /* Flags, copies and seals; no signals to others (F_SETOWN). */
    {SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETFD},
    {SCMP_SYS(fcntl), 1, UINT32_MAX, F_SETFD},
    {SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETFL},
    {SCMP_SYS(fcntl), 1, UINT32_MAX, F_SETFL},
    {SCMP_SYS(fcntl), 1, UINT32_MAX, F_DUPFD_CLOEXEC},
    {SCMP_SYS(fcntl), 1, UINT32_MAX, F_GET_SEALS},
    {SCMP_SYS(fcntl), 1, UINT32_MAX, F_ADD_SEALS},
    {SCMP_SYS(socket), 0, UINT32_MAX, AF_UNIX},
    /* Memory is never written and run; libraries (the name service's, OpenSSL's) are mapped to run. */
    {SCMP_SYS(mmap), 2, WX, 0},
    {SCMP_SYS(mmap), 2, WX, PROT_WRITE},
    {SCMP_SYS(mmap), 2, WX, PROT_EXEC},
    {SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
    /* Threads, no processes. */
    {SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD},
    {SCMP_SYS(prctl), 0, UINT32_MAX, PR_SET_NAME},
    {SCMP_SYS(prlimit64), 0, UINT32_MAX, 0}, /* our own */
};

/* Of these families no raw sockets. */
static int add_sockets(scmp_filter_ctx filter)
{
    static const uint32_t families[] = {AF_INET, AF_INET6};
    static const uint32_t types[] = {SOCK_STREAM, SOCK_DGRAM};
    int error = 0;

    for (int i = 0; error == 0 && i < 4; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                                 SCMP_A0_32(SCMP_CMP_EQ, families[i / 2], 0),
                                 SCMP_A1_32(SCMP_CMP_MASKED_EQ, 0xf, types[i % 2]));
    return error;
}

static int add_conditions(scmp_filter_ctx filter)
{
    int error = 0;

    for (size_t i = 0; error == 0 && i < sizeof(conditions) / sizeof(conditions[0]); i++) {
        const struct condition *c = &conditions[i];
        const struct scmp_arg_cmp compare = {.arg = c->argument,
                                             .op = SCMP_CMP_MASKED_EQ,
                                             .datum_a = c->mask,
                                             .datum_b = c->value};

        error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, c->call, 1, &compare);
    }
    return error;
}

static int add_calls(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
    int error = 0;

    for (size_t i = 0; error == 0 && i < n; i++)
        error = seccomp_rule_add(filter, action, calls[i], 0);
    return error;
}

static int add_outer(scmp_filter_ctx filter)
{
    return add_calls(filter, SCMP_ACT_KILL_PROCESS, deadly, sizeof(deadly) / sizeof(deadly[0]));
}

static int add_inner(scmp_filter_ctx filter)
{
    int error = add_calls(filter, SCMP_ACT_ALLOW, allowed, sizeof(allowed) / sizeof(allowed[0]));

    if (error == 0)
        error = add_outer(filter); /* also where nobody began: by itself it is a whole one */
    if (error == 0)
        error = add_calls(filter, SCMP_ACT_KILL_PROCESS, programs,
                          sizeof(programs) / sizeof(programs[0]));
    if (error == 0)
        error = add_conditions(filter);
    if (error == 0)
        error = add_sockets(filter);
    /* Signals to our own threads alone: abort, pthread_kill. */
    if (error == 0)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                 SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)getpid(), 0));
    /* Its flags lie in memory, where a filter cannot look: libc then takes clone. */
    return error != 0 ? error
                      : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* Filters the calling thread, by rules that `add` knows; other calls meet `action`. */
static int load(uint32_t action, int (*add)(scmp_filter_ctx filter), char *ret_reason,
                size_t reason_size)
{
    scmp_filter_ctx filter = seccomp_init(action);
    int error = filter == NULL ? -ENOMEM : 0;

    if (error == 0)
        error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
    if (error == 0)
        error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (error == 0) /* a binary tree: each message is several calls */
        error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (error == 0)
        error = add(filter);
    if (error == 0)
        error = seccomp_load(filter);
    seccomp_release(filter);
    if (error < 0)
        snprintf(ret_reason, reason_size, "cannot filter system calls: %s", strerror(-error));
    return error;
}

int sandbox_begin(char *ret_reason, size_t reason_size)
{
    return load(SCMP_ACT_ALLOW, add_outer, ret_reason, reason_size);
}

int sandbox_enter(char *ret_reason, size_t reason_size)
{
    return load(SCMP_ACT_ERRNO(EPERM), add_inner, ret_reason, reason_size);
}
