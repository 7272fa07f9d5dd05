/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that runs programs: see successor.h. When it calls execve(2) it becomes the process,
 * with its own filter of system calls instead of the others', so that filters do not pile up and a
 * new version may have another one.
 */
#include "control/successor.h"

#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/handover.h"
#include "control/log.h"
#include "control/privileges.h"

static const char SELF[] = "/proc/self/exe";

struct successor {
    char path[PATH_MAX];
    char **argv;
    char **environment; /* of a check: this process's, and the variable */
    pthread_t thread;
    sem_t asked, answered;
    const char *told; /* NULL: a check is asked for */
    sigset_t blocked; /* by who asks */
    int fd;           /* an eventfd: a check is over */
    int status;       /* of the last question: 0, a negative errno, */
    int ended;        /* or how the check ended: waitpid(2)'s */
    char reason[120];
};

/* ---- Which file ---- */

/* As the kernel knows it, after an upgrade too. False: it does not say. */
static bool path_of_self(char ret[PATH_MAX])
{
    static const char gone[] = " (deleted)";
    ssize_t length = readlink(SELF, ret, PATH_MAX - 1);

    if (length <= 0)
        return false;
    ret[length] = '\0';
    if (length >= (ssize_t)sizeof(gone) && strcmp(ret + length - sizeof(gone) + 1, gone) == 0)
        ret[length - (ssize_t)sizeof(gone) + 1] = '\0';
    return true;
}

/* As it was called, if that is this program: a link that leads to another version later is followed
 * then. */
static bool path_as_called(const char *name, char ret[PATH_MAX])
{
    struct stat called, self;
    char directory[PATH_MAX] = "";
    int length;

    if (strchr(name, '/') == NULL || stat(name, &called) != 0 || stat(SELF, &self) != 0 ||
        called.st_dev != self.st_dev || called.st_ino != self.st_ino)
        return false;
    if (*name != '/' && getcwd(directory, sizeof(directory)) == NULL)
        return false;
    length = snprintf(ret, PATH_MAX, "%s%s%s", directory, *name == '/' ? "" : "/", name);
    return length > 0 && length < PATH_MAX;
}

/* ---- In the thread ---- */

/* A process of the program that says whether the file is good. 0, or a negative errno. */
static int spawn(struct successor *s, pid_t *ret)
{
    char option[] = "--check";
    char *argv[] = {s->argv[0], option, s->argv[1], NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int status;

    sigemptyset(&none);
    if (posix_spawnattr_init(&attributes) != 0)
        return -ENOMEM;
    if (posix_spawn_file_actions_init(&actions) != 0) {
        posix_spawnattr_destroy(&attributes);
        return -ENOMEM;
    }
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    status = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    if (status == 0)
        status = posix_spawn(ret, s->path, &actions, &attributes, argv, s->environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return -status;
}

/* 0, or a negative errno. */
static int check(struct successor *s)
{
    struct pollfd end = {.events = POLLIN};
    pid_t child;
    int status = spawn(s, &child);

    if (status != 0)
        return status;
    end.fd = pidfd_open(child, 0);
    if (end.fd < 0 || poll(&end, 1, SUCCESSOR_CHECK_MS) != 1) {
        status = end.fd < 0 ? -errno : -ETIMEDOUT;
        kill(child, SIGKILL);
    }
    if (end.fd >= 0)
        close(end.fd);
    if (waitpid(child, &s->ended, 0) != child)
        status = -errno;
    return status;
}

/* Returns only with a negative errno. */
static int begin(struct successor *s)
{
    int status = privileges_bequeath();

    if (status == 0 && close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0)
        status = -errno;
    if (status != 0)
        return status;
    handover_open(s->told);
    pthread_sigmask(SIG_SETMASK, &s->blocked, NULL);
    execv(s->path, s->argv);
    status = -errno;
    log_error("%s: %s: this version goes on in its place", s->path, strerror(-status));
    execv(SELF, s->argv);
    return status;
}

static void *run(void *arg)
{
    const uint64_t one = 1;
    struct successor *s = arg;

    for (;;) {
        while (sem_wait(&s->asked) != 0)
            ;
        if (s->told != NULL) {
            s->status = begin(s);
            sem_post(&s->answered);
        } else {
            s->ended = 0;
            s->status = check(s);
            if (write(s->fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
                abort(); /* nobody would ever hear of it */
        }
    }
    return NULL;
}

/* ---- Who asks ---- */

/* Once, since others may read the environment later. */
static char **environment_of_checks(void)
{
    static char variable[] = HANDOVER_VARIABLE "=";
    size_t n = 0, kept = 0;
    char **made;

    while (environ[n] != NULL)
        n++;
    made = calloc(n + 2, sizeof(*made));
    for (size_t i = 0; made != NULL && i < n; i++) {
        if (strncmp(environ[i], variable, sizeof(variable) - 1) != 0)
            made[kept++] = environ[i];
    }
    if (made != NULL)
        made[kept] = variable;
    return made;
}

struct successor *successor_new(char **argv)
{
    struct successor *s = calloc(1, sizeof(*s));
    sigset_t all, before;
    int status = ENOMEM;

    if (s == NULL)
        return NULL;
    s->argv = argv;
    s->environment = environment_of_checks();
    s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->environment != NULL && s->fd >= 0 &&
        (path_as_called(argv[0], s->path) || path_of_self(s->path)) &&
        sem_init(&s->asked, 0, 0) == 0 && sem_init(&s->answered, 0, 0) == 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        status = pthread_create(&s->thread, NULL, run, s);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (status == 0)
        return s;
    if (s->fd >= 0)
        close(s->fd);
    free(s->environment);
    free(s);
    return NULL;
}

const char *successor_path(const struct successor *s)
{
    return s->path;
}

void successor_check(struct successor *s)
{
    s->told = NULL;
    sem_post(&s->asked);
}

int successor_fd(const struct successor *s)
{
    return s->fd;
}

int successor_checked(struct successor *s, const char **ret_reason)
{
    uint64_t n;

    if (read(s->fd, &n, sizeof(n)) != (ssize_t)sizeof(n))
        return -EAGAIN;
    if (s->status == 0 && WIFEXITED(s->ended) && WEXITSTATUS(s->ended) == 0)
        return 0;
    if (s->status != 0)
        snprintf(s->reason, sizeof(s->reason), "it cannot be run: %s", strerror(-s->status));
    else if (WIFEXITED(s->ended))
        snprintf(s->reason, sizeof(s->reason), "its check ended with status %d",
                 WEXITSTATUS(s->ended));
    else
        snprintf(s->reason, sizeof(s->reason), "its check ended by signal %d", WTERMSIG(s->ended));
    *ret_reason = s->reason;
    return s->status != 0 ? s->status : -EINVAL;
}

int successor_begin(struct successor *s, const char *told)
{
    pthread_sigmask(SIG_SETMASK, NULL, &s->blocked);
    s->told = told;
    sem_post(&s->asked);
    while (sem_wait(&s->answered) != 0)
        ;
    return s->status;
}
