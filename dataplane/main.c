/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tandem-dataplane: starts the data plane's parts in order, runs main's loop, stops them in the
 * reverse order. The only file of the data plane that exits, and that sees config/cfg.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_random.h>
#include <rte_version.h>

#include "config/cfg.h"
#include "dataplane/capture.h"
#include "dataplane/loop.h"
#include "dataplane/privileges.h"
#include "dataplane/sandbox.h"

enum {
    EAL_ARGS_MAX = 96, /* ours, and two or three a port */
    LCORES_TEXT_MAX = 16 * (IO_WORKERS_MAX + 1),
    REASON_MAX = 512,
    TIMER_SLACK_NS = 1000, /* the kernel's default is 50 us */
};

/* All parts, in the order of their start. */
struct plane {
    struct cfg *cfg;
    struct privileges_user user, control;
    bool eal; /* is up */
    struct io_port ports[IO_PORTS_MAX];
    bool ports_open;
    struct memory counters, calls, capture;
    struct worker_shared shared;
    struct io_kernel *kernel;
    struct loop *loop;
    struct worker *workers[IO_WORKERS_MAX];
    char reason[REASON_MAX]; /* why a start failed */
};

/* ---- EAL ---- */

/* The first CPU we may run on that is no worker's; the first worker's when there is none. */
static uint32_t main_cpu(const struct cfg_dataplane *cfg)
{
    cpu_set_t allowed;

    if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
        return cfg->workers[0];
    for (uint32_t i = 0; i < cfg->n_workers; i++) {
        if (cfg->workers[i] < CPU_SETSIZE)
            CPU_CLR(cfg->workers[i], &allowed);
    }
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed))
            return cpu;
    }
    return cfg->workers[0];
}

/* lcore 0 is main's, 1 + w worker w's: several may be on one CPU. */
static void print_lcores(const struct cfg_dataplane *cfg, char *ret_text, size_t size)
{
    int used = snprintf(ret_text, size, "0@%u", main_cpu(cfg));

    for (uint32_t i = 0; i < cfg->n_workers; i++)
        used += snprintf(ret_text + used, size - (size_t)used, ",%u@%u", 1 + i, cfg->workers[i]);
}

static int start_eal(struct plane *plane)
{
    char lcores[LCORES_TEXT_MAX], prefix[32];
    /* net_tap calls it an error that it has no queueing discipline for flow rules: we use none. */
    char *argv[EAL_ARGS_MAX] = {"tandem-dataplane", "--no-telemetry",
                                "--lcores",         lcores,
                                "--file-prefix",    prefix,
                                "--log-level",      "error",
                                "--log-level",      "pmd.net.tap:critical"};
    char *ports_argv[EAL_ARGS_MAX];
    int argc = 10, n, error;

    print_lcores(&plane->cfg->dataplane, lcores, sizeof(lcores));
    snprintf(prefix, sizeof(prefix), "tandem-%d", (int)getpid());
    n = io_ports_eal_args(&plane->cfg->dataplane, ports_argv, (uint32_t)(EAL_ARGS_MAX - argc - 1),
                          plane->reason, sizeof(plane->reason));
    if (n < 0)
        return n;
    memcpy(argv + argc, ports_argv, (size_t)n * sizeof(argv[0]));
    rte_openlog_stream(stderr);
    error = rte_eal_init(argc + n, argv);
    for (int i = 0; i < n; i++)
        free(ports_argv[i]); /* EAL copied what it keeps */
    if (error < 0) {
        snprintf(plane->reason, sizeof(plane->reason), "DPDK does not start: %s",
                 rte_strerror(rte_errno));
        return -EIO;
    }
    plane->eal = true;
    return 0;
}

/* ---- Start ---- */

static int fail(struct plane *plane, int error, const char *what)
{
    snprintf(plane->reason, sizeof(plane->reason), "%s: %s", what, strerror(-error));
    return error;
}

static int start_ports(struct plane *plane)
{
    const struct cfg_dataplane *cfg = &plane->cfg->dataplane;
    int error = io_ports_open(cfg, plane->ports, plane->reason, sizeof(plane->reason));

    if (error < 0)
        return error;
    plane->ports_open = true;
    plane->shared.ports = plane->ports;
    plane->shared.n_ports = cfg->n_ports;
    plane->shared.n_workers = cfg->n_workers;
    plane->shared.sleeps = cfg->idle == CFG_IDLE_ADAPTIVE;
    plane->kernel = io_kernel_new(plane->ports, cfg->n_ports, plane->reason, sizeof(plane->reason));
    return plane->kernel == NULL ? -EIO : 0;
}

