/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of a capture: see capture.h. Of pcapng it knows as much as it takes to cut blocks and
 * to count (draft-ietf-opsawg-pcapng); another version of tandem-control may send others.
 */
#include "control/ctl/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    BLOCK_MAX = 1 << 20, /* bytes; a longer one is none */
    BLOCK_MIN = 12,      /* type, length, length */
    BLOCK_STATISTICS = 5,
    BLOCK_PACKET = 6,
    PACKET_OPTIONS = 28, /* where a packet's bytes begin, its options behind them */
    PACKET_LENGTH = 20,
    PACKET_FLAGS = 2,
    FLAGS_DIRECTION = 3,
    FLAGS_INBOUND = 1,
    STATISTICS_OPTIONS = 20,
    STATISTICS_DROPPED = 5,
    LOOK_MS = 200, /* for a signal that came just before we wait */
    END_S = 10,    /* how long tandem-control has to end what it was asked to end */
};

struct copy {
    int fd, file;
    const char *name;
    uint8_t *bytes; /* BLOCK_MAX: a block that is not whole yet, from the first byte on */
    size_t length;
    uint64_t frames, messages, lost;
    bool counted; /* the section that came last has said what it lost */
    time_t until; /* 0: not asked to end */
};

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

bool capture_is_terminal(const char *file)
{
    return strcmp(file, "-") == 0 && isatty(STDOUT_FILENO);
}

static uint32_t read32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* The value of an option of that length, among those at `at`; NULL: there is none. */
static const uint8_t *find_option(const uint8_t *block, size_t at, size_t end, uint16_t code,
                                  uint16_t length)
{
    while (at + 4 <= end) {
        uint16_t head[2];

        memcpy(head, block + at, sizeof(head));
        at += sizeof(head);
        if (head[0] == 0 || head[1] > end - at)
            return NULL;
        if (head[0] == code && head[1] == length)
            return block + at;
        at += (head[1] + 3u) & ~3u;
    }
    return NULL;
}

static void count_packet(struct copy *c, const uint8_t *block, size_t length)
{
    size_t end = length - 4, options = PACKET_OPTIONS;
    const uint8_t *flags;

    c->frames++;
    c->counted = false;
    if (end < options || read32(block + PACKET_LENGTH) > end - options)
        return;
    options += (read32(block + PACKET_LENGTH) + 3u) & ~3u;
    flags = find_option(block, options, end, PACKET_FLAGS, 4);
    if (flags != NULL && (read32(flags) & FLAGS_DIRECTION) == FLAGS_INBOUND)
        c->messages++;
}

static void count_block(struct copy *c, const uint8_t *block, size_t length)
{
    const uint8_t *dropped;
    uint64_t lost;

    if (read32(block) == BLOCK_PACKET)
        count_packet(c, block, length);
    if (read32(block) != BLOCK_STATISTICS)
        return;
    c->counted = true;
    dropped = find_option(block, STATISTICS_OPTIONS, length - 4, STATISTICS_DROPPED, 8);
    if (dropped != NULL) {
        memcpy(&lost, dropped, sizeof(lost));
        c->lost += lost;
    }
}

/* 0, or -1 after saying why. */
static int write_all(const struct copy *c, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = write(c->file, bytes, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fprintf(stderr, "tandemctl: %s: %s\n", c->name, strerror(errno));
            return -1;
        }
        bytes += n;
        length -= (size_t)n;
    }
    return 0;
}

/* Writes the whole blocks that have come. 0, or -1 after saying why. */
static int write_blocks(struct copy *c)
{
    size_t done = 0;
    int status;

    while (c->length - done >= BLOCK_MIN) {
        uint32_t length = read32(c->bytes + done + 4);

        if (length < BLOCK_MIN || length > BLOCK_MAX || length % 4 != 0) {
            fprintf(stderr, "tandemctl: tandem-control sent what is no pcapng\n");
            return -1;
        }
        if (length > c->length - done)
            break;
        count_block(c, c->bytes + done, length);
        done += length;
    }
    status = write_all(c, c->bytes, done);
    memmove(c->bytes, c->bytes + done, c->length - done);
    c->length -= done;
    return status;
}

/* Asks for the end, once; tandem-control then sends what it still has. */
static void ask_for_end(struct copy *c)
{
    if (!stop_asked || c->until != 0)
        return;
    c->until = time(NULL) + END_S;
    shutdown(c->fd, SHUT_WR);
}

/* Copies what there is. 1: goes on; 0: tandem-control has ended it; -1 after saying why not. */
static int copy_some(struct copy *c)
{
    struct pollfd wait = {.fd = c->fd, .events = POLLIN};
    ssize_t n;
    int ready;

    ask_for_end(c);
    if (c->until != 0 && time(NULL) > c->until) {
        fprintf(stderr, "tandemctl: tandem-control does not end the capture\n");
        return -1;
    }
    ready = poll(&wait, 1, LOOK_MS);
    if (ready == 0 || (ready < 0 && errno == EINTR))
        return 1;
    n = recv(c->fd, c->bytes + c->length, BLOCK_MAX - c->length, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    if (n < 0 || (n == 0 && (!c->counted || c->length > 0))) {
        fprintf(stderr, "tandemctl: the capture was cut short: %s\n",
                n < 0 ? strerror(errno) : "tandem-control is gone");
        return -1;
    }
    if (n == 0)
        return 0;
    c->length += (size_t)n;
    return write_blocks(c) == 0 ? 1 : -1;
}

/* The first SIGINT or SIGTERM ends the capture, the second one us. */
static void hear_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* whoever reads us may leave */
}

/* A file for the owner's eyes alone, also when it was there. */
static int open_file(const char *name)
{
    struct stat st;
    int fd;

    if (strcmp(name, "-") == 0)
        return STDOUT_FILENO;
    fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        (fchmod(fd, 0600) != 0 || ftruncate(fd, 0) != 0)) {
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        fprintf(stderr, "tandemctl: %s: %s\n", name, strerror(errno));
    return fd;
}

int capture_run(int fd, const char *file)
{
    struct copy c = {.fd = fd, .name = file, .file = open_file(file)};
    int status = 1;

    if (c.file < 0)
        return -1;
    c.bytes = malloc(BLOCK_MAX);
    if (c.bytes == NULL)
        fprintf(stderr, "tandemctl: no memory\n");
    hear_signals();
    fprintf(stderr, "capturing, Ctrl-C ends it\n");
    while (c.bytes != NULL && status > 0)
        status = copy_some(&c);
    free(c.bytes);
    if (c.file != STDOUT_FILENO && close(c.file) != 0) {
        fprintf(stderr, "tandemctl: %s: %s\n", file, strerror(errno));
        status = -1;
    }
    fprintf(stderr, "%" PRIu64 " frames of %" PRIu64 " messages, %" PRIu64 " lost\n", c.frames,
            c.messages, c.lost);
    return status == 0 ? 0 : -1;
}
