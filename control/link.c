/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to the data plane: see link.h. One connection, tried again every 200 ms; the first
 * packet must be HELLO with three sealed memfds, after it come answers and punted messages.
 */
#include "control/link.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/compile.h"
#include "control/heritage.h"
#include "control/log.h"

/* What may come; the one that came last. */
union packet {
    uint32_t head[2]; /* magic, kind */
    struct msg_hello hello;
    struct msg_answer answer;
    struct {
        struct msg_punt head;
        char text[MSG_TEXT_MAX];
    } punt;
};

struct link {
    struct loop *loop;
    struct link_conf conf;
    struct sockaddr_un address;
    struct loop_event *timer; /* to connect again, or to wait for HELLO */
    struct loop_event *watch;
    int fd; /* -1: not connected */
    bool has_hello;
    bool complained; /* said once that nobody is there */
    union packet packet;
    struct msg_hello hello;
    const void *counters; /* mapped shared, read-only; hello.counters_size */
    struct counters_header bounds; /* a private copy of its header, checked: of link_slot */
    int calls_fd, capture_fd;
    bool in_use;              /* it has a snapshot: there may be calls in its table */
    int former_fd;            /* the calls of the data plane before, -1: none… */
    uint64_t former_epoch;    /* …whose epoch this was */
};

static void connect_now(void *arg);
static void on_readable(void *arg);

static void forget_former(struct link *link)
{
    if (link->former_fd >= 0)
        close(link->former_fd);
    link->former_fd = -1;
}

/* What the next data plane shall know of the one that is gone. */
static void keep_former(struct link *link)
{
    struct counters_header *counters = link_counters(link);
    int fd = -ENOMEM;

    if (counters != NULL)
        fd = heritage_keep(counters, link->calls_fd, link->hello.calls_size);
    free(counters);
    if (fd < 0) {
        log_warning("the data plane's calls cannot be kept for the next one: %s", strerror(-fd));
        return;
    }
    forget_former(link);
    link->former_fd = fd;
    link->former_epoch = link->hello.epoch;
}

/* To one that has no snapshot yet; what is kept stays until it has one. */
static void send_former(struct link *link)
{
    struct msg_offer calls = {.magic = MSG_MAGIC, .kind = MSG_CALLS};
    struct stat st;

    if (link->hello.epoch == link->former_epoch || link->hello.generation != 0)
        forget_former(link);
    if (link->former_fd < 0 || fstat(link->former_fd, &st) != 0)
        return;
    calls.size = (uint64_t)st.st_size;
    if (msg_send(link->fd, &calls, sizeof(calls), &link->former_fd, 1) != 0)
        log_warning("the calls of the data plane before could not be handed over");
}

/* Leaves the connection and whatever came by it; the next try follows. */
static void drop(struct link *link)
{
    bool told = link->has_hello;

    if (told && link->in_use)
        keep_former(link);
    loop_event_free(link->watch);
    link->watch = NULL;
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    if (link->counters != NULL)
        munmap((void *)(uintptr_t)link->counters, link->hello.counters_size);
    link->counters = NULL;
    if (link->calls_fd >= 0)
        close(link->calls_fd);
    if (link->capture_fd >= 0)
        close(link->capture_fd);
    link->calls_fd = link->capture_fd = -1;
    link->has_hello = false;
    loop_timer_start(link->timer, LINK_RETRY_MS);
    if (told) {
        log_warning("the data plane is gone");
        link->conf.on_gone(link->conf.arg);
    }
}

/* Connects, or says once why not. A UNIX socket connects at once or not at all. */
static int try_connect(struct link *link)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int status;

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&link->address, sizeof(link->address)) != 0) {
        status = -errno;
        close(fd);
        return status;
    }
    link->watch = loop_watch(link->loop, fd, LOOP_READ, on_readable, link);
    if (link->watch == NULL) {
        close(fd);
        return -ENOMEM;
    }
    link->fd = fd;
    return 0;
}

