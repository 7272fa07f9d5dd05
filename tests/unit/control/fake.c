/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end for control's tests: see fake.h.
 */
#include "tests/unit/control/fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "config/heritage.h"

void fake_configure(struct fake *fake, const char *backends, const char *more)
{
    FILE *out = fopen(fake->config, "w");

    assert_non_null(out);
    fprintf(out,
            "node: n\n"
            "node_address: 192.0.2.11\n"
            "linger: 1h\n"
            "dataplane:\n"
            "  workers: [1]\n"
            "  socket: %s\n"
            "%s"
            "  ports:\n"
            "    - {name: outside, driver: \"null\", addresses: [192.0.2.10/24]}\n"
            "secret_file: %s/secret\n"
            "services:\n"
            "  - name: s\n"
            "    pool: p\n"
            "    listen: [{transport: udp, address: 192.0.2.10, port: 5060}]\n"
            "pools:\n"
            "  - name: p\n"
            "    backends: [%s]\n"
            "control: {socket: %s/control.sock, state_dir: %s}\n",
            fake->socket, more, fake->dir, backends, fake->dir, fake->dir);
    assert_int_equal(fclose(out), 0);
}

void fake_setup(struct fake *fake, const char *backends)
{
    memset(fake, 0, sizeof(*fake));
    strcpy(fake->dir, "/tmp/tandem-test-XXXXXX");
    assert_non_null(mkdtemp(fake->dir));
    snprintf(fake->config, sizeof(fake->config), "%s/tandem.yaml", fake->dir);
    snprintf(fake->socket, sizeof(fake->socket), "%s/dp.sock", fake->dir);
    snprintf(fake->state, sizeof(fake->state), "%s/state.json", fake->dir);
    fake->listen_fd = fake->fd = fake->counters_fd = fake->calls_fd = fake->capture_fd = -1;
    fake->hello_fds = MSG_FDS_MAX;
    fake->loop = loop_new();
    assert_non_null(fake->loop);
    fake_configure(fake, backends, "");
}

static void remove_all(const char *dir)
{
    static const char *const names[] = {"tandem.yaml", "state.json",         "state.json.new",
                                        "lock",        "state.json.damaged", "secret",
                                        "dp.sock",     "control.sock",       "phones",
                                        "former"};
    char path[256];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(dir), 0);
}

void fake_teardown(struct fake *fake)
{
    fake_stop(fake);
    free(fake->offered);
    loop_free(fake->loop);
    remove_all(fake->dir);
}

/* A memfd of that size with the shared seals, and its memory. */
static int memfd_make(size_t size, void **ret_memory)
{
    int fd = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    *ret_memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(*ret_memory, MAP_FAILED);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, msg_shared_seals()), 0);
    return fd;
}

static void capture_make(struct fake *fake)
{
    struct capture_header layout = {
        .magic = CAPTURE_MAGIC, .n_rings = FAKE_WORKERS, .n_ports = 2, .ring_bytes = FAKE_RING};
    void *memory;

    fake->capture_fd = memfd_make(capture_layout(&layout), &memory);
    fake->capture = memory;
    *fake->capture = layout;
    strcpy((char *)memory + layout.names, "outside");
    strcpy((char *)memory + layout.names + CAPTURE_NAME_MAX, "inside");
}

static void memory_make(struct fake *fake)
{
    struct counters_header layout = {.magic = COUNTERS_MAGIC,
                                     .n_blocks = 1 + FAKE_WORKERS,
                                     .epoch = 7,
                                     .n_counters = FAKE_COUNTERS,
                                     .n_slots = FAKE_SLOTS,
                                     .n_services = FAKE_SERVICES};
    static const char *const names[FAKE_COUNTERS] = {"messages", "forwarded", "dropped", "busy_cycles"};
    struct timespec now;
    void *memory;

    clock_gettime(CLOCK_MONOTONIC, &now);
    layout.start_mono_s = (uint64_t)now.tv_sec - 100;
    fake->counters_fd = memfd_make(counters_layout(&layout), &memory);
    fake->counters = memory;
    *fake->counters = layout;
    for (uint32_t i = 0; i < FAKE_COUNTERS; i++)
        strcpy((char *)(uintptr_t)counters_name(fake->counters, i), names[i]);
    fake->calls_size = lb_call_table_bytes(FAKE_CALLS);
    fake->calls_fd = memfd_make(fake->calls_size, &fake->calls);
    assert_non_null(lb_call_table_init(fake->calls, FAKE_CALLS));
    capture_make(fake);
    fake->hello = (struct msg_hello){.magic = MSG_MAGIC,
                                     .kind = MSG_HELLO,
                                     .epoch = 7,
                                     .counters_size = layout.size,
                                     .calls_size = fake->calls_size,
                                     .capture_size = fake->capture->size,
                                     .pid = 1};
}

static void hang_up(struct fake *fake)
{
    loop_event_free(fake->reading);
    fake->reading = NULL;
    if (fake->fd >= 0)
        close(fake->fd);
    fake->fd = -1;
}

