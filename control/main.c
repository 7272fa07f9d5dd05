/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tandem-control: reads its arguments, puts the parts together, runs the loop until it is told to
 * stop. The data plane goes on without it.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/admin.h"
#include "control/handover.h"
#include "control/health/health.h"
#include "control/log.h"
#include "control/members.h"
#include "control/metrics.h"
#include "control/metrics_http.h"
#include "control/names.h"
#include "control/privileges.h"
#include "control/reload.h"
#include "control/sandbox.h"
#include "control/stream/stream.h"
#include "control/stream/tls/tls.h"
#include "control/successor.h"

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2 };

static const char USAGE[] =
    "usage: tandem-control FILE          run with that configuration\n"
    "       tandem-control --check FILE  say nothing (exit 0) or what is wrong with it (exit 1)\n"
    "       tandem-control --version | --help\n"
    "SIGHUP reloads FILE, SIGTERM stops, SIGUSR2 lets the program on disk take this one's place\n"
    "without refusing a connection; the data plane goes on meanwhile.\n";

struct control {
    struct loop *loop;
    struct reload *reload;
    struct resolver resolver;
    struct members *members;
    struct stream *stream;
    struct names *names;
    struct health *health;
    struct admin *admin;
    struct metrics_start metrics_start;
    struct metrics_http *metrics; /* NULL: not configured */
    struct successor *successor;
    struct handover *handover;
    bool checking, leaving; /* for a successor: whether it can run is being looked at; it can */
    struct loop_event *hup, *term, *interrupt, *usr2, *checked;
};

/* Tells the service manager, if one asked (sd_notify(3): a datagram to $NOTIFY_SOCKET). */
static void notify(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path == NULL ? 0 : strlen(path);
    int fd;

    if (length == 0 || length >= sizeof(address.sun_path) || (*path != '/' && *path != '@'))
        return;
    memcpy(address.sun_path, path, length);
    if (*path == '@')
        address.sun_path[0] = '\0'; /* an abstract socket */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
        log_warning("NOTIFY_SOCKET: %s", strerror(errno));
    close(fd);
}

static void on_ready(void *arg)
{
    (void)arg;
    fputs("ready\n", stderr);
    notify("READY=1");
}

static void on_outcome(void *arg, const struct reload_outcome *outcome)
{
    (void)arg; /* reload has logged it */
    (void)outcome;
}

static void on_hup(void *arg)
{
    struct control *control = arg;
    const struct plan_change change = {.kind = PLAN_FILE};

    reload_ask(control->reload, &change, on_outcome, control);
}

static void on_stop(void *arg)
{
    struct control *control = arg;

    notify("STOPPING=1");
    loop_stop(control->loop);
}

static void on_usr2(void *arg)
{
    struct control *control = arg;

    if (control->checking)
        return;
    log_info("asked to start anew: %s is to say whether it can",
             successor_path(control->successor));
    control->checking = true;
    successor_check(control->successor);
}

static void on_checked(void *arg)
{
    struct control *control = arg;
    const char *reason = "";

    control->checking = false;
    control->leaving = successor_checked(control->successor, &reason) == 0;
    if (control->leaving)
        loop_stop(control->loop);
    else
        log_error("does not start anew: %s: %s", successor_path(control->successor), reason);
}

/* 0, or -EINVAL and one line in ret_text. */
static int metrics_init(struct control *control, char *ret_text)
{
    const struct sip_addr *addr = &reload_cfg(control->reload)->control.metrics;
    const struct metrics_http_conf conf = {.path = "/metrics",
                                           .type = "text/plain; version=0.0.4; charset=utf-8",
                                           .page = metrics_write,
                                           .arg = &control->metrics_start,
                                           .handover = control->handover};
    char text[SIP_ADDR_TEXT_MAX];

    if (addr->port == 0)
        return 0;
    control->metrics_start = (struct metrics_start){
        .reload = control->reload,
        .health = control->health,
        .stream = control->stream,
        .version = TANDEM_VERSION,
        .start_s = (uint64_t)time(NULL),
    };
    control->metrics = metrics_http_new(control->loop, addr, &conf);
    if (control->metrics != NULL)
        return 0;
    snprintf(ret_text, PLAN_TEXT_MAX, "control.metrics: %.*s: %s", (int)sip_addr_print(addr, text),
             text, strerror(errno));
    return -EINVAL;
}