/* The timer's: connects, or leaves a peer that did not say HELLO in time. */
static void connect_now(void *arg)
{
    struct link *link = arg;
    int status;

    if (link->fd >= 0) {
        if (!link->complained)
            log_warning("the data plane's socket accepts but says no HELLO");
        link->complained = true;
        drop(link);
        return;
    }
    status = try_connect(link);
    if (status == 0) {
        loop_timer_start(link->timer, LINK_HELLO_MS);
        return;
    }
    if (!link->complained)
        log_warning("waiting for the data plane at %s: %s", link->address.sun_path,
                    strerror(-status));
    link->complained = true;
    loop_timer_start(link->timer, LINK_RETRY_MS);
}

/* Whether a descriptor is a memfd of that size that cannot shrink under us. */
static bool memfd_fits(int fd, uint64_t size)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & msg_shared_seals()) == msg_shared_seals() &&
           fstat(fd, &st) == 0 && (uint64_t)st.st_size == size;
}

/* Takes HELLO and its descriptors, which become the link's or are closed. 0 or why not. */
static const char *take_hello(struct link *link, const struct msg_hello *hello, const int *fds)
{
    struct counters_header layout;
    const void *counters;

    if (hello->counters_size < sizeof(struct counters_header) ||
        hello->counters_size > LINK_COUNTERS_MAX)
        return "size of the counters out of range";
    if (!memfd_fits(fds[0], hello->counters_size))
        return "the counters' memfd has another size or lacks seals";
    if (hello->calls_size > SIZE_MAX / 2 || !memfd_fits(fds[1], hello->calls_size))
        return "the call table's memfd has another size or lacks seals";
    if (hello->capture_size > SIZE_MAX / 2 || !memfd_fits(fds[2], hello->capture_size))
        return "the captured messages' memfd has another size or lacks seals";
    counters = mmap(NULL, hello->counters_size, PROT_READ, MAP_SHARED, fds[0], 0);
    if (counters == MAP_FAILED)
        return "the counters cannot be mapped";
    memcpy(&link->bounds, counters, sizeof(link->bounds));
    layout = link->bounds;
    if (counters_check(counters, hello->counters_size) != 0 ||
        counters_layout(&layout) != hello->counters_size ||
        memcmp(&layout, &link->bounds, offsetof(struct counters_header, generation)) != 0) {
        munmap((void *)(uintptr_t)counters, hello->counters_size);
        return "the counters are malformed";
    }
    link->counters = counters;
    link->calls_fd = fds[1];
    link->capture_fd = fds[2];
    link->hello = *hello;
    link->has_hello = true;
    link->in_use = hello->generation != 0;
    close(fds[0]); /* the mapping keeps the memory */
    return NULL;
}

static void receive_hello(struct link *link, const struct msg_hello *hello, int size,
                          const int *fds, uint32_t n_fds)
{
    const char *reason = NULL;

    if (size != sizeof(*hello) || hello->kind != MSG_HELLO || n_fds != MSG_FDS_MAX)
        reason = "the first packet is not HELLO with three descriptors";
    else
        reason = take_hello(link, hello, fds);
    if (reason != NULL) {
        for (uint32_t i = 0; i < n_fds; i++)
            close(fds[i]);
        log_error("data plane refused: %s", reason);
        drop(link);
        return;
    }
    loop_timer_stop(link->timer);
    link->complained = false;
    log_info("data plane connected: pid %" PRIu32 ", epoch %" PRIu64 ", generation %" PRIu64,
             hello->pid, hello->epoch, hello->generation);
    send_former(link);
    link->conf.on_hello(link->conf.arg, &link->hello);
}

