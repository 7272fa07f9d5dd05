/* SPDX-License-Identifier: Apache-2.0 */
/*
 * c-ares in the loop: see dns_wire.h. It tells by a callback which of its sockets it waits for.
 */
#include "control/dns_wire.h"

#include <ares.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    CLASS_IN = 1,
    EDNS_BYTES = 1232, /* of an answer by UDP: one that no path cuts */
    WATCHES_MAX = 64,
};

static const char SYSTEM[] = "/etc/resolv.conf";

struct watch {
    struct dns_wire *wire;
    int fd;
    struct loop_event *read, *write;
};

struct dns_wire {
    struct loop *loop;
    struct loop_event *timer; /* c-ares' next timeout */
    ares_channel channel;
    uint32_t n_asked;       /* and not answered yet */
    uint32_t n_servers;     /* 0: the system's */
    struct timespec system; /* when SYSTEM was changed */
    struct watch watches[WATCHES_MAX];
};

/* One query, c-ares' until it is answered. */
struct query {
    struct dns_wire *wire;
    void (*fn)(void *arg, enum dns_wire_status status, const uint8_t *packet, size_t size);
    void *arg;
};

static void schedule(struct dns_wire *wire)
{
    struct timeval room, *wait = ares_timeout(wire->channel, NULL, &room);

    if (wait == NULL)
        loop_timer_stop(wire->timer);
    else
        loop_timer_start(wire->timer, (uint32_t)(wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1));
}

static void on_timer(void *arg)
{
    struct dns_wire *wire = arg;

    ares_process_fd(wire->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    schedule(wire);
}

static void on_read(void *arg)
{
    const struct watch *watch = arg;
    struct dns_wire *wire = watch->wire;

    ares_process_fd(wire->channel, watch->fd, ARES_SOCKET_BAD);
    schedule(wire);
}

static void on_write(void *arg)
{
    const struct watch *watch = arg;
    struct dns_wire *wire = watch->wire;

    ares_process_fd(wire->channel, ARES_SOCKET_BAD, watch->fd);
    schedule(wire);
}

static void watch_set(struct dns_wire *wire, struct loop_event **event, int fd, int what,
                      void (*fn)(void *arg), struct watch *watch)
{
    if (what != 0 && *event == NULL)
        *event = loop_watch(wire->loop, fd, what, fn, watch);
    if (what == 0) {
        loop_event_free(*event);
        *event = NULL;
    }
}

/* c-ares says what it wants to know of a socket. Without room for it, its queries time out. */
static void on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns_wire *wire = arg;
    struct watch *watch = NULL;

    for (uint32_t i = 0; i < WATCHES_MAX; i++) {
        struct watch *w = &wire->watches[i];
        bool used = w->read != NULL || w->write != NULL;

        if (used && w->fd == fd) {
            watch = w;
            break;
        }
        if (!used && watch == NULL)
            watch = w;
    }
    if (watch == NULL)
        return;
    watch->wire = wire;
    watch->fd = fd;
    watch_set(wire, &watch->read, fd, readable ? LOOP_READ : 0, on_read, watch);
    watch_set(wire, &watch->write, fd, writable ? LOOP_WRITE : 0, on_write, watch);
}

/* The list that c-ares copies. */
static int set_servers(ares_channel channel, const struct sip_addr *servers, uint32_t n)
{
    struct ares_addr_port_node *nodes = calloc(n, sizeof(*nodes));
    int status;

    if (nodes == NULL)
        return ARES_ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        bool v4 = sip_ip_is_v4(&servers[i].ip);

        nodes[i].next = i + 1 < n ? &nodes[i + 1] : NULL;
        nodes[i].family = v4 ? AF_INET : AF_INET6;
        nodes[i].udp_port = nodes[i].tcp_port = servers[i].port;
        if (v4)
            memcpy(&nodes[i].addr.addr4, sip_ip_v4_bytes(&servers[i].ip), 4);
        else
            memcpy(&nodes[i].addr.addr6, servers[i].ip.bytes, 16);
    }
    status = ares_set_servers_ports(channel, nodes);
    free(nodes);
    return status;
}

