/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Main's events and what follows from each. It must not know how frames look nor what SIP is.
 */
#include "dataplane/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/notice.h"
#include "dataplane/sweep.h"

enum {
    TICK_MS = 100,
    TICKS_A_SECOND = 1000 / TICK_MS,
    SWEEP_TICKS = 10 * TICKS_A_SECOND, /* a lap of the call table */
    FRAMES_A_TURN = 256,               /* from one source, before the others are looked at */
    EVENTS = 16,
    ACCEPTED_LOG_MS = 1000, /* between two lines about accepted snapshots */
};

/* What an epoll event is about; a TAP's is TAG_TAP + the port's index. */
enum tag { TAG_SIGNAL, TAG_TIMER, TAG_KERNEL, TAG_WORKERS, TAG_LISTEN, TAG_CONTROL, TAG_TAP };

struct loop {
    struct worker_shared *shared;
    struct io_kernel *kernel;
    struct io_hold *hold;
    struct endpoint *endpoint;
    struct sweep *sweep;
    uint64_t *counters; /* block 0 */
    int epoll_fd, timer_fd, signal_fd;
    bool stop;
    bool fib_stale;     /* the kernel's mirror changed since the fib was built */
    bool mirror_broken; /* the last read of it failed */
    int trouble;        /* io_kernel_trouble as it was logged last */
    int error;          /* why the loop ends by itself */
    uint64_t fib_built_ms;
    uint64_t accepted_ms; /* when an accepted snapshot was logged last */
    uint64_t n_ticks;
};

void loop_log(const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "tandem-dataplane: %s\n", text);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void count(struct loop *loop, enum counter counter, uint64_t n)
{
    counters_add(&loop->counters[counter], n);
}

/* ---- Neighbours ---- */

static void resolve(void *context, uint8_t port, const struct sip_ip *ip)
{
    struct loop *loop = context;

    io_kernel_resolve(loop->kernel, port, ip, now_ms());
}

static void release(void *context, uint8_t port, struct rte_mbuf *mbuf)
{
    struct loop *loop = context;

    if (io_exception_release(loop->shared->exception, port, mbuf))
        count(loop, COUNTER_HELD_RELEASED, 1);
    else
        count(loop, COUNTER_HELD_DROPPED, 1);
}

/* Lets held messages go whose neighbour is known by now, or that waited too long. */
static void scan_held(struct loop *loop, const struct io_fib *fib)
{
    count(loop, COUNTER_HELD_DROPPED, io_hold_scan(loop->hold, fib, now_ms(), release, loop));
    counters_set(&loop->counters[COUNTER_HELD_NOW], io_hold_count(loop->hold));
}

static void rebuild_fib(struct loop *loop)
{
    struct io_fib *fib = io_kernel_fib(loop->kernel);

    loop->fib_stale = true;
    if (fib == NULL)
        return; /* no memory now: the next tick tries again */
    /* What waited is in the workers' rings before they know the way, and so leaves first: a 100 must
     * not come behind the 180. */
    scan_held(loop, fib);
    if (!publish_fib(loop->shared->publish, fib))
        return;
    loop->fib_stale = false;
    loop->fib_built_ms = now_ms();
}

/* Says once what goes wrong, and once that it does no more. */
static void log_trouble(struct loop *loop, int trouble)
{
    if (trouble == loop->trouble)
        return;
    loop->trouble = trouble;
    if (trouble < 0)
        loop_log("the TAPs are not as configured, trying again: %s", strerror(-trouble));
    else
        loop_log("the TAPs are as configured again");
}

/* A first change is published at once, a storm of them once a tick. */
static void on_kernel(struct loop *loop)
{
    int changed = io_kernel_read(loop->kernel);

    if (changed == -ENODEV) {
        loop_log("a TAP or the device of a port was deleted: only a restart heals that");
        loop->error = changed;
        loop->stop = true;
        return;
    }
    loop->mirror_broken = changed < 0;
    log_trouble(loop, changed < 0 ? changed : io_kernel_trouble(loop->kernel));
    if (changed != 1)
        return;
    loop->fib_stale = true;
    if (now_ms() - loop->fib_built_ms >= TICK_MS)
        rebuild_fib(loop);
}

