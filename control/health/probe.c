/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes on their way: see probe.h.
 */
#include "control/health/probe.h"

#include <time.h> /* linux/errqueue.h needs it */

#include <errno.h>
#include <inttypes.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "control/address.h"
#include "control/health/heap.h"
#include "dataplane/lb/siphash.h"

#define BRANCH "z9hG4bK"

enum {
    V4,
    V6,
    FAMILIES,
    PROBE_TEXT_MAX = 1024,
    TICK_MS = 5, /* timeouts are looked at together, at most so late */
    BRANCH_LENGTH = 7,
    NONCE_LENGTH = 16,
    INDEX_LENGTH = 8,
};

struct pending {
    uint64_t nonce; /* 0: free */
    struct sip_addr to;
    uint32_t id;
    uint32_t next_free; /* index + 1 */
    uint64_t sent_us;
};

struct door { /* a family's socket; fd -1: not open */
    int fd;
    struct sip_addr from; /* address 0: the kernel's choice */
    struct loop_event *reading;
    struct prober *prober;
};

struct prober {
    struct loop *loop;
    struct prober_conf conf;
    struct door doors[FAMILIES];
    bool has_node;
    struct sip_ip node;
    struct pending *pending;
    uint32_t n_pending, room;
    uint32_t free_first;   /* index + 1 */
    struct heap deadlines; /* milliseconds, by index in pending */
    struct loop_event *timer;
    uint64_t timer_ms; /* when it fires; UINT64_MAX: it does not run */
    struct lb_key key; /* of nonces */
    uint64_t n_sent;
    char datagram[SIP_MSG_MAX];
    struct sip_msg msg;
};

uint64_t probe_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void release(struct prober *p, uint32_t index)
{
    p->pending[index].nonce = 0;
    p->pending[index].next_free = p->free_first;
    p->free_first = index + 1;
    heap_set(&p->deadlines, index, UINT64_MAX);
}

static void arm(struct prober *p, uint64_t now_ms, uint64_t when_ms)
{
    if (when_ms >= p->timer_ms)
        return;
    p->timer_ms = when_ms;
    loop_timer_start(p->timer, (uint32_t)(when_ms > now_ms ? when_ms - now_ms : 0) + TICK_MS);
}

static void on_timer(void *arg);

static void close_door(struct door *door)
{
    loop_event_free(door->reading);
    door->reading = NULL;
    if (door->fd >= 0)
        close(door->fd);
    door->fd = -1;
}

struct prober *prober_new(struct loop *loop, const struct prober_conf *conf)
{
    struct prober *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    p->loop = loop;
    p->conf = *conf;
    p->timer_ms = UINT64_MAX;
    for (int i = 0; i < FAMILIES; i++)
        p->doors[i] = (struct door){.fd = -1, .prober = p};
    p->timer = loop_timer_new(loop, on_timer, p);
    if (p->timer == NULL || getrandom(&p->key, sizeof(p->key), 0) != sizeof(p->key)) {
        prober_free(p);
        return NULL;
    }
    return p;
}

void prober_free(struct prober *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < FAMILIES; i++)
        close_door(&p->doors[i]);
    loop_event_free(p->timer);
    heap_done(&p->deadlines);
    free(p->pending);
    free(p);
}

void prober_from(struct prober *p, const struct sip_ip *node)
{
    if (p->has_node == (node != NULL) && (node == NULL || sip_ip_equal(&p->node, node)))
        return;
    p->has_node = node != NULL;
    if (node != NULL)
        p->node = *node;
    for (int i = 0; i < FAMILIES; i++)
        close_door(&p->doors[i]);
    for (uint32_t i = 0; i < p->n_pending; i++) {
        if (p->pending[i].nonce != 0)
            release(p, i);
    }
}

/* Where a pending probe is whose branch this is; UINT32_MAX: none of ours. */
static uint32_t find(const struct prober *p, struct sip_slice branch)
{
    char text[NONCE_LENGTH + INDEX_LENGTH + 1];
    unsigned long index;
    uint64_t nonce;

    if (branch.length != BRANCH_LENGTH + NONCE_LENGTH + INDEX_LENGTH ||
        memcmp(branch.at, BRANCH, BRANCH_LENGTH) != 0)
        return UINT32_MAX;
    memcpy(text, branch.at + BRANCH_LENGTH, NONCE_LENGTH + INDEX_LENGTH);
    text[NONCE_LENGTH + INDEX_LENGTH] = '\0';
    index = strtoul(text + NONCE_LENGTH, NULL, 16);
    text[NONCE_LENGTH] = '\0';
    nonce = strtoull(text, NULL, 16);
    if (nonce == 0 || index >= p->n_pending || p->pending[index].nonce != nonce)
        return UINT32_MAX;
    return (uint32_t)index;
}