/* Takes an offer as a data plane would: seals, size, every offset. */
static void take_offer(struct fake *fake, const struct msg_offer *offer, int fd)
{
    const char *reason = NULL;
    void *memory;

    assert_int_equal(fcntl(fd, F_GET_SEALS) & msg_snapshot_seals(), msg_snapshot_seals());
    memory = mmap(NULL, offer->size, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(snapshot_check(memory, offer->size, &reason), 0);
    free(fake->offered);
    fake->offered = malloc(offer->size);
    assert_non_null(fake->offered);
    memcpy(fake->offered, memory, offer->size);
    munmap(memory, offer->size);
    assert_int_equal(fake->offered->generation, offer->generation);
    assert_true(offer->generation > fake->generation);
    fake->generation = offer->generation;
    fake->n_offers++;
}

/* Takes the calls of the data plane before. */
static void take_calls(struct fake *fake, const struct msg_offer *offer, int fd)
{
    void *block = mmap(NULL, offer->size, PROT_READ, MAP_PRIVATE, fd, 0);

    assert_ptr_not_equal(block, MAP_FAILED);
    assert_int_equal(fcntl(fd, F_GET_SEALS) & msg_snapshot_seals(), msg_snapshot_seals());
    assert_non_null(heritage_check(block, offer->size));
    fake->inherited_id = heritage_ids(block)[FAKE_SLOTS - 1];
    munmap(block, offer->size);
    fake->n_calls++;
}

static void on_offer(void *arg)
{
    struct fake *fake = arg;
    struct msg_answer answer = {.magic = MSG_MAGIC, .kind = MSG_ANSWER, .status = fake->answer};
    struct msg_offer offer;
    uint32_t n_fds = 1;
    int offered = -1;
    int size = msg_receive(fake->fd, &offer, sizeof(offer), &offered, &n_fds);

    if (size <= 0) {
        hang_up(fake);
        fake->n_ends++;
        return;
    }
    assert_int_equal(size, sizeof(offer));
    assert_int_equal(n_fds, 1);
    if (offer.kind == MSG_CALLS)
        take_calls(fake, &offer, offered);
    else
        take_offer(fake, &offer, offered);
    close(offered);
    if (fake->answer == 1 || offer.kind == MSG_CALLS)
        return;
    if (fake->give_id != 0)
        counters_slot_ids(fake->counters)[fake->give_slot] = fake->give_id;
    answer.generation = offer.generation;
    snprintf(answer.reason, sizeof(answer.reason), "%s", fake->reason ? fake->reason : "");
    assert_int_equal(msg_send(fake->fd, &answer, sizeof(answer), NULL, 0), 0);
}

static void on_connection(void *arg)
{
    struct fake *fake = arg;
    int fds[MSG_FDS_MAX] = {fake->counters_fd, fake->calls_fd, fake->capture_fd};

    hang_up(fake);
    fake->fd = accept4(fake->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fake->fd >= 0);
    fake->n_connections++;
    fake->reading = loop_watch(fake->loop, fake->fd, LOOP_READ, on_offer, fake);
    /* The other end may have left already. */
    msg_send(fake->fd, &fake->hello, sizeof(fake->hello), fds, (uint32_t)fake->hello_fds);
}

void fake_start(struct fake *fake)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (fake->counters == NULL)
        memory_make(fake);
    strcpy(address.sun_path, fake->socket);
    fake->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fake->listen_fd >= 0);
    assert_int_equal(bind(fake->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fake->listen_fd, 4), 0);
    fake->accepting = loop_watch(fake->loop, fake->listen_fd, LOOP_READ, on_connection, fake);
    assert_non_null(fake->accepting);
}

void fake_stop(struct fake *fake)
{
    loop_event_free(fake->accepting);
    fake->accepting = NULL;
    hang_up(fake);
    if (fake->listen_fd >= 0)
        close(fake->listen_fd);
    fake->listen_fd = -1;
    unlink(fake->socket);
    if (fake->counters != NULL) {
        munmap(fake->counters, lseek(fake->counters_fd, 0, SEEK_END));
        munmap(fake->calls, fake->calls_size);
        close(fake->counters_fd);
        close(fake->calls_fd);
        munmap(fake->capture, fake->capture->size);
        close(fake->capture_fd);
    }
    fake->counters = NULL;
}

void fake_until(struct fake *fake, const uint32_t *value, uint32_t least)
{
    time_t end = time(NULL) + 5;

    while (*value < least && time(NULL) <= end)
        loop_step(fake->loop);
    assert_true(*value >= least);
}

static void on_ready(void *arg)
{
    (*(uint32_t *)arg)++;
}

struct reload *fake_reload(struct fake *fake, uint32_t *ready)
{
    struct cfg_error error;
    struct cfg *cfg = cfg_load(fake->config, &error);
    char text[PLAN_TEXT_MAX];
    struct reload *reload;

    assert_non_null(cfg);
    reload = reload_new(fake->loop, fake->config, cfg, fake->members, on_ready, ready, text);
    assert_non_null(reload);
    return reload;
}

int fake_state_of(const struct fake *fake, const char *backend)
{
    for (uint32_t i = 0; i < fake->offered->backends.n; i++) {
        const struct lb_backend *b = &snapshot_backends(fake->offered)[i];

        if (sip_slice_equal(snapshot_text(fake->offered, b->name), sip_slice_of(backend)))
            return b->lingering ? 100 + b->state : b->state;
    }
    return -1;
}

void fake_done(void *arg, const struct reload_outcome *outcome)
{
    struct fake_outcome *ret = arg;

    ret->n++;
    ret->status = outcome->status;
    ret->generation = outcome->generation;
    snprintf(ret->text, sizeof(ret->text), "%s", outcome->text);
}

struct fake_outcome fake_ask(struct fake *fake, struct reload *reload, enum plan_kind kind,
                             const char *backend, uint32_t value)
{
    struct plan_change change = {.kind = kind, .admin = (uint8_t)value, .weight = value};
    struct fake_outcome outcome = {0};

    strcpy(change.backend, backend);
    reload_ask(reload, &change, fake_done, &outcome);
    fake_until(fake, &outcome.n, 1);
    assert_int_equal(outcome.n, 1);
    return outcome;
}