static void control_done(struct control *control)
{
    metrics_http_free(control->metrics);
    admin_free(control->admin);
    dns_free(control->resolver.dns);
    names_free(control->names);
    stream_free(control->stream);
    health_free(control->health);
    members_free(control->members);
    reload_free(control->reload);
    resolver_done(&control->resolver);
    loop_event_free(control->hup);
    loop_event_free(control->term);
    loop_event_free(control->interrupt);
    loop_event_free(control->usr2);
    loop_event_free(control->checked);
    loop_free(control->loop);
}

static int resolve(void *dns, const char *host, uint16_t port, uint8_t transport,
                   void (*done)(void *arg, const struct dns_result *result), void *arg)
{
    return dns_resolve(dns, host, port, transport, done, arg);
}

static int set_servers(void *dns, const struct sip_addr *servers, uint32_t n)
{
    return dns_servers(dns, servers, n);
}

/* Who asks DNS, and what it says of the configuration's backends: a start waits for that, but not
 * for long. False: no memory. */
static bool make_members(struct control *control, const struct cfg *cfg)
{
    control->resolver = (struct resolver){
        .resolve = resolve, .servers = set_servers, .dns = dns_new(control->loop)};
    if (control->resolver.dns != NULL)
        control->members = members_new(control->loop, &control->resolver);
    if (control->members != NULL)
        members_learn(control->members, cfg);
    return control->members != NULL;
}

static struct tls *on_tls(void *stream)
{
    return stream_tls(stream);
}

/* Everything but running. 0, or -EINVAL and one line in ret_text. */
static int control_init(struct control *control, const char *file, struct cfg *cfg, char *ret_text)
{
    snprintf(ret_text, PLAN_TEXT_MAX, "no memory");
    control->loop = loop_new();
    if (control->loop == NULL || !make_members(control, cfg)) {
        cfg_free(cfg);
        return -EINVAL;
    }
    control->hup = loop_signal(control->loop, SIGHUP, on_hup, control);
    control->term = loop_signal(control->loop, SIGTERM, on_stop, control);
    control->interrupt = loop_signal(control->loop, SIGINT, on_stop, control);
    control->usr2 = loop_signal(control->loop, SIGUSR2, on_usr2, control);
    control->checked = loop_watch(control->loop, successor_fd(control->successor), LOOP_READ,
                                  on_checked, control);
    control->reload =
        reload_new(control->loop, file, cfg, control->members, on_ready, NULL, ret_text);
    if (control->reload == NULL)
        return -EINVAL;
    cfg = NULL; /* reload's now */
    members_follow(control->members, control->reload);
    control->health = health_new(control->loop, control->reload);
    control->stream = stream_new(control->loop, control->reload, control->handover);
    if (control->stream != NULL)
        control->names =
            names_new(control->loop, control->reload, control->stream, &control->resolver);
    if (control->health == NULL || control->names == NULL) {
        snprintf(ret_text, PLAN_TEXT_MAX, "no memory");
        return -EINVAL;
    }
    health_use_tls(control->health, on_tls, control->stream);
    control->admin = admin_new(control->loop,
                               &(struct admin_parts){.handover = control->handover,
                                                     .reload = control->reload,
                                                     .names = control->names,
                                                     .stream = control->stream,
                                                     .health = control->health},
                               reload_cfg(control->reload)->control.socket,
                               reload_cfg(control->reload)->control.socket_group, ret_text);
    if (control->admin == NULL || control->hup == NULL || control->term == NULL ||
        control->interrupt == NULL || control->usr2 == NULL || control->checked == NULL)
        return -EINVAL;
    return metrics_init(control, ret_text);
}

/* One line on standard error. */
static void complain(const struct cfg_error *error)
{
    char text[768];

    cfg_error_print(error, text, sizeof(text));
    fprintf(stderr, "%s\n", text);
}

/* The configuration, or NULL after its one line. */
static struct cfg *load(const char *file)
{
    struct cfg_error error = {0};
    struct cfg *cfg = cfg_load(file, &error);

    if (cfg == NULL)
        complain(&error);
    return cfg;
}

static int check(const char *file)
{
    bool succeeds = getenv(HANDOVER_VARIABLE) != NULL; /* who asks is to be followed */
    struct cfg_error error = {0};
    struct cfg *cfg = load(file);
    int status = cfg == NULL ? EXIT_REFUSED : EXIT_SUCCESS;

    if (cfg != NULL && (tls_check(cfg, &error) != 0 ||
                        (succeeds && privileges_check(cfg, file, &error) != 0))) {
        complain(&error);
        status = EXIT_REFUSED;
    }
    cfg_free(cfg);
    return status;
}