/* Has every backend's neighbour known before a call needs it: on a port where both sides meet, a
 * backend is believed by the MAC of our route to it. Marks those known as used, too. Those whose
 * next hop does not answer are counted, if `counted`. */
static void keep_backends_known(struct loop *loop, bool counted)
{
    struct publish_current current = publish_read(loop->shared->publish);
    const struct lb_backend *backends;
    struct io_next_hop hop;

    if (current.view == NULL)
        return;
    backends = snapshot_backends(current.view->snapshot);
    for (uint32_t i = 0; i < current.view->snapshot->backends.n; i++) {
        if (io_fib_lookup(current.fib, &backends[i].ip, &hop) != IO_FIB_UNRESOLVED)
            continue;
        if (counted && io_kernel_failed(loop->kernel, hop.port, &hop.ip))
            notice_unreachable(loop->shared, current.view, i);
        io_kernel_resolve(loop->kernel, hop.port, &hop.ip, now_ms());
    }
}

/* ---- Workers and TAPs ---- */

static void on_tap(struct loop *loop, uint8_t port)
{
    struct io_exception_counts c = {0};

    io_exception_collect(loop->shared->exception, port, FRAMES_A_TURN, &c);
    count(loop, COUNTER_FROM_TAP, c.read);
    count(loop, COUNTER_TAP_TX_DROP, c.read_drop);
    count(loop, COUNTER_FROM_TAP_RING_FULL, c.ring_full);
}

/* Looks at what goes to the kernel. */
static void see(void *context, uint8_t port, const uint8_t *bytes, uint32_t length)
{
    struct loop *loop = context;

    notice_frame(loop->shared, port, bytes, length, now_ms());
}

static bool send_punt(void *context, const void *packet, uint32_t size)
{
    struct loop *loop = context;

    return endpoint_punt(loop->endpoint, packet, size) == 0;
}

static void serve_workers(struct loop *loop)
{
    struct io_exception *exception = loop->shared->exception;
    struct io_exception_counts c = {0};

    io_exception_deliver(exception, FRAMES_A_TURN, &c, see, loop);
    count(loop, COUNTER_TAP_DELIVERED, c.delivered);
    count(loop, COUNTER_TAP_WRITE_DROP, c.write_drop);
    io_exception_hold(exception, loop->hold, publish_main_fib(loop->shared->publish), now_ms(),
                      FRAMES_A_TURN, &c, resolve, loop);
    count(loop, COUNTER_HELD_RELEASED, c.held_released);
    count(loop, COUNTER_HELD_DROPPED, c.held_dropped);
    if (io_hold_count(loop->hold) > 0)
        scan_held(loop, publish_main_fib(loop->shared->publish));
    io_exception_punt(exception, FRAMES_A_TURN, &c, send_punt, loop);
    count(loop, COUNTER_PUNT_SENT, c.punt_sent);
    count(loop, COUNTER_PUNT_LOST_CONTROL, c.punt_lost);
}

/* ---- Control ---- */

static int on_offer(void *context, int fd, uint64_t size, uint64_t generation,
                    const char **ret_reason)
{
    struct loop *loop = context;
    int status = publish_snapshot(loop->shared->publish, fd, size, generation, ret_reason);

    if (status < 0) {
        count(loop, COUNTER_SNAPSHOTS_REFUSED, 1);
        loop_log("snapshot %llu refused: %s", (unsigned long long)generation, *ret_reason);
        return status;
    }
    count(loop, COUNTER_SNAPSHOTS_ACCEPTED, 1);
    /* Names alone may bring twenty a second. */
    if (loop->accepted_ms == 0 || now_ms() - loop->accepted_ms >= ACCEPTED_LOG_MS) {
        loop->accepted_ms = now_ms();
        loop_log("snapshot %llu accepted", (unsigned long long)generation);
    }
    keep_backends_known(loop, false);
    return 0;
}

