/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One operator's capture: see capture_session.h.
 */
#include "control/capture_session.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/pcapng.h"

enum {
    OUT_BYTES = 4 << 20,
    OUT_RESERVE = 128 << 10, /* of these, for what is no packet: interfaces and statistics of all
                                ports, 256 at most */
    STALL_TURNS = CAPTURE_STALL_MS / CAPTURE_LOOK_MS,
};

static const char LOST[] = "isb_ifdrop counts for all interfaces: frames that were lost since "
                           "tandem-control or its client was too slow";

enum state { WAITS, RUNS, DRAINS };

struct capture_session {
    struct loop *loop;
    int fd;
    struct loop_event *reader; /* NULL: the client has said all */
    struct loop_event *writer; /* NULL: nothing waits for the socket */
    enum state state;
    bool gone;      /* the client */
    bool stopped;   /* by the client */
    bool last_look; /* was announced: the next turn ends it */
    uint64_t call, count;
    uint64_t messages;            /* as they came, taken */
    bool open[CAPTURE_RINGS_MAX]; /* the ring's last message as it came was taken */
    const struct rings *rings;    /* of the section; NULL: none yet */
    uint64_t lost_before;         /* rings_lost when it began */
    uint64_t lost;                /* in it, for want of room */
    uint64_t frames[CAPTURE_PORTS_MAX];
    uint32_t stalled; /* turns without progress while something waits */
    uint8_t *out;
    size_t out_at, out_end;
};

static void on_readable(void *arg);
static void on_writable(void *arg);

struct capture_session *capture_session_new(struct loop *loop, int fd, uint64_t call,
                                            uint64_t count)
{
    struct capture_session *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->out = malloc(OUT_BYTES);
    s->reader = loop_watch(loop, fd, LOOP_READ, on_readable, s);
    if (s->out == NULL || s->reader == NULL) {
        loop_event_free(s->reader);
        free(s->out);
        free(s);
        return NULL;
    }
    s->loop = loop;
    s->fd = fd;
    s->call = call;
    s->count = count;
    return s;
}

/* ---- The client ---- */

/* Whatever it says now is nothing; that it says no more ends the capture. */
static void on_readable(void *arg)
{
    struct capture_session *s = arg;
    char ignored[256];
    ssize_t n = recv(s->fd, ignored, sizeof(ignored), 0);

    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    s->stopped = true;
    s->gone = n < 0;
    loop_event_free(s->reader);
    s->reader = NULL;
}

static void send_now(struct capture_session *s)
{
    while (s->out_at < s->out_end && !s->gone) {
        ssize_t n = send(s->fd, s->out + s->out_at, s->out_end - s->out_at, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 && errno != EINTR)
            s->gone = true;
        if (n <= 0)
            continue;
        s->out_at += (size_t)n;
        s->stalled = 0;
    }
    s->out_at = s->out_end = 0;
}

static void on_writable(void *arg)
{
    struct capture_session *s = arg;

    send_now(s);
    if (s->out_end > 0)
        return;
    loop_event_free(s->writer);
    s->writer = NULL;
}

/* Room for `reserve` less than there is. */
static size_t room(struct capture_session *s, size_t reserve)
{
    if (s->out_at > OUT_BYTES / 2) {
        memmove(s->out, s->out + s->out_at, s->out_end - s->out_at);
        s->out_end -= s->out_at;
        s->out_at = 0;
    }
    return OUT_BYTES - s->out_end > reserve ? OUT_BYTES - s->out_end - reserve : 0;
}

/* An answer of the admin socket's. */
static void put_line(struct capture_session *s, json_t *line)
{
    char *text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT);
    size_t length = text == NULL ? 0 : strlen(text);

    json_decref(line);
    if (text == NULL || length + 1 > room(s, 0)) {
        s->gone = true;
    } else {
        memcpy(s->out + s->out_end, text, length);
        s->out[s->out_end + length] = '\n';
        s->out_end += length + 1;
    }
    free(text);
}

/* ---- States ---- */

bool capture_session_wants(const struct capture_session *s, uint64_t *ret_call)
{
    if (s->state == DRAINS || s->gone)
        return false;
    *ret_call = s->call;
    return true;
}