/* What comes after HELLO. */
static void receive_more(struct link *link, int size, const int *fds, uint32_t n_fds)
{
    union packet *p = &link->packet;

    for (uint32_t i = 0; i < n_fds; i++)
        close(fds[i]);
    if (n_fds == 0 && size == sizeof(p->answer) && p->answer.kind == MSG_ANSWER) {
        p->answer.reason[sizeof(p->answer.reason) - 1] = '\0';
        if (p->answer.status == 0) {
            link->in_use = true;
            forget_former(link);
        }
        link->conf.on_answer(link->conf.arg, &p->answer);
    } else if (n_fds == 0 && (size_t)size > sizeof(p->punt.head) && p->head[1] == MSG_PUNT &&
               p->punt.head.length == (size_t)size - sizeof(p->punt.head)) {
        link->conf.on_punt(link->conf.arg, &p->punt.head, p->punt.text);
    } else {
        log_error("the data plane sent a packet that is neither an answer nor a message");
        drop(link);
    }
}

/* Receives one packet. False: there is none, or no connection any more. */
static bool receive(struct link *link)
{
    int fds[MSG_FDS_MAX];
    uint32_t n_fds = MSG_FDS_MAX;
    int size = msg_receive(link->fd, &link->packet, sizeof(link->packet), fds, &n_fds);

    if (size == -EAGAIN)
        return false;
    if (size <= 0) {
        if (size < 0)
            log_error("data plane's socket: %s", strerror(-size));
        drop(link);
        return false;
    }
    if (link->has_hello)
        receive_more(link, size, fds, n_fds);
    else
        receive_hello(link, &link->packet.hello, size, fds, n_fds);
    return link->fd >= 0;
}

static void on_readable(void *arg)
{
    for (uint32_t i = 0; i < LINK_BURST && receive(arg); i++)
        ;
}

struct link *link_new(struct loop *loop, const struct link_conf *conf)
{
    struct link *link = calloc(1, sizeof(*link));

    if (link == NULL)
        return NULL;
    link->loop = loop;
    link->conf = *conf;
    link->conf.socket = NULL; /* address has it */
    link->fd = link->calls_fd = link->capture_fd = link->former_fd = -1;
    link->address.sun_family = AF_UNIX;
    link->timer = loop_timer_new(loop, connect_now, link);
    if (link->timer == NULL || strlen(conf->socket) >= sizeof(link->address.sun_path)) {
        link_free(link);
        return NULL;
    }
    strcpy(link->address.sun_path, conf->socket);
    loop_timer_start(link->timer, 0);
    return link;
}

void link_free(struct link *link)
{
    if (link == NULL)
        return;
    link->has_hello = false; /* nobody is to be told */
    if (link->timer != NULL)
        drop(link);
    forget_former(link);
    loop_event_free(link->timer);
    free(link);
}

void link_reset(struct link *link)
{
    if (link->has_hello)
        drop(link);
}

const struct msg_hello *link_hello(const struct link *link)
{
    return link->has_hello ? &link->hello : NULL;
}

int link_offer(struct link *link, const struct snapshot *snapshot)
{
    struct msg_offer offer = {.magic = MSG_MAGIC,
                              .kind = MSG_OFFER,
                              .generation = snapshot->generation,
                              .size = snapshot->size};
    int fd, status;

    if (!link->has_hello)
        return -ENOTCONN;
    fd = compile_memfd(snapshot);
    if (fd < 0)
        return fd;
    status = msg_send(link->fd, &offer, sizeof(offer), &fd, 1);
    close(fd);
    if (status != 0) {
        /* The loop finds the socket shut and tells on_gone, not this call's caller in mid-step. */
        log_error("offer to the data plane: %s", strerror(-status));
        shutdown(link->fd, SHUT_RDWR);
    }
    return 0;
}