/* The Call-ID begins with the nonce's complement. */
static bool is_call_id(struct sip_slice call_id, uint64_t nonce)
{
    char text[NONCE_LENGTH + 1];

    snprintf(text, sizeof(text), "%016" PRIx64, ~nonce);
    return call_id.length > NONCE_LENGTH && memcmp(call_id.at, text, NONCE_LENGTH) == 0;
}

static void take_answer(struct prober *p, size_t length, const struct sip_addr *from)
{
    const struct sip_msg *msg = &p->msg;
    uint64_t now_us = probe_now_us();
    struct pending of;
    uint32_t index;

    sip_msg_index(p->datagram, length, &p->msg);
    if (msg->kind != SIP_RESPONSE || !msg->via_ok || msg->status < 200)
        return;
    index = find(p, msg->top_via.branch);
    if (index == UINT32_MAX)
        return;
    of = p->pending[index];
    if (!is_call_id(msg->call_id, of.nonce) || !sip_ip_equal(&from->ip, &of.to.ip))
        return;
    release(p, index);
    p->conf.on_answer(p->conf.arg, of.id, of.sent_us / 1000, msg, (uint32_t)(now_us - of.sent_us));
}

static void refuse(struct prober *p, uint32_t index)
{
    struct pending of = p->pending[index];

    release(p, index);
    p->conf.on_refusal(p->conf.arg, of.id, of.sent_us / 1000);
}

/* Whom an ICMP error is about: its copy of our datagram says it; one that is cut short tells at
 * least the address. */
static void take_refusal(struct prober *p, size_t length, const struct sip_addr *to)
{
    const char *at = memmem(p->datagram, length, BRANCH, BRANCH_LENGTH);
    size_t left = at == NULL ? 0 : length - (size_t)(at - p->datagram);
    uint32_t whole = BRANCH_LENGTH + NONCE_LENGTH + INDEX_LENGTH;

    if (left >= whole) {
        uint32_t index = find(p, sip_slice(at, whole));

        if (index != UINT32_MAX && sip_addr_equal(&p->pending[index].to, to))
            refuse(p, index);
        return;
    }
    for (uint32_t i = 0; i < p->n_pending; i++) {
        if (p->pending[i].nonce != 0 && sip_addr_equal(&p->pending[i].to, to))
            refuse(p, i);
    }
}

/* Whether an error says that nobody is there; others (a path's MTU) say nothing about that. */
static bool is_unreachable(struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        struct sock_extended_err error;

        if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
            !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
            continue;
        memcpy(&error, CMSG_DATA(c), sizeof(error));
        if (error.ee_origin == SO_EE_ORIGIN_ICMP)
            return error.ee_type == ICMP_DEST_UNREACH && error.ee_code != ICMP_FRAG_NEEDED;
        if (error.ee_origin == SO_EE_ORIGIN_ICMP6)
            return error.ee_type == ICMP6_DST_UNREACH;
    }
    return false;
}