static int start_counters(struct plane *plane)
{
    uint32_t n_workers = plane->shared.n_workers;
    struct timespec real, mono;
    int error = memory_new("tandem-counters", counters_bytes(n_workers), false, &plane->counters);

    if (error < 0)
        return fail(plane, error, "counters");
    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    plane->shared.counters = counters_init(
        plane->counters.at, n_workers, (uint64_t)real.tv_sec * 1000000000u + (uint64_t)real.tv_nsec,
        (uint64_t)real.tv_sec, (uint64_t)mono.tv_sec);
    return 0;
}

/* The table lies in huge pages where EAL has them; `auto` does without when they do not suffice. */
static int start_calls(struct plane *plane)
{
    const struct cfg_dataplane *cfg = &plane->cfg->dataplane;
    size_t bytes = lb_call_table_bytes(cfg->call_table);
    int error = -ENOMEM;

    if (rte_eal_has_hugepages())
        error = memory_new("tandem-calls", bytes, true, &plane->calls);
    if (error < 0 && (!rte_eal_has_hugepages() || cfg->hugepages != CFG_HUGEPAGES_ON))
        error = memory_new("tandem-calls", bytes, false, &plane->calls);
    if (error < 0 && cfg->hugepages == CFG_HUGEPAGES_ON) {
        snprintf(plane->reason, sizeof(plane->reason),
                 "hugepages: the call table needs %zuMiB of them besides `memory`: %s",
                 (bytes >> 20) + 1, strerror(-error));
        return error;
    }
    if (error < 0)
        return fail(plane, error, "dataplane.call_table");
    plane->shared.calls = lb_call_table_init(plane->calls.at, cfg->call_table);
    return plane->shared.calls == NULL ? fail(plane, -EINVAL, "dataplane.call_table") : 0;
}

static int start_shared(struct plane *plane)
{
    struct worker_shared *shared = &plane->shared;
    int error = start_counters(plane);

    if (error == 0)
        error = start_calls(plane);
    if (error < 0)
        return error;
    error = capture_make(plane->ports, shared->n_ports, shared->n_workers, &plane->capture);
    if (error < 0)
        return fail(plane, error, "rings of captured messages");
    shared->capture = plane->capture.at;
    shared->publish = publish_new(shared->n_workers, shared->counters);
    shared->exception = io_exception_new(plane->ports, shared->n_ports);
    if (shared->publish == NULL || shared->exception == NULL)
        return fail(plane, -ENOMEM, "rings");
    shared->fragments = io_fragments_new(shared->n_workers);
    shared->path_mtu = io_path_mtu_new(&(struct lb_key){rte_rand(), rte_rand()});
    if (shared->fragments == NULL || shared->path_mtu == NULL)
        return fail(plane, -ENOMEM, "buffers for datagrams in fragments (dataplane.memory)");
    return 0;
}

static int start_loop(struct plane *plane)
{
    const struct loop_conf conf = {
        .shared = &plane->shared,
        .kernel = plane->kernel,
        .counters = &plane->counters,
        .calls = &plane->calls,
        .capture = &plane->capture,
        .socket = plane->cfg->dataplane.socket,
        .owner = plane->control.uid,
        .group = plane->control.gid,
    };

    plane->loop = loop_new(&conf, plane->reason, sizeof(plane->reason));
    return plane->loop == NULL ? -EIO : 0;
}

/* Whether another worker, or main, is on a worker's CPU. */
static bool shares_cpu(const struct cfg_dataplane *cfg, uint32_t worker)
{
    uint32_t on_it = main_cpu(cfg) == cfg->workers[worker];

    for (uint32_t i = 0; i < cfg->n_workers; i++)
        on_it += cfg->workers[i] == cfg->workers[worker];
    return on_it > 1;
}

static int start_workers(struct plane *plane)
{
    const struct cfg_dataplane *cfg = &plane->cfg->dataplane;

    for (uint32_t i = 0; i < cfg->n_workers; i++) {
        plane->workers[i] = worker_new(&plane->shared, i, shares_cpu(cfg, i));
        if (plane->workers[i] == NULL)
            return fail(plane, -ENOMEM, "workers");
    }
    for (uint32_t i = 0; i < cfg->n_workers; i++) {
        int error = rte_eal_remote_launch(worker_run, plane->workers[i], 1 + i);

        if (error < 0)
            return fail(plane, error, "workers");
    }
    return 0;
}

/* Whom it becomes, and whose the socket will be. With nobody named control runs as whoever started
 * us. */
