/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The change of user and the end of capabilities, by libcap-ng: see privileges.h.
 */
#include "control/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/log.h"

static const char KEY_CONTROL_USER[] = "dataplane.control_user", KEY_USER[] = "dataplane.user";

/* A refusal that bears the file, the key and its line. Returns -EPERM. */
static int __attribute__((format(printf, 4, 5)))
refuse(struct cfg_error *ret, const char *file, const char *key, const char *format, ...)
{
    va_list arguments;

    memset(ret, 0, sizeof(*ret));
    snprintf(ret->file, sizeof(ret->file), "%s", file);
    snprintf(ret->key, sizeof(ret->key), "%s", key);
    ret->line = cfg_line(file, key);
    va_start(arguments, format);
    vsnprintf(ret->reason, sizeof(ret->reason), format, arguments);
    va_end(arguments);
    return -EPERM;
}

/* Whom to become; NULL in *ret: nobody is named. 0, or -EPERM and why. */
static int find_user(const struct cfg *cfg, const char *file, const struct passwd **ret,
                     struct cfg_error *ret_error)
{
    const char *key = cfg->dataplane.control_user != NULL ? KEY_CONTROL_USER : KEY_USER;
    const char *name = cfg->dataplane.control_user;
    const struct passwd *entry;

    *ret = NULL;
    if (name == NULL)
        name = cfg->dataplane.user;
    if (name == NULL)
        return 0;
    entry = getpwnam(name);
    if (entry == NULL)
        return refuse(ret_error, file, key, "there is no user %s", name);
    if (geteuid() != 0 && geteuid() != entry->pw_uid)
        return refuse(ret_error, file, key, "user %u cannot become %s: only root can",
                      (unsigned int)geteuid(), name);
    *ret = entry;
    return 0;
}

/* Makes the directories of a path that are missing; the last one becomes the user's. What is wrong
 * with one that is there already, says who uses it. 0, or a negative errno. */
static int make_directory(const char *path, mode_t mode, const struct passwd *user)
{
    char part[PATH_MAX];
    struct stat status;

    if (stat(path, &status) == 0)
        return 0;
    if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
        return -ENAMETOOLONG;
    for (char *at = strchr(part + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return -errno;
        *at = '/';
    }
    if (mkdir(path, mode) != 0)
        return errno == EEXIST ? 0 : -errno;
    return lchown(path, user->pw_uid, user->pw_gid) != 0 ? -errno : 0;
}

/* What only root can make, for the user. */
static int make_directories(const struct cfg *cfg, const char *file, const struct passwd *user,
                            struct cfg_error *ret_error)
{
    char sockets[PATH_MAX];
    char *slash;
    int status = make_directory(cfg->control.state_dir, 0700, user);

    if (status != 0)
        return refuse(ret_error, file, "control.state_dir", "%s", strerror(-status));
    snprintf(sockets, sizeof(sockets), "%s", cfg->control.socket);
    slash = strrchr(sockets, '/');
    if (slash == NULL || slash == sockets)
        return 0;
    *slash = '\0';
    status = make_directory(sockets, 0755, user);
    return status == 0 ? 0 : refuse(ret_error, file, "control.socket", "%s", strerror(-status));
}

/* Leaves the thread one capability at most. Whoever starts as another user than root cannot shrink
 * its bounding set, which is of no use to it: no_new_privs. What is in there privileges_bequeath can
 * pass on, and nothing else. */
static int drop_capabilities(const struct passwd *user)
{
    bool binds = capng_have_capability(CAPNG_PERMITTED, CAP_NET_BIND_SERVICE);
    bool all = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);

    capng_clear(CAPNG_SELECT_ALL);
    if (binds && capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
                              CAP_NET_BIND_SERVICE) != 0)
        return -EPERM;
    if (all && capng_apply(CAPNG_SELECT_BOUNDS) != 0)
        return -EPERM;
    if (geteuid() == 0 && user != NULL)
        return capng_change_id((int)user->pw_uid, (int)user->pw_gid,
                               CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_AMBIENT) == 0
                   ? 0
                   : -EPERM;
    if (capng_apply(CAPNG_SELECT_CAPS) != 0)
        return -EPERM;
    return capng_apply(CAPNG_SELECT_AMBIENT) == 0 ? 0 : -EPERM;
}

int privileges_bequeath(void)
{
    if (!capng_have_capability(CAPNG_PERMITTED, CAP_NET_BIND_SERVICE))
        return 0;
    if (capng_update(CAPNG_ADD, CAPNG_INHERITABLE, CAP_NET_BIND_SERVICE) != 0 ||
        capng_apply(CAPNG_SELECT_CAPS) != 0)
        return -EPERM;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) != 0)
        return -errno;
    return 0;
}

/* Nothing is gained by exec; memory with keys is neither dumped nor looked into. */
static int close_up(void)
{
    const struct rlimit none = {0, 0};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
        setrlimit(RLIMIT_CORE, &none) != 0)
        return -errno;
    return 0;
}

/* What belongs to somebody else, usually root, who ran control before: said now, and not by the first
 * reload. */
static int check_files(const struct cfg *cfg, const char *file, const struct passwd *entry,
                       struct cfg_error *ret_error)
{
    const char *directory = cfg->control.state_dir, *secret = cfg->secret_file;
    char number[16];
    const char *user = entry != NULL ? entry->pw_name : number;

    snprintf(number, sizeof(number), "%u", (unsigned int)geteuid());
    if (access(file, R_OK) != 0)
        return refuse(ret_error, file, "", "user %s may not read it: no reload could", user);
    if (access(directory, R_OK | W_OK | X_OK) != 0 && errno == EACCES)
        return refuse(ret_error, file, "control.state_dir",
                      "user %s may not use %.80s: chown -R %s %.80s", user, directory, user,
                      directory);
    if (access(secret, R_OK) != 0 && errno == EACCES)
        return refuse(ret_error, file, "secret_file",
                      "user %s may not read %.80s: chown %s %.80s", user, secret, user, secret);
    return 0;
}

int privileges_become(const struct cfg *cfg, const char *file, struct cfg_error *ret_error)
{
    const struct passwd *user;
    int status = find_user(cfg, file, &user, ret_error);

    if (status == 0 && user != NULL && geteuid() == 0)
        status = make_directories(cfg, file, user, ret_error);
    if (status != 0)
        return status;
    if (drop_capabilities(user) != 0)
        return refuse(ret_error, file, "", "cannot change the user or drop capabilities");
    status = close_up();
    if (status != 0)
        return refuse(ret_error, file, "", "cannot drop privileges: %s", strerror(-status));
    if (geteuid() == 0)
        log_warning("runs as root: `dataplane: control_user:` names no other user");
    return check_files(cfg, file, user, ret_error);
}

int privileges_check(const struct cfg *cfg, const char *file, struct cfg_error *ret_error)
{
    const struct passwd *user;
    int status = find_user(cfg, file, &user, ret_error);

    return status != 0 ? status : check_files(cfg, file, user, ret_error);
}
