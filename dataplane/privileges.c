/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capabilities belong to threads, and capset changes the caller's alone. So main sends a signal to
 * every other thread (EAL's own ones included), whose handler drops what the thread has, and then
 * reads in /proc that it is so. It must not know what the threads do.
 */
#include "dataplane/privileges.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Two seconds for all threads to take a signal. */
enum { CHECK_PAUSE_MS = 1, CHECK_TIMES = 2000 };

/* Root without a capability still owns root's files. */
static const char NOBODY[] = "nobody";

int privileges_find_user(const char *name, struct privileges_user *ret)
{
    const struct passwd *entry;

    if (name == NULL && getuid() != 0) {
        *ret = (struct privileges_user){NULL, getuid(), getgid()};
        return 0;
    }
    if (name == NULL)
        name = NOBODY;
    entry = getpwnam(name);
    if (entry == NULL)
        return -ENOENT;
    *ret = (struct privileges_user){name, entry->pw_uid, entry->pw_gid};
    return 0;
}

void privileges_bound(void)
{
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

/* Leaves the calling thread `kept` (a mask of capabilities below 32). Async-signal-safe. */
static int keep_only(uint32_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct data[2] = {{.effective = kept, .permitted = kept}};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -errno;
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static void drop_in_thread(int signal_number)
{
    int error = errno;

    keep_only(0); /* whether it worked, main reads in /proc */
    errno = error;
}

/* Whether a thread has a capability left or may gain one; so it is taken to be where one cannot
 * look. Gone threads have none. */
static bool thread_has_some(const char *tid)
{
    char path[64], line[128];
    bool some = false;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", tid);
    file = fopen(path, "re");
    if (file == NULL)
        return errno != ENOENT && errno != ESRCH;
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "CapEff:", 7) == 0 || strncmp(line, "CapPrm:", 7) == 0)
            some |= strtoull(line + 7, NULL, 16) != 0;
        else if (strncmp(line, "NoNewPrivs:", 11) == 0)
            some |= strtoul(line + 11, NULL, 10) != 1;
    }
    fclose(file);
    return some;
}

/* Signals every thread but the caller (0: does not). Returns how many have capabilities left. */
static int visit_threads(int signal_number)
{
    DIR *tasks = opendir("/proc/self/task");
    pid_t self = gettid();
    int n = 0;

    if (tasks == NULL)
        return -errno;
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (tid <= 0 || tid == self)
            continue;
        if (signal_number != 0)
            syscall(SYS_tgkill, getpid(), tid, signal_number);
        n += thread_has_some(entry->d_name);
    }
    closedir(tasks);
    return n;
}

static int drop_in_others(void)
{
    const struct timespec pause = {.tv_nsec = CHECK_PAUSE_MS * 1000000L};
    const struct sigaction action = {.sa_handler = drop_in_thread, .sa_flags = SA_RESTART};
    struct sigaction before;
    int left;

    if (sigaction(SIGUSR2, &action, &before) < 0)
        return -errno;
    left = visit_threads(SIGUSR2);
    for (int i = 0; i < CHECK_TIMES && left > 0; i++) {
        nanosleep(&pause, NULL);
        left = visit_threads(0);
    }
    /* A thread that is late must not die of the signal: then the handler stays. */
    if (left == 0)
        sigaction(SIGUSR2, &before, NULL);
    return left > 0 ? -ETIMEDOUT : left;
}

/* All threads change with setres*id (glibc sees to it); only main keeps its permitted set then. */
static int become(const struct privileges_user *user)
{
    if (user->name == NULL)
        return 0;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || initgroups(user->name, user->gid) < 0 ||
        setresgid(user->gid, user->gid, user->gid) < 0 ||
        setresuid(user->uid, user->uid, user->uid) < 0)
        return -errno;
    return 0;
}

int privileges_drop(const struct privileges_user *user, char *ret_reason, size_t reason_size)
{
    int error = become(user);

    if (error < 0) {
        snprintf(ret_reason, reason_size, "cannot become user %s: %s", user->name,
                 strerror(-error));
        return error;
    }
    error = drop_in_others();
    if (error == 0)
        error = keep_only(1u << CAP_NET_ADMIN);
    if (error < 0)
        snprintf(ret_reason, reason_size, "cannot drop capabilities: %s", strerror(-error));
    return error;
}