static int find_users(struct plane *plane)
{
    const struct cfg_dataplane *cfg = &plane->cfg->dataplane;
    const char *control = cfg->control_user != NULL ? cfg->control_user : cfg->user;
    int error = privileges_find_user(cfg->user, &plane->user);

    if (error < 0) {
        snprintf(plane->reason, sizeof(plane->reason), "dataplane.user: no such user: %s",
                 cfg->user != NULL ? cfg->user : "nobody");
        return error;
    }
    plane->control = (struct privileges_user){NULL, getuid(), getgid()};
    if (control != NULL)
        error = privileges_find_user(control, &plane->control);
    if (error < 0)
        snprintf(plane->reason, sizeof(plane->reason), "dataplane.control_user: no such user: %s",
                 control);
    return error;
}

static int start(struct plane *plane)
{
    int error;

    /* Threads inherit it: a worker's short sleeps are to be as short as they say. */
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
    privileges_bound();
    error = find_users(plane);
    if (error == 0)
        error = start_eal(plane);
    if (error == 0)
        error = start_ports(plane);
    if (error == 0)
        error = start_shared(plane);
    if (error == 0)
        error = start_loop(plane);
    if (error == 0)
        error = start_workers(plane);
    if (error == 0)
        error = privileges_drop(&plane->user, plane->reason, sizeof(plane->reason));
    if (error == 0)
        error = sandbox_enter(plane->reason, sizeof(plane->reason));
    return error;
}

/* ---- Stop ---- */

/* Also of what was started in part. */
static void stop(struct plane *plane)
{
    struct worker_shared *shared = &plane->shared;

    atomic_store(&shared->stop, true);
    if (plane->eal)
        rte_eal_mp_wait_lcore();
    for (uint32_t i = 0; i < IO_WORKERS_MAX; i++)
        worker_free(plane->workers[i]);
    loop_free(plane->loop);
    io_path_mtu_free(shared->path_mtu);
    io_fragments_free(shared->fragments);
    io_exception_free(shared->exception);
    publish_free(shared->publish);
    memory_free(&plane->capture);
    memory_free(&plane->calls);
    memory_free(&plane->counters);
    io_kernel_free(plane->kernel);
    if (plane->ports_open)
        io_ports_close(plane->ports, plane->cfg->dataplane.n_ports);
    if (plane->eal)
        rte_eal_cleanup();
    cfg_free(plane->cfg);
}

/* ---- Commands ---- */

static struct cfg *load(const char *file)
{
    struct cfg_error error;
    char text[768];
    struct cfg *cfg = cfg_load_dataplane(file, &error);

    if (cfg == NULL) {
        cfg_error_print(&error, text, sizeof(text));
        loop_log("%s", text);
    }
    return cfg;
}

/* Before EAL makes a thread: all of them inherit the mask, and main hears by signalfd. */
static void block_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* reloading is control's: a HUP to both must not end this one */
}

static int run(const char *file)
{
    static struct plane plane = {.counters.fd = -1, .calls.fd = -1, .capture.fd = -1};
    int error;

    plane.cfg = load(file);
    if (plane.cfg == NULL)
        return EXIT_FAILURE;
    block_signals();
    loop_log("starting: %u workers, %u ports", plane.cfg->dataplane.n_workers,
             plane.cfg->dataplane.n_ports);
    error = start(&plane);
    if (error < 0) {
        loop_log("%s", plane.reason);
    } else {
        loop_log("ready");
        error = loop_run(plane.loop);
        if (error < 0)
            loop_log("main loop: %s", strerror(-error));
    }
    stop(&plane);
    return error < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int remove_taps(const char *file)
{
    struct cfg *cfg = load(file);
    int error;

    if (cfg == NULL)
        return EXIT_FAILURE;
    error = io_ports_remove_taps(&cfg->dataplane);
    if (error < 0)
        loop_log("cannot remove the TAPs: %s", strerror(-error));
    cfg_free(cfg);
    return error < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void print_usage(FILE *to)
{
    fputs("usage: tandem-dataplane FILE                run, with the `dataplane:` section of FILE\n"
          "       tandem-dataplane --remove-taps FILE  delete the TAPs that outlive it\n"
          "       tandem-dataplane --version | --help\n",
          to);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        print_usage(stdout);
        return EXIT_SUCCESS;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("tandem-dataplane %s, %s\n", TANDEM_VERSION, rte_version());
        return EXIT_SUCCESS;
    }
    if (argc == 3 && strcmp(argv[1], "--remove-taps") == 0)
        return remove_taps(argv[2]);
    if (argc == 2 && argv[1][0] != '-')
        return run(argv[1]);
    print_usage(stderr);
    return 2;
}