/* From here on it may do what it needs, and no more; `succeeds`: a predecessor began that. NULL: it
 * may not run. */
static struct successor *confine(const struct cfg *cfg, char **argv, bool succeeds)
{
    struct successor *successor = NULL;
    struct cfg_error error;
    char text[768] = "no memory";

    if (privileges_become(cfg, argv[1], &error) != 0)
        cfg_error_print(&error, text, sizeof(text));
    else if (succeeds || sandbox_begin(text, sizeof(text)) == 0)
        successor = successor_new(argv);
    if (successor != NULL && sandbox_enter(text, sizeof(text)) == 0)
        return successor;
    fprintf(stderr, "%s\n", text);
    return NULL;
}

/* A connection for each backend that is probed over TCP, and more. */
static void allow_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warning("no more than usual files may be open: %s", strerror(errno));
}

/* Copies of the data plane's counters, megabytes, come and go with each change. Their memory stays
 * ours: to have it from the kernel again and again takes longer than to fill it (perf/run swap: a
 * change took 9.4 ms, now 3.7). */
static void keep_memory(void)
{
    enum { FROM_HEAP_BYTES = 32 << 20, KEPT_BYTES = 128 << 20 };

    if (mallopt(M_MMAP_THRESHOLD, FROM_HEAP_BYTES) == 0 ||
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES) == 0)
        log_warning("freed memory goes back to the kernel at once: changes are slower");
}

/* What is sent to this process while nobody is there to take it waits for the successor. */
static void hold_signals(int how, bool stops)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR2);
    if (stops) {
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
    }
    pthread_sigmask(how, &set, NULL);
}

/* Everything but the listening sockets ends; then the successor begins. Returns when it cannot. */
static void hand_over(struct control *control)
{
    char *told;
    int status;

    hold_signals(SIG_BLOCK, true);
    stream_leave(control->stream);
    admin_leave(control->admin);
    if (control->metrics != NULL)
        metrics_http_leave(control->metrics);
    log_info("%u listening sockets are handed over to %s", handover_count(control->handover),
             successor_path(control->successor));
    control_done(control);
    told = handover_tell(control->handover);
    if (told == NULL || setenv(HANDOVER_VARIABLE, told, 1) != 0)
        status = -ENOMEM;
    else
        status = successor_begin(control->successor, told);
    log_error("%s: %s", successor_path(control->successor), strerror(-status));
    free(told);
}

/* Runs until it is told to stop, or to let a successor go on. False: there was something wrong. */
static bool serve(struct control *control, const char *file, struct cfg *cfg)
{
    char text[PLAN_TEXT_MAX];
    bool good = control_init(control, file, cfg, text) == 0;

    if (!good) {
        fprintf(stderr, "%s\n", text);
    } else {
        handover_close(control->handover);
        hold_signals(SIG_UNBLOCK, true);
        good = loop_run(control->loop) == 0;
        if (!good)
            log_error("the event loop failed");
    }
    if (good && control->leaving) {
        hand_over(control);
        return false;
    }
    control_done(control);
    return good;
}

static int run(char **argv)
{
    const char *file = argv[1], *told = getenv(HANDOVER_VARIABLE);
    struct control control = {.handover = handover_new(told)};
    struct cfg *cfg = load(file);
    int lock, status;

    hold_signals(SIG_BLOCK, false);
    if (cfg == NULL || control.handover == NULL)
        goto refuse;
    control.successor = confine(cfg, argv, told != NULL);
    if (control.successor == NULL)
        goto refuse;
    unsetenv(HANDOVER_VARIABLE);
    lock = state_lock(cfg->control.state_dir);
    if (lock < 0) {
        fprintf(stderr, "control.state_dir: %s: %s\n", cfg->control.state_dir,
                lock == -EWOULDBLOCK ? "another tandem-control uses it" : strerror(-lock));
        goto refuse;
    }
    allow_files();
    keep_memory();
    status = serve(&control, file, cfg) ? EXIT_SUCCESS : EXIT_REFUSED;
    handover_free(control.handover);
    close(lock);
    return status;
refuse:
    handover_free(control.handover);
    cfg_free(cfg);
    return EXIT_REFUSED;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* whoever reads the log may leave */
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("tandem-control %s\n", TANDEM_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(USAGE, stdout);
        return EXIT_SUCCESS;
    }
    if (argc == 3 && strcmp(argv[1], "--check") == 0)
        return check(argv[2]);
    if (argc == 2 && argv[1][0] != '-')
        return run(argv);
    fputs(USAGE, stderr);
    return EXIT_USAGE;
}