static int open_channel(struct dns_wire *wire, const struct sip_addr *servers, uint32_t n,
                        ares_channel *ret)
{
    struct ares_options options = {.flags = ARES_FLAG_EDNS,
                                   .timeout = DNS_TIMEOUT_MS,
                                   .tries = DNS_TRIES,
                                   .ednspsz = EDNS_BYTES,
                                   .sock_state_cb = on_socket,
                                   .sock_state_cb_data = wire};
    int status = ares_init_options(ret, &options,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                       ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB);

    if (status != ARES_SUCCESS)
        return -ENOMEM;
    if (n > 0 && set_servers(*ret, servers, n) != ARES_SUCCESS) {
        ares_destroy(*ret);
        return -ENOMEM;
    }
    return 0;
}

/* When the system's file was changed; zero: there is none. */
static struct timespec system_time(void)
{
    struct stat st;

    return stat(SYSTEM, &st) == 0 ? st.st_mtim : (struct timespec){0};
}

int dns_wire_servers(struct dns_wire *wire, const struct sip_addr *servers, uint32_t n)
{
    struct timespec system = system_time();
    ares_channel channel, before = wire->channel;

    if (open_channel(wire, servers, n, &channel) != 0)
        return -ENOMEM;
    wire->channel = channel;
    wire->n_servers = n;
    wire->system = system;
    ares_destroy(before); /* ends what is asked by it */
    schedule(wire);
    return 0;
}

/* Reads the system's servers again when they were changed and nobody waits for them. */
static void follow_system(struct dns_wire *wire)
{
    struct timespec now;

    if (wire->n_servers > 0 || wire->n_asked > 0)
        return;
    now = system_time();
    if (now.tv_sec != wire->system.tv_sec || now.tv_nsec != wire->system.tv_nsec)
        dns_wire_servers(wire, NULL, 0);
}

struct dns_wire *dns_wire_new(struct loop *loop)
{
    struct dns_wire *wire = calloc(1, sizeof(*wire));

    if (wire == NULL)
        return NULL;
    wire->loop = loop;
    wire->system = system_time();
    wire->timer = loop_timer_new(loop, on_timer, wire);
    if (wire->timer == NULL || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        goto fail;
    if (open_channel(wire, NULL, 0, &wire->channel) != 0) {
        ares_library_cleanup();
        goto fail;
    }
    return wire;
fail:
    loop_event_free(wire->timer);
    free(wire);
    return NULL;
}

void dns_wire_free(struct dns_wire *wire)
{
    if (wire == NULL)
        return;
    ares_destroy(wire->channel);
    ares_library_cleanup();
    loop_event_free(wire->timer);
    free(wire);
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *packet, int size)
{
    struct query query = *(struct query *)arg;
    enum dns_wire_status meaning = DNS_WIRE_FAILED;

    (void)timeouts;
    free(arg);
    query.wire->n_asked--;
    if (status == ARES_SUCCESS)
        meaning = DNS_WIRE_ANSWER;
    else if (status == ARES_ENODATA || status == ARES_ENOTFOUND || status == ARES_EBADNAME)
        meaning = DNS_WIRE_NOTHING; /* also a name that none can be */
    query.fn(query.arg, meaning, packet, packet == NULL ? 0 : (size_t)size);
}

void dns_wire_ask(struct dns_wire *wire, const char *name, int type,
                  void (*fn)(void *arg, enum dns_wire_status status, const uint8_t *packet,
                             size_t size),
                  void *arg)
{
    struct query *query = malloc(sizeof(*query));

    if (query == NULL) {
        fn(arg, DNS_WIRE_FAILED, NULL, 0);
        return;
    }
    follow_system(wire);
    *query = (struct query){wire, fn, arg};
    wire->n_asked++;
    ares_query(wire->channel, name, CLASS_IN, type, on_answer, query);
    schedule(wire);
}