static void on_inherit(void *context, int fd, uint64_t size)
{
    struct loop *loop = context;
    const char *reason = "there is a snapshot already";
    struct heritage_block *block = heritage_open(fd, size, &reason);

    if (block != NULL && publish_inherit(loop->shared->publish, block, loop->shared->calls,
                                         atomic_load(&loop->shared->now_s)))
        return;
    heritage_close(block);
    loop_log("calls of the data plane before are not taken over: %s", reason);
}

static int watch(struct loop *loop, int fd, uint32_t tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = tag};

    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void on_listen(struct loop *loop)
{
    if (endpoint_accept(loop->endpoint) == 0)
        return;
    loop_log("control connected");
    if (watch(loop, endpoint_control_fd(loop->endpoint), TAG_CONTROL) < 0)
        endpoint_drop(loop->endpoint); /* unheard it would wait for ever: let it come again */
}

static void on_control(struct loop *loop)
{
    int heard = endpoint_hear(loop->endpoint);

    if (heard < 0)
        loop_log("control gone: %s", heard == -ECONNRESET ? "closed" : strerror(-heard));
}

/* ---- Time ---- */

static void update_clock(struct loop *loop)
{
    uint64_t now_s = now_ms() / 1000 - loop->shared->counters->start_mono_s;

    atomic_store_explicit(&loop->shared->now_s, (uint32_t)now_s, memory_order_relaxed);
}

static void gauge_buffers(struct loop *loop)
{
    uint64_t used = 0;

    for (uint32_t i = 0; i < loop->shared->n_ports; i++)
        used += io_port_buffers_used(&loop->shared->ports[i]);
    counters_set(&loop->counters[COUNTER_FRAME_BUFFERS_USED], used);
    counters_set(&loop->counters[COUNTER_DATAGRAM_BUFFERS_USED],
                 io_fragments_buffers_used(loop->shared->fragments));
}

static void each_second(struct loop *loop)
{
    if (loop->trouble != 0)
        on_kernel(loop);
    keep_backends_known(loop, true);
    io_kernel_revalidate(loop->kernel, publish_main_fib(loop->shared->publish), now_ms());
    io_path_mtu_expire(loop->shared->path_mtu, now_ms());
    gauge_buffers(loop);
}

static void on_timer(struct loop *loop)
{
    uint64_t expirations;

    if (read(loop->timer_fd, &expirations, sizeof(expirations)) < 0)
        return;
    update_clock(loop);
    publish_reap(loop->shared->publish);
    /* Before a new fib: the marks of what workers used are the old one's. */
    if (loop->n_ticks++ % TICKS_A_SECOND == 0)
        each_second(loop);
    if (loop->fib_stale && !loop->mirror_broken)
        rebuild_fib(loop);
    else
        scan_held(loop, publish_main_fib(loop->shared->publish));
    sweep_slice(loop->sweep, SWEEP_TICKS, atomic_load(&loop->shared->now_s));
}