/* Reads one datagram, or one error's. False: there is none. */
static bool read_one(struct door *door, int flags)
{
    struct prober *p = door->prober;
    struct iovec iov = {.iov_base = p->datagram, .iov_len = sizeof(p->datagram)};
    union address name;
    char control[512];
    struct msghdr msg = {.msg_name = &name,
                         .msg_namelen = sizeof(name),
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    struct sip_addr addr;
    ssize_t length;

    memset(&name, 0, sizeof(name));
    length = recvmsg(door->fd, &msg, flags | MSG_DONTWAIT);
    if (length < 0)
        return errno != EAGAIN && errno != EWOULDBLOCK && (flags & MSG_ERRQUEUE) == 0;
    addr = address_from_kernel(&name);
    if ((flags & MSG_ERRQUEUE) == 0)
        take_answer(p, (size_t)length, &addr);
    else if (is_unreachable(&msg))
        take_refusal(p, (size_t)length, &addr);
    return true;
}

static void on_readable(void *arg)
{
    struct door *door = arg;

    for (int i = 0; i < PROBE_BURST && door->fd >= 0 && read_one(door, MSG_ERRQUEUE); i++)
        ;
    for (int i = 0; i < PROBE_BURST && door->fd >= 0 && read_one(door, 0); i++)
        ;
}

/* Those whose time is over. */
static void on_timer(void *arg)
{
    struct prober *p = arg;
    uint64_t now_ms = probe_now_us() / 1000, when;
    uint32_t index;

    p->timer_ms = UINT64_MAX;
    for (int i = 0; i < FAMILIES; i++) { /* we may be late ourselves: answers first */
        if (p->doors[i].fd >= 0)
            on_readable(&p->doors[i]);
    }
    while (heap_first(&p->deadlines, &index, &when) && when <= now_ms) {
        struct pending over = p->pending[index];

        release(p, index);
        p->conf.on_silence(p->conf.arg, over.id, over.sent_us / 1000);
    }
    if (heap_first(&p->deadlines, &index, &when))
        arm(p, now_ms, when);
}

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

/* The socket of a family. 0, or a negative errno. Without FREEBIND: from an address that is not
 * here (yet) no answer could come back, and all backends would seem dead. */
static int open_door(struct prober *p, int family)
{
    struct door *door = &p->doors[family];
    struct sip_addr from = {.port = 0};
    bool v4 = family == V4;
    union address address;
    socklen_t size = sizeof(address);
    int status;

    if (p->has_node && sip_ip_is_v4(&p->node) == v4)
        from.ip = p->node;
    else if (v4)
        from.ip = sip_ip_from_v4((const uint8_t[4]){0});
    door->fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (door->fd < 0)
        return -errno;
    set(door->fd, SOL_SOCKET, SO_RCVBUF, PROBE_ROOM); /* as much of it as we get */
    status = v4 ? set(door->fd, IPPROTO_IP, IP_RECVERR, 1)
                : set(door->fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    if (status == 0 && !v4)
        status = set(door->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (status == 0 && bind(door->fd, &address.any, address_to_kernel(&from, &address)) != 0)
        status = -errno;
    if (status == 0 && getsockname(door->fd, &address.any, &size) != 0)
        status = -errno;
    if (status == 0) {
        door->from = address_from_kernel(&address);
        door->reading = loop_watch(p->loop, door->fd, LOOP_READ, on_readable, door);
        status = door->reading == NULL ? -ENOMEM : 0;
    }
    if (status != 0)
        close_door(door);
    return status;
}

/* A free place among the pending. 0, -ENOBUFS or -ENOMEM. */
static int reserve(struct prober *p, uint32_t *ret_index)
{
    if (p->free_first == 0 && p->n_pending == p->room) {
        uint32_t room = p->room == 0 ? 256 : p->room * 2;
        struct pending *grown;

        if (p->room >= PROBE_PENDING_MAX)
            return -ENOBUFS;
        grown = reallocarray(p->pending, room, sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        p->pending = grown;
        if (heap_reserve(&p->deadlines, room) != 0)
            return -ENOMEM;
        p->room = room;
    }
    if (p->free_first == 0) {
        *ret_index = p->n_pending++;
        return 0;
    }
    *ret_index = p->free_first - 1;
    p->free_first = p->pending[*ret_index].next_free;
    return 0;
}

/* 64 bits that nobody can guess, never 0. */
static uint64_t make_nonce(struct prober *p)
{
    uint64_t nonce;

    do {
        p->n_sent++;
        nonce = lb_siphash13(&p->key, &p->n_sent, sizeof(p->n_sent));
    } while (nonce == 0);
    return nonce;
}

static int print(const struct sip_addr *from, const struct sip_addr *to, uint64_t nonce,
                 uint32_t index, char ret_text[PROBE_TEXT_MAX])
{
    char host[SIP_IP_TEXT_MAX + 1], us[SIP_ADDR_TEXT_MAX + 1], them[SIP_ADDR_TEXT_MAX + 1];

    host[sip_ip_print(&from->ip, host)] = '\0';
    us[sip_addr_print(from, us)] = '\0';
    them[sip_addr_print(to, them)] = '\0';
    return snprintf(ret_text, PROBE_TEXT_MAX,
                    "OPTIONS sip:%s SIP/2.0\r\n"
                    "Via: SIP/2.0/UDP %s;rport;branch=" BRANCH "%016" PRIx64 "%08" PRIx32 "\r\n"
                    "Max-Forwards: 70\r\n"
                    "From: <sip:tandem@%s>;tag=%08" PRIx32 "\r\n"
                    "To: <sip:%s>\r\n"
                    "Call-ID: %016" PRIx64 "@%s\r\n"
                    "CSeq: 1 OPTIONS\r\n"
                    "Contact: <sip:tandem@%s>\r\n"
                    "Accept: application/sdp\r\n"
                    "User-Agent: tandem\r\n"
                    "Content-Length: 0\r\n\r\n",
                    them, us, nonce, index, host, (uint32_t)(nonce >> 16), them, ~nonce, host, us);
}

/*
 * Gives a datagram to the kernel. 0 also when that knows no way to the backend: nobody answers
 * then. A negative errno: it is we who cannot send (an address that is not ours), which says
 * nothing about the backend.
 */
static int hand_over(int fd, const char *text, size_t length, const struct sip_addr *to)
{
    union address address;
    socklen_t size = address_to_kernel(to, &address);

    for (int i = 0; i < 3; i++) { /* an error of a probe before is reported here once */
        if (sendto(fd, text, length, 0, &address.any, size) >= 0)
            return 0;
    }
    return errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH ? 0 : -errno;
}

int prober_send(struct prober *p, uint32_t id, const struct sip_addr *to, uint32_t timeout_ms)
{
    int family = sip_ip_is_v4(&to->ip) ? V4 : V6;
    struct door *door = &p->doors[family];
    char text[PROBE_TEXT_MAX];
    struct sip_addr from;
    struct pending *pending;
    uint32_t index;
    int length, status = door->fd >= 0 ? 0 : open_door(p, family);

    if (status == 0)
        status = reserve(p, &index);
    if (status != 0)
        return status;
    from = door->from;
    if (!p->has_node || sip_ip_is_v4(&p->node) != (family == V4)) {
        from.ip = to->ip; /* the kernel's choice, for the answer's Via must lead back to us */
        address_source(to, &from.ip);
    }
    pending = &p->pending[index];
    *pending =
        (struct pending){.nonce = make_nonce(p), .to = *to, .id = id, .sent_us = probe_now_us()};
    length = print(&from, to, pending->nonce, index, text);
    heap_set(&p->deadlines, index, pending->sent_us / 1000 + timeout_ms);
    arm(p, pending->sent_us / 1000, pending->sent_us / 1000 + timeout_ms);
    status = hand_over(door->fd, text, (size_t)length, to);
    if (status != 0)
        release(p, index);
    return status;
}

static int64_t retry_after(const struct sip_msg *msg)
{
    const struct sip_field *field = sip_msg_first(msg, SIP_RETRY_AFTER);
    struct sip_slice value;
    uint64_t seconds;

    if (field == NULL)
        return -1;
    value = sip_msg_value(msg, field); /* 18000;duration=3600, 120 (in a meeting) */
    for (uint32_t i = 0; i < value.length; i++) {
        if (value.at[i] == ';' || value.at[i] == '(')
            value.length = i;
    }
    if (sip_slice_number(sip_slice_trim(value), UINT32_MAX, &seconds) != 0)
        return -1;
    return (int64_t)seconds;
}

/* Whether a text has another in it, in any case. */
static bool has_text(struct sip_slice text, struct sip_slice part)
{
    for (uint32_t i = 0; i + part.length <= text.length; i++) {
        if (sip_slice_equal_nocase(sip_slice(text.at + i, part.length), part))
            return true;
    }
    return false;
}

void probe_read(const struct sip_msg *msg, const struct cfg_health *conf, uint32_t latency_us,
                struct machine_answer *ret)
{
    struct sip_slice value = {NULL, 0};

    if (conf->drain_header != NULL)
        value = sip_msg_find_named(msg, sip_slice_of(conf->drain_header));
    *ret = (struct machine_answer){
        .status = msg->status,
        .retry_after_s = retry_after(msg),
        .latency_us = latency_us,
        .drain = value.length > 0 &&
                 (conf->drain_text == NULL || has_text(value, sip_slice_of(conf->drain_text)))};
}
