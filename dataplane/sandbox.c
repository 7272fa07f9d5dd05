/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of system calls, by libseccomp. It was made by watching af_packet, af_xdp and the TAPs
 * run, take snapshots, lose addresses and stop; tests/system sees to it that it suffices.
 */
#include "dataplane/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* What belongs together stands together. */
/* clang-format off */
static const int allowed[] = {
    /* Main's loop, the rings' eventfd, the devices and sockets that are open. */
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_create), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(read), SCMP_SYS(readv),
    SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(sendto),
    SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(accept4),
    SCMP_SYS(shutdown), SCMP_SYS(bind), SCMP_SYS(getsockname), SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt), SCMP_SYS(timerfd_settime), SCMP_SYS(close), SCMP_SYS(lseek),
    SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(fstatfs),
    /* Memory: snapshots, fibs, libc's heap, the locks of DPDK's. */
    SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise),
    SCMP_SYS(brk), SCMP_SYS(mlock), SCMP_SYS(munlock), SCMP_SYS(futex), SCMP_SYS(membarrier),
    /* Time, threads, signals (net_tap's). */
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(restart_syscall), SCMP_SYS(sched_yield), SCMP_SYS(getcpu),
    SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getrandom), SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(tgkill), SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    /* The end: the socket's name, AF_XDP's program (libxdp takes a lock in /run/xdp). */
    SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(bpf), SCMP_SYS(flock), SCMP_SYS(statfs),
};

static const int deadly[] = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev), SCMP_SYS(init_module), SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load),
};
/* clang-format on */

/* By what their numbers have in common (_IOC, asm-generic/ioctl.h): a list of families, since each
 * driver has its own, without the terminals', which can type into the shell that started us. */
static const struct {
    uint32_t mask, value;
} ioctls[] = {
    {0xff00, 0x8900},         /* sockets and interfaces, SIOC… */
    {0x3fffff00, 0x00045400}, /* TAPs, TUN…: an int; terminals' numbers have no size */
    {0xff00, 0xaf00},         /* vhost */
    {0xff00, 0x3b00},         /* VFIO */
    {0xff00, 0x1b00},         /* RDMA: mlx5 */
};

static int add_ioctls(scmp_filter_ctx filter)
{
    int error = 0;

    for (size_t i = 0; error == 0 && i < sizeof(ioctls) / sizeof(ioctls[0]); i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                 SCMP_A1_32(SCMP_CMP_MASKED_EQ, ioctls[i].mask, ioctls[i].value));
    return error;
}

/* Of descriptors the flags, of snapshots the seals; no signals to others (F_SETOWN). */
static int add_fcntls(scmp_filter_ctx filter)
{
    static const unsigned int commands[] = {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GET_SEALS};
    int error = 0;

    for (size_t i = 0; error == 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                                 SCMP_A1_32(SCMP_CMP_EQ, commands[i], 0));
    return error;
}

/* net_tap and libxdp ask by netlink when they close a device, io/ by a datagram socket for an
 * interface's flags. */
static int add_sockets(scmp_filter_ctx filter)
{
    int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                                 SCMP_A0_32(SCMP_CMP_EQ, AF_INET, 0),
                                 SCMP_A1_32(SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM));

    if (error == 0)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                 SCMP_A0_32(SCMP_CMP_EQ, AF_NETLINK, 0));
    return error;
}

/* Files are opened to read alone: libxdp's lock, libgcc for pthread_cancel at the end. */
static int add_opens(scmp_filter_ctx filter)
{
    const uint32_t writing = O_ACCMODE | O_CREAT | O_TRUNC;

    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                            SCMP_A2_32(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
}

static int add_rules(scmp_filter_ctx filter)
{
    int error = 0;

    for (size_t i = 0; error == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; error == 0 && i < sizeof(deadly) / sizeof(deadly[0]); i++)
        error = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
    if (error == 0)
        error = add_ioctls(filter);
    if (error == 0)
        error = add_fcntls(filter);
    if (error == 0)
        error = add_sockets(filter);
    return error == 0 ? add_opens(filter) : error;
}

int sandbox_enter(char *ret_reason, size_t reason_size)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int error = filter == NULL ? -ENOMEM : 0;

    if (error == 0)
        error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (error == 0)
        error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (error == 0) /* a binary tree: workers call the kernel for each burst */
        error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (error == 0)
        error = add_rules(filter);
    if (error == 0)
        error = seccomp_load(filter);
    seccomp_release(filter);
    if (error < 0)
        snprintf(ret_reason, reason_size, "cannot filter system calls: %s", strerror(-error));
    return error;
}