static void on_signal(struct loop *loop)
{
    struct signalfd_siginfo info;

    if (read(loop->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        loop_log("stopping: %s", strsignal((int)info.ssi_signo));
        loop->stop = true;
    }
}

/* ---- The loop ---- */

static void on_event(struct loop *loop, uint32_t tag)
{
    switch (tag) {
    case TAG_SIGNAL:
        on_signal(loop);
        break;
    case TAG_TIMER:
        on_timer(loop);
        break;
    case TAG_KERNEL:
        on_kernel(loop);
        break;
    case TAG_WORKERS: /* served after every wake */
        break;
    case TAG_LISTEN:
        on_listen(loop);
        break;
    case TAG_CONTROL:
        on_control(loop);
        break;
    default:
        on_tap(loop, (uint8_t)(tag - TAG_TAP));
        break;
    }
}

int loop_run(struct loop *loop)
{
    struct epoll_event events[EVENTS];

    while (!loop->stop) {
        int timeout_ms = io_exception_sleep(loop->shared->exception) ? -1 : 0;
        int n = epoll_wait(loop->epoll_fd, events, EVENTS, timeout_ms);
        int error = n < 0 ? errno : 0; /* the TAP driver's signals interrupt it */

        io_exception_awake(loop->shared->exception);
        if (error != 0 && error != EINTR)
            return -error;
        for (int i = 0; i < n; i++)
            on_event(loop, events[i].data.u32);
        serve_workers(loop);
        atomic_store_explicit(&loop->shared->control_connected,
                              endpoint_control_fd(loop->endpoint) >= 0, memory_order_relaxed);
    }
    return loop->error;
}

/* ---- Start ---- */

static int open_timer(struct loop *loop)
{
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    const struct itimerspec every = {.it_interval = tick, .it_value = tick};

    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->timer_fd < 0 || timerfd_settime(loop->timer_fd, 0, &every, NULL) < 0)
        return -errno;
    return watch(loop, loop->timer_fd, TAG_TIMER);
}

static int open_signals(struct loop *loop)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    loop->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (loop->signal_fd < 0)
        return -errno;
    return watch(loop, loop->signal_fd, TAG_SIGNAL);
}

static int watch_all(struct loop *loop)
{
    struct worker_shared *shared = loop->shared;
    int error;

    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return -errno;
    error = open_timer(loop);
    if (error == 0)
        error = open_signals(loop);
    if (error == 0)
        error = watch(loop, io_kernel_fd(loop->kernel), TAG_KERNEL);
    if (error == 0)
        error = watch(loop, io_exception_fd(shared->exception), TAG_WORKERS);
    for (uint32_t i = 0; error == 0 && i < shared->n_ports; i++) {
        int fd = io_port_tap_fd(&shared->ports[i]);

        if (fd >= 0)
            error = watch(loop, fd, TAG_TAP + i);
    }
    return error;
}

static int open_endpoint(struct loop *loop, const struct loop_conf *conf)
{
    const struct endpoint_conf endpoint = {
        .path = conf->socket,
        .owner = conf->owner,
        .group = conf->group,
        .counters = conf->counters,
        .calls = conf->calls,
        .capture = conf->capture,
        .header = conf->shared->counters,
        .offer = on_offer,
        .inherit = on_inherit,
        .context = loop,
    };

    loop->endpoint = endpoint_new(&endpoint);
    if (loop->endpoint == NULL)
        return -errno;
    return watch(loop, endpoint_listen_fd(loop->endpoint), TAG_LISTEN);
}

struct loop *loop_new(const struct loop_conf *conf, char *ret_reason, size_t reason_size)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    const char *what = "main loop";
    int error = -ENOMEM;

    if (loop == NULL)
        goto out;
    loop->epoll_fd = loop->timer_fd = loop->signal_fd = -1;
    loop->shared = conf->shared;
    loop->kernel = conf->kernel;
    loop->counters = counters_block(conf->shared->counters, 0);
    loop->hold = io_hold_new(conf->shared->ports);
    loop->sweep = sweep_new(conf->shared->calls, conf->shared->counters, conf->shared->publish);
    if (loop->hold == NULL || loop->sweep == NULL)
        goto out;
    update_clock(loop);
    rebuild_fib(loop);
    if (publish_main_fib(conf->shared->publish) == NULL)
        goto out;
    error = watch_all(loop);
    if (error == 0) {
        what = conf->socket;
        error = open_endpoint(loop, conf);
    }
out:
    if (error == 0)
        return loop;
    snprintf(ret_reason, reason_size, "%s: %s", what, strerror(-error));
    loop_free(loop);
    return NULL;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    endpoint_free(loop->endpoint);
    sweep_free(loop->sweep);
    io_hold_free(loop->hold);
    close_fd(loop->signal_fd);
    close_fd(loop->timer_fd);
    close_fd(loop->epoll_fd);
    free(loop);
}