bool capture_session_waits(const struct capture_session *s)
{
    return s->state == WAITS;
}

void capture_session_refuse(struct capture_session *s, const char *reason)
{
    put_line(s, json_pack("{s:b, s:s}", "ok", 0, "error", reason));
    s->state = DRAINS;
}

void capture_session_begin(struct capture_session *s)
{
    put_line(s, json_pack("{s:b, s:s}", "ok", 1, "status", "capturing"));
    s->state = RUNS;
}

/* ---- The file ---- */

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void end_section(struct capture_session *s)
{
    uint64_t time_ns = now_ns();

    for (uint32_t i = 0; s->rings != NULL && i < rings_ports(s->rings); i++) {
        struct pcapng_statistics statistics = {
            .interface = i, .time_ns = time_ns, .received = s->frames[i]};

        if (i == 0) {
            statistics.dropped = s->lost + rings_lost(s->rings) - s->lost_before;
            statistics.comment = LOST;
        }
        s->out_end += pcapng_statistics(s->out + s->out_end, room(s, 0), &statistics);
    }
    s->rings = NULL;
}

void capture_session_section(struct capture_session *s, const struct rings *rings)
{
    if (s->state != RUNS)
        return;
    end_section(s);
    s->rings = rings;
    s->lost_before = rings_lost(rings);
    s->lost = 0;
    memset(s->frames, 0, sizeof(s->frames));
    memset(s->open, 0, sizeof(s->open));
    s->out_end += pcapng_section(s->out + s->out_end, room(s, 0), "Tandem " TANDEM_VERSION);
    for (uint32_t i = 0; i < rings_ports(rings); i++)
        s->out_end += pcapng_interface(s->out + s->out_end, room(s, 0), rings_port_name(rings, i));
}

/* Whether a record is wanted. What leaves of a message lies behind it in its ring, and goes with it
 * also when the number is reached. */
static bool wants(struct capture_session *s, uint32_t ring, const struct capture_record *record)
{
    bool fits = s->call == 0 || s->call == record->call;
    bool full = s->count != 0 && s->messages == s->count;

    if (record->outbound)
        return fits && (s->open[ring] || !full);
    s->open[ring] = fits && !full;
    s->messages += s->open[ring];
    return s->open[ring];
}

void capture_session_record(struct capture_session *s, uint32_t ring, bool gap,
                            const struct capture_copy *copy, const char *comment)
{
    const struct capture_record *record = &copy->record;
    const struct pcapng_packet packet = {.interface = record->port,
                                         .time_ns = record->time_ns,
                                         .outbound = record->outbound,
                                         .comment = comment,
                                         .frame = copy->frame,
                                         .length = record->length};
    size_t written;

    if (s->state != RUNS || s->rings == NULL)
        return;
    s->open[ring] &= !gap;
    if (!wants(s, ring, record))
        return;
    written = pcapng_packet(s->out + s->out_end, room(s, OUT_RESERVE), &packet);
    s->out_end += written;
    s->frames[record->port]++;
    s->lost += written == 0;
}

bool capture_session_turn(struct capture_session *s)
{
    bool due = s->stopped || (s->count != 0 && s->messages >= s->count);

    if (s->state == RUNS && due && s->last_look) {
        end_section(s);
        s->state = DRAINS;
    }
    if (s->state == WAITS && s->stopped)
        s->state = DRAINS;
    s->last_look = due;
    send_now(s);
    if (s->out_end > 0 && s->writer == NULL)
        s->writer = loop_watch(s->loop, s->fd, LOOP_WRITE, on_writable, s);
    if (s->out_end > 0 && s->stalled++ >= STALL_TURNS)
        s->gone = true;
    return s->gone || (s->state == DRAINS && s->out_end == 0);
}

void capture_session_free(struct capture_session *s)
{
    if (s == NULL)
        return;
    if (s->state == RUNS)
        end_section(s);
    send_now(s);
    loop_event_free(s->reader);
    loop_event_free(s->writer);
    close(s->fd);
    free(s->out);
    free(s);
}