/* Copies whole 64-bit words, since the owner writes them while we read. */
static void copy_words(uint64_t *to, const uint64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

struct counters_header *link_counters(const struct link *link)
{
    size_t size = link->has_hello ? link->hello.counters_size : 0;
    struct counters_header *copy;

    if (size == 0)
        return NULL;
    copy = malloc(size);
    if (copy == NULL)
        return NULL;
    copy_words((uint64_t *)(void *)copy, link->counters, size / sizeof(uint64_t));
    memcpy((char *)copy + (size & ~(size_t)7), (const char *)link->counters + (size & ~(size_t)7),
           size & 7);
    if (counters_check(copy, size) != 0) {
        log_error("the data plane's counters are malformed");
        free(copy);
        return NULL;
    }
    return copy;
}

bool link_slot(const struct link *link, uint32_t slot, uint32_t id,
               uint64_t ret[COUNTERS_SLOT_COUNT])
{
    const struct counters_header *h = &link->bounds; /* nobody else writes these */
    const char *base = link->counters;
    const uint32_t *ids;

    if (!link->has_hello || slot >= h->n_slots)
        return false;
    ids = (const uint32_t *)(const void *)(base + h->slot_ids);
    if (__atomic_load_n(&ids[slot], __ATOMIC_RELAXED) != id)
        return false;
    memset(ret, 0, COUNTERS_SLOT_COUNT * sizeof(*ret));
    for (uint32_t block = 0; block < h->n_blocks; block++) {
        const uint64_t *values = (const uint64_t *)(const void *)(base + h->blocks +
                                                                  block * h->block_stride +
                                                                  h->slot_values);

        for (uint32_t what = 0; what < COUNTERS_SLOT_COUNT; what++)
            ret[what] += __atomic_load_n(&values[(size_t)what * h->n_slots + slot],
                                         __ATOMIC_RELAXED);
    }
    return true;
}

/*
 * Private and written once: the first page becomes our own, the rest shows what is shared.
 * NORESERVE: no memory is ever needed but for that page.
 */
static void *map_private(int fd, size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
    volatile char *header = memory;

    if (memory != MAP_FAILED)
        *header = *header;
    return memory;
}

/* The same for a table in huge pages, where a private page would have to be a huge one too (and a
 * lack of them a SIGBUS): a copy of everything, 16 MiB for a million entries. */
static void *map_copy(int fd, size_t size)
{
    void *memory, *shared = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

    if (shared == MAP_FAILED)
        return MAP_FAILED;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED)
        copy_words(memory, shared, size / sizeof(uint64_t));
    munmap(shared, size);
    return memory;
}

const struct lb_call_table *link_calls_open(const struct link *link)
{
    const struct lb_call_table *calls;
    struct stat st;
    size_t size = link->has_hello ? link->hello.calls_size : 0;
    void *memory;

    if (size == 0 || fstat(link->calls_fd, &st) != 0)
        return NULL;
    if (st.st_blksize > sysconf(_SC_PAGESIZE))
        memory = map_copy(link->calls_fd, size);
    else
        memory = map_private(link->calls_fd, size);
    if (memory == MAP_FAILED) {
        log_error("the call table cannot be mapped: %s", strerror(errno));
        return NULL;
    }
    calls = lb_call_table_open(memory, size);
    if (calls == NULL) {
        log_error("the data plane's call table is malformed");
        munmap(memory, size);
    }
    return calls;
}

void link_calls_close(const struct link *link, const struct lb_call_table *calls)
{
    /* The table lies at the start of its memory; both calls come within one turn of the loop, in
     * which the link's HELLO cannot change. */
    if (calls != NULL)
        munmap((void *)(uintptr_t)calls, link->hello.calls_size);
}

void *link_capture_map(const struct link *link, size_t *ret_size)
{
    void *memory;

    if (!link->has_hello)
        return NULL;
    memory = mmap(NULL, link->hello.capture_size, PROT_READ, MAP_SHARED, link->capture_fd, 0);
    if (memory == MAP_FAILED) {
        log_error("the captured messages cannot be mapped: %s", strerror(errno));
        return NULL;
    }
    *ret_size = link->hello.capture_size;
    return memory;
}
